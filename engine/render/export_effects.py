"""Bakes the effects that an export needs and the cache lacks."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.errors import EffectError
from engine.jobs import EffectJob, ExportJob, JobResult
from engine.progress import Report
from engine.render.shown import effect_jobs
from engine.timeline.effects import kind, needs_gpu
from engine.timeline.model import Clip, Sequence
from engine.timeline.time import TimeRange

STAGE = "effects"
_PARTS = 1000  # into which each clip's share of the progress is divided


def bake_missing(job: ExportJob, sequence: Sequence, span: TimeRange, report: Report) -> JobResult:
    """Makes what is missing of the effects that show in `span`.

    Raises EngineError for an effect that only the GPU's process can make.
    """
    limit = job.cache_limit_bytes
    todo = list(effect_jobs(job.project, sequence, span, job.cache, limit))
    result = JobResult()
    for number, (clip, one) in enumerate(todo):
        if needs_gpu(one.uses):
            _refuse_missing(clip, one)
            continue
        made = bake(one, _Share(report, number, len(todo)))
        result = msgspec.structs.replace(
            result, keys=(*result.keys, *made.keys), made=result.made + made.made
        )
    return result


def bake(job: EffectJob, report: Report) -> JobResult:
    """Bakes one clip's effects."""
    # The filters are loaded only where an effect is made.
    from engine.render.bake import bake as made

    return made(job, report)


def _refuse_missing(clip: Clip, job: EffectJob) -> None:
    """Raises EngineError where what the GPU's process makes is not in the cache."""
    from engine.render.bake import missing

    if missing(job.asset, job.uses, job.wanted, Path(job.cache)):
        use = next(use for use in job.uses if needs_gpu((use,)))
        label = kind(use.kind).engine(use.engine).label
        raise EffectError(
            f"{job.title} ({label}) on «{clip.name or clip.id}» is not rendered yet.",
            "Render the effect first, or switch it off.",
        )


class _Share:
    """The progress of one clip's effects within that of all."""

    def __init__(self, report: Report, number: int, count: int) -> None:
        self._report = report
        self._before = number * _PARTS
        self._all = count * _PARTS

    def step(self, stage: str, done: int, total: int) -> None:
        """Passes a step on, all stages of an effect as one."""
        part = done * _PARTS // total if total else 0
        self._report.step(STAGE, self._before + min(part, _PARTS), self._all)

    def preview(self, label: str, picture: Callable[[], NDArray[np.uint8]]) -> None:
        """Passes a picture on."""
        self._report.preview(label, picture)
