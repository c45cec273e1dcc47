"""Children in tests: a list of events to wait on, real children, and a scripted one."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from engine.errors import WorkerError
from engine.worker.client import Limits, WorkerClient
from engine.worker.messages import (
    PROTOCOL,
    Cancel,
    Event,
    Failed,
    Finished,
    Gone,
    JobCancelled,
    Ready,
    Request,
    Start,
)

T = TypeVar("T", bound=Event)

PATIENCE = 60.0  # seconds before a wait fails; a loaded machine is slow


class Events:
    """Every event of a child in order; give it as `on_event`."""

    def __init__(self) -> None:
        self.all: list[Event] = []
        self.times: list[float] = []
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.all.append(event)
            self.times.append(time.monotonic())
            self._changed.notify_all()

    def of(self, kind: type[T]) -> list[T]:
        with self._changed:
            return [one for one in self.all if isinstance(one, kind)]

    def wait(self, kind: type[T], test: Callable[[T], bool] = lambda _event: True) -> T:
        """The first event of `kind` that passes `test`, now or later."""

        def found() -> T | None:
            for one in self.all:
                if isinstance(one, kind) and test(one):
                    return one
            return None

        with self._changed:
            self._changed.wait_for(lambda: found() is not None, PATIENCE)
            event = found()
        assert event is not None, f"no {kind.__name__} among {self.all[-5:]}"
        return event

    def endings(self, job_id: str) -> list[Event]:
        """The endings told of a job; one is right."""
        with self._changed:
            return [
                one
                for one in self.all
                if isinstance(one, (Finished, Failed, JobCancelled)) and one.job == job_id
            ]

    def when(self, event: Event) -> float:
        return self.times[self.all.index(event)]


@contextmanager
def child(
    role: str, folder: Path, *, python: str = sys.executable, limits: Limits | None = None
) -> Iterator[tuple[WorkerClient, Events]]:
    """A real child that is gone afterwards."""
    events = Events()
    client = WorkerClient(role, events, folder / "logs", python, limits or Limits())
    client.start()
    try:
        yield client, events
    finally:
        client.stop()
    pid = client.pid
    assert pid is not None
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    """Whether a process lives; one that is dead but not waited for does not."""
    stat = Path(f"/proc/{pid}/stat")
    if sys.platform == "linux":
        try:
            return stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return False
    if sys.platform == "win32":
        import ctypes

        synchronize, still_waiting = 0x100000, 0x102
        kernel = ctypes.WinDLL("kernel32")
        handle = kernel.OpenProcess(synchronize, False, pid)
        if not handle:
            return False
        try:
            return bool(kernel.WaitForSingleObject(handle, 0) == still_waiting)
        finally:
            kernel.CloseHandle(handle)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def kill(pid: int) -> None:
    """Ends a process at once, as the system does when memory is short."""
    os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # Windows: TerminateProcess


def wait_until(test: Callable[[], bool], seconds: float = PATIENCE) -> float:
    """Seconds until `test` holds; AssertionError where it does not."""
    began = time.monotonic()
    while not test():
        assert time.monotonic() - began < seconds, "waited too long"
        threading.Event().wait(0.01)
    return time.monotonic() - began


def other_python(folder: Path, code: str) -> str:
    """A stand-in for the interpreter that runs `code` whatever it is asked to run."""
    script = folder / "stand_in.py"
    script.write_text(code, "utf-8")
    if sys.platform == "win32":
        launcher = folder / "stand_in.bat"
        launcher.write_text(f'@"{sys.executable}" "{script}"\r\n')
    else:
        launcher = folder / "stand_in"
        launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}"\n')
        launcher.chmod(0o755)
    return str(launcher)


class ScriptedClient:
    """Another form of the client: it does nothing by itself, the test tells what it says."""

    def __init__(self, role: str, on_event: Callable[[Event], None]) -> None:
        self.role = role
        self.requests: list[Request] = []
        self.is_alive = False
        self.is_stopped = False
        self._on_event = on_event

    @property
    def pid(self) -> int | None:
        return None

    @property
    def jobs(self) -> list[str]:
        """The jobs it was told to start."""
        return [one.job.id for one in self.requests if isinstance(one, Start)]

    @property
    def cancels(self) -> list[str]:
        return [one.job for one in self.requests if isinstance(one, Cancel)]

    def start(self) -> None:
        self.is_alive = True
        self.say(Ready(protocol=PROTOCOL, role=self.role, pid=0))

    def send(self, request: Request) -> None:
        if not self.is_alive:
            raise WorkerError("It is gone.")
        self.requests.append(request)

    def stop(self) -> None:
        self.is_stopped = True
        if self.is_alive:
            self.is_alive = False
            self.say(Gone(expected=True))

    def say(self, event: Event) -> None:
        self._on_event(event)

    def die(self) -> None:
        """Ends as a killed child does: its last job fails, then it is gone."""
        self.is_alive = False
        self.say(Failed(job=self.jobs[-1], message="It stopped.", kind="WorkerError"))
        self.say(Gone(expected=False, message="It stopped."))
