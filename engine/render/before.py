"""The medium's own picture where the result of its effects lies, so that both can be compared."""

from typing import NamedTuple

import cv2
import numpy as np

from engine.render.frame import Planes, converted, from_rgb8
from engine.render.layout import packed, premultiplied, straightened
from engine.render.plan import Shot
from engine.timeline.model import VideoFacts
from engine.timeline.results import result_facts, upscaled


class Axis(NamedTuple):
    """From a place in the result, 0 to 1, to the place in the medium: `scale * place + shift`."""

    scale: float = 1.0
    shift: float = 0.0

    def after(self, inner: "Axis") -> "Axis":
        """Through `inner` first."""
        return Axis(self.scale * inner.scale, self.scale * inner.shift + self.shift)

    def seen(self, medium: int, result: int) -> tuple[int, int, int, int]:
        """Where pixels of the medium begin and end that show, and where in the result they lie."""
        start = max(0.0, -self.shift / self.scale)
        end = min(1.0, (1 - self.shift) / self.scale)
        first = min(medium - 1, round((self.scale * start + self.shift) * medium))
        last = max(first + 1, round((self.scale * end + self.shift) * medium))
        left = min(result - 1, round(start * result))
        return first, last, left, max(left + 1, round(end * result))


class Place(NamedTuple):
    """The pixels wanted of a result, what of the medium they show, and the result's own size."""

    width: int
    height: int
    across: Axis
    down: Axis
    full: tuple[int, int]


def place_of(shot: Shot, width: int, height: int) -> Place:
    """Where the medium of `shot` lies in its result, whose picture has that size.

    Only an Upscale to an exact size changes what is seen: it crops, or puts bars.
    """
    across, down = Axis(), Axis()
    video = shot.asset.facts.video if shot.asset else None
    for number, use in enumerate(shot.uses):
        if video is not None and use.kind == "upscale" and use.values.get("scale") == "size":
            wide, high = upscaled(video.width, video.height, use.values)
            fit = str(use.values.get("fit", "crop"))
            across = across.after(_axis(fit, (video.width, video.height), (wide, high)))
            down = down.after(_axis(fit, (video.height, video.width), (high, wide)))
        video = _facts_after(shot, number + 1)
    full = (video.width, video.height) if video is not None else (width, height)
    return Place(width, height, across, down, full)


def _facts_after(shot: Shot, count: int) -> VideoFacts | None:
    return result_facts(shot.asset.facts, shot.uses[:count]).video if shot.asset else None


def _axis(fit: str, source: tuple[int, int], result: tuple[int, int]) -> Axis:
    """One axis of a change of shape; `source`, `result`: pixels along it and across it."""
    if fit == "crop":
        kept = min(source[0], max(1, round(source[1] * result[0] / result[1])))
        return Axis(kept / source[0], (source[0] - kept) // 2 / source[0])
    if fit == "bars":
        scale = min(result[0] / source[0], result[1] / source[1])
        inner = max(1, round(source[0] * scale))
        return Axis(result[0] / inner, -((result[0] - inner) // 2) / inner)
    return Axis()


def put(planes: Planes, place: Place) -> Planes:
    """The medium's picture in the size and framing of its result, black where that has bars."""
    if (place.across, place.down) == (Axis(), Axis()):
        return resized(planes, place.width, place.height)
    wide, high = place.full  # bars begin on a pixel of the result
    first, last, left, right = place.across.seen(planes.width, wide)
    top, bottom, above, below = place.down.seen(planes.height, high)
    has_alpha = planes.has_alpha
    pixels = packed(converted(planes, "rgba" if has_alpha else "rgb24"), 4 if has_alpha else 3)
    part = np.ascontiguousarray(pixels[top:bottom, first:last])
    inner = resized(from_rgb8(part), right - left, below - above)
    pixels = packed(converted(inner, "rgba" if has_alpha else "rgb24"), 4 if has_alpha else 3)
    bars = above, high - below, left, wide - right
    black = (0, 0, 0, 255) if has_alpha else (0, 0, 0)
    shown = cv2.copyMakeBorder(pixels, *bars, cv2.BORDER_CONSTANT, value=black)
    return resized(from_rgb8(np.asarray(shown, np.uint8)), place.width, place.height)


def resized(planes: Planes, width: int, height: int) -> Planes:
    """The picture in that size; what cannot be seen bleeds no colour."""
    if not planes.has_alpha or (width, height) == (planes.width, planes.height):
        return converted(planes, planes.format, width, height)
    pixels = premultiplied(packed(converted(planes, "rgba"), 4))
    method = cv2.INTER_AREA if width < planes.width else cv2.INTER_LINEAR
    scaled = cv2.resize(pixels, (width, height), interpolation=method)
    return from_rgb8(straightened(np.asarray(scaled, np.uint8)))
