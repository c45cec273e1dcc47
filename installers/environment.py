"""The program's private environment in .venv: made once, remembered, renewed when it must be."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from installers import libraries, torch_build
from installers.errors import SetupError

CONSTRAINTS = "installers/constraints.txt"
WINDOWS = sys.platform == "win32"


@dataclass(frozen=True)
class Kit:
    """What is installed: `extras` of pyproject.toml, and the room on disk that it takes.

    A build of torch adds the extra «models» and its own room.
    """

    name: str
    extras: tuple[str, ...]
    needed_bytes: int


RUN = Kit("run", (), 1_600_000_000)
DEVELOP = Kit("develop", ("models", "dev"), 2_000_000_000)


@dataclass(frozen=True)
class Stamp:
    """What the environment was made of; equal stamps mean nothing is to be done.

    `torch`: the build that was chosen, "" for none. A `digest` of "" was not finished.
    """

    digest: str
    python: str
    kit: str
    screens: tuple[str, ...]
    torch: str = ""

    def serves(
        self, digest: str, python: Path, kit: Kit, screens: tuple[str, ...], torch: str
    ) -> bool:
        return (
            self.digest == digest
            and self.python == str(python.resolve())
            and self.kit in (kit.name, DEVELOP.name)
            and set(screens) <= set(self.screens)
            and torch in ("", self.torch)
        )


def ready(root: Path, kit: Kit, screens: tuple[str, ...], torch: str = "") -> Path:
    """The environment's Python, with `kit` installed and every library found.

    `screens`: Qt platforms that must work beside offscreen. `torch`: a word of torch_build; without
    it the build chosen before stays, and DEVELOP takes what the machine has. Raises SetupError.
    """
    build = torch_build.chosen(torch) if torch else ""
    folder = root / ".venv"
    python = folder / ("Scripts/python.exe" if WINDOWS else "bin/python")
    stamp_file = folder / "reelwright.json"
    digest = _digest(root)
    stamp = _read(stamp_file)
    if stamp and python.exists() and stamp.serves(digest, python, kit, screens, build):
        return python
    begun = time.monotonic()
    if stamp and stamp.kit == DEVELOP.name:
        kit = DEVELOP
    build = build or (stamp.torch if stamp else "")
    if kit is DEVELOP and not build:
        build = torch_build.found()
    try:
        _mark_unfinished(stamp_file, stamp)
        _check_room(root, kit.needed_bytes + torch_build.NEEDED_BYTES[build], folder)
        if not _works(python):
            _make(folder)
            _mark_unfinished(stamp_file, stamp)
        _install(root, python, kit, build)
        libraries.ensure(python, root, screens)
        made = Stamp(digest, str(python.resolve()), kit.name, screens, build)
        stamp_file.write_text(json.dumps(asdict(made)), encoding="utf-8")
    except OSError as error:
        raise SetupError(_told(error, folder)) from error
    print(f"Ready after {time.monotonic() - begun:.0f} s.", flush=True)
    return python


def _digest(root: Path) -> str:
    with (root / "pyproject.toml").open("rb") as file:
        settings = tomllib.load(file)
    parts = [settings["project"], settings["build-system"], str(root)]
    text = json.dumps(parts, sort_keys=True).encode() + (root / CONSTRAINTS).read_bytes()
    return hashlib.sha256(text).hexdigest()


def _read(file: Path) -> Stamp | None:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        torch = told.get("torch", "")
        if torch not in torch_build.NEEDED_BYTES:
            return None
        return Stamp(told["digest"], told["python"], told["kit"], tuple(told["screens"]), torch)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _mark_unfinished(file: Path, stamp: Stamp | None) -> None:
    """Until the end nothing is ready; what was chosen before is not forgotten where it fails."""
    if stamp is None:
        file.unlink(missing_ok=True)
    else:
        file.write_text(json.dumps(asdict(replace(stamp, digest=""))), encoding="utf-8")


def _check_room(root: Path, needed_bytes: int, folder: Path) -> None:
    free = shutil.disk_usage(root).free
    taken = 0
    if folder.is_dir():
        taken = sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())
    wanted = needed_bytes - taken
    if free < wanted:
        raise SetupError(
            f"The disk of {root} has {free / 1e9:.1f} GB free; about {wanted / 1e9:.1f} GB are "
            "needed. Make room, then start again."
        )


def _works(python: Path) -> bool:
    """Whether the environment was made whole: its Python runs and has pip."""
    if not python.exists():
        return False
    ran = subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, check=False)
    return ran.returncode == 0


def _make(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise SetupError(f"{folder} is a file. Remove it, then start again.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").exists():
        raise SetupError(
            f"{folder} holds something that is no Python environment. "
            "Move it away, then start again."
        )
    _need_venv()
    print(f"Making a Python environment in {folder}.", flush=True)
    command = [sys.executable, "-m", "venv", "--clear", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        text = (ran.stderr + ran.stdout).strip()
        raise SetupError(_told_by(text, folder) or f"The environment could not be made: {text}")


def _need_venv() -> None:
    """Debian and Ubuntu split venv and ensurepip off Python's own library."""
    tried = subprocess.run(
        [sys.executable, "-c", "import venv, ensurepip"], capture_output=True, check=False
    )
    if tried.returncode != 0:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        libraries.install([f"python{version}-venv"], "Python's venv module is missing")


