"""How a child process is started, bound to this one, and ended with all it started."""

import os
import signal
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import IO

import engine
from engine.errors import WorkerError

# What Qt, OpenCV and a debugging shell leave behind would change how a child behaves.
_DROPPED = ("QT_", "QML_", "QSG_", "PYSIDE", "OPENCV_")
_DROPPED_NAMES = frozenset(
    {"PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONSAFEPATH"}
)


def clean_environment() -> dict[str, str]:
    """The environment for children and for every program that is opened."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_DROPPED) and name not in _DROPPED_NAMES
    }


# How long threads of torch wait for each other before they sleep: the libraries' own answer is so
# long that on a busy computer they keep one another from working.
_WAITING = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "1"}


# How torch takes memory of a card, by its name now and before.
ALLOCATING = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")


def _child_environment() -> dict[str, str]:
    environment = _WAITING | clean_environment()
    root = str(Path(engine.__file__).resolve().parent.parent)
    inherited = environment.get("PYTHONPATH", "")
    environment["PYTHONPATH"] = f"{root}{os.pathsep}{inherited}" if inherited else root
    environment["PYTHONUTF8"] = "1"
    if not environment.keys() & ALLOCATING and _grows_segments():
        environment[ALLOCATING[0]] = "expandable_segments:True"
    return environment


def _grows_segments() -> bool:
    """Whether what one size has left of a card's memory can serve another.

    Drivers in WSL fail at it (pytorch/pytorch#192330).
    """
    return sys.platform == "linux" and "microsoft" not in os.uname().release.lower()


def spawn(role: str, python: str, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Starts the child of `role`; its stderr is `log`. Raises WorkerError.

    The parent-death signal of Linux is sent when the starting *thread* ends, so only a child
    started by the main thread asks for it; the others notice by their stdin.
    """
    command = [python, "-P", "-X", "faulthandler", "-m", "engine.worker.process", role]
    command += ["--parent", str(os.getpid())]
    if threading.current_thread() is threading.main_thread():
        command.append("--bound")
    try:
        if sys.platform == "win32":
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_child_environment(),
                creationflags=subprocess.CREATE_NO_WINDOW,
            )
            _put_in_job(process)
        else:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_child_environment(),
                process_group=0,  # Ctrl-C in a terminal is the editor's alone
            )
    except OSError as error:
        raise WorkerError(
            "The worker could not be started.", "Install Reelwright again.", str(error)
        ) from error
    return process


def terminate_tree(process: "subprocess.Popen[bytes]") -> None:
    """Asks the child and all it started to end."""
    if process.returncode is not None:
        return  # waited for: its number may be another's by now
    if sys.platform == "win32":
        process.terminate()
    else:
        _signal_group(process.pid, signal.SIGTERM)


def kill_tree(process: "subprocess.Popen[bytes]") -> None:
    """Ends the child and all it started at once."""
    if process.returncode is not None:
        return
    if sys.platform == "win32":
        process.kill()
    else:
        _signal_group(process.pid, signal.SIGKILL)


def _signal_group(pid: int, number: signal.Signals) -> None:
    if sys.platform != "win32":
        try:
            os.killpg(pid, number)
        except (ProcessLookupError, PermissionError):
            return  # it has ended by itself (macOS says «permission» for a zombie's group)


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _KILL_ON_CLOSE = 0x2000
    _EXTENDED_LIMITS = 9  # JobObjectExtendedLimitInformation

    class _BasicLimits(ctypes.Structure):
        _fields_ = (
            ("PerProcessUserTimeLimit", ctypes.c_int64),
            ("PerJobUserTimeLimit", ctypes.c_int64),
            ("LimitFlags", wintypes.DWORD),
            ("MinimumWorkingSetSize", ctypes.c_size_t),
            ("MaximumWorkingSetSize", ctypes.c_size_t),
            ("ActiveProcessLimit", wintypes.DWORD),
            ("Affinity", ctypes.c_size_t),
            ("PriorityClass", wintypes.DWORD),
            ("SchedulingClass", wintypes.DWORD),
        )

    class _ExtendedLimits(ctypes.Structure):
        _fields_ = (
            ("BasicLimitInformation", _BasicLimits),
            ("IoInfo", ctypes.c_uint64 * 6),
            ("ProcessMemoryLimit", ctypes.c_size_t),
            ("JobMemoryLimit", ctypes.c_size_t),
            ("PeakProcessMemoryUsed", ctypes.c_size_t),
            ("PeakJobMemoryUsed", ctypes.c_size_t),
        )

    @cache
    def _job() -> int:
        """A job object that ends its processes when this one ends; its handle stays open."""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.CreateJobObjectW.restype = wintypes.HANDLE
        kernel.CreateJobObjectW.argtypes = (ctypes.c_void_p, wintypes.LPCWSTR)
        kernel.SetInformationJobObject.argtypes = (
            wintypes.HANDLE,
            ctypes.c_int,
            ctypes.c_void_p,
            wintypes.DWORD,
        )
        handle = kernel.CreateJobObjectW(None, None)
        if not handle:
            raise ctypes.WinError(ctypes.get_last_error())
        limits = _ExtendedLimits()
        limits.BasicLimitInformation.LimitFlags = _KILL_ON_CLOSE
        if not kernel.SetInformationJobObject(
            handle, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
        ):
            raise ctypes.WinError(ctypes.get_last_error())
        return int(handle)

    def _put_in_job(process: "subprocess.Popen[bytes]") -> None:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.AssignProcessToJobObject.argtypes = (wintypes.HANDLE, wintypes.HANDLE)
        # Popen keeps the process handle it was given under this name only
        if not kernel.AssignProcessToJobObject(_job(), int(getattr(process, "_handle"))):  # noqa: B009
            error = ctypes.WinError(ctypes.get_last_error())
            process.kill()
            raise error
