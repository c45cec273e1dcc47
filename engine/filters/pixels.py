"""The few picture operations that all filters share, with their types."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Picture: TypeAlias = NDArray[np.uint8]  # (H, W, 3) RGB, or (H, W, 4) straight RGBA
Field: TypeAlias = NDArray[np.float32]  # (H, W) or (H, W, C)

LEAST_UNIT = 0.75  # in a tiny picture the thinnest and the default line would be one

LUMA = np.array([[0.2126, 0.7152, 0.0722]], np.float32)


@contextmanager
def one_thread() -> Iterator[None]:
    """OpenCV on the calling thread only: some results depend on how many it splits work over."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def fitted(width: int, height: int, long_side: int) -> tuple[int, int]:
    """The size, made smaller if need be so that its long side is `long_side` at most."""
    longest = max(width, height)
    if longest <= long_side:
        return width, height
    return max(1, round(width * long_side / longest)), max(1, round(height * long_side / longest))


def unit_of(width: int, height: int) -> float:
    """Pixels of a picture that one at 360 lines stands for; strokes and lines are sized by it."""
    return max(min(width, height) / 360, LEAST_UNIT)


def resized(array: Picture, width: int, height: int) -> Picture:
    """Eight-bit pixels at another size: averaged when smaller, cubic when larger."""
    if array.shape[1] == width and array.shape[0] == height:
        return array
    is_smaller = width * height < array.shape[0] * array.shape[1]
    method = cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(array, (width, height), interpolation=method), np.uint8)


def enlarged(field: Field, width: int, height: int, *, smooth: bool = True) -> Field:
    """A field at another size, cubic or (not `smooth`) linear."""
    if field.shape[1] == width and field.shape[0] == height:
        return field
    method = cv2.INTER_CUBIC if smooth else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(field, (width, height), interpolation=method), np.float32)


def shrunk(field: Field, width: int, height: int, *, by_mean: bool = True) -> Field:
    """A field at a smaller size: averaged, or (directions cannot be) picked."""
    method = cv2.INTER_AREA if by_mean else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(field, (width, height), interpolation=method), np.float32)


def floated(picture: Picture) -> Field:
    """0..255 as 0..1."""
    return np.multiply(picture, np.float32(1 / 255), dtype=np.float32)


def quantised(field: Field) -> Picture:
    """0..1 as 0..255; what lies outside is clipped."""
    return (np.clip(field, 0.0, 1.0) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def blurred(field: Field, sigma: float) -> Field:
    """Gaussian blur; sigma in pixels."""
    return np.asarray(
        cv2.GaussianBlur(field, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101), np.float32
    )


def luma(field: Field) -> Field:
    """(H, W) brightness of (H, W, 3) RGB."""
    return np.asarray(cv2.transform(field, LUMA), np.float32)


def saturated(field: Field, amount: float) -> Field:
    """RGB with its distance from grey multiplied by `amount`."""
    if amount == 1.0:
        return field
    grey = luma(field)[:, :, None]
    return np.asarray(grey + (field - grey) * np.float32(amount), np.float32)


def sampled(field: Field, across: Field, down: Field) -> Field:
    """`field` read at the positions (across, down) in pixels; the border is mirrored."""
    if field.ndim == 3 and field.shape[2] > 4:  # remap takes four channels at most
        parts = (field[:, :, i : i + 4] for i in range(0, field.shape[2], 4))
        return np.dstack([sampled(part, across, down) for part in parts])
    result = cv2.remap(field, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(result, np.float32)


def grid(width: int, height: int) -> tuple[Field, Field]:
    """The x and the y of every pixel."""
    across = np.broadcast_to(np.arange(width, dtype=np.float32), (height, width))
    down = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None], (height, width))
    return across, down


def smoothstep(low: float, high: float, field: Field) -> Field:
    """0 below `low`, 1 above `high`, a soft step between."""
    along = np.clip((field - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return np.asarray(along * along * (np.float32(3) - np.float32(2) * along), np.float32)


def mixed(source: Picture, result: Picture, strength: float) -> Picture:
    """`result` over `source`: 0 is the source, 1 the result."""
    if strength >= 1.0:
        return result
    return np.asarray(cv2.addWeighted(source, 1.0 - strength, result, strength, 0.0), np.uint8)


def premultiplied(picture: Picture) -> Picture:
    """Colours weakened by their alpha, so that mixing neighbours keeps their weights."""
    if picture.shape[2] == 3:
        return picture
    alpha = np.ascontiguousarray(picture[:, :, 3])
    colour = np.ascontiguousarray(picture[:, :, :3])
    weak = cv2.multiply(colour, cv2.merge((alpha, alpha, alpha)), scale=1 / 255)
    return np.dstack((np.asarray(weak, np.uint8), alpha))


def straightened(picture: Picture) -> Picture:
    """The opposite of `premultiplied`."""
    if picture.shape[2] == 3:
        return picture
    alpha = picture[:, :, 3:].astype(np.float32)
    colour = picture[:, :, :3] * (255 / np.maximum(alpha, 1))
    straight = np.minimum(colour + np.float32(0.5), 255).astype(np.uint8)
    return np.dstack((straight, picture[:, :, 3]))
