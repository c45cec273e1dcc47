"""From a plan to a picture: the one way for the viewer and for export."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.media import color
from engine.render.before import Place, place_of, put, resized
from engine.render.frame import Planes, blended, converted, from_rgb8, to_bgra8
from engine.render.layout import (
    Canvas,
    box_of,
    edged,
    is_untouched,
    mixed,
    placed,
)
from engine.render.plan import FramePlan, Layer, Shot, plan, without_effects
from engine.render.pool import LIGHT_LINES, SourcePool, source_key
from engine.timeline.model import Project, Transform
from engine.timeline.time import Time

PREVIEW_BYTES = 256_000_000
_STILL_BYTES = 64_000_000
_BEHIND = 48  # pictures made at once when stepping back

PictureKey: TypeAlias = tuple[object, ...]
Size: TypeAlias = tuple[int, int]  # width, height
# Gives the picture of a shot in a frame of that width and height; None where there is none.
Fetch: TypeAlias = Callable[[Shot, int, int], Planes | None]


class _Pictures:
    """Pictures at the size they show, the ones longest unused given up first."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._kept: OrderedDict[PictureKey, Planes] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: PictureKey) -> Planes | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: PictureKey, planes: Planes) -> None:
        old = self._kept.pop(key, None)
        self._kept[key] = planes
        self.size_bytes += planes.size_bytes - (old.size_bytes if old else 0)
        while self.size_bytes > self._limit and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self.size_bytes -= dropped.size_bytes


class Compositor:
    """Pictures of one sequence at any time. Serves one thread."""

    def __init__(
        self,
        project: Project,
        sequence_id: str,
        cache: Path,
        preview_bytes: int = PREVIEW_BYTES,
    ) -> None:
        self._project = project
        self._sequence = project.sequence(sequence_id)
        self._pool = SourcePool(cache)
        self._light_pool = SourcePool(cache, light=True)
        self._previews = _Pictures(preview_bytes)
        self._stills = _Pictures(_STILL_BYTES)
        self._shown: dict[PictureKey, int] = {}  # by source: the picture shown last
        self._last_good = _Pictures(_STILL_BYTES)

    def replace(self, project: Project, sequence_id: str | None = None) -> None:
        """Goes on with a changed project; pictures of what did not change stay."""
        self._sequence = project.sequence(self._sequence.id if sequence_id is None else sequence_id)
        self._project = project

    @property
    def preview_bytes_used(self) -> int:
        """Memory that the kept previews take."""
        return self._previews.size_bytes

    def close(self) -> None:
        """Closes every file; pictures already made stay."""
        self._pool.close()
        self._light_pool.close()

    def times(self, shot: Shot) -> Sequence[Fraction]:
        """When the pictures of a shot's source begin. Raises MediaError."""
        return self._pool.times(shot)

    def frame(self, at: Time, width: int | None = None, height: int | None = None) -> Planes:
        """The picture at `at`, of the sequence's size unless another is given.

        The decoder's own planes where one untouched layer has that size. Raises EngineError where
        a medium is missing or cannot be decoded.
        """
        self._pool.begin()
        size = width or self._sequence.width, height or self._sequence.height
        moment = plan(self._project, self._sequence, at)
        return _composed(moment, self._for_export, *size)

    def picture(
        self, at: Time, width: int, height: int, bypass_effects: bool = False
    ) -> tuple[NDArray[np.uint8], bool, str]:
        """BGRA (height, width, 4) for the screen; whether a source stands in for an effect; error.

        Where something cannot be decoded the last good picture of it is shown, and the error says
        what is wrong. `bypass_effects`: the sources, each in the very place that its result has.
        """
        pool = self._light_pool if height <= LIGHT_LINES else self._pool
        pool.begin()
        moment = plan(self._project, self._sequence, at)
        is_alone = len(moment.layers) == 1
        is_stale, error = False, ""

        def fetch(shot: Shot, wide: int, high: int) -> Planes | None:
            nonlocal is_stale, error
            place: Place | None = None
            try:
                if bypass_effects and shot.uses:
                    result, result_is_stale = self._for_screen(pool, shot, (wide, high), is_alone)
                    # one that stands for its result lies where it lies: in its own place
                    if not result_is_stale:
                        place = place_of(shot, result.width, result.height)
                    shot = without_effects(shot)
                planes, stale = self._for_screen(pool, shot, (wide, high), is_alone, place)
            except EngineError as problem:
                error = error or problem.message
                return self._last_good.get(_owner(shot, (wide, high), place))
            is_stale = is_stale or stale
            return planes

        shown = _composed(moment, fetch, width, height)
        return to_bgra8(shown, width, height), is_stale, error

    def _for_export(self, shot: Shot, width: int, height: int) -> Planes:
        index = self._pool.index(shot)
        if len(self._pool.times(shot)) > 1:
            return self._pool.picture(shot, index)
        key = (source_key(shot), self._pool.is_stale(shot, index))
        still = self._stills.get(key)
        if still is None:
            still = self._pool.picture(shot, index)
            self._stills.put(key, still)
        return still

    def _for_screen(
        self, pool: SourcePool, shot: Shot, size: Size, is_alone: bool, place: Place | None = None
    ) -> tuple[Planes, bool]:
        """The shot's picture no larger than it shows in that size, and whether it is stale.

        `place`: as the result of its effects is framed, and exactly as large.
        """
        owner = _owner(shot, size, place)
        index = pool.index(shot)
        stale = pool.is_stale(shot, index)
        key = (*owner, index, stale)
        kept = self._previews.get(key)
        if kept is None:
            if is_alone and 0 < self._shown.get(owner, 0) - index <= _BEHIND // 2:
                self._fetch_behind(pool, shot, size, index, place)
                kept = self._previews.get(key)
            if kept is None:
                kept = _reduced(pool.picture(shot, index), shot.transform, size, place)
                self._previews.put(key, kept)
        self._shown[owner] = index
        self._last_good.put(owner, kept)
        return kept, stale

    def _fetch_behind(
        self, pool: SourcePool, shot: Shot, size: Size, index: int, place: Place | None
    ) -> None:
        """Makes the pictures up to `index` in one pass.

        Going back one by one would decode each GOP as often as it has pictures.
        """
        start = max(0, index + 1 - _BEHIND)
        for at, planes in enumerate(pool.pictures(shot, start, index + 1), start):
            small = _reduced(planes, shot.transform, size, place)
            self._previews.put((*_owner(shot, size, place), at, pool.is_stale(shot, at)), small)


