"""One child for the length of a command: what it is asked, what it does, its progress bar."""

import queue
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Self, TextIO

from desktop.settings import folders
from desktop.wording import duration_text, size_text
from engine.errors import (
    Cancelled,
    EngineError,
    MediaError,
    WeightsError,
    WorkerError,
)
from engine.jobs import ExportJob, GenerateJob, Job, JobResult
from engine.media.part import remove_part
from engine.timeline.model import Asset, new_id
from engine.worker.client import WorkerClient
from engine.worker.messages import (
    Cancel,
    Event,
    Failed,
    Finished,
    Gone,
    JobCancelled,
    Probe,
    Probed,
    Progress,
    Ready,
    Refused,
    Scanning,
    ScanWeights,
    Start,
    WeightsFound,
)

# Ctrl C, the system's wish, and the terminal's end, which Windows tells in another way.
ENDINGS = [signal.SIGINT, signal.SIGTERM]
if sys.platform != "win32":
    ENDINGS.append(signal.SIGHUP)

_WIDTH = 94  # of a line with all there can be


class Bar:
    """A progress bar on a terminal; silent elsewhere."""

    def __init__(self, out: TextIO, quiet: bool) -> None:
        self._out = out
        self._shown = not quiet and out.isatty()
        self._last = 0.0

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        if not self._shown or (now - self._last < 0.1 and progress.done < progress.total):
            return
        self._last = now
        part = progress.done / max(1, progress.total)
        filled = round(part * 28)
        amount = ""
        if progress.stage in ("download", "verify", "hash"):
            amount = f"  {size_text(progress.done)} of {size_text(progress.total)}"
        left = (
            f"  {duration_text(progress.seconds_left)} left" if progress.seconds_left >= 0 else ""
        )
        line = f"{progress.stage:<8} {'█' * filled}{'░' * (28 - filled)} {part:4.0%}{amount}{left}"
        self._out.write(f"\r{line:<{_WIDTH}}")
        self._out.flush()

    def clear(self) -> None:
        if self._shown:
            self._out.write("\r" + " " * _WIDTH + "\r")
            self._out.flush()


class Child:
    """One child for the length of a command, for jobs one after another."""

    def __init__(self, role: str) -> None:
        self._events: queue.Queue[Event] = queue.Queue()
        self._client = WorkerClient(role, self._events.put, folders().logs)
        self._asks = 0
        self.pid = 0

    def __enter__(self) -> Self:
        self._handlers = {
            number: signal.signal(number, signal.default_int_handler) for number in ENDINGS
        }
        self._client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop()
        _restore(self._handlers)

    def _next(self) -> Event:
        event = self._events.get()
        if isinstance(event, Gone):
            raise WorkerError("The worker stopped unexpectedly.", "Try again.")
        if isinstance(event, Ready):
            self.pid = event.pid
        return event

    def run(self, job: Job, bar: Bar) -> JobResult:
        """Does the job; Ctrl C cancels it. Raises EngineError or Cancelled."""

        def cancel(_signal: int, _frame: FrameType | None) -> None:
            with suppress(WorkerError):  # it is gone; what has become of the job is on the way
                self._client.send(Cancel(job=job.id))

        before = {number: signal.signal(number, cancel) for number in ENDINGS}
        try:
            self._client.send(Start(job=job))
            while True:
                match self._next():
                    case Progress() as progress if progress.job == job.id:
                        bar.show(progress)
                    case Finished(job=done, result=result) if done == job.id:
                        return result
                    case Failed() as failed if failed.job == job.id:
                        raise error_of(failed)
                    case JobCancelled(job=done) if done == job.id:
                        raise Cancelled
                    case _:
                        pass
        except (EngineError, Cancelled):
            if isinstance(job, ExportJob | GenerateJob):
                remove_part(Path(job.output))  # a child that died could not do it
            raise
        finally:
            bar.clear()
            _restore(before)


class MediaChild(Child):
    """A media child: jobs, and asks about files."""

    def __init__(self) -> None:
        super().__init__("media")

    def probe(self, path: Path) -> Probed:
        """What `path` is. Raises MediaError."""
        self._asks += 1
        self._client.send(Probe(ask=self._asks, path=str(path)))
        while True:
            event = self._next()
            if isinstance(event, Probed) and event.ask == self._asks:
                return event
            if isinstance(event, Refused) and event.ask == self._asks:
                raise MediaError(event.message, event.hint, event.details)

    def weights(
        self, places: Sequence[str], memory: str, words: Mapping[str, str], bar: Bar
    ) -> WeightsFound:
        """What weights lie in the folders `places`. Raises WeightsError."""
        self._asks += 1
        ask = ScanWeights(ask=self._asks, folders=tuple(places), memory=memory, words=dict(words))
        self._client.send(ask)
        try:
            while True:
                match self._next():
                    case Scanning(stage=stage, done=done, total=total):
                        bar.show(Progress(job="", stage=stage, done=done, total=total))
                    case WeightsFound() as found if found.ask == ask.ask:
                        return found
                    case Refused() as refused if refused.ask == ask.ask:
                        raise WeightsError(refused.message, refused.hint, refused.details)
                    case _:
                        pass
        finally:
            bar.clear()

    def asset(self, path: Path) -> Asset:
        """`path` as an asset. Raises MediaError."""
        found = self.probe(path)
        return Asset(new_id(), str(path.resolve()), path.name, found.facts, found.fingerprint)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def error_of(failed: Failed) -> EngineError:
    """The error that a child told of, as the class it had there."""
    kinds: list[type[EngineError]] = [EngineError, *EngineError.__subclasses__()]
    known = {one.__name__: one for one in kinds}
    kind = known.get(failed.kind)
    if kind is None or kind is WorkerError:  # a fault of ours, or its end: only the log says more
        hint = f"Try again. The log is in {folders().logs}."
        return (kind or EngineError)(failed.message, hint, failed.details)
    return kind(failed.message, f"{failed.kept} {failed.hint}".strip(), failed.details)
