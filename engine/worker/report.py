"""What a running job tells: progress, the time left, small pictures; and where it is cancelled."""

import time
from collections import deque
from collections.abc import Callable
from math import inf
from threading import Event as Flag
from typing import TYPE_CHECKING

from engine.errors import Cancelled
from engine.jobs import DownloadJob, EffectJob, ExportJob, GenerateJob, Job
from engine.timeline.effects import is_made_whole
from engine.worker.messages import Event, Preview, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PROGRESS_SECONDS = 0.1
PREVIEW_SECONDS = 0.6
PREVIEW_SIDE = 352
_WINDOW_SECONDS = 8.0  # of work that the rate is measured over
_SURE_SECONDS = 0.7  # of work before a time left is told


class JobReport:
    """The `Report` of a job in a child; `step` and `preview` raise Cancelled."""

    def __init__(
        self,
        job: Job,
        send: Callable[[Event], None],
        cancelled: Flag,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._job = job.id
        self._send = send
        self._cancelled = cancelled
        self._clock = clock
        self._stages = planned_stages(job)
        self._stage = ""
        self._told = -inf
        self._previewed = -inf
        self._pace = Pace()

    def step(self, stage: str, done: int, total: int) -> None:
        """Tells at most ten times a second, and always a stage's first and last step."""
        self._check()
        now = self._clock()
        if stage != self._stage:
            self._stage = stage
            self._stages = with_stage(self._stages, stage)
            self._pace = Pace()
            self._told = -inf
        self._pace.add(now, done)
        if now - self._told < PROGRESS_SECONDS and not done >= total > 0:
            return
        self._told = now
        self._send(
            Progress(
                job=self._job,
                stage=stage,
                done=done,
                total=total,
                stages=self._stages,
                seconds_left=self._pace.left(now, total),
            )
        )

    def preview(self, label: str, picture: "Callable[[], NDArray[np.uint8]]") -> None:
        """Sends a small JPEG when the last one is old enough."""
        self._check()
        now = self._clock()
        if now - self._previewed < PREVIEW_SECONDS:
            return
        from engine.worker.jpeg import encoded  # only the children hold cv2

        self._previewed = now
        self._send(Preview(job=self._job, label=label, jpeg=encoded(picture(), PREVIEW_SIDE)))

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled


class Pace:
    """The time left of a stage, from the work of the last seconds, smoothed."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()
        self._end = -1.0  # when it will be over, by the clock

    def add(self, now: float, done: int) -> None:
        """Notes that `done` units are finished at `now`."""
        if not self._points or now - self._points[-1][0] >= 0.05 or done < self._points[-1][1]:
            self._points.append((now, done))
        while len(self._points) > 2 and now - self._points[0][0] > _WINDOW_SECONDS:
            self._points.popleft()

    def left(self, now: float, total: int) -> float:
        """Seconds until `total`; -1 while it cannot be told."""
        begin, before = self._points[0]
        newest, done = self._points[-1]
        if done >= total:
            return 0.0
        if newest - begin < _SURE_SECONDS or done <= before:
            return -1.0
        end = now + (total - done) * (newest - begin) / (done - before)
        self._end = end if self._end < 0 else self._end + 0.3 * (end - self._end)
        return max(0.0, self._end - now)


def planned_stages(job: Job) -> tuple[str, ...]:
    """The stages a job is expected to have, before it has begun."""
    if isinstance(job, ExportJob):
        sequence = job.project.sequence(job.sequence)
        uses = (use for track in sequence.tracks for clip in track.clips for use in clip.effects)
        return ("effects", "encode") if any(use.enabled for use in uses) else ("encode",)
    if isinstance(job, GenerateJob):
        is_given = job.first is not None or job.video is not None
        return ("text", *(("image",) if is_given else ()), "denoise", "decode")
    if isinstance(job, DownloadJob):
        return ("download", "verify")
    if isinstance(job, EffectJob) and any(is_made_whole(use) for use in job.uses):
        return ("text", "image", "denoise", "effects")
    return ("effects",)


def with_stage(stages: tuple[str, ...], stage: str) -> tuple[str, ...]:
    """`stages` when `stage` has begun: a new one is put first of what was only expected."""
    return stages if stage in stages else (*stages[:-1], stage, *stages[-1:])
