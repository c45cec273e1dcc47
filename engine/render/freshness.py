"""Which baked effects are there, and for which part of each clip."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from engine.errors import EffectError, MediaError
from engine.media.index import index_of
from engine.render.baked import still_time
from engine.render.cache import SegmentCache, as_cache
from engine.render.keys import (
    PART,
    Stage,
    part_name,
    parts_of,
    pictures_in,
    regular_times,
    stages,
)
from engine.render.plan import shown_range, uses_of
from engine.render.source import index_at
from engine.render.units import shown_unit, unit_of
from engine.timeline.effects import made_whole
from engine.timeline.model import Asset, Clip, EffectUse, Project, TrackKind
from engine.timeline.model import Sequence as Timeline
from engine.timeline.time import TimeRange, between
from engine.worker.messages import ClipFreshness, Span


class _Made(NamedTuple):
    """Where the result of a chain is looked for.

    `times`: of each stage's pictures. `pictures`: those of the last that are asked for. `is_late`:
    more were asked for before them; `ends`: when those begin that were asked for after them.
    """

    chain: tuple[Stage, ...]
    times: list[Sequence[Fraction]]
    pictures: range
    is_late: bool = False
    ends: Fraction | None = None


def missing(
    asset: Asset,
    uses: tuple[EffectUse, ...],
    wanted: TimeRange | None,
    cache: SegmentCache | Path,
) -> tuple[str, ...]:
    """The parts of the result that are not there, or damaged, of the wanted range."""
    store = as_cache(cache)
    made = _made(asset, uses, wanted, store, unit_of)
    if made is None:
        return ()
    parts = parts_of(made.pictures.start, made.pictures.stop)
    names = [part_name(made.chain[-1], part) for part in parts]
    return tuple(name for name in names if not store.is_whole(name))


def freshness(
    project: Project, sequence: Timeline, cache: SegmentCache | Path
) -> tuple[ClipFreshness, ...]:
    """The state of every clip that has effects which are on and known."""
    store = as_cache(cache)
    result = []
    for track in sequence.tracks:
        if track.kind is TrackKind.VIDEO:
            for clip in track.clips:
                asset = project.asset(clip.asset)
                if asset is not None and uses_of(clip):
                    shown = shown_range(track, clip, sequence.rate)
                    result.append(_of_clip(shown, clip, asset, store))
    return tuple(result)


def _of_clip(record: TimeRange, clip: Clip, asset: Asset, cache: SegmentCache) -> ClipFreshness:
    uses = uses_of(clip)
    shift = clip.source.start - clip.start
    shown = between(max(Fraction(0), record.start + shift), record.end + shift)  # in the result
    try:
        made = _made(asset, uses, shown, cache, shown_unit)
    except EffectError:
        made = None  # a value from elsewhere that no engine takes: nothing of it can be there
    if made is None:
        whole = Span(start=clip.start, end=clip.end, fresh=False)
        return ClipFreshness(clip=clip.id, spans=(whole,), uses={use.id: False for use in uses})
    last, pictures = made.chain[-1], made.pictures
    is_there = {
        part: cache.has(part_name(last, part)) for part in parts_of(pictures.start, pictures.stop)
    }
    return ClipFreshness(
        clip=clip.id,
        spans=tuple(_spans(clip, made, is_there)),
        uses=dict(_per_use(made, all(is_there.values()), cache)),
    )


def _made(
    asset: Asset,
    uses: tuple[EffectUse, ...],
    wanted: TimeRange | None,
    cache: SegmentCache,
    choose: Callable[[Asset, tuple[EffectUse, ...], range, SegmentCache], range | None],
) -> _Made | None:
    """What there is to look for; of effects made for a part, in the one that `choose` finds.

    None where no effect counts. Raises EffectError.
    """
    source = _source_times(asset)
    if not stages(asset, uses):
        return None
    if not made_whole(uses):
        chain = stages(asset, uses)
        times = _times(source, chain)
        return _Made(chain, times, pictures_in(times[-1], wanted))
    asked = pictures_in(source, wanted)
    unit = choose(asset, uses, asked, cache) or asked
    chain = stages(asset, uses, unit)
    start, stop = max(asked.start, unit.start), min(asked.stop, unit.stop)
    return _Made(
        chain,
        _times(source[unit.start : unit.stop], chain),
        range(start - unit.start, stop - unit.start),
        asked.start < start,
        source[stop] if stop < asked.stop else None,
    )


def _spans(clip: Clip, made: _Made, is_there: Mapping[int, bool]) -> Iterator[Span]:
    """Runs of equal freshness, in record time, from the clip's start to its end."""
    shift = clip.start - clip.source.start
    times, first = made.times[-1], made.pictures.start
    points = [(times[first], False)] if made.is_late else []
    points += [(times[max(first, part * PART)], fresh) for part, fresh in is_there.items()]
    points += [(made.ends, False)] if made.ends is not None else []
    runs = [(fresh, next(run)[0]) for fresh, run in groupby(points, itemgetter(1))]
    starts = [clip.start, *(begin + shift for _, begin in runs[1:]), clip.end]
    for (fresh, _), (start, end) in zip(runs, pairwise(starts), strict=True):
        start, end = max(start, clip.start), min(end, clip.end)
        if end > start:
            yield Span(start=start, end=end, fresh=fresh)


def _per_use(made: _Made, is_fresh: bool, cache: SegmentCache) -> Iterator[tuple[str, bool]]:
    """For each use whether what it gives is there; what a fresh result was made of counts."""
    chain, times, pictures = made.chain, made.times, made.pictures
    is_cut = made.is_late or made.ends is not None
    for number in reversed(range(len(chain))):
        stage = chain[number]
        if number < len(chain) - 1:
            names = (part_name(stage, part) for part in parts_of(pictures.start, pictures.stop))
            is_fresh = is_fresh or all(cache.has(name) for name in names)
        yield stage.use.id, is_fresh and not is_cut
        if stage.makes_time and number > 0:
            still = index_at(times[number - 1], still_time(stage))
            pictures = range(still, still + 1)


def _times(times: Sequence[Fraction], chain: tuple[Stage, ...]) -> list[Sequence[Fraction]]:
    """When the pictures of each stage's result begin; `times`: those of the medium."""
    result: list[Sequence[Fraction]] = []
    for stage in chain:
        times = regular_times(stage.after) if stage.makes_time else times
        result.append(times)
    return result


def _source_times(asset: Asset) -> Sequence[Fraction]:
    """When the pictures of a medium begin; by its facts where the file is away."""
    try:
        pictures = index_of(Path(asset.path)).pictures
    except MediaError:
        pictures = None
    if pictures is not None:
        return pictures.times
    return _even_times(asset)


@lru_cache(maxsize=16)
def _even_times(asset: Asset) -> list[Fraction]:
    return regular_times(asset.facts.video) if asset.facts.video else [Fraction(0)]
