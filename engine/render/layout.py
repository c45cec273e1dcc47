"""Where a picture lies in the frame: crop, fit, scale, turn, shift; and laying one over another."""

from dataclasses import dataclass
from functools import lru_cache
from math import cos, radians, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.render.frame import Planes, converted, plane_rows
from engine.render.plan import WHOLE, fills
from engine.timeline.model import Transform

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB, or (H, W, 4) RGBA premultiplied


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
    """A piece of the frame: its pixels and where its left top corner is."""

    x: int
    y: int
    pixels: Pixels


def placed(planes: Planes, transform: Transform, width: int, height: int) -> Placed | None:
    """The picture scaled and turned into its place; None when none of it is in the frame."""
    box = box_of(planes.width, planes.height, transform, width, height)
    if box is None:
        return None
    pixels = _sized(planes, box)
    if box.turn:
        return Placed(0, 0, _turned(pixels, box, width, height))
    return _upright(pixels, box, width, height)


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
        pixels = np.asarray(
            cv2.resize(pixels, (box.width, box.height), interpolation=cv2.INTER_AREA), np.uint8
        )
    return pixels


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


def _upright(pixels: Pixels, box: Box, width: int, height: int) -> Placed | None:
    x, y = box.corner
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + box.width, width), min(y + box.height, height)
    if left >= right or top >= bottom:
        return None
    rows, columns = pixels.shape[:2]
    if (columns, rows) == (box.width, box.height):
        return Placed(left, top, pixels[top - y : bottom - y, left - x : right - x])
    # Only the part that shows is enlarged.
    step_x, step_y = columns / box.width, rows / box.height
    matrix = np.array(
        [
            [step_x, 0, (left - x + 0.5) * step_x - 0.5],
            [0, step_y, (top - y + 0.5) * step_y - 0.5],
        ]
    )
    return Placed(left, top, _warped(pixels, matrix, right - left, bottom - top))


def _turned(pixels: Pixels, box: Box, width: int, height: int) -> Pixels:
    rows, columns = pixels.shape[:2]
    c, s = cos(radians(box.turn)), sin(radians(box.turn))
    step_x, step_y = columns / box.width, rows / box.height
    # From the middle of a frame pixel back to the place in the picture.
    linear = np.array([[c * step_x, s * step_x], [-s * step_y, c * step_y]])
    centre = np.array([box.centre_x - 0.5, box.centre_y - 0.5])
    offset = np.array([columns / 2 - 0.5, rows / 2 - 0.5]) - linear @ centre
    warped = _warped(pixels, np.column_stack((linear, offset)), width, height)
    mask = _mask(box.width, box.height, box.centre_x, box.centre_y, box.turn, width, height)
    if warped.shape[2] == 3:
        warped = np.dstack((warped, np.full((height, width), 255, np.uint8)))
    return np.asarray(cv2.multiply(warped, cv2.merge([mask] * 4), scale=1 / 255), np.uint8)


def _warped(pixels: Pixels, matrix: NDArray[np.float64], width: int, height: int) -> Pixels:
    """The picture seen through `matrix` (from result to picture), its edges carried on."""
    # A cubic overshoots, so that colours would outshine their alpha at edges.
    method = cv2.INTER_CUBIC if pixels.shape[2] == 3 else cv2.INTER_LINEAR
    warped = cv2.warpAffine(
        np.ascontiguousarray(pixels),
        matrix,
        (width, height),
        flags=method | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.uint8)


@lru_cache(maxsize=8)
def _mask(
    box_width: int,
    box_height: int,
    centre_x: float,
    centre_y: float,
    turn: float,
    width: int,
    height: int,
) -> NDArray[np.uint8]:
    """How much of each frame pixel a turned box covers, 0 to 255."""
    c, s = np.float32(cos(radians(turn))), np.float32(sin(radians(turn)))
    x = np.arange(width, dtype=np.float32) + np.float32(0.5 - centre_x)
    y = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5 - centre_y)
    across = np.clip(box_width / 2 - np.abs(c * x + s * y) + np.float32(0.5), 0, 1)
    down = np.clip(box_height / 2 - np.abs(c * y - s * x) + np.float32(0.5), 0, 1)
    return np.asarray(np.rint(across * down * 255), np.uint8)


def lay_over(canvas: Pixels, piece: Placed, opacity: float) -> None:
    """Lays a piece over the RGBA canvas, in place."""
    rows, columns, channels = piece.pixels.shape
    part = canvas[piece.y : piece.y + rows, piece.x : piece.x + columns]
    if channels == 3 and opacity >= 1:
        part[:, :, :3] = piece.pixels
        part[:, :, 3] = 255
        return
    pixels = piece.pixels
    if channels == 3:
        pixels = np.dstack((pixels, np.full((rows, columns), 255, np.uint8)))
    if opacity < 1:
        pixels = np.asarray(cv2.convertScaleAbs(pixels, alpha=max(opacity, 0.0)), np.uint8)
    left = cv2.bitwise_not(np.ascontiguousarray(pixels[:, :, 3]))
    below = cv2.multiply(
        np.ascontiguousarray(part), cv2.merge((left, left, left, left)), scale=1 / 255
    )
    part[...] = cv2.add(pixels, below)
