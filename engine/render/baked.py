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
from engine.render.keys import PART, Stage, part_name, part_of, regular_times, stages
from engine.render.source import FrameSource, index_at
from engine.timeline.model import Asset, EffectUse

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


def effect_source(
    asset: Asset,
    uses: tuple[EffectUse, ...],
    cache: SegmentCache | Path,
    *,
    light: bool = False,
) -> ResultSource:
    """The pictures of `asset` after `uses`. Raises MediaError and EffectError."""
    store = as_cache(cache)
    source: ResultSource = _Untouched(Path(asset.path))
    for stage in stages(asset, uses):
        source = EffectSource(stage, source, store, light=light)
    return source


def still_time(stage: Stage) -> Fraction:
    """The moment of the stage before whose picture an image-to-video takes."""
    return Fraction(float(stage.values["at"])).limit_denominator(90_000)
