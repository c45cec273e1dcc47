"""What a bake has to compute: runs of pictures over the parts that the cache lacks."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from engine.render.baked import still_time
from engine.render.cache import SegmentCache
from engine.render.keys import GRID, PART, PARTS, Stage, part_name, parts_of
from engine.render.making import load_state
from engine.render.neural import Neural
from engine.render.source import index_at
from engine.timeline.effects import Reach

NEAR = 32  # pictures after a run's last that a model may look at


@dataclass(frozen=True)
class Run:
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
class Work:
    """What one stage has to make. `names`: every part that is needed of it, made or found."""

    stage: Stage
    runs: tuple[Run, ...]
    names: tuple[str, ...]


def planned(
    chain: tuple[Stage, ...],
    times: list[Sequence[Fraction]],
    wanted: range,
    cache: SegmentCache,
    neural: Neural | None,
) -> list[Work]:
    """What each stage has to make, first to last, so that `wanted` of the last one is there."""
    works: list[Work] = []
    needed: Collection[int] = parts_of(wanted.start, wanted.stop)
    for number in reversed(range(len(chain))):
        stage = chain[number]
        count = len(times[number])
        if neural is not None and stage.engine.role != "media":
            runs = tuple(_neural_runs(stage, needed, count, cache, neural.recipe(stage)))
        else:
            runs = tuple(_runs(stage, needed, count, cache))
        names = tuple(part_name(stage, part) for part in sorted(needed))
        works.insert(0, Work(stage, runs, names))
        inputs: set[int] = set()
        for run in runs:
            if stage.makes_time:
                still = index_at(times[number - 1], still_time(stage)) if number else 0
                inputs.update(parts_of(still, still + 1))
            elif stage.engine.role == "media":
                inputs.update(parts_of(run.first, run.stop))
            else:
                inputs.update(parts_of(run.first, min(run.stop + NEAR, count)))
        needed = inputs
    return works


def _runs(stage: Stage, needed: Collection[int], count: int, cache: SegmentCache) -> Iterator[Run]:
    """The runs that make those of the needed parts that are not there."""
    absent = [part for part in sorted(needed) if not cache.is_whole(part_name(stage, part))]
    if stage.engine.reach is not Reach.STREAM:
        for part in absent:
            start, stop = part * PART, min((part + 1) * PART, count)
            yield Run(start, stop, start, frozenset((part,)))
        return
    run: Run | None = None
    for part in absent:
        begin, state = _resumed(stage, part, cache)
        start, stop = begin * PART, min((part + 1) * PART, count)
        is_same = run is not None and run.start // GRID == start // GRID
        if run is not None and is_same and run.stop >= start:
            run = Run(run.start, stop, run.first, run.parts | {part}, run.state)
            continue
        if run is not None:
            yield run
        first = start if state >= 0 else max(0, start - stage.warm_up)
        passed = (one for one in range(begin, part) if not cache.has(part_name(stage, one)))
        run = Run(start, stop, first, frozenset((*passed, part)), state)
    if run is not None:
        yield run


def _neural_runs(
    stage: Stage, needed: Collection[int], count: int, cache: SegmentCache, recipe: str
) -> Iterator[Run]:
    """The runs of a model: whole stretches of segments, each segment made in one way.

    A model's state is too large to be stored, so a run begins at a grid line, or with the first
    picture where the whole clip is one stream or is made together. Of a segment that is not all
    there, parts that were made by another recipe are made again.
    """
    whole_clip = _is_one(stage)
    groups: dict[int, list[int]] = {}
    for part in sorted(needed):
        groups.setdefault(0 if whole_clip else part // PARTS, []).append(part)
    stretch: list[int] = []  # parts to be stored, of segments that follow one another
    begin = 0
    for segment, parts in groups.items():
        if all(cache.is_whole(part_name(stage, part)) for part in parts):
            continue
        _drop_others(stage, segment, count, cache, recipe)
        absent = [part for part in parts if not cache.has(part_name(stage, part))]
        start = segment * GRID
        if stretch and start != (stretch[-1] + 1) * PART:
            yield _neural_run(stage, begin, stretch, count)
            stretch = []
        begin = begin if stretch else start
        stretch += absent
    if stretch:
        yield _neural_run(stage, begin, stretch, count)


def _drop_others(stage: Stage, segment: int, count: int, cache: SegmentCache, recipe: str) -> None:
    """Removes what another recipe has made of a segment, or of a whole clip."""
    last = -(-count // PART)
    parts = range(segment * PARTS, min((segment + 1) * PARTS, last))
    for part in range(last) if _is_one(stage) else parts:
        name = part_name(stage, part)
        if cache.has(name) and cache.recipe(name) != recipe:
            cache.drop(name)


def _is_one(stage: Stage) -> bool:
    """Whether the first picture begins the only segment."""
    return stage.engine.reach is Reach.WHOLE or bool(stage.values.get("whole_clip"))


def _neural_run(stage: Stage, begin: int, parts: list[int], count: int) -> Run:
    stop = min((parts[-1] + 1) * PART, count)
    return Run(begin, stop, max(0, begin - stage.warm_up), frozenset(parts))


def _resumed(stage: Stage, part: int, cache: SegmentCache) -> tuple[int, int]:
    """The part to begin with so as to make `part`, and the part whose state begins it, or -1."""
    head = part - part % PARTS
    for before in range(part - 1, head - 1, -1):
        name = part_name(stage, before)
        if cache.has(name) and load_state(cache.state_path(name)) is not None:
            return before + 1, before
    return head, -1
