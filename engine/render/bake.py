"""Bakes effects into the cache: what is missing of the wanted part, resumed after a kill.

The result never depends on the trim, on a resume or on the number of processors: pictures are made
in segments on an absolute grid, a state begins anew at each grid line after a warm-up, and what a
part hands on to the next is stored exactly.
"""

import time
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import closing
from fractions import Fraction
from functools import partial
from pathlib import Path

from engine.errors import EffectError, EngineError, MediaError, OutOfMemory
from engine.filters.parallel import Workers, new_workers
from engine.filters.pixels import Picture, one_thread
from engine.jobs import EffectJob, JobResult
from engine.media.info import fingerprint
from engine.media.reader import VideoReader
from engine.media.segment import SegmentWriter
from engine.progress import Report
from engine.render.baked import EffectSource, chain_source, effect_source, still_time
from engine.render.behind import Behind
from engine.render.cache import SegmentCache, as_cache
from engine.render.freshness import freshness, missing
from engine.render.keys import (
    PART,
    PARTS,
    Stage,
    part_name,
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
from engine.render.neural import Neural
from engine.render.runs import Run, Work, planned
from engine.render.source import FrameSource, index_at
from engine.render.units import unit_chain, unit_of
from engine.timeline.effects import Reach, made_whole

__all__ = ["bake", "effect_source", "freshness", "missing"]

STAGE = "effects"
WAITING_BYTES = 256_000_000  # of finished pictures that wait to be stored
MOST_WAITING, LEAST_WAITING = 24, 2


def bake(job: EffectJob, report: Report, neural: Neural | None = None) -> JobResult:
    """Makes what is missing of the job's effects. Raises EngineError and Cancelled.

    `neural`: what makes the effects that need models, in the gpu child. When memory runs out it
    steps down, and the work goes on from the last segment that is whole.
    """
    began = time.monotonic()
    cache = as_cache(Path(job.cache))
    cache.limit_bytes = job.cache_limit_bytes
    if not stages(job.asset, job.uses):
        raise EffectError(f"There is no effect to render on «{job.asset.name}».")
    for stage in stages(job.asset, job.uses):
        if stage.engine.role != "media" and neural is None:
            raise EffectError(f"{stage.engine.label} does not run on the CPU.")
    path = Path(job.asset.path)
    if fingerprint(path) != job.asset.fingerprint:
        raise MediaError(
            f"«{job.asset.name}» has changed since it was imported.", "Import it again."
        )
    with closing(VideoReader(path)) as reader:
        source = reader.times
    unit: range | None = None
    if made_whole(job.uses):
        asked = pictures_in(source, job.wanted)
        unit = unit_of(job.asset, job.uses, asked, cache) or asked
        cache.add_unit(unit_chain(job.asset, job.uses), unit)
        wanted = range(asked.start - unit.start, asked.stop - unit.start)
        source = source[unit.start : unit.stop]
    chain = stages(job.asset, job.uses, unit)
    times = _times(chain, source)
    if unit is None:
        wanted = pictures_in(times[-1], job.wanted)
    notes: list[str] = []
    made = 0
    while True:
        works = planned(chain, times, wanted, cache, neural)
        progress = _Progress(report, works)
        try:
            _carry_out(job, unit, works, cache, progress, neural)
        except OutOfMemory as error:
            made += progress.stored
            if neural is None:
                raise
            notes.append(neural.step_down(error, progress.at))
            continue
        break
    video = chain[-1].after
    return JobResult(
        frames=len(wanted),
        seconds=time.monotonic() - began,
        size_bytes=sum(cache.path(name).stat().st_size for name in works[-1].names),
        duration=len(wanted) / video.rate,
        keys=tuple(name for work in works for name in work.names),
        made=made + progress.stored,
        notes=(*notes, *(neural.notes() if neural is not None else ())),
    )


def _carry_out(
    job: EffectJob,
    unit: range | None,
    works: list[Work],
    cache: SegmentCache,
    progress: "_Progress",
    neural: Neural | None,
) -> None:
    """Makes all that is planned, stage by stage."""
    keep = frozenset(name for work in works for name in work.names)
    with one_thread(), new_workers() as workers:
        for number, work in enumerate(works):
            uses = tuple(one.stage.use for one in works[:number])
            with closing(chain_source(job.asset, uses, cache, unit)) as before:
                for run in work.runs:
                    _Maker(work.stage, before, cache, workers, progress, keep, neural).make(run)


def _times(chain: tuple[Stage, ...], source: Sequence[Fraction]) -> list[Sequence[Fraction]]:
    """When the pictures of each stage's result begin."""
    result: list[Sequence[Fraction]] = []
    for stage in chain:
        source = regular_times(stage.after) if stage.makes_time else source
        result.append(source)
    return result


class _Maker:
    """Computes the runs of one stage and stores their parts, each as soon as it is whole."""

    def __init__(
        self,
        stage: Stage,
        before: FrameSource,
        cache: SegmentCache,
        workers: Workers,
        progress: "_Progress",
        keep: Collection[str],
        neural: Neural | None,
    ) -> None:
        self._stage = stage
        self._before = before
        self._cache = cache
        self._workers = workers
        self._progress = progress
        self._keep = keep
        self._neural = neural if stage.engine.role != "media" else None

    def make(self, run: Run) -> None:
        """Stores what a run has to make."""
        stage = self._stage
        recipe = self._neural.recipe(stage) if self._neural is not None else ""
        first = run.start if self._neural is not None else run.first
        # A run that a stop leaves unfinished gives its models' memory back at once.
        results = self._pictures(run)
        with closing(results), self._cache.workspace() as folder:
            part: _Part | None = None
            try:
                for index, made in enumerate(results, first):
                    self._progress.step(made.picture, index)
                    if index < run.start:
                        continue
                    number = index // PART
                    if index % PART == 0:
                        is_wanted = number in run.parts
                        part = _Part(stage, number, folder, recipe) if is_wanted else None
                    if part is not None:
                        part.write(made.picture)
                        if index % PART == PART - 1 or index == run.stop - 1:
                            part.finish(self._cache, made)
                            part = None
                            self._progress.stored += 1
                            self._cache.make_room(self._keep)
            finally:
                if part is not None:
                    part.abandon()

    def _pictures(self, run: Run) -> Generator[Made]:
        """Every picture of a run; of a filter's also its warm-up."""
        stage, alpha = self._stage, self._stage.before.alpha
        if self._neural is not None:
            read: Callable[[int], Picture] = partial(_read, self._before, alpha=alpha)
            count, span = len(self._before.times), range(run.start, run.stop)
            if stage.makes_time:  # of one picture
                still = index_at(self._before.times, still_time(stage))
                read, count = lambda _: _read(self._before, still, alpha), 1
            check = self._progress.check
            for picture in self._neural.pictures(stage, read, count, span, check):
                yield Made(picture, None)
            return
        if stage.makes_time:
            still = index_at(self._before.times, still_time(stage))
            shown = partial(_read, self._before, still, alpha)
            yield from moved(stage, shown, run.first, run.stop, self._workers)
            return
        pictures = (_read(self._before, index, alpha) for index in range(run.first, run.stop))
        if stage.engine.reach is not Reach.STREAM:
            yield from enlarged(stage, pictures, self._workers)
            return
        state = None
        if run.state >= 0:
            state = load_state(self._cache.state_path(part_name(stage, run.state)))
            if state is None:
                raise EngineError(
                    "A rendered part has gone from the cache meanwhile.", "Render it again."
                )
        yield from stream(stage, pictures, self._workers, state)


def _read(source: FrameSource, index: int, alpha: bool) -> Picture:
    if isinstance(source, EffectSource) and source.stale_at(index):
        raise EngineError("A rendered part has gone from the cache meanwhile.", "Render it again.")
    return picture_of(source.frame(index), alpha)


class _Part:
    """A part being written, in a workspace until it is whole; by a thread of its own."""

    def __init__(self, stage: Stage, number: int, folder: Path, recipe: str) -> None:
        self._name = part_name(stage, number)
        self._recipe = recipe
        self._before = part_name(stage, number - 1) if number % PARTS else ""
        is_filter = stage.engine.role == "media"
        hands_on = is_filter and stage.engine.reach is Reach.STREAM
        self._hands_on = hands_on and number % PARTS < PARTS - 1
        self._file = folder / f"{self._name}.mkv"
        self._state = folder / f"{self._name}.state.npz"
        width, height = stage.after.width, stage.after.height
        room = WAITING_BYTES // (width * height * 4)
        # A model gives its pictures by the handful.
        most = LEAST_WAITING if is_filter else max(LEAST_WAITING, min(room, MOST_WAITING))
        self._writer = SegmentWriter(self._file, width, height, alpha=stage.before.alpha)
        self._behind = Behind(most, "store")

    def write(self, picture: Picture) -> None:
        """Stores a picture, soon. Raises what storing an earlier one has raised."""
        self._behind.call(lambda: self._writer.write(planes_of(picture)))

    def finish(self, cache: SegmentCache, last: Made) -> None:
        """Puts the part into the cache, with the state that the next one goes on from."""
        self._behind.finish()
        self._writer.finish()
        state = None
        if self._hands_on and last.state is not None:
            save_state(last.state, self._state)
            state = self._state
        cache.put(self._name, self._file, state, self._recipe)
        if self._before:
            cache.drop_state(self._before)

    def abandon(self) -> None:
        self._behind.drop()
        self._writer.abandon()


class _Progress:
    """Counts pictures, warm-up included, and offers each as a preview."""

    def __init__(self, report: Report, works: list[Work]) -> None:
        self._report = report
        self._done = 0
        self._total = sum(_cost(work, run) for work in works for run in work.runs)
        self.at = 0  # the picture it was at last
        self.stored = 0  # parts
        report.step(STAGE, 0, self._total)

    def step(self, picture: Picture, index: int) -> None:
        self._done += 1
        self.at = index
        self._report.step(STAGE, self._done, self._total)
        self._report.preview(
            f"Frame {self._done} of {self._total}", lambda: picture[:, :, :3].copy()
        )

    def check(self) -> None:
        """Raises Cancelled once the person has cancelled."""
        self._report.step(STAGE, self._done, self._total)


def _cost(work: Work, run: Run) -> int:
    """Pictures that a run gives."""
    return run.stop - (run.first if work.stage.engine.role == "media" else run.start)
