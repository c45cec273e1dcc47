"""Bakes effects into the cache: what is missing of the wanted part, resumed after a kill.

The result never depends on the trim, on a resume or on the number of processors: pictures are made
in segments on an absolute grid, a state begins anew at each grid line after a warm-up, and what a
part hands on to the next is stored exactly.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from engine.errors import EffectError, EngineError, MediaError
from engine.filters.parallel import Workers, new_workers
from engine.filters.pixels import Picture, one_thread
from engine.jobs import EffectJob, JobResult
from engine.media.info import fingerprint
from engine.media.reader import VideoReader
from engine.media.segment import SegmentWriter
from engine.progress import Report
from engine.render.baked import EffectSource, effect_source, still_time
from engine.render.cache import SegmentCache, as_cache
from engine.render.freshness import freshness, missing
from engine.render.keys import (
    GRID,
    PART,
    PARTS,
    Stage,
    part_name,
    parts_of,
    pictures_in,
    regular_times,
    stages,
)
from engine.render.making import (
    Made,
    enlarged,
    load_state,
    moved,
    picture_of,
    planes_of,
    save_state,
    stream,
)
from engine.render.source import FrameSource, index_at
from engine.timeline.effects import Reach

__all__ = ["bake", "effect_source", "freshness", "missing"]

STAGE = "effects"


@dataclass(frozen=True)
class _Run:
    """Pictures start to stop - 1 of a stage in one go; from `first` on they are computed.

    `parts`: those to be stored, the others between are there already. `state`: the part after
    which it goes on, -1 for a fresh beginning.
    """

    start: int
    stop: int
    first: int
    parts: frozenset[int]
    state: int = -1


@dataclass(frozen=True)
class _Work:
    """What one stage has to make. `names`: every part that is needed of it, made or found."""

    stage: Stage
    runs: tuple[_Run, ...]
    names: tuple[str, ...]


def bake(job: EffectJob, report: Report) -> JobResult:
    """Makes what is missing of the job's effects. Raises EngineError and Cancelled."""
    began = time.monotonic()
    cache = as_cache(Path(job.cache))
    cache.limit_bytes = job.cache_limit_bytes
    chain = stages(job.asset, job.uses)
    if not chain:
        raise EffectError(f"There is no effect to render on «{job.asset.name}».")
    for stage in chain:
        if stage.engine.role != "media":
            raise EffectError(f"{stage.engine.label} does not run on the CPU.")
    path = Path(job.asset.path)
    if fingerprint(path) != job.asset.fingerprint:
        raise MediaError(
            f"«{job.asset.name}» has changed since it was imported.", "Import it again."
        )
    with closing(VideoReader(path)) as reader:
        times = _times(chain, reader.times)
    wanted = pictures_in(times[-1], job.wanted)
    works = _planned(chain, times, wanted, cache)
    keys = tuple(name for work in works for name in work.names)
    progress = _Progress(report, sum(run.stop - run.first for work in works for run in work.runs))
    with one_thread(), new_workers() as workers:
        for number, work in enumerate(works):
            before = effect_source(job.asset, tuple(one.use for one in chain[:number]), cache)
            with closing(before):
                for run in work.runs:
                    _make(work.stage, run, before, cache, workers, progress, frozenset(keys))
    video = chain[-1].after
    return JobResult(
        frames=len(wanted),
        seconds=time.monotonic() - began,
        size_bytes=sum(cache.path(name).stat().st_size for name in works[-1].names),
        duration=len(wanted) / video.rate,
        keys=keys,
        made=sum(len(run.parts) for work in works for run in work.runs),
    )


def _times(chain: tuple[Stage, ...], source: Sequence[Fraction]) -> list[Sequence[Fraction]]:
    """When the pictures of each stage's result begin."""
    result: list[Sequence[Fraction]] = []
    for stage in chain:
        source = regular_times(stage.after) if stage.makes_time else source
        result.append(source)
    return result


def _planned(
    chain: tuple[Stage, ...],
    times: list[Sequence[Fraction]],
    wanted: range,
    cache: SegmentCache,
) -> list[_Work]:
    """What each stage has to make, first to last, so that `wanted` of the last one is there."""
    works: list[_Work] = []
    needed: Collection[int] = parts_of(wanted.start, wanted.stop)
    for number in reversed(range(len(chain))):
        stage = chain[number]
        runs = tuple(_runs(stage, needed, len(times[number]), cache))
        names = tuple(part_name(stage, part) for part in sorted(needed))
        works.insert(0, _Work(stage, runs, names))
        inputs: set[int] = set()
        for run in runs:
            if stage.makes_time:
                still = index_at(times[number - 1], still_time(stage)) if number else 0
                inputs.update(parts_of(still, still + 1))
            else:
                inputs.update(parts_of(run.first, run.stop))
        needed = inputs
    return works


