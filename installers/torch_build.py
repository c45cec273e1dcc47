"""torch's builds: for NVIDIA cards, for AMD cards, for the processor; which one, and from where.

The package index has one build per system. For Windows it is the processor's, which sees no card;
the others lie in an index of PyTorch's own for each.
"""

import platform
import re
import shutil
import sys
from collections.abc import Callable
from os import environ
from pathlib import Path

from installers.errors import SetupError

CUDA, ROCM, CPU = "cuda", "rocm", "cpu"
WORDS = ("auto", CUDA, ROCM, CPU)
INDEX = "https://download.pytorch.org/whl"
TAGS = {CUDA: "cu130", ROCM: "rocm7.2", CPU: "cpu"}  # what PyTorch publishes 2.13.0 for
NEEDED_BYTES = {"": 0, CPU: 1_000_000_000, CUDA: 7_000_000_000, ROCM: 15_000_000_000}
NVIDIA_DEVICE, AMD_DEVICE = Path("/dev/nvidiactl"), Path("/dev/kfd")  # a driver is loaded
TRITONS = ("triton", "triton-rocm", "pytorch-triton-rocm")  # they lie in one folder

Pip = Callable[[list[str]], tuple[int, str]]  # arguments to status and words


def chosen(word: str) -> str:
    """The build that `word` means on this machine. Raises SetupError where there is none."""
    if word not in WORDS:
        raise SetupError(f"«{word}» is no build of torch. Choose one of: {', '.join(WORDS)}.")
    if word == "auto":
        return found()
    if word == CUDA and sys.platform == "darwin":
        raise SetupError("There is no CUDA build of torch for macOS. Take --torch cpu.")
    if word == ROCM and (not sys.platform.startswith("linux") or _machine() != "x86_64"):
        raise SetupError(
            "PyTorch publishes its ROCm build for Linux on x86-64 only. Take --torch cpu."
        )
    return word


def found() -> str:
    """The build for the card whose driver is here."""
    if sys.platform == "darwin":
        return CPU  # the one build there is; it knows Apple's GPUs too
    if _has_nvidia():
        return CUDA
    if AMD_DEVICE.exists() and _machine() == "x86_64":
        return ROCM
    return CPU


def _has_nvidia() -> bool:
    library = Path(environ.get("SYSTEMROOT", "C:/Windows"), "System32", "nvml.dll")
    return (
        shutil.which("nvidia-smi") is not None
        or NVIDIA_DEVICE.exists()
        or (sys.platform == "win32" and library.exists())
    )


def _machine() -> str:
    return {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())


def installed(folder: Path) -> tuple[str, str]:
    """Version and build of the torch in an environment; ("", "") for none. Imports nothing."""
    for packages in ("lib/python*/site-packages", "Lib/site-packages"):
        for file in folder.glob(f"{packages}/torch/version.py"):
            text = file.read_text(encoding="utf-8", errors="replace")
            version = re.search(r"^__version__ = '([^'+]+)", text, re.M)
            told = dict(re.findall(r"^(cuda|hip)\b[^=\n]*= '([^']+)'", text, re.M))
            build = CUDA if "cuda" in told else ROCM if "hip" in told else CPU
            return (version[1] if version else "", build)
    return "", ""


def install(folder: Path, build: str, version: str, pip: Pip, uninstall: Pip) -> None:
    """Takes `build` of torch `version` alone; what it needs comes with the other packages.

    Where PyTorch's index has it not or cannot be reached, the package index's own stays to be
    taken; `check` tells whether that will do.
    """
    before = installed(folder)
    if before == (version, build):
        return
    if not before[0] and build == CPU and not sys.platform.startswith("linux"):
        return  # the package index's own
    if ROCM in (before[1], build):
        uninstall(list(TRITONS))
    wanted = ["--no-deps", f"torch=={version}+{TAGS[build]}"]
    if sys.platform != "darwin":
        if pip(wanted)[0] == 0:
            return
        patience = ["--retries", "0", "--timeout", "15"] if build == CPU else []
        if pip([*wanted, *index(build), *patience])[0] == 0:
            return
    if build == CPU and sys.platform.startswith("linux"):
        print("torch's CPU build was not found; taking the standard one, which is larger.")
    if before[0] and build != ROCM:
        pip(["--no-deps", "--force-reinstall", f"torch=={version}"])


def index(build: str) -> list[str]:
    """pip's option for the index of PyTorch's that has `build`."""
    return ["--extra-index-url", f"{INDEX}/{TAGS[build]}"]


def check(folder: Path, build: str, version: str) -> None:
    """Raises SetupError where the build that was chosen is not the one that is there.

    On the processor every build computes.
    """
    has = installed(folder)[1]
    if build != CPU and has != build:
        raise SetupError(
            f"torch {version} for {build} was not found in {INDEX}/{TAGS[build]}. "
            "Check the network, or take another build: dev.py setup --torch cpu."
        )
