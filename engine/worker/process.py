"""A child process, for both roles: `python -m engine.worker.process media|gpu`.

The main thread runs jobs one at a time; a reader thread takes requests, so that a Cancel gets
through; a heartbeat thread tells a long computation from a hang. What a role can do is in its
tasks module, imported only here and only for that role.
"""

import argparse
import logging
import os
import signal
import sys
import threading
import time
from queue import SimpleQueue
from typing import IO, Protocol

from engine.errors import Cancelled, EngineError
from engine.jobs import Job, JobResult
from engine.progress import Report
from engine.worker.faults import Fault, attempt
from engine.worker.messages import (
    PROTOCOL,
    Ask,
    Cancel,
    Device,
    Event,
    Failed,
    Finished,
    Heartbeat,
    JobCancelled,
    LogLine,
    Ready,
    Request,
    Shutdown,
    Start,
    Started,
)
from engine.worker.report import JobReport
from engine.worker.wire import MessageReader, MessageWriter

HEARTBEAT_SECONDS = 1.0
GRACE_SECONDS = 1.0  # for a running job to clear away its files at the end


class Tasks(Protocol):
    """What a role can do."""

    def device(self) -> Device: ...

    def run(self, job: Job, report: Report) -> JobResult:
        """Does a job on the calling thread. Raises EngineError and Cancelled."""

    def ask(self, request: Ask) -> None:
        """Takes a small ask; it is answered from the role's own threads."""


class _LogEvents(logging.Handler):
    """Sends what is worth reading at once to the editor's log too."""

    def __init__(self, writer: MessageWriter) -> None:
        super().__init__(logging.WARNING)
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        self._writer.send(LogLine(text=self.format(record)))


def main() -> int:
    """Runs a child until its parent says so or ends."""
    parser = argparse.ArgumentParser(prog="engine.worker.process")
    parser.add_argument("role", choices=("media", "gpu"))
    parser.add_argument("--parent", type=int, default=0)
    parser.add_argument("--bound", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent cancels
    if options.bound:
        _die_with_parent()
    incoming, outgoing = _take_pipes()
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    Child(options.role, options.parent, incoming, outgoing).run()
    return 0


def _die_with_parent() -> None:
    """Linux: the kernel ends this process with the thread that started it."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """The two pipes to the editor, kept from libraries that print and from grandchildren.

    What is written to stdout goes to the log with stderr; stdin is empty.
    """
    incoming, outgoing = os.dup(0), os.dup(1)  # not inheritable
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(incoming, os.O_BINARY)
        msvcrt.setmode(outgoing, os.O_BINARY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return os.fdopen(incoming, "rb"), os.fdopen(outgoing, "wb")


class Child:
    """The loop of a child: handshake, requests, jobs, end."""

    def __init__(self, role: str, parent: int, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._role = role
        self._parent = parent
        self._reader: MessageReader[Request] = MessageReader(incoming, Request)
        self._writer = MessageWriter(outgoing, broken=self._leave)
        self._starts: SimpleQueue[Job] = SimpleQueue()
        self._lock = threading.Lock()
        self._cancels: dict[str, threading.Event] = {}  # one per job taken and not ended
        self._idle = threading.Event()
        self._idle.set()

    def run(self) -> None:
        """Serves for ever; the process ends in `_leave`."""
        self._writer.send(Ready(protocol=PROTOCOL, role=self._role, pid=os.getpid()))
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        logging.getLogger().addHandler(_LogEvents(self._writer))
        tasks = load_tasks(self._role, self._writer)
        self._writer.send(tasks.device())
        threading.Thread(target=self._take, args=(tasks,), name="reader", daemon=True).start()
        while True:
            job = self._starts.get()
            self._idle.clear()
            try:
                self._run(tasks, job)
                if self._role == "gpu":
                    self._writer.send(tasks.device())  # its free memory has changed
            finally:
                self._idle.set()

    def _beat(self) -> None:
        while True:
            time.sleep(HEARTBEAT_SECONDS)
            # where neither the system nor the pipe told: a parent's death gives a new one
            if self._parent and sys.platform != "win32" and os.getppid() != self._parent:
                self._leave()
            self._writer.send(Heartbeat())

    def _take(self, tasks: Tasks) -> None:
        """Reads requests until the pipe ends, which is also how the editor's death shows."""
        try:
            while (request := self._reader.read()) is not None:
                match request:
                    case Start(job=job):
                        with self._lock:
                            self._cancels[job.id] = threading.Event()
                        self._starts.put(job)
                    case Cancel(job=job_id):
                        self._cancel(job_id)
                    case Shutdown():
                        break
                    case _:
                        tasks.ask(request)
        except EngineError as error:
            # after a broken request nothing on the pipe can be trusted
            logging.error("%s %s", error.message, error.details)
        with self._lock:
            cancels = list(self._cancels.values())
        for cancel in cancels:
            cancel.set()
        self._idle.wait(GRACE_SECONDS)
        self._leave()

    def _cancel(self, job_id: str) -> None:
        with self._lock:
            cancel = self._cancels.get(job_id)
        if cancel is not None:
            cancel.set()

    def _leave(self) -> None:
        logging.shutdown()
        os._exit(0)  # threads may be deep in a decoder

    def _run(self, tasks: Tasks, job: Job) -> None:
        with self._lock:
            cancel = self._cancels[job.id]
        self._writer.send(Started(job=job.id))
        began = time.monotonic()
        logging.info("%s %s begins", job.title, job.id)
        ending: Event
        try:
            outcome = attempt(lambda: tasks.run(job, JobReport(job, self._writer.send, cancel)))
        except Cancelled:
            ending = JobCancelled(job=job.id)
        else:
            if isinstance(outcome, Fault):
                logging.warning("%s %s failed: %s", job.title, job.id, outcome.details)
                ending = Failed(
                    job=job.id,
                    message=outcome.message,
                    hint=outcome.hint,
                    details=outcome.details,
                    kept=outcome.kept,
                    kind=outcome.kind,
                )
            else:
                ending = Finished(job=job.id, result=outcome)
        logging.info("%s %s ends after %.2f s", job.title, job.id, time.monotonic() - began)
        with self._lock:
            del self._cancels[job.id]
        self._writer.send(ending)


def load_tasks(role: str, writer: MessageWriter) -> Tasks:
    """Imports what the role needs, and only that."""
    if role == "gpu":
        from engine.worker.gpu_tasks import GpuTasks

        return GpuTasks()
    from engine.worker.media_tasks import MediaTasks

    return MediaTasks(writer.send)


if __name__ == "__main__":
    sys.exit(main())
