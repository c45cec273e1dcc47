"""Memory of the machine and of this process, from the system's own files; stdlib only."""

import os
import sys
from pathlib import Path

M_MMAP_THRESHOLD = -3  # glibc's malloc.h


def machine() -> tuple[int, int]:
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
    facts = pairs(Path("/proc/meminfo"))
    if "MemTotal" in facts:
        return _kilobytes(facts, "MemTotal"), _kilobytes(facts, "MemAvailable")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), 0


def reset_peak() -> None:
    """From here on `peak` counts anew, where the system can (Linux)."""
    file = Path("/proc/self/clear_refs")
    if file.exists():
        file.write_text("5")


def peak() -> int:
    """The most resident memory of this process, in bytes; 0 where the system does not tell."""
    facts = pairs(Path("/proc/self/status"))
    if "VmHWM" in facts:
        return _kilobytes(facts, "VmHWM")
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def steady_heap(threshold_bytes: int = 1 << 20) -> bool:
    """Blocks from `threshold_bytes` on are given back to the system as soon as they are freed.

    glibc raises that bound to 32 MB when large blocks come and go, and keeps the frames of a
    stream in a heap that it cannot shrink: resident memory wanders by tens of MB. Naming the bound
    fixes it. False where the C library has no such setting.
    """
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    return bool(library.mallopt(M_MMAP_THRESHOLD, threshold_bytes))


def pairs(path: Path) -> dict[str, str]:
    """The «name : value» lines of a file of the kernel's; the first of each name."""
    if not path.exists():
        return {}
    found: dict[str, str] = {}
    for line in path.read_text("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return found


def _kilobytes(facts: dict[str, str], name: str) -> int:
    return int(facts.get(name, "0 kB").split()[0]) * 1024
