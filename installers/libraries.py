"""System libraries: finds by trying what is missing, installs it or says how to."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from installers.errors import SetupError

# Shared library -> the Debian or Ubuntu package that has it. Where a package was renamed, both
# names stand here and the first that apt knows is taken.
PACKAGES: dict[str, tuple[str, ...]] = {
    "libEGL.so.1": ("libegl1",),
    "libGL.so.1": ("libgl1",),
    "libGLX.so.0": ("libglx0",),
    "libOpenGL.so.0": ("libopengl0",),
    "libX11-xcb.so.1": ("libx11-xcb1",),
    "libX11.so.6": ("libx11-6",),
    "libXext.so.6": ("libxext6",),
    "libXrandr.so.2": ("libxrandr2",),
    "libXrender.so.1": ("libxrender1",),
    "libasound.so.2": ("libasound2t64", "libasound2"),
    "libdbus-1.so.3": ("libdbus-1-3",),
    "libdrm.so.2": ("libdrm2",),
    "libfontconfig.so.1": ("libfontconfig1",),
    "libfreetype.so.6": ("libfreetype6",),
    "libglib-2.0.so.0": ("libglib2.0-0t64", "libglib2.0-0"),
    "libgobject-2.0.so.0": ("libglib2.0-0t64", "libglib2.0-0"),
    "libgthread-2.0.so.0": ("libglib2.0-0t64", "libglib2.0-0"),
    "libgssapi_krb5.so.2": ("libgssapi-krb5-2",),
    "libgomp.so.1": ("libgomp1",),
    "libnss3.so": ("libnss3",),
    "libpulse.so.0": ("libpulse0",),
    "libstdc++.so.6": ("libstdc++6",),
    "libva-drm.so.2": ("libva-drm2",),
    "libva-x11.so.2": ("libva-x11-2",),
    "libva.so.2": ("libva2",),
    "libwayland-client.so.0": ("libwayland-client0",),
    "libwayland-cursor.so.0": ("libwayland-cursor0",),
    "libwayland-egl.so.1": ("libwayland-egl1",),
    "libxcb-cursor.so.0": ("libxcb-cursor0",),
    "libxcb-glx.so.0": ("libxcb-glx0",),
    "libxcb-icccm.so.4": ("libxcb-icccm4",),
    "libxcb-image.so.0": ("libxcb-image0",),
    "libxcb-keysyms.so.1": ("libxcb-keysyms1",),
    "libxcb-randr.so.0": ("libxcb-randr0",),
    "libxcb-render-util.so.0": ("libxcb-render-util0",),
    "libxcb-render.so.0": ("libxcb-render0",),
    "libxcb-shape.so.0": ("libxcb-shape0",),
    "libxcb-shm.so.0": ("libxcb-shm0",),
    "libxcb-sync.so.1": ("libxcb-sync1",),
    "libxcb-util.so.1": ("libxcb-util1",),
    "libxcb-xfixes.so.0": ("libxcb-xfixes0",),
    "libxcb-xinerama.so.0": ("libxcb-xinerama0",),
    "libxcb-xkb.so.1": ("libxcb-xkb1",),
    "libxcb.so.1": ("libxcb1",),
    "libxkbcommon-x11.so.0": ("libxkbcommon-x11-0",),
    "libxkbcommon.so.0": ("libxkbcommon0",),
    "libz.so.1": ("zlib1g",),
    "libzstd.so.1": ("libzstd1",),
}
ROUNDS = 6  # a library may itself lack another one, which only shows once it is there

_updated = False


def ensure(python: Path, root: Path, screens: Iterable[str]) -> None:
    """Makes everything native load, or says what is missing.

    `screens`: Qt platforms that must work beside offscreen: "xcb", "wayland".
    """
    before: set[str] = set()
    for _ in range(ROUNDS):
        libraries, failures = _missing(python, root, screens)
        if failures:
            raise SetupError("\n".join(failures))
        if not libraries:
            return
        if libraries == before:
            break
        install(package_names(libraries), "Qt and the media libraries need system libraries")
        before = libraries
    names = ", ".join(sorted(before))
    raise SetupError(f"These system libraries are still not found: {names}.")


def _missing(python: Path, root: Path, screens: Iterable[str]) -> tuple[set[str], list[str]]:
    probe = root / "installers" / "probe_libraries.py"
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    ran = subprocess.run(
        [str(python), str(probe), *screens],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        last = (ran.stderr.strip().splitlines() or ["no message"])[-1]
        return set(), [f"The installed packages cannot be loaded: {last}"]
    told = json.loads(ran.stdout.strip().splitlines()[-1])
    return set(told["libraries"]), list(told["failures"])


def package_names(libraries: Iterable[str]) -> list[str]:
    """The packages with these shared libraries. Raises SetupError for one not in the table."""
    known = [name for name in libraries if name in PACKAGES]
    unknown = sorted(set(libraries) - set(known))
    if unknown or not shutil.which("apt-get"):
        names = ", ".join(unknown or sorted(known))
        raise SetupError(
            f"These system libraries are missing: {names}. "
            "Install them with your system's package manager, then start again."
        )
    if os.geteuid() == 0:
        _update()
    return sorted({_known_to_apt(PACKAGES[name]) for name in known})


def _known_to_apt(names: tuple[str, ...]) -> str:
    for name in names:
        shown = subprocess.run(
            ["apt-cache", "show", name],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if shown.returncode == 0:
            return name
    return names[-1]


def install(packages: list[str], reason: str) -> None:
    """Installs system packages where the person is root; else tells the one line that does."""
    line = "apt-get install -y --no-install-recommends " + " ".join(packages)
    if not shutil.which("apt-get"):
        raise SetupError(f"{reason}: {', '.join(packages)}. Install them, then start again.")
    if os.geteuid() != 0:
        raise SetupError(f"{reason}. Run this line once, then start again:\n  sudo {line}")
    _update()
    print(f"{reason}. Installing: {' '.join(packages)}", flush=True)
    ran = _apt(line.split()[1:])
    if ran.returncode != 0:
        raise SetupError(
            f"The system packages could not be installed: {_last_line(ran)}\n"
            f"Run this line yourself, then start again:\n  {line}"
        )


def _update() -> None:
    global _updated
    if not _updated:
        _apt(["update"])  # where it fails, the install says so with the lists it has
        _updated = True


def _apt(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _last_line(ran: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in ran.stdout.splitlines() if line.startswith("E:")]
    return (lines or ran.stdout.strip().splitlines() or ["apt-get gave no reason"])[-1]