def _owner(shot: Shot, size: Size, place: Place | None) -> PictureKey:
    """What all pictures of a shot have in common: the source and how large it shows."""
    look = shot.transform
    crop = look.crop_left, look.crop_top, look.crop_right, look.crop_bottom
    return source_key(shot), size, place, look.scale, crop


def _reduced(planes: Planes, look: Transform, frame: Size, place: Place | None) -> Planes:
    """The picture in the size it takes in the frame, if that is smaller; or as `place` has it."""
    if place is not None:
        return put(planes, place)
    box = box_of(planes.width, planes.height, look, *frame)
    if box is None or box.scale >= 1:
        return planes
    is_whole = (box.right - box.left, box.bottom - box.top) == (planes.width, planes.height)
    size = (
        (box.width, box.height)
        if is_whole
        else (max(1, round(planes.width * box.scale)), max(1, round(planes.height * box.scale)))
    )
    return resized(planes, *size)


def _composed(moment: FramePlan, fetch: Fetch, width: int, height: int) -> Planes:
    if not moment.layers:
        return _black(width, height)
    if len(moment.layers) > 1:
        return _stacked(moment.layers, fetch, width, height)
    layer = moment.layers[0]
    first = fetch(layer.shot, width, height)
    second = fetch(layer.partner, width, height) if layer.partner else None
    if layer.strength == 1 and first is not None:
        alone = _native(first, layer.shot, width, height)
        if layer.partner is None and alone is not None:
            return alone
        if alone is not None and second is not None and layer.partner is not None:
            other = _native(second, layer.partner, width, height)
            if other is not None:
                return _dissolved(alone, other, layer.mix)
    got = {id(layer.shot): first, id(layer.partner): second}
    return _stacked(moment.layers, lambda shot, *_: got[id(shot)], width, height)


def _native(planes: Planes, shot: Shot, width: int, height: int) -> Planes | None:
    """The picture as the whole frame, in its own planes; None where it must be laid out."""
    if not is_untouched(planes, shot.transform, width, height):
        return None
    if planes.width in (width, width - 1) and planes.height in (height, height - 1):
        return edged(planes, width, height)
    # Scaled straight alpha would bleed the colour of what cannot be seen.
    return None if planes.has_alpha else converted(planes, planes.format, width, height)


def _dissolved(first: Planes, second: Planes, mix: float) -> Planes:
    if color.is_hdr(color.tags_of(first.picture)) != color.is_hdr(color.tags_of(second.picture)):
        first, second = converted(first, "rgb24"), converted(second, "rgb24")
    return blended(first, second, mix)


@lru_cache(maxsize=2)
def _black(width: int, height: int) -> Planes:
    return from_rgb8(np.zeros((height, width, 3), np.uint8))


def _stacked(layers: Sequence[Layer], fetch: Fetch, width: int, height: int) -> Planes:
    """The layers over one another; over black where no source has transparency of its own."""
    got = [
        (
            layer,
            fetch(layer.shot, width, height),
            fetch(layer.partner, width, height) if layer.partner else None,
        )
        for layer in layers
    ]
    is_clear = any(one is not None and one.has_alpha for _, *both in got for one in both)
    canvas = Canvas(width, height, is_clear)
    for layer, first, second in got:
        if layer.partner is None:
            _lay(canvas, layer.shot, first, layer.strength)
            continue
        # Both pictures of a dissolve add up to one layer.
        sides = Canvas(width, height, True), Canvas(width, height, True)
        _lay(sides[0], layer.shot, first)
        _lay(sides[1], layer.partner, second)
        canvas.lay(mixed(sides[0].piece(), sides[1].piece(), layer.mix))
    return canvas.planes()


def _lay(canvas: Canvas, shot: Shot, planes: Planes | None, strength: float = 1.0) -> None:
    height, width = canvas.rgb.shape[:2]
    piece = placed(planes, shot.transform, width, height) if planes else None
    if piece is not None:
        canvas.lay(piece, strength * shot.transform.opacity)
