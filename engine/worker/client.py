"""The editor's side of a child process: start, send, receive, notice death. No Qt, no numpy."""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Protocol

import msgspec

from engine.errors import WorkerError
from engine.jobs import DownloadJob, EffectJob, ExportJob, GenerateJob, Job
from engine.timeline.effects import needs_gpu
from engine.worker.logs import new_log, tail
from engine.worker.messages import (
    PROTOCOL,
    Cancel,
    Event,
    Failed,
    Finished,
    Gone,
    JobCancelled,
    Progress,
    Ready,
    Request,
    Shutdown,
    Start,
)
from engine.worker.spawn import kill_tree, spawn, terminate_tree
from engine.worker.wire import MessageReader, pack

STOPPED = "The worker stopped unexpectedly."
RETRY = "Retry. If it stops again, the log under Details says where."


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long the client waits, in seconds, before it ends the child."""

    handshake: float = 30.0
    silence: float = 30.0  # without any message; a heartbeat comes every second
    cancel: float = 5.0  # from Cancel to the job's ending, where a file is being written
    cancel_baking: float = 0.1  # the same where only whole parts are kept anyway
    stop: float = 3.0
    terminate: float = 1.0  # from asking the system to end it to forcing it


class Client(Protocol):
    """What the queue and the viewer need of a child; see tests/support for another form."""

    def start(self) -> None: ...

    def send(self, request: Request) -> None: ...

    @property
    def is_alive(self) -> bool: ...

    @property
    def pid(self) -> int | None: ...

    def stop(self) -> None: ...


class WorkerClient:
    """One child process. `on_event` is called on a thread of the client, in order.

    Each started job ends with exactly one of Finished, Failed, JobCancelled, whatever happens to
    the child; Gone is the last event. For a restart make a new client. Start it from a thread
    that lives as long as the child (on Windows any will do).
    """

    def __init__(
        self,
        role: str,
        on_event: Callable[[Event], None],
        log_folder: Path,
        python: str = sys.executable,
        limits: Limits = Limits(),  # noqa: B008  (frozen)
    ) -> None:
        self._role = role
        self._on_event = on_event
        self._log_folder = log_folder
        self._python = python
        self._limits = limits
        self._outbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._lock = threading.RLock()  # a signal handler may send while this thread does
        self._cancel_came = threading.Event()
        self._jobs: dict[str, Job] = {}  # started, not ended
        self._progress: dict[str, Progress] = {}
        self._cancelled: dict[str, float] = {}  # job id: when
        self._is_closed = False
        self._is_stopping = False
        self._is_ready = False
        self._fault = ""  # why the client ended the child
        self._heard = 0.0
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Starts the child; Ready comes as an event. Raises WorkerError."""
        self._log = new_log(self._log_folder, self._role)
        with self._log.open("ab") as log:
            self._process = spawn(self._role, self._python, log)
        self._heard = time.monotonic()
        for name, work in (
            ("reads", self._read),
            ("writes", self._write),
            ("watches", self._watch),
        ):
            thread = threading.Thread(target=work, name=f"{self._role}-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def send(self, request: Request) -> None:
        """Sends without waiting. Raises WorkerError where the child is gone."""
        data = pack(request)
        with self._lock:
            if self._is_closed or not self._threads:
                raise WorkerError(STOPPED, "Try again.")
            match request:
                case Start(job=job):
                    self._jobs[job.id] = job
                case Cancel(job=job_id) if job_id in self._jobs:
                    self._cancelled.setdefault(job_id, time.monotonic())
                    self._cancel_came.set()
                case _:
                    pass
            self._outbox.put(data)

    @property
    def is_alive(self) -> bool:
        """Whether requests can be sent."""
        return bool(self._threads) and not self._is_closed

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._threads else None

    def stop(self) -> None:
        """Ends the child: asks, terminates, kills. Running jobs end as cancelled."""
        if not self._threads:
            return
        with self._lock:
            self._is_stopping = True
            if not self._is_closed:
                self._outbox.put(pack(Shutdown()))
                self._outbox.put(None)
        if not self._ended.wait(self._limits.stop):
            self._end_child("it did not stop when asked")
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    # The threads of the client

    def _write(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            while (data := self._outbox.get()) is not None:
                pipe.write(data)
                pipe.flush()
        except OSError:
            pass  # the child is gone; the reader tells
        finally:
            with suppress(OSError):  # what was still buffered has no reader
                pipe.close()

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        try:
            details = self._converse(pipe)
        finally:
            kill_tree(self._process)
            code = self._process.wait()
            pipe.close()
            self._outbox.put(None)
        self._finish(details or f"exit code {code}")

    def _converse(self, pipe: IO[bytes]) -> str:
        """Passes events on until the pipe ends; why it ended, where the reason is known."""
        reader: MessageReader[Event] = MessageReader(pipe, Event)
        try:
            while (event := reader.read()) is not None:
                self._heard = time.monotonic()
                if not self._is_ready:
                    if not isinstance(event, Ready):
                        return f"the first message was {type(event).__name__}"
                    if event.protocol != PROTOCOL:
                        return f"it speaks protocol {event.protocol}, not {PROTOCOL}"
                    self._is_ready = True
                if isinstance(event, Gone):
                    return "a message came that only the client makes"
                if self._is_due(event):
                    self._on_event(event)
        except WorkerError as error:
            return f"{error.message} {error.details}"
        return self._fault

    def _is_due(self, event: Event) -> bool:
        """Notes the state of jobs; False for what comes after a job's end."""
        match event:
            case Progress():
                self._progress[event.job] = event
                return event.job in self._jobs
            case Finished() | Failed() | JobCancelled():
                with self._lock:
                    self._cancelled.pop(event.job, None)
                    return self._jobs.pop(event.job, None) is not None
            case _:
                return True

    def _finish(self, details: str) -> None:
        with self._lock:
            self._is_closed = True
            jobs, self._jobs = self._jobs, {}
        trace = f"{self._role} worker, process {self._process.pid}: {details}\n{tail(self._log)}"
        message = STOPPED if self._is_ready else "The worker could not be started."
        for job in jobs.values():
            if self._is_stopping or job.id in self._cancelled:
                self._on_event(JobCancelled(job=job.id))
            else:
                kept = _kept(job, self._progress.get(job.id))
                self._on_event(
                    Failed(
                        job=job.id,
                        message=message,
                        hint=RETRY,
                        details=trace,
                        kept=kept,
                        kind=WorkerError.__name__,
                    )
                )
        if self._is_stopping:
            self._on_event(Gone(expected=True))
        else:
            self._on_event(Gone(expected=False, message=message, details=trace))
        self._ended.set()
        self._cancel_came.set()  # lets the watching thread go

    def _watch(self) -> None:
        """Ends a child that does not begin, has gone silent, or does not heed a Cancel."""
        limits = self._limits
        before = time.monotonic()
        while not self._ended.is_set():
            self._cancel_came.wait(min(0.5, limits.silence / 4, limits.handshake / 4))
            self._cancel_came.clear()
            now = time.monotonic()
            if now - before > 5:
                self._heard = now  # the machine slept: nobody could speak
            before = now
            silence = now - self._heard
            if silence > (limits.silence if self._is_ready else limits.handshake):
                self._end_child(f"nothing was heard for {silence:.0f} s")
            while (deadline := self._cancel_deadline()) is not None:
                if self._ended.wait(min(0.02, max(0.0, deadline - time.monotonic()))):
                    return
                if time.monotonic() >= deadline:
                    self._end_child("it did not heed a cancel")

    def _cancel_deadline(self) -> float | None:
        """When the first cancelled job must have ended."""
        limits = self._limits
        with self._lock:
            return min(
                (
                    asked + (limits.cancel_baking if self._is_baking(job_id) else limits.cancel)
                    for job_id, asked in self._cancelled.items()
                ),
                default=None,
            )

    def _is_baking(self, job_id: str) -> bool:
        """Whether a job is where its child can be ended without leaving half a file."""
        match self._jobs.get(job_id):
            case EffectJob(uses=uses):
                return not needs_gpu(uses)  # a child with models in memory is worth the wait
            case ExportJob():
                progress = self._progress.get(job_id)
                return progress is None or progress.stage == "effects"
            case _:
                return False

    def _end_child(self, fault: str) -> None:
        self._fault = self._fault or fault
        terminate_tree(self._process)
        if not self._ended.wait(self._limits.terminate):
            kill_tree(self._process)
            self._ended.wait(self._limits.terminate)


def _kept(job: Job, progress: Progress | None) -> str:
    """What a retry need not make again, as far as the client can know."""
    if progress is None or progress.done == 0:
        return ""
    match job:
        case EffectJob():
            return "Finished parts are kept. A retry goes on from there."
        case ExportJob() if progress.stage != "effects":
            return "The effects are kept; the file is written anew."
        case ExportJob():
            return "Finished parts of the effects are kept. A retry goes on from there."
        case GenerateJob():
            return "Finished steps are kept. A retry goes on from there."
        case DownloadJob():
            return "What came is kept. A retry goes on from there."
        case _:
            return ""
