"""What a media child does: jobs on its main thread, the window's small asks on three more."""

from collections.abc import Callable, Iterator
from pathlib import Path

from engine.errors import EffectError, WorkerError
from engine.jobs import DownloadJob, EffectJob, ExportJob, GenerateJob, Job, JobResult, SelfTestJob
from engine.progress import Report
from engine.worker.device import cpu, graphics
from engine.worker.faults import Fault, attempt
from engine.worker.messages import (
    Ask,
    Device,
    Event,
    Fresh,
    Freshness,
    OpenRing,
    Peaks,
    Probe,
    Refused,
    ScanWeights,
    Show,
    ShowFrames,
    ShowSound,
    Strip,
    TakePictures,
)
from engine.worker.self_test import in_plain_python, self_test
from engine.worker.turns import Turns

# The order in which small asks are answered
_PROBE, _FRESHNESS, _STRIP, _PEAKS, _SCAN = range(5)
_POLITE_SECONDS = 0.1  # that thumbnails wait for the viewer's frames, at every step


class MediaTasks:
    """The media role. What a child is never asked for it never imports."""

    def __init__(self, send: Callable[[Event], None]) -> None:
        self._send = send
        self._viewer: _Viewer | None = None
        self._shown: Show | None = None
        self._small = Turns("small asks", before_step=self._yield_to_frames)

    def device(self) -> Device:
        return cpu(graphics())

    def run(self, job: Job, report: Report) -> JobResult:
        """Does a job on the calling thread. Raises EngineError and Cancelled."""
        match job:
            case EffectJob():
                from engine.render.bake import bake

                return bake(job, report)
            case ExportJob():
                from engine.render.export import export

                return export(job, report)
            case DownloadJob():
                from engine.worker.weight_tasks import fetched

                return fetched(job, report)
            case SelfTestJob():
                return self_test(job, report, in_plain_python)
            case GenerateJob():
                raise EffectError(f"{job.title} needs models, and so the GPU worker.")

    def ask(self, request: Ask) -> None:
        """Takes a small ask; frames and sound go before all others."""
        match request:
            case Show() | ShowFrames() | ShowSound() | OpenRing():
                if isinstance(request, Show):
                    self._shown = request
                if self._viewer is None:
                    self._viewer = _Viewer(self._send)
                self._viewer.put(request)
            case Probe():
                self._small.put(_PROBE, self._answered(request.ask, self._probe(request)))
            case Freshness():
                steps = self._freshness(request, self._shown)
                self._small.put(_FRESHNESS, self._answered(request.ask, steps))
            case Strip():
                steps = self._strip(request)
                self._small.put(_STRIP, self._answered(request.ask, steps), newest_first=True)
            case Peaks():
                self._small.put(_PEAKS, self._answered(request.ask, self._peaks(request)))
            case TakePictures():
                self._small.put(_PROBE, self._answered(request.ask, self._taken(request)))
            case ScanWeights():
                self._small.put(_SCAN, self._answered(request.ask, self._weights(request)))

    def _yield_to_frames(self) -> None:
        if self._viewer is not None:
            self._viewer.frames.wait_idle(_POLITE_SECONDS)

    def _answered(self, ask: int, steps: Iterator[None]) -> Iterator[None]:
        """`steps`, with a Refused in place of an error."""
        over = object()
        while True:
            outcome = attempt(lambda: next(steps, over))
            if isinstance(outcome, Fault):
                self._send(
                    Refused(
                        ask=ask,
                        message=outcome.message,
                        hint=outcome.hint,
                        details=outcome.details,
                    )
                )
                return
            if outcome is over:
                return
            yield

    def _probe(self, ask: Probe) -> Iterator[None]:
        from engine.worker.small_tasks import probed

        self._send(probed(ask))
        yield

    def _taken(self, ask: TakePictures) -> Iterator[None]:
        from engine.worker.taken import taken

        self._send(taken(ask))
        yield

    def _strip(self, ask: Strip) -> Iterator[None]:
        from engine.worker.small_tasks import strip

        yield from strip(ask, self._send)

    def _peaks(self, ask: Peaks) -> Iterator[None]:
        from engine.worker.small_tasks import waveform

        yield from waveform(ask, self._send)

    def _weights(self, ask: ScanWeights) -> Iterator[None]:
        from engine.worker.weight_tasks import found

        yield from found(ask, self._send)

    def _freshness(self, ask: Freshness, shown: Show | None) -> Iterator[None]:
        if shown is None:
            raise WorkerError("There is no project to look at yet.")
        from engine.render.cache import SegmentCache
        from engine.render.freshness import freshness

        cache = SegmentCache(Path(shown.cache))
        clips = freshness(shown.project, shown.project.sequence(shown.sequence), cache)
        self._send(Fresh(ask=ask.ask, clips=clips, cache_bytes=cache.size()))
        yield


class _Viewer:
    """The threads for frames and sound, made when a window first shows something."""

    def __init__(self, send: Callable[[Event], None]) -> None:
        from engine.worker.viewer_tasks import FrameTask, SoundTask

        self.frames = FrameTask(send)
        self.sound = SoundTask(send)

    def put(self, request: Show | ShowFrames | ShowSound | OpenRing) -> None:
        if isinstance(request, (Show, ShowSound)):
            self.sound.put(request)
        if isinstance(request, (Show, ShowFrames, OpenRing)):
            self.frames.put(request)
