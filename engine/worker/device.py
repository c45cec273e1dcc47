"""What a child computes on, told from the system's own files; no torch."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from engine.worker.messages import Device


def cpu(details: str = "") -> Device:
    """The processor and the machine's memory."""
    total, free = memory()
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


def memory() -> tuple[int, int]:
    """Total and available bytes; 0 for what the system does not tell."""
    if sys.platform == "win32":
        import ctypes

        class Status(ctypes.Structure):
            _fields_ = (
                ("length", ctypes.c_uint32),
                ("load", ctypes.c_uint32),
                ("total", ctypes.c_uint64),
                ("available", ctypes.c_uint64),
                ("rest", ctypes.c_uint64 * 5),
            )

        status = Status(length=ctypes.sizeof(Status))
        if not ctypes.WinDLL("kernel32").GlobalMemoryStatusEx(ctypes.byref(status)):
            return 0, 0
        return int(status.total), int(status.available)
    facts = _pairs(Path("/proc/meminfo"))
    if "MemTotal" in facts:
        total, free = (
            int(facts.get(name, "0 kB").split()[0]) * 1024 for name in ("MemTotal", "MemAvailable")
        )
        return total, free
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), 0


def _processor() -> str:
    name = _pairs(Path("/proc/cpuinfo")).get("model name", "")
    return name or os.environ.get("PROCESSOR_IDENTIFIER", "") or platform.machine() or "CPU"


def _pairs(path: Path) -> dict[str, str]:
    """The «name : value» lines of a file of the kernel's; the first of each name."""
    if not path.exists():
        return {}
    found: dict[str, str] = {}
    for line in path.read_text("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return found
