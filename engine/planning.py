"""What an effect will cost, told before it runs: seconds and memory, from sizes alone."""

import os
from math import ceil, floor
from typing import NamedTuple

import msgspec

from engine.jobs import EffectJob
from engine.render.keys import (
    GRID,
    PART,
    PARTS,
    Stage,
    parts_of,
    stages,
)
from engine.timeline.effects import Reach
from engine.timeline.model import VideoFacts
from engine.timeline.time import TimeRange

MOST_WORKERS = 8  # as many pictures as are worked on at once (engine.filters.parallel)
SHARED_SHARE = 0.85  # of the processors that the work gets on a computer in use
START_SECONDS = 0.8  # until a child is there and the medium is open
FILE_SECONDS = 0.035  # of a processor, to read and to store a megapixel of the result
WAITING_BYTES = 6_000_000  # of a megapixel before and after its turn
BASE_BYTES = 170_000_000  # of a child with its libraries


class Rate(NamedTuple):
    """What an engine takes, measured on one core of a laptop at 640 x 360 and 1920 x 1080.

    Seconds and bytes per megapixel: of the size it works at, and of the size it gives.
    """

    work_seconds: float
    result_seconds: float
    work_bytes: int
    result_bytes: int
    long_side: int = 0  # of the size it works at; 0: that of the result


RATES = {
    "painterly": Rate(0.75, 0.02, 210_000_000, 16_000_000, 1280),
    "ink": Rate(0.33, 0.05, 130_000_000, 60_000_000, 1280),
    "cartoon": Rate(0.42, 0.06, 160_000_000, 60_000_000, 1280),
    "camera-move": Rate(0.0, 0.075, 0, 12_000_000),
    "lanczos": Rate(0.0, 0.03, 0, 24_000_000),
}
UNKNOWN = Rate(0.5, 0.05, 200_000_000, 60_000_000)


class Estimate(msgspec.Struct, frozen=True):
    """`line`: for the person, «On the CPU · about 3 min · 0.6 GB»."""

    seconds: float
    peak_bytes: int
    line: str


def estimate(job: EffectJob, cores: int | None = None) -> Estimate:
    """The price of a job that finds nothing of it in the cache. Raises EffectError."""
    workers = max(1, min(cores or os.cpu_count() or 1, MOST_WORKERS))
    seconds, peak = START_SECONDS, 0
    for stage, pictures in _pictures(job):
        rate = RATES.get(stage.engine.name, UNKNOWN)
        work, result = _megapixels(stage.before, rate.long_side), _megapixels(stage.after)
        each = rate.work_seconds * work + (rate.result_seconds + FILE_SECONDS) * result
        seconds += pictures * each / (1 + (workers - 1) * SHARED_SHARE)
        at_once = rate.work_bytes * work + rate.result_bytes * result
        waiting = (2 * workers + 3) * WAITING_BYTES * result
        peak = max(peak, round(BASE_BYTES + workers * at_once + waiting))
    line = f"On the CPU · about {_duration(seconds)} · {max(peak / 1e9, 0.1):.1f} GB"
    return Estimate(seconds, peak, line)


def _pictures(job: EffectJob) -> list[tuple[Stage, int]]:
    """Each stage with how many pictures it computes, by what the later ones ask of it."""
    chain = stages(job.asset, job.uses)
    result: list[tuple[Stage, int]] = []
    wanted: range | None = None
    for stage in reversed(chain):
        count = stage.after.frames
        if wanted is None:
            wanted = _wanted(stage.after, job.wanted)
        parts = parts_of(wanted.start, min(wanted.stop, count))
        start, stop = parts.start * PART, min(parts.stop * PART, count)
        computed = stop - start
        if stage.engine.reach is Reach.STREAM:
            start = parts.start // PARTS * GRID
            lines = -(-stop // GRID) - start // GRID
            computed = stop - start + lines * stage.warm_up - (stage.warm_up if start == 0 else 0)
        result.append((stage, max(1, computed)))
        wanted = range(1) if stage.makes_time else range(start, stop)
    return result


def _wanted(video: VideoFacts, wanted: TimeRange | None) -> range:
    if wanted is None:
        return range(video.frames)
    start = max(0, min(floor(wanted.start * video.rate), video.frames - 1))
    return range(start, max(start + 1, min(ceil(wanted.end * video.rate), video.frames)))


def _megapixels(video: VideoFacts, long_side: int = 0) -> float:
    longest = max(video.width, video.height)
    shrink = min(1.0, long_side / longest) if long_side else 1.0
    return video.width * video.height * shrink * shrink / 1e6


def _duration(seconds: float) -> str:
    """As a person would say it: «40 s», «3 min», «2 h 10 min»."""
    if seconds < 55:
        return f"{max(1, round(seconds)) if seconds < 10 else round(seconds / 5) * 5} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(round(minutes / 10) * 10, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"
