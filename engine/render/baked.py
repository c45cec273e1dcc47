"""The result of effects as a source of pictures, with the medium itself where it is missing."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from engine.errors import MediaError
from engine.media.reader import VideoReader
from engine.render.cache import SegmentCache, as_cache
from engine.render.frame import Planes
from engine.render.keys import (
    PART,
    Stage,
    part_name,
    part_of,
    pictures_in,
    regular_times,
    stages,
)
from engine.render.source import FrameSource, index_at
from engine.render.units import shown_unit
from engine.timeline.effects import made_whole
from engine.timeline.model import Asset, EffectUse
from engine.timeline.time import TimeRange

OPEN_PARTS = 3  # files kept open: where the playhead is, and either side of it


class EffectSource:
    """A `FrameSource` of what a chain of effects makes, by its last stage.

    A picture that is not baked yet is that of the stage before, in that stage's size.
    `light`: reads the copies for playback, smaller and with some loss.
    """

    def __init__(
        self, stage: Stage, before: FrameSource, cache: SegmentCache, *, light: bool = False
    ) -> None:
        self._stage = stage
        self._before = before
        self._cache = cache
        self._light = light
        self._open: OrderedDict[int, VideoReader] = OrderedDict()
        self._names: dict[int, str] = {}
        self._times = before.times
        self._duration = before.duration
        self._still: int | None = None  # the picture before that all are made of
        if stage.makes_time:
            self._times = regular_times(stage.after)
            self._duration = Fraction(stage.after.frames) / stage.after.rate
            self._still = index_at(before.times, still_time(stage))

    @property
    def width(self) -> int:
        return self._stage.after.width

    @property
    def height(self) -> int:
        return self._stage.after.height

    @property
    def times(self) -> Sequence[Fraction]:
        return self._times

    @property
    def duration(self) -> Fraction:
        return self._duration

    def frame(self, index: int) -> Planes:
        """Picture `index`, baked or of the stage before. Raises MediaError."""
        if not 0 <= index < len(self._times):
            raise IndexError(f"picture {index} of {len(self._times)}")
        reader = self._part(part_of(index))
        if reader is not None and index % PART < len(reader.times):
            return reader.frame(index % PART)
        return self._before.frame(index if self._still is None else self._still)

    def frames(self, start: int, stop: int) -> Iterator[Planes]:
        """Pictures start to stop - 1 in order."""
        for index in range(start, stop):
            yield self.frame(index)

    def stale_at(self, index: int) -> bool:
        """Whether picture `index` is not baked."""
        part = part_of(index)
        return part not in self._open and not self._cache.has(self._name(part))

    def close(self) -> None:
        for reader in self._open.values():
            reader.close()
        self._open.clear()
        self._before.close()

    def _part(self, part: int) -> VideoReader | None:
        """The reader of a part; None where it is missing or cannot be read."""
        name = self._name(part)
        reader = self._open.get(part)
        if reader is None:
            if not self._cache.has(name):
                return None
            light = self._cache.light_path(name)
            is_light = self._light and not self._stage.before.alpha  # the copies are opaque
            path = light if is_light and light.exists() else self._cache.path(name)
            try:
                reader = VideoReader(path)
            except MediaError:
                self._cache.drop(name)  # damaged: it shows as stale and is made again
                return None
            self._open[part] = reader
            if len(self._open) > OPEN_PARTS:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(part)
        self._cache.touch(name)
        return reader

    def _name(self, part: int) -> str:
        if part not in self._names:
            self._names[part] = part_name(self._stage, part)
        return self._names[part]


class ResultSource(FrameSource, Protocol):
    """Pictures of which some may stand for others that are not baked yet."""

    def stale_at(self, index: int) -> bool: ...


class _Untouched(VideoReader):
    """The medium itself, where no effect counts."""

    def stale_at(self, index: int) -> bool:
        return False


class _Part:
    """Pictures of a source from `unit.start` on, as if there were no others."""

    def __init__(self, source: ResultSource, unit: range) -> None:
        self._source = source
        self._unit = unit
        begin = source.times[unit.start]
        self.times = [time - begin for time in source.times[unit.start : unit.stop]]
        ends = source.times[unit.stop] if unit.stop < len(source.times) else source.duration
        self.duration = ends - begin

    @property
    def width(self) -> int:
        return self._source.width

    @property
    def height(self) -> int:
        return self._source.height

    def frame(self, index: int) -> Planes:
        return self._source.frame(self._unit[index])

    def frames(self, start: int, stop: int) -> Iterator[Planes]:
        return self._source.frames(self._unit.start + start, self._unit.start + stop)

    def stale_at(self, index: int) -> bool:
        return self._source.stale_at(self._unit[index])

    def close(self) -> None:
        self._source.close()


class _Placed:
    """What a chain makes for a part of a medium, where it belongs; the medium itself around it.

    The part is chosen anew while what shows is not baked, as meanwhile another may be.
    """

    def __init__(
        self,
        asset: Asset,
        uses: tuple[EffectUse, ...],
        cache: SegmentCache,
        wanted: TimeRange | None,
        light: bool,
    ) -> None:
        self._medium = _Untouched(Path(asset.path))
        self._asset, self._uses, self._cache, self._light = asset, uses, cache, light
        self._wanted = pictures_in(self._medium.times, wanted)
        self._unit = range(0)
        self._made: ResultSource = self._medium
        self._look()

    @property
    def width(self) -> int:
        return self._made.width

    @property
    def height(self) -> int:
        return self._made.height

    @property
    def times(self) -> Sequence[Fraction]:
        return self._medium.times

    @property
    def duration(self) -> Fraction:
        return self._medium.duration

    def frame(self, index: int) -> Planes:
        """Picture `index` of the medium, baked where it is. Raises MediaError."""
        if self.stale_at(index):
            self._look()
        if index in self._unit:
            return self._made.frame(index - self._unit.start)
        return self._medium.frame(index)

    def frames(self, start: int, stop: int) -> Iterator[Planes]:
        """Pictures start to stop - 1 in order."""
        for index in range(start, stop):
            yield self.frame(index)

    def stale_at(self, index: int) -> bool:
        """Whether picture `index` is not baked."""
        return index not in self._unit or self._made.stale_at(index - self._unit.start)

    def close(self) -> None:
        if self._made is not self._medium:
            self._made.close()
        self._medium.close()

    def _look(self) -> None:
        unit = shown_unit(self._asset, self._uses, self._wanted, self._cache)
        if unit is None or unit == self._unit:
            return
        if self._made is not self._medium:
            self._made.close()
        self._unit = unit
        self._made = chain_source(self._asset, self._uses, self._cache, unit, light=self._light)


def effect_source(
    asset: Asset,
    uses: tuple[EffectUse, ...],
    cache: SegmentCache | Path,
    wanted: TimeRange | None = None,
    *,
    light: bool = False,
) -> ResultSource:
    """The pictures of `asset` after `uses`. Raises MediaError and EffectError.

    `wanted`: the part that is to be shown, as told to `bake`; it matters only where effects are
    made for what is asked.
    """
    store = as_cache(cache)
    if made_whole(uses):
        return _Placed(asset, uses, store, wanted, light)
    return chain_source(asset, uses, store, None, light=light)


def chain_source(
    asset: Asset,
    uses: tuple[EffectUse, ...],
    cache: SegmentCache,
    unit: range | None,
    *,
    light: bool = False,
) -> ResultSource:
    """The pictures of the medium, or of a part of it, after `uses`; counted from the part's first.

    Raises MediaError and EffectError.
    """
    source: ResultSource = _Untouched(Path(asset.path))
    if unit is not None:
        source = _Part(source, unit)
    for stage in stages(asset, uses, unit):
        source = EffectSource(stage, source, cache, light=light)
    return source


def still_time(stage: Stage) -> Fraction:
    """The moment of the stage before whose picture an image-to-video takes."""
    return Fraction(float(stage.values["at"])).limit_denominator(90_000)
