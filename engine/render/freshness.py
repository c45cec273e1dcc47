"""Which baked effects are there, and for which part of each clip."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from engine.errors import EffectError, MediaError
from engine.media.index import index_of
from engine.render.baked import still_time
from engine.render.cache import SegmentCache, as_cache
from engine.render.keys import PART, Stage, part_name, parts_of, pictures_in, regular_times, stages
from engine.render.plan import shown_range, uses_of
from engine.render.source import index_at
from engine.timeline.model import Asset, Clip, EffectUse, Project, TrackKind
from engine.timeline.model import Sequence as Timeline
from engine.timeline.time import TimeRange, between
from engine.worker.messages import ClipFreshness, Span


def missing(
    asset: Asset,
    uses: tuple[EffectUse, ...],
    wanted: TimeRange | None,
    cache: SegmentCache | Path,
) -> tuple[str, ...]:
    """The parts of the result that are not there, or damaged, of the wanted range."""
    chain = stages(asset, uses)
    if not chain:
        return ()
    store = as_cache(cache)
    pictures = pictures_in(_times(asset, chain)[-1], wanted)
    names = [part_name(chain[-1], part) for part in parts_of(pictures.start, pictures.stop)]
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
    try:
        chain = stages(asset, uses)
    except EffectError:
        chain = ()  # a value from elsewhere that no engine takes: nothing of it can be there
    if not chain:
        whole = Span(start=clip.start, end=clip.end, fresh=False)
        return ClipFreshness(clip=clip.id, spans=(whole,), uses={use.id: False for use in uses})
    times = _times(asset, chain)
    shift = clip.source.start - clip.start
    shown = between(max(Fraction(0), record.start + shift), record.end + shift)  # in the result
    pictures = pictures_in(times[-1], shown)
    is_there = {
        part: cache.has(part_name(chain[-1], part))
        for part in parts_of(pictures.start, pictures.stop)
    }
    return ClipFreshness(
        clip=clip.id,
        spans=tuple(_spans(clip, times[-1], is_there)),
        uses=dict(_per_use(chain, times, pictures, all(is_there.values()), cache)),
    )


def _spans(clip: Clip, times: Sequence[Fraction], is_there: dict[int, bool]) -> Iterator[Span]:
    """Runs of equal freshness, in record time, from the clip's start to its end."""
    runs = [(fresh, [part for part, _ in run]) for fresh, run in groupby(is_there.items(), _second)]
    shift = clip.start - clip.source.start
    for number, (fresh, parts) in enumerate(runs):
        after = (parts[-1] + 1) * PART
        start = clip.start if number == 0 else times[parts[0] * PART] + shift
        end = clip.end if number == len(runs) - 1 else times[after] + shift
        start, end = max(start, clip.start), min(end, clip.end)
        if end > start:
            yield Span(start=start, end=end, fresh=fresh)


def _second(pair: tuple[int, bool]) -> bool:
    return pair[1]


def _per_use(
    chain: tuple[Stage, ...],
    times: list[Sequence[Fraction]],
    pictures: range,
    is_fresh: bool,
    cache: SegmentCache,
) -> Iterator[tuple[str, bool]]:
    """For each use whether what it gives is there; what a fresh result was made of counts."""
    for number in reversed(range(len(chain))):
        stage = chain[number]
        if number < len(chain) - 1:
            names = (part_name(stage, part) for part in parts_of(pictures.start, pictures.stop))
            is_fresh = is_fresh or all(cache.has(name) for name in names)
        yield stage.use.id, is_fresh
        if stage.makes_time and number > 0:
            still = index_at(times[number - 1], still_time(stage))
            pictures = range(still, still + 1)


def _times(asset: Asset, chain: tuple[Stage, ...]) -> list[Sequence[Fraction]]:
    """When the pictures of each stage's result begin."""
    times = _source_times(asset)
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
