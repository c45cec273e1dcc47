"""Where a picture lies in the frame: crop, fit, scale, turn, shift; and laying one over another."""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, cos, floor, radians, sin
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.render.frame import Planes, converted, from_rgb8, plane_rows
from engine.render.plan import WHOLE, fills
from engine.timeline.model import Transform

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB, (H, W, 4) RGBA premultiplied, or (H, W) alpha


class Window(NamedTuple):
    """A rectangle of the frame's pixels; right and bottom do not belong to it."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Box:
    """A picture's place: the crop in its own pixels, its size and centre in the frame's.

    `turn`: degrees clockwise. `scale`: frame pixels for one of the picture's.
    """

    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int
    centre_x: float
    centre_y: float
    turn: float
    scale: float

    @property
    def corner(self) -> tuple[int, int]:
        """Left and top in the frame, of a box that is not turned."""
        return round(self.centre_x - self.width / 2), round(self.centre_y - self.height / 2)


def box_of(
    width: int, height: int, transform: Transform, frame_width: int, frame_height: int
) -> Box | None:
    """Where a picture of that size lies; None when the crop or the scale leaves nothing."""
    left, right = _cropped(width, transform.crop_left, transform.crop_right)
    top, bottom = _cropped(height, transform.crop_top, transform.crop_bottom)
    if left >= right or top >= bottom or transform.scale <= 0:
        return None
    kept_width, kept_height = right - left, bottom - top
    fit = min(frame_width / kept_width, frame_height / kept_height)
    full = fills(kept_width, kept_height, frame_width, frame_height)
    shown_width = (frame_width if full else kept_width * fit) * transform.scale
    shown_height = (frame_height if full else kept_height * fit) * transform.scale
    return Box(
        left,
        top,
        right,
        bottom,
        max(1, round(shown_width)),
        max(1, round(shown_height)),
        frame_width * (0.5 + transform.x),
        frame_height * (0.5 + transform.y),
        transform.rotation % 360,
        fit * transform.scale,
    )


def _cropped(size: int, before: float, after: float) -> tuple[int, int]:
    return round(size * min(max(before, 0), 1)), round(size * (1 - min(max(after, 0), 1)))


def is_untouched(planes: Planes, transform: Transform, width: int, height: int) -> bool:
    """Whether the picture fills the frame as it is, but for its opacity."""
    plain = transform.opacity >= 1 and (
        transform == WHOLE
        or (transform.scale == 1 and not transform.rotation and not any(_moves(transform)))
    )
    return plain and fills(planes.width, planes.height, width, height)


def _moves(transform: Transform) -> tuple[float, ...]:
    return (
        transform.x,
        transform.y,
        transform.crop_left,
        transform.crop_top,
        transform.crop_right,
        transform.crop_bottom,
    )


@dataclass(frozen=True)
class Placed:
    """A piece of the frame: where its left top corner is, colours by their alpha, alpha.

    `rgb`: (H, W, 3). `alpha`: (H, W), None where it is opaque.
    """

    x: int
    y: int
    rgb: Pixels
    alpha: Pixels | None = None


def placed(planes: Planes, transform: Transform, width: int, height: int) -> Placed | None:
    """The picture scaled and turned into its place; None when none of it is in the frame."""
    box = box_of(planes.width, planes.height, transform, width, height)
    if box is None:
        return None
    window = _window(box, width, height)
    return _seen(_sized(planes, box), box, window) if window else None


def _sized(planes: Planes, box: Box) -> Pixels:
    """The picture cropped, and no larger than its box: what is left to do only enlarges."""
    is_cropped = (box.left, box.top, box.right, box.bottom) != (0, 0, planes.width, planes.height)
    if planes.has_alpha:
        pixels = premultiplied(packed(converted(planes, "rgba"), 4))
    elif box.scale < 1 and not is_cropped:
        return packed(converted(planes, "rgb24", box.width, box.height), 3)
    else:
        pixels = packed(converted(planes, "rgb24"), 3)
    pixels = pixels[box.top : box.bottom, box.left : box.right]
    if box.scale < 1:
        size = (box.width, box.height)
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return pixels


def edged(planes: Planes, width: int, height: int) -> Planes:
    """The picture with its last column and row doubled where its sides are odd by one.

    Scaling by so little would only blur it.
    """
    if (planes.width, planes.height) == (width, height):
        return planes
    channels = 4 if planes.has_alpha else 3
    pixels = packed(converted(planes, "rgba" if channels == 4 else "rgb24"), channels)
    below, right = height - planes.height, width - planes.width
    wider = cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return from_rgb8(np.asarray(wider, np.uint8))


def packed(planes: Planes, channels: int) -> Pixels:
    """A view of the pixels of a packed 8-bit picture."""
    rows = plane_rows(planes.picture.planes[0], np.uint8)
    return rows[:, : planes.width * channels].reshape(planes.height, planes.width, channels)


def premultiplied(straight: Pixels) -> Pixels:
    """RGBA with its colours scaled by their alpha."""
    alpha = straight[:, :, 3]
    factor = cv2.merge((alpha, alpha, alpha, np.full_like(alpha, 255)))
    return np.asarray(cv2.multiply(straight, factor, scale=1 / 255), np.uint8)


def straightened(pixels: Pixels) -> Pixels:
    """RGBA with its colours as they were before they were scaled by their alpha."""
    alpha = pixels[:, :, 3]
    safe = np.maximum(alpha, 1)
    factor = cv2.merge((safe, safe, safe, np.full_like(alpha, 255)))
    return np.asarray(cv2.divide(pixels, factor, scale=255), np.uint8)


def _window(box: Box, width: int, height: int) -> Window | None:
    """The part of the frame that the box touches."""
    if box.turn:
        c, s = abs(cos(radians(box.turn))), abs(sin(radians(box.turn)))
        half_width = (box.width * c + box.height * s) / 2 + 1
        half_height = (box.width * s + box.height * c) / 2 + 1
        left, right = floor(box.centre_x - half_width), ceil(box.centre_x + half_width)
        top, bottom = floor(box.centre_y - half_height), ceil(box.centre_y + half_height)
    else:
        left, top = box.corner
        right, bottom = left + box.width, top + box.height
    window = Window(max(left, 0), max(top, 0), min(right, width), min(bottom, height))
    return window if window.left < window.right and window.top < window.bottom else None


def _seen(pixels: Pixels, box: Box, window: Window) -> Placed:
    """The pixels as they show through the window."""
    rows, columns = pixels.shape[:2]
    alpha = None
    if box.turn:
        pixels = _warped(pixels, _turning(box, columns, rows, window), window)
        alpha = _mask(box, window)
    else:
        x, y = box.corner
        if (columns, rows) == (box.width, box.height):
            pixels = pixels[window.top - y : window.bottom - y, window.left - x : window.right - x]
        else:
            step_x, step_y = columns / box.width, rows / box.height
            shift = [(window.left - x + 0.5) * step_x - 0.5, (window.top - y + 0.5) * step_y - 0.5]
            matrix = np.array([[step_x, 0, shift[0]], [0, step_y, shift[1]]])
            pixels = _warped(pixels, matrix, window)
    return _split(pixels, alpha, window)


def _split(pixels: Pixels, mask: Pixels | None, window: Window) -> Placed:
    """Colours and alpha apart, both scaled by the mask."""
    rgb, alpha = pixels, mask
    if pixels.shape[2] == 4:
        rgb = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB), np.uint8)
        alpha = np.asarray(cv2.extractChannel(pixels, 3), np.uint8)
        if mask is not None:
            alpha = np.asarray(cv2.multiply(alpha, mask, scale=1 / 255), np.uint8)
    if mask is not None:
        rgb = _times(rgb, mask)
    return Placed(window.left, window.top, rgb, alpha)


def _times(rgb: Pixels, factor: Pixels) -> Pixels:
    """Colours scaled by a factor of 0 to 255 for each pixel."""
    wide = cv2.cvtColor(factor, cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.multiply(rgb, wide, scale=1 / 255), np.uint8)


def _turning(box: Box, columns: int, rows: int, window: Window) -> NDArray[np.float64]:
    """From the middle of a pixel of the window back to the place in the picture."""
    c, s = cos(radians(box.turn)), sin(radians(box.turn))
    step_x, step_y = columns / box.width, rows / box.height
    linear = np.array([[c * step_x, s * step_x], [-s * step_y, c * step_y]])
    centre = np.array([box.centre_x - 0.5 - window.left, box.centre_y - 0.5 - window.top])
    offset = np.array([columns / 2 - 0.5, rows / 2 - 0.5]) - linear @ centre
    return np.column_stack((linear, offset))


def _warped(pixels: Pixels, matrix: NDArray[np.float64], window: Window) -> Pixels:
    """The picture seen through `matrix` (from result to picture), its edges carried on."""
    # A cubic overshoots, so that colours would outshine their alpha at edges.
    method = cv2.INTER_CUBIC if pixels.shape[2] == 3 else cv2.INTER_LINEAR
    warped = cv2.warpAffine(
        np.ascontiguousarray(pixels),
        matrix,
        (window.right - window.left, window.bottom - window.top),
        flags=method | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.uint8)


@lru_cache(maxsize=8)
def _mask(box: Box, window: Window) -> Pixels:
    """How much of each pixel of the window a turned box covers, 0 to 255."""
    c, s = np.float32(cos(radians(box.turn))), np.float32(sin(radians(box.turn)))
    x = np.arange(window.left, window.right, dtype=np.float32) + np.float32(0.5 - box.centre_x)
    y = np.arange(window.top, window.bottom, dtype=np.float32) + np.float32(0.5 - box.centre_y)
    y = y[:, None]
    across = np.clip(box.width / 2 - np.abs(c * x + s * y) + np.float32(0.5), 0, 1)
    down = np.clip(box.height / 2 - np.abs(c * y - s * x) + np.float32(0.5), 0, 1)
    return np.asarray(np.rint(across * down * 255), np.uint8)


class Canvas:
    """A frame in the making. Opaque and black at first, or clear."""

    def __init__(self, width: int, height: int, is_clear: bool) -> None:
        self.rgb: Pixels = np.zeros((height, width, 3), np.uint8)
        self.alpha: Pixels | None = np.zeros((height, width), np.uint8) if is_clear else None

    def lay(self, piece: Placed, opacity: float = 1.0) -> None:
        """Lays a piece over what is there (Porter and Duff's «over»)."""
        rows, columns = piece.rgb.shape[:2]
        area = (slice(piece.y, piece.y + rows), slice(piece.x, piece.x + columns))
        part = self.rgb[area]
        opacity = max(opacity, 0.0)
        if piece.alpha is None and opacity >= 1:
            part[...] = piece.rgb
            if self.alpha is not None:
                self.alpha[area] = 255
            return
        if piece.alpha is None:
            cv2.addWeighted(piece.rgb, opacity, part, 1 - opacity, 0, dst=part)
            if self.alpha is not None:
                below = self.alpha[area]
                cv2.addWeighted(np.full_like(below, 255), opacity, below, 1 - opacity, 0, dst=below)
            return
        rgb, alpha = piece.rgb, piece.alpha
        if opacity < 1:
            rgb = np.asarray(cv2.convertScaleAbs(rgb, alpha=opacity), np.uint8)
            alpha = np.asarray(cv2.convertScaleAbs(alpha, alpha=opacity), np.uint8)
        left = np.asarray(cv2.bitwise_not(alpha), np.uint8)
        part[...] = cv2.add(rgb, _times(part, left))
        if self.alpha is not None:
            below = self.alpha[area]
            below[...] = cv2.add(alpha, cv2.multiply(below, left, scale=1 / 255))

    def piece(self) -> Placed:
        """All that lies on it, as one piece."""
        return Placed(0, 0, self.rgb, self.alpha)

    def planes(self) -> Planes:
        """The finished picture."""
        if self.alpha is None or int(self.alpha.min()) == 255:
            return from_rgb8(self.rgb)
        return from_rgb8(straightened(np.dstack((self.rgb, self.alpha))))


def mixed(first: Placed, second: Placed, weight: float) -> Placed:
    """Two pieces of one size, `first` faded into `second`."""

    def between(one: Pixels, other: Pixels) -> Pixels:
        return np.asarray(cv2.addWeighted(one, 1 - weight, other, weight, 0), np.uint8)

    alpha = None
    if first.alpha is not None and second.alpha is not None:
        alpha = between(first.alpha, second.alpha)
    return Placed(first.x, first.y, between(first.rgb, second.rgb), alpha)
