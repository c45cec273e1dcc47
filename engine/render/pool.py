"""Open sources of pictures, shared by the layers of a sequence, closed when long unused."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

from engine.errors import ProjectError
from engine.media.reader import VideoReader
from engine.render.frame import Planes
from engine.render.plan import Shot
from engine.render.source import FrameSource, index_at
from engine.timeline.model import Asset

SourceKey: TypeAlias = tuple[object, ...]

# Containers that count in milliseconds round both a picture's time and the first one's.
TOLERANCE = Fraction(1, 1000)

LIGHT_LINES = 540

_OPEN = 8  # sources kept open
_NEAR = 48  # pictures ahead that are sooner decoded than sought


def medium(shot: Shot) -> Asset:
    """The asset of a shot. Raises ProjectError when it is no longer in the bin."""
    if shot.asset is None:
        name = shot.clip.name or "A clip"
        raise ProjectError(f"The medium of «{name}» is not in the project.", "Remove the clip.")
    return shot.asset


def source_key(shot: Shot) -> SourceKey:
    """What the pictures of a shot depend on before they are laid out."""
    asset = medium(shot)
    uses = tuple((use.kind, use.engine, *sorted(use.values.items())) for use in shot.uses)
    return asset.path, asset.fingerprint, uses, shot.wanted


def index_in(times: Sequence[Fraction], source: Fraction) -> int:
    """The picture on screen at `source`, forgiving what a container's clock has rounded."""
    return index_at(times, source + TOLERANCE)


@dataclass
class _Open:
    """An open source and the picture it gives next without seeking."""

    key: SourceKey
    source: FrameSource
    stale_at: Callable[[int], bool]
    next_index: int = 0
    last: tuple[int, Planes] | None = None


class SourcePool:
    """Pictures of shots. A medium that shows twice at a time is opened twice.

    `light`: baked effects come from their copies for playback, up to `LIGHT_LINES` high.
    """

    def __init__(self, cache: Path, *, light: bool = False) -> None:
        self._cache = cache
        self._light = light
        self._open: list[_Open] = []  # the one used last at the end
        self._busy: list[_Open] = []
        self._times: dict[SourceKey, Sequence[Fraction]] = {}

    def begin(self) -> None:
        """A new moment: every source may be used again."""
        self._busy.clear()

    def times(self, shot: Shot) -> Sequence[Fraction]:
        """When the pictures of a shot's source begin. Raises MediaError."""
        key = source_key(shot)
        if key not in self._times:
            self._times[key] = self._any(shot, key).source.times
        return self._times[key]

    def index(self, shot: Shot) -> int:
        """The picture of the source that shows."""
        return index_in(self.times(shot), shot.source)

    def is_stale(self, shot: Shot, index: int) -> bool:
        """Whether the source shows there in place of an effect that is not baked yet."""
        return bool(shot.uses) and self._any(shot, source_key(shot)).stale_at(index)

    def picture(self, shot: Shot, index: int) -> Planes:
        """Picture `index` of the shot's source. Raises MediaError."""
        opened = self._take(shot, index)
        if opened.last is None or opened.last[0] != index or shot.uses:
            opened.last = index, opened.source.frame(index)
            opened.next_index = index + 1
        return opened.last[1]

    def pictures(self, shot: Shot, start: int, stop: int) -> Iterator[Planes]:
        """Pictures start to stop - 1 of the shot's source, in order. Raises MediaError."""
        opened = self._take(shot, start)
        for index, planes in enumerate(opened.source.frames(start, stop), start):
            opened.last, opened.next_index = (index, planes), index + 1
            yield planes

    def close(self) -> None:
        for opened in self._open:
            opened.source.close()
        self._open.clear()
        self._busy.clear()
        self._times.clear()

    def _any(self, shot: Shot, key: SourceKey) -> _Open:
        return next((one for one in self._open if one.key == key), None) or self._opened(shot, key)

    def _take(self, shot: Shot, index: int) -> _Open:
        key = source_key(shot)
        free = [one for one in self._open if one.key == key and one not in self._busy]
        near = (one for one in free if -1 <= index - one.next_index <= _NEAR)
        taken = next(near, None) or next(iter(free), None) or self._opened(shot, key)
        self._busy.append(taken)
        self._open.remove(taken)
        self._open.append(taken)
        return taken

    def _opened(self, shot: Shot, key: SourceKey) -> _Open:
        asset = medium(shot)
        if shot.uses:
            # The filters are loaded only where an effect shows.
            from engine.render.bake import effect_source

            effect = effect_source(asset, shot.uses, self._cache, shot.wanted, light=self._light)
            opened = _Open(key, effect, effect.stale_at)
        else:
            opened = _Open(key, VideoReader(Path(asset.path)), lambda _: False)
        idle = (one for one in self._open if one not in self._busy)
        while len(self._open) >= _OPEN and (oldest := next(idle, None)):
            oldest.source.close()
            self._open.remove(oldest)
        self._open.append(opened)
        return opened
