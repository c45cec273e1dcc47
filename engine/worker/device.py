"""What a child computes on, told from the system's own files; torch only where it is asked."""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from engine import memory
from engine.worker.messages import Device


def cpu(details: str = "") -> Device:
    """The processor and the machine's memory."""
    total, free = memory.machine()
    cores = os.cpu_count() or 1
    return Device(
        kind="cpu",
        name=f"{_processor()}, {cores} {'core' if cores == 1 else 'cores'}",
        total_bytes=total,
        free_bytes=free,
        details=details,
    )


def graphics() -> str:
    """The NVIDIA cards as their driver names them, with their memory; "" where there is none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    asked = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""  # a driver that does not answer is no card to work on
    cards = [line.rpartition(",") for line in told.stdout.splitlines() if "," in line]
    return ", ".join(
        f"{name.strip()}, {round(int(size) / 1024)} GB"
        for name, _, size in cards
        if size.strip().isdigit()
    )


class TorchFacts(NamedTuple):
    """What torch says of itself. `version`: "" where it is not installed. `card`: the one torch
    sees, else those the driver tells of, else "".
    """

    version: str
    cuda_version: str
    hip_version: str
    sees_card: bool
    card: str


def torch_facts() -> TorchFacts:
    """Asks torch, which is imported here: seconds, where it was not yet."""
    if find_spec("torch") is None:
        return TorchFacts("", "", "", False, graphics())
    import torch

    sees_card = torch.cuda.is_available()
    return TorchFacts(
        str(torch.__version__),
        torch.version.cuda or "",
        torch.version.hip or "",
        sees_card,
        torch.cuda.get_device_name(0) if sees_card else graphics(),
    )


def torch_line(
    version: str, cuda_version: str, hip_version: str, sees_card: bool, card: str
) -> str:
    """For a person, of the facts above: which build is there, what it sees, what to do about it."""
    if not version:
        build = "cuda" if card else "auto"
        return f"torch is not installed: neural effects need it. Run dev.py setup --torch {build}."
    torch = f"torch {version.partition('+')[0]}"
    if hip_version:
        torch += f", ROCm {_release(hip_version)}"
    elif cuda_version:
        torch += f", CUDA {_release(cuda_version)}"
    elif card:
        return f"{torch}, CPU build: it does not see {card}. Run dev.py setup --torch cuda."
    else:
        return (
            f"{torch}, CPU build: it sees no card. For an NVIDIA card, run dev.py setup "
            "--torch cuda."
        )
    if sees_card:
        return f"{torch}, sees {card.removeprefix('NVIDIA ')}"
    if card:
        return f"{torch}: it does not see {card}. Update the card's driver."
    return f"{torch}: it sees no card. Is the card's driver installed?"


def kernels_line() -> str:
    """Why Triton's kernels cannot be built, so that the plain paths run; "" where they can."""
    plain = "Neural effects take their plain paths, which are slower."
    if find_spec("triton") is None:
        return f"Triton is not installed. {plain}"
    if sys.platform == "win32":
        return ""  # Triton for Windows has a compiler of its own
    if not os.environ.get("CC") and not shutil.which("gcc") and not shutil.which("clang"):
        return f"Triton finds no C compiler: install gcc. {plain}"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return f"Triton finds no headers of Python: install python3-dev. {plain}"
    return ""


def _release(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _processor() -> str:
    name = memory.pairs(Path("/proc/cpuinfo")).get("model name", "")
    return name or os.environ.get("PROCESSOR_IDENTIFIER", "") or platform.machine() or "CPU"