def _install(root: Path, python: Path, kit: Kit, build: str) -> None:
    size = kit.needed_bytes + torch_build.NEEDED_BYTES[build]
    print(f"Installing the packages (up to {size / 1e9:.0f} GB, once; some minutes).", flush=True)
    folder = root / ".venv"
    extras = set(kit.extras)
    arguments: list[str] = []
    if build:
        version = _pinned_torch(root)
        extras.add("models")
        if kit is DEVELOP and build == torch_build.CPU:
            extras.add("kernels")  # the other builds bring a Triton of their own
        if build == torch_build.ROCM:
            arguments = torch_build.index(build)  # and that one is only there
        torch_build.install(
            folder,
            build,
            version,
            lambda words: _pip(root, python, ["install", *words]),
            lambda words: _pip(root, python, ["uninstall", "--yes", *words]),
        )
    named = f"[{','.join(sorted(extras))}]" if extras else ""
    arguments = ["install", "--constraint", CONSTRAINTS, *arguments, "--editable", f".{named}"]
    code, text = _pip(root, python, arguments)
    if code != 0:
        raise SetupError(_told_by(text, folder) or _told_of_pip(text, root))
    if build:
        torch_build.check(folder, build, version)


def _pinned_torch(root: Path) -> str:
    found = re.search(r"^torch==(\S+)", (root / CONSTRAINTS).read_text(encoding="utf-8"), re.M)
    assert found is not None, "the constraints pin torch"
    return found[1]


def _pip(root: Path, python: Path, arguments: list[str]) -> tuple[int, str]:
    """Runs pip; its words go to .venv/install.log, the gist to a terminal's last line."""
    environment = {
        **os.environ,
        # Relative, since pip splits the value at spaces; for the build backend.
        "PIP_CONSTRAINT": CONSTRAINTS,
        "PIP_BUILD_CONSTRAINT": CONSTRAINTS,
        "PYTHONUTF8": "1",
    }
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    lines: list[str] = []
    is_terminal = sys.stdout.isatty()
    with (
        (root / ".venv" / "install.log").open("a", encoding="utf-8") as log,
        subprocess.Popen(
            [*command, *arguments],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as pip,
    ):
        assert pip.stdout is not None
        for line in pip.stdout:
            log.write(line)
            lines.append(line)
            if is_terminal and line.lstrip().startswith(
                ("Collecting", "Downloading", "Installing")
            ):
                print(f"\r\x1b[K  {line.strip()[:70]}", end="", flush=True)
    if is_terminal:
        print("\r\x1b[K", end="", flush=True)
    return pip.returncode, "".join(lines)


def _told_by(text: str, folder: Path) -> str:
    """The sentence for a failure that every tool words in its own way, or ""."""
    if "No space left on device" in text or "not enough space" in text:
        return f"The disk of {folder} is full. Make room, then start again."
    if "Read-only file system" in text or "Permission denied" in text:
        return (
            f"{folder} cannot be written. "
            "Put the program's folder where you may write, then start again."
        )
    return ""


def _told(error: OSError, folder: Path) -> str:
    return _told_by(str(error), folder) or f"The set-up stopped: {error}"


def _told_of_pip(text: str, root: Path) -> str:
    unreachable = (
        "NewConnectionError",
        "ConnectTimeoutError",
        "Temporary failure in name resolution",
        "ProxyError",
        "Max retries exceeded",
        "Read timed out",
        "Network is unreachable",
    )
    if "CERTIFICATE_VERIFY_FAILED" in text or "SSLError" in text:
        return (
            "The package index showed a certificate that this machine does not trust. "
            "Check the clock and the certificates (pip's «cert» setting), then start again."
        )
    if any(word in text for word in unreachable):
        return (
            "The package index cannot be reached. "
            "Check the network and pip's proxy settings, then start again."
        )
    errors = [line for line in text.splitlines() if re.match(r"(?i)error: ", line)]
    reason = errors[-1][len("error: ") :].strip(" .\n") if errors else "pip gave no reason"
    log = root / ".venv" / "install.log"
    return f"The packages could not be installed: {reason}.\nMore is in {log}."