def _runs(stage: Stage, needed: Collection[int], count: int, cache: SegmentCache) -> Iterator[_Run]:
    """The runs that make those of the needed parts that are not there."""
    absent = [part for part in sorted(needed) if not cache.is_whole(part_name(stage, part))]
    if stage.engine.reach is not Reach.STREAM:
        for part in absent:
            start, stop = part * PART, min((part + 1) * PART, count)
            yield _Run(start, stop, start, frozenset((part,)))
        return
    run: _Run | None = None
    for part in absent:
        begin, state = _resumed(stage, part, cache)
        start, stop = begin * PART, min((part + 1) * PART, count)
        is_same = run is not None and run.start // GRID == start // GRID
        if run is not None and is_same and run.stop >= start:
            run = _Run(run.start, stop, run.first, run.parts | {part}, run.state)
            continue
        if run is not None:
            yield run
        first = start if state >= 0 else max(0, start - stage.warm_up)
        passed = (one for one in range(begin, part) if not cache.has(part_name(stage, one)))
        run = _Run(start, stop, first, frozenset((*passed, part)), state)
    if run is not None:
        yield run


def _resumed(stage: Stage, part: int, cache: SegmentCache) -> tuple[int, int]:
    """The part to begin with so as to make `part`, and the part whose state begins it, or -1."""
    head = part - part % PARTS
    for before in range(part - 1, head - 1, -1):
        name = part_name(stage, before)
        if cache.has(name) and load_state(cache.state_path(name)) is not None:
            return before + 1, before
    return head, -1


def _make(
    stage: Stage,
    run: _Run,
    before: FrameSource,
    cache: SegmentCache,
    workers: Workers,
    progress: "_Progress",
    keep: Collection[str],
) -> None:
    """Computes a run and stores its parts, each as soon as it is whole."""
    results = _computed(stage, run, before, cache, workers)
    with cache.workspace() as folder:
        part: _Part | None = None
        try:
            for index, made in enumerate(results, run.first):
                progress.step(made.picture)
                if index < run.start:
                    continue
                number = index // PART
                if index % PART == 0:
                    part = _Part(stage, number, folder) if number in run.parts else None
                if part is not None:
                    part.write(made.picture)
                    if index % PART == PART - 1 or index == run.stop - 1:
                        part.finish(cache, made)
                        part = None
                        cache.make_room(keep)
        finally:
            if part is not None:
                part.abandon()


def _computed(
    stage: Stage, run: _Run, before: FrameSource, cache: SegmentCache, workers: Workers
) -> Iterator[Made]:
    """Every picture of a run, warm-up included."""
    alpha = stage.before.alpha
    if stage.makes_time:
        still = index_at(before.times, still_time(stage))
        return moved(stage, lambda: _read(before, still, alpha), run.first, run.stop, workers)
    pictures = (_read(before, index, alpha) for index in range(run.first, run.stop))
    if stage.engine.reach is not Reach.STREAM:
        return enlarged(stage, pictures, workers)
    state = load_state(cache.state_path(part_name(stage, run.state))) if run.state >= 0 else None
    if run.state >= 0 and state is None:
        raise EngineError("A rendered part has gone from the cache meanwhile.", "Render it again.")
    return stream(stage, pictures, workers, state)


def _read(source: FrameSource, index: int, alpha: bool) -> Picture:
    if isinstance(source, EffectSource) and source.stale_at(index):
        raise EngineError("A rendered part has gone from the cache meanwhile.", "Render it again.")
    return picture_of(source.frame(index), alpha)


class _Part:
    """A part being written, in a workspace until it is whole."""

    def __init__(self, stage: Stage, number: int, folder: Path) -> None:
        self._name = part_name(stage, number)
        self._before = part_name(stage, number - 1) if number % PARTS else ""
        self._hands_on = stage.engine.reach is Reach.STREAM and number % PARTS < PARTS - 1
        self._file = folder / f"{self._name}.mkv"
        self._state = folder / f"{self._name}.state.npz"
        size = stage.after.width, stage.after.height
        self._writer = SegmentWriter(self._file, *size, alpha=stage.before.alpha)

    def write(self, picture: Picture) -> None:
        self._writer.write(planes_of(picture))

    def finish(self, cache: SegmentCache, last: Made) -> None:
        """Puts the part into the cache, with the state that the next one goes on from."""
        self._writer.finish()
        state = None
        if self._hands_on and last.state is not None:
            save_state(last.state, self._state)
            state = self._state
        cache.put(self._name, self._file, state)
        if self._before:
            cache.drop_state(self._before)

    def abandon(self) -> None:
        self._writer.abandon()


class _Progress:
    """Counts pictures, warm-up included, and offers each as a preview."""

    def __init__(self, report: Report, total: int) -> None:
        self._report = report
        self._done = 0
        self._total = total
        report.step(STAGE, 0, total)

    def step(self, picture: Picture) -> None:
        self._done += 1
        self._report.step(STAGE, self._done, self._total)
        self._report.preview(
            f"Frame {self._done} of {self._total}", lambda: picture[:, :, :3].copy()
        )
