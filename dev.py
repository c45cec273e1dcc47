"""Runs Reelwright from its source folder; nothing needs to be installed by hand.

    python3 dev.py demo [--out DIR]     the main job without a person; files in DIR (demo/)
    python3 dev.py app [FILE]           the editor
    python3 dev.py setup                everything for development
                 [--torch BUILD]        torch for BUILD: auto, cuda, rocm or cpu; remembered
    python3 dev.py test [PYTEST …]      the whole test suite
    python3 dev.py check                formatting, lint, types, import contracts
    python3 dev.py bench [NAME] [--json]   tables of ratios

On Windows: py dev.py …. The first start makes .venv and installs into it; later ones find it.
"""

from __future__ import annotations  # so that an older Python gets as far as the sentence in main

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
COMMANDS = ("demo", "app", "setup", "test", "check", "bench")
CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("mypy", "dev.py", "installers", "tests/benchmarks"),
    ("lint-imports",),
)


def main() -> int:
    if sys.version_info < (3, 11):
        print(
            "Reelwright needs Python 3.11 or newer; this is Python "
            f"{sys.version_info[0]}.{sys.version_info[1]}. Start dev.py with a newer one."
        )
        return 1
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        asked_for_help = len(sys.argv) > 1 and sys.argv[1] in ("-h", "--help", "help")
        print(__doc__.strip() if __doc__ else "")
        return 0 if asked_for_help else 2
    from installers.errors import SetupError

    try:
        return run(sys.argv[1], sys.argv[2:])
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def run(command: str, rest: list[str]) -> int:
    """Prepares what `command` needs, then does it; its exit status."""
    from installers.environment import DEVELOP, RUN, ready
    from installers.errors import SetupError
    from installers.torch_build import installed

    torch, rest = torch_word(rest) if command in ("setup", "demo", "app") else ("", rest)
    if command == "setup" and rest:
        raise SetupError(f"setup does not know «{rest[0]}»; it takes --torch and a build.")
    environment = clean_environment()
    if command == "app" and not has_display() and "QT_QPA_PLATFORM" not in environment:
        raise SetupError(
            "There is no display, so the window cannot be shown. "
            "Start it from a desktop; «dev.py demo» works without one."
        )
    kit = RUN if command in ("demo", "app") else DEVELOP
    python = str(ready(ROOT, kit, screens(command), torch))
    if not has_display() or command == "test":
        environment.setdefault("QT_QPA_PLATFORM", "offscreen")
    if command in ("demo", "app"):  # -P: whatever lies in the current folder is not imported
        module = "desktop.demo" if command == "demo" else "desktop"
        return start([python, "-P", "-m", module, *rest], environment)
    os.chdir(ROOT)
    if command == "test":
        return start([python, "-m", "pytest", *rest], environment)
    if command == "bench":
        return start([python, "-m", "tests.benchmarks", *rest], environment)
    if command == "check":
        return check(Path(python).parent, environment)
    version, build = installed(ROOT / ".venv")
    print(f"Everything is installed, with torch {version} for {build}, in {ROOT / '.venv'}.")
    return 0


def torch_word(arguments: list[str]) -> tuple[str, list[str]]:
    """The build of torch that the arguments name, or ""; and the rest of them."""
    from installers.errors import SetupError
    from installers.torch_build import WORDS

    for at, argument in enumerate(arguments):
        name, has_value, word = argument.partition("=")
        if name == "--torch":
            after = at + (1 if has_value else 2)
            word = word or "".join(arguments[at + 1 : after])
            if not word:
                raise SetupError(f"--torch needs a build: {', '.join(WORDS)}.")
            return word, [*arguments[:at], *arguments[after:]]
    return "", arguments


def check(tools: Path, environment: dict[str, str]) -> int:
    """Runs every check and says which failed. `tools`: the folder with the programs."""
    failed = []
    for name, *arguments in CHECKS:
        line = " ".join([name, *arguments])
        print(f"— {line}", flush=True)
        program = shutil.which(name, path=str(tools)) or name
        if subprocess.run([program, *arguments], env=environment, check=False).returncode != 0:
            failed.append(line)
    print(f"Failed: {', '.join(failed)}." if failed else "All checks passed.")
    return 1 if failed else 0


def start(command: list[str], environment: dict[str, str]) -> int:
    """Runs `command`, in place of this process where the system can."""
    sys.stdout.flush()
    if sys.platform != "win32":
        os.execve(command[0], command, environment)
    return subprocess.run(command, env=environment, check=False).returncode


def has_display() -> bool:
    """Whether a window can be shown; always so outside Linux."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def screens(command: str) -> tuple[str, ...]:
    """The Qt platforms whose libraries `command` may need beside offscreen."""
    if not sys.platform.startswith("linux"):
        return ()
    wayland = ("wayland",) if os.environ.get("WAYLAND_DISPLAY") else ()
    # Root gets the libraries for a window at once, so that a later «app» finds them.
    if has_display() or command == "app" or os.geteuid() == 0:
        return ("xcb", *wayland)
    return ()


def clean_environment() -> dict[str, str]:
    """This process's environment without what would mix another Python or Qt in."""
    foreign = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "QT_PLUGIN_PATH", "__PYVENV_LAUNCHER__")
    return {name: value for name, value in os.environ.items() if name not in foreign}


if __name__ == "__main__":
    sys.exit(main())
