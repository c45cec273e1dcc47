"""What an effect will cost, told before it runs: seconds and memory, from sizes alone."""

import os
from math import ceil, floor
from typing import NamedTuple

import msgspec

from engine.generation import Mode, published
from engine.jobs import EffectJob
from engine.lora_words import lines_of, read_lora
from engine.models.wan.experts import ROLES
from engine.planning.device import DeviceFacts
from engine.planning.estimates import Estimate
from engine.planning.ladder import Plan, plans
from engine.planning.wan import WanPlan, wan_plans
from engine.planning.wan_run import file_sizes
from engine.planning.words import disk_gigabytes, duration
from engine.render.keys import (
    GRID,
    PART,
    PARTS,
    Stage,
    parts_of,
    stages,
)
from engine.render.wan_stage import wan_ask
from engine.timeline.effects import Reach, made_whole
from engine.timeline.model import VideoFacts
from engine.timeline.time import TimeRange

MOST_WORKERS = 8  # as many pictures as are worked on at once (engine.filters.parallel)
SHARED_SHARE = 0.85  # of the processors that the work gets on a computer in use
START_SECONDS = 0.8  # until a child is there and the medium is open
FILE_SECONDS = 0.035  # of a processor, to read and to store a megapixel of the result
WAITING_BYTES = 6_000_000  # of a megapixel before and after its turn
BASE_BYTES = 170_000_000  # of a child with its libraries
LOAD_SECONDS = 8.0  # until a model's weights are on a card, read from a fast disk


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


# By the beginning of its name, an engine whose price is that of its plan
FLASHVSR, WAN = "flashvsr-", "wan"


def is_priced(engine: str) -> bool:
    """Whether an engine's price is known, and not guessed."""
    return engine in RATES or engine.startswith((FLASHVSR, WAN))


def estimate(
    job: EffectJob, cores: int | None = None, device: DeviceFacts | None = None
) -> Estimate:
    """The price of a job that finds nothing of it in the cache. Raises EffectError.

    device: what neural engines run on; None: the processor, with memory enough.
    """
    workers = max(1, min(cores or os.cpu_count() or 1, MOST_WORKERS))
    device = device or DeviceFacts(kind="cpu", has_triton=False)
    seconds, peak = START_SECONDS, 0
    plan: Plan | WanPlan | None = None
    for stage, pictures in _pictures(job):
        if stage.engine.role != "media":
            best = _plan(job, stage, pictures, device, cores)
            seconds += LOAD_SECONDS + max(best.seconds, _files(stage, pictures, workers))
            # Of several, the one that needs most is told.
            plan = max(best, plan or best, key=lambda one: one.peak_bytes)
        else:
            more, at_once = _price(stage, pictures, workers)
            seconds, peak = seconds + more, max(peak, at_once)
    if plan is not None:
        plan = msgspec.structs.replace(plan, seconds=seconds)
        return Estimate(seconds, plan.peak_bytes, plan.line, plan.fits)
    line = f"On the CPU · about {duration(seconds)} · {disk_gigabytes(peak)} GB"
    return Estimate(seconds, peak, line)


def _price(stage: Stage, pictures: int, workers: int) -> tuple[float, int]:
    """Seconds and bytes of an effect on the processor."""
    rate = RATES.get(stage.engine.name, UNKNOWN)
    work, result = _megapixels(stage.before, rate.long_side), _megapixels(stage.after)
    each = rate.work_seconds * work + (rate.result_seconds + FILE_SECONDS) * result
    at_once = rate.work_bytes * work + rate.result_bytes * result
    waiting = (2 * workers + 3) * WAITING_BYTES * result
    peak = round(BASE_BYTES + workers * at_once + waiting)
    return pictures * each / _speed(workers), peak


def _plan(
    job: EffectJob, stage: Stage, pictures: int, device: DeviceFacts, cores: int | None
) -> Plan | WanPlan:
    """The best way to run a model."""
    if stage.engine.name.startswith(WAN):
        return _wan_plan(job, stage, device, cores)
    return plans(
        stage.engine.name,
        stage.after.width,
        stage.after.height,
        pictures,
        device=device,
        options=job.options,
        values=stage.values,
        cores=cores,
    )[0]


def _wan_plan(job: EffectJob, stage: Stage, device: DeviceFacts, cores: int | None) -> WanPlan:
    family = stage.engine.family
    files = next((one.files for one in job.models if one.family == family), {})
    loras = [read_lora(line).path for line in lines_of(str(stage.values["loras"]))]
    transformers = [files[part] for part in ROLES if part in files]
    ask = wan_ask(stage, [*transformers, *loras])
    sizes = {**file_sizes(files), "loras": sum(file_sizes({one: one for one in loras}).values())}
    mode = Mode(stage.engine.mode)
    return wan_plans(
        family,
        mode,
        ask.width,
        ask.height,
        ask.frames,
        device=device,
        options=job.options,
        values={**published(mode, family, ask.width, ask.height), **ask.values},
        sizes=sizes,
        cores=cores,
    )[0]


def _files(stage: Stage, pictures: int, workers: int) -> float:
    """Seconds to read and store them, which goes on beside a card's work."""
    return pictures * FILE_SECONDS * _megapixels(stage.after) / _speed(workers)


def _speed(workers: int) -> float:
    """How many times faster than one processor."""
    return 1 + (workers - 1) * SHARED_SHARE


def _pictures(job: EffectJob) -> list[tuple[Stage, int]]:
    """Each stage with how many pictures it computes, by what the later ones ask of it."""
    video, wanted = job.asset.facts.video, None
    unit = _wanted(video, job.wanted) if video and made_whole(job.uses) else None
    chain = stages(job.asset, job.uses, unit)
    result: list[tuple[Stage, int]] = []
    for stage in reversed(chain):
        count = stage.after.frames
        if wanted is None:
            wanted = range(count) if unit else _wanted(stage.after, job.wanted)
        parts = parts_of(wanted.start, min(wanted.stop, count))
        start, stop = parts.start * PART, min(parts.stop * PART, count)
        computed = stop - start
        if stage.engine.reach is Reach.STREAM:
            start, computed = _streamed(stage, parts, stop)
        result.append((stage, max(1, computed)))
        wanted = range(1) if stage.makes_time else range(start, stop)
    return result


def _streamed(stage: Stage, parts: range, stop: int) -> tuple[int, int]:
    """Where a stream has to begin to give `parts`, and how many pictures it computes up to stop."""
    if stage.values.get("whole_clip"):
        return 0, stop
    start = parts.start // PARTS * GRID
    lines = -(-stop // GRID) - start // GRID
    warmed = lines if start else lines - 1  # nothing lies before the first picture
    return start, stop - start + warmed * stage.warm_up


def _wanted(video: VideoFacts, wanted: TimeRange | None) -> range:
    if wanted is None:
        return range(video.frames)
    start = max(0, min(floor(wanted.start * video.rate), video.frames - 1))
    return range(start, max(start + 1, min(ceil(wanted.end * video.rate), video.frames)))


def _megapixels(video: VideoFacts, long_side: int = 0) -> float:
    longest = max(video.width, video.height)
    shrink = min(1.0, long_side / longest) if long_side else 1.0
    return video.width * video.height * shrink * shrink / 1e6
