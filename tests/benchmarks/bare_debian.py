"""The demo from a fresh clone in a bare Debian: python3, git and certificates, nothing else.

    sudo python3 -m tests.benchmarks.bare_debian [FOLDER] [COMMAND …]

Needs debootstrap and root. Makes the system in FOLDER (a new one in the temporary folder), clones
this checkout's last commit into it and runs `python3 dev.py demo` there (or COMMAND), no step by
hand. This machine's certificates and pip settings are lent; so are folders with packages that
these settings name. What is mounted is let go at the end; the system stays in FOLDER to be looked
at. Standard library only.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PIP_SETTINGS = (Path("/etc/pip.conf"), Path.home() / ".config/pip/pip.conf")
KEPT = re.compile(r"^(PIP_|SSL_CERT|[a-z_]*proxy$)", re.IGNORECASE)


def make_system(folder: Path) -> None:
    """A minimal Debian, with what this machine lends and a clone of this checkout."""
    packages = "--include=python3,git,ca-certificates"
    run("debootstrap", "--variant=minbase", packages, "bookworm", str(folder))
    for file in (CERTIFICATES, Path("/etc/resolv.conf"), Path("/etc/hosts")):
        shutil.copy(file, folder / file.relative_to("/"))
    for file in PIP_SETTINGS:
        if file.exists():  # pip reads both places there, for everybody
            place = "etc" if file.parent == Path("/etc") else "etc/xdg/pip"
            (folder / place).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder / place / "pip.conf")
    run("git", "clone", "--quiet", "--no-local", str(ROOT), str(folder / "srv/reelwright"))


def lent_folders() -> list[Path]:
    """Local folders that pip is told to take packages from."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    named = re.findall(r"(?:file://)?(/[^\s'\"]+)", told)
    folders = {Path(name).parent if Path(name).name == "simple" else Path(name) for name in named}
    return sorted(folder for folder in folders if folder.is_dir())


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """/proc, /dev and what is lent, while the block runs."""
    places = []
    try:
        for source in (Path("/dev"), *lent_folders()):
            target = folder / source.relative_to("/")
            target.mkdir(parents=True, exist_ok=True)
            run("mount", "--bind", str(source), str(target))
            places.append(target)
        run("mount", "-t", "proc", "proc", str(folder / "proc"))
        places.append(folder / "proc")
        yield
    finally:
        for place in reversed(places):
            run("umount", str(place))


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def main() -> int:
    words = sys.argv[1:]
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        print("This needs root and «debootstrap».", file=sys.stderr)
        return 1
    folder = Path(words[0]) if words else Path(tempfile.mkdtemp(prefix="bare-debian-"))
    command = words[1:] or ["python3", "dev.py", "demo"]
    folder.mkdir(parents=True, exist_ok=True)
    make_system(folder)
    environment = {name: value for name, value in os.environ.items() if KEPT.match(name)}
    environment |= {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    with mounted(folder):
        begun = time.monotonic()
        line = ["chroot", str(folder), "sh", "-c", 'cd /srv/reelwright && exec "$@"', "sh"]
        code = subprocess.run([*line, *command], env=environment, check=False).returncode
    print(f"{' '.join(command)}: exit status {code} after {time.monotonic() - begun:.0f} s.")
    print(f"The clone is {folder / 'srv/reelwright'}.")
    return code


if __name__ == "__main__":
    sys.exit(main())
