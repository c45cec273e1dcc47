"""What a child computes on, told from the system's own files; no torch."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

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


def _processor() -> str:
    name = memory.pairs(Path("/proc/cpuinfo")).get("model name", "")
    return name or os.environ.get("PROCESSOR_IDENTIFIER", "") or platform.machine() or "CPU"
