"""Moving pictures with texture and noise, whose motion is known exactly."""

from collections.abc import Callable
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

STEP = (2.5, 1.0)  # pixels that the ground moves to the left and up from picture to picture


def textured(
    count: int, *, width: int = 240, height: int = 160, noise: float = 6.0, seed: int = 1
) -> list[NDArray[np.uint8]]:
    """A textured ground that glides, a textured disc that moves over it, and grain."""
    chance = np.random.default_rng(seed)
    ground = _texture(chance, width + 200, height + 200)
    disc = _texture(chance, width + 200, height + 200)
    pictures = []
    for number in range(count):
        picture: NDArray[np.floating[Any]] = _shifted(
            ground, 20 + STEP[0] * number, 30 + STEP[1] * number, width, height
        )
        over = _shifted(disc, 60 - 3.0 * number, 40, width, height)
        mask = np.zeros((height, width, 1), np.float32)
        middle = (round(width * 0.3 + 3.0 * number), height // 2)
        cv2.circle(mask, middle, height // 4, (1.0,), -1, cv2.LINE_AA)
        picture = picture * (1 - mask) + over * mask
        picture = picture + chance.normal(0, noise, picture.shape)
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
    return pictures


def filmed(count: int, *, width: int = 480, height: int = 360) -> list[NDArray[np.uint8]]:
    """As from a camera in the hand: slow, less than a pixel a picture; soft shapes, fine texture,
    an outlined thing that turns, and grain that is new in each picture.
    """
    chance = np.random.default_rng(5)
    wide, high = width + 60, height + 60
    soft = cv2.GaussianBlur(chance.random((high, wide, 3)).astype(np.float32), (0, 0), 20.0)
    fine = cv2.GaussianBlur(chance.random((high, wide, 1)).astype(np.float32), (0, 0), 2.0)
    scene = np.clip((soft - 0.5) * 2300 + 105, 20, 235)
    texture = (fine[:, :, None] - 0.5) * 260
    texture[:, : wide // 2] *= 0.4  # half of the ground is calmer, as walls are
    cv2.rectangle(scene, (330, 130), (450, 340), (70.0, 45.0, 40.0), -1, cv2.LINE_AA)
    scene = cv2.GaussianBlur(np.asarray(scene + texture, np.float32), (0, 0), 0.8)
    pictures = []
    for number in range(count):
        left, top = 20 + 5 * np.sin(number / 8), 20 + 3 * np.cos(number / 6)
        picture: NDArray[np.floating[Any]] = _shifted(
            np.asarray(scene, np.float32), left, top, width, height
        )
        turn = cv2.getRotationMatrix2D((150.0, 180.0), 0.8 * number, 1.0)
        thing = cv2.warpAffine(_thing(width, height), turn, (width, height), flags=cv2.INTER_CUBIC)
        cover = np.clip(thing[:, :, 3:], 0, 1)
        picture = picture * (1 - cover) + thing[:, :, :3] * cover
        picture = picture + chance.normal(0, 3.0, picture.shape)
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
    return pictures


def dithered(pictures: list[NDArray[np.uint8]], levels: int = 6) -> list[NDArray[np.uint8]]:
    """The same in few colours with error carried along each row, as in a GIF."""
    step = 255 / (levels - 1)
    result = []
    for picture in pictures:
        rest = picture.astype(np.float32)
        for x in range(rest.shape[1] - 1):
            kept = np.clip(np.round(rest[:, x] / step), 0, levels - 1) * step
            missed = rest[:, x] - kept
            rest[:, x] = kept
            rest[:, x + 1] += missed * 0.5
            rest[1:, x + 1] += missed[:-1] * 0.4
        result.append(np.clip(np.round(rest / step) * step, 0, 255).astype(np.uint8))
    return result


def _thing(width: int, height: int) -> NDArray[np.float32]:
    """A face of sorts, in colour and cover."""
    thing = np.zeros((height, width, 4), np.float32)
    cv2.ellipse(
        thing, (150, 180), (90, 120), 0, 0, 360, (205.0, 165.0, 140.0, 1.0), -1, cv2.LINE_AA
    )
    for x in (118, 182):
        cv2.circle(thing, (x, 155), 13, (45.0, 35.0, 35.0, 1.0), -1, cv2.LINE_AA)
    cv2.ellipse(thing, (150, 225), (42, 18), 0, 0, 180, (130.0, 50.0, 55.0, 1.0), 5, cv2.LINE_AA)
    return np.asarray(thing, np.float32)


def _texture(chance: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    raw = (chance.random((height, width, 3)) * 255).astype(np.float32)
    soft = np.asarray(cv2.GaussianBlur(raw, (0, 0), 3.0), np.float32)
    return np.clip((soft - 127) * 6 + 127, 0, 255).astype(np.float32)


def _shifted(
    field: NDArray[np.float32], left: float, top: float, width: int, height: int
) -> NDArray[np.float32]:
    matrix = np.array([[1, 0, left], [0, 1, top]], np.float64)
    moved = cv2.warpAffine(
        field, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    return np.asarray(moved, np.float32)


Search: TypeAlias = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]


def dense(start: NDArray[np.uint8], end: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Motion between two grey pictures by inverse search, finer than the filters' own."""
    search = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_MEDIUM)
    return np.asarray(search.calc(start, end, np.zeros((*start.shape, 2), np.float32)), np.float32)


def polynomial(start: NDArray[np.uint8], end: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Motion between two grey pictures by Farnebäck's method, unlike the filters' own."""
    empty = np.zeros((*start.shape, 2), np.float32)
    flow = cv2.calcOpticalFlowFarneback(start, end, empty, 0.5, 4, 21, 3, 7, 1.5, 0)
    return np.asarray(flow, np.float32)


def warped_error(
    source: list[NDArray[np.uint8]], result: list[NDArray[np.uint8]], search: Search
) -> float:
    """How much a result differs from its own picture before, moved as the source moved.

    In grey levels, over what is in sight in both pictures.
    """
    total, count = 0.0, 0
    height, width = source[0].shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    greys = [np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8) for picture in source]
    for number in range(1, len(source)):
        back = search(greys[number], greys[number - 1])
        forth = search(greys[number - 1], greys[number])
        across, down = x + back[:, :, 0], y + back[:, :, 1]
        returned = cv2.remap(forth, across, down, cv2.INTER_LINEAR)
        is_seen = np.square(back + returned).sum(axis=2) < 0.5
        is_seen &= (across >= 0) & (across < width - 1) & (down >= 0) & (down < height - 1)
        moved = cv2.remap(result[number - 1], across, down, cv2.INTER_LINEAR)
        difference = np.abs(moved.astype(np.float32) - result[number].astype(np.float32))
        total += float(difference[is_seen].sum())
        count += int(is_seen.sum()) * 3
    return total / count
