"""Moving pictures with texture and noise, whose motion is known exactly."""

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
        picture = _shifted(ground, 20 + STEP[0] * number, 30 + STEP[1] * number, width, height)
        over = _shifted(disc, 60 - 3.0 * number, 40, width, height)
        mask = np.zeros((height, width, 1), np.float32)
        middle = (round(width * 0.3 + 3.0 * number), height // 2)
        cv2.circle(mask, middle, height // 4, (1.0,), -1, cv2.LINE_AA)
        picture = picture * (1 - mask) + over * mask
        picture = picture + chance.normal(0, noise, picture.shape)
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
    return pictures


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


def warped_error(source: list[NDArray[np.uint8]], result: list[NDArray[np.uint8]]) -> float:
    """How much a result differs from its own picture before, moved as the source moved.

    In grey levels, over what is in sight in both pictures.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_MEDIUM)
    errors = []
    height, width = source[0].shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    for number in range(1, len(source)):
        before = cv2.cvtColor(source[number - 1], cv2.COLOR_RGB2GRAY)
        now = cv2.cvtColor(source[number], cv2.COLOR_RGB2GRAY)
        empty = np.zeros((height, width, 2), np.float32)
        back = search.calc(now, before, empty.copy())
        forth = search.calc(before, now, empty.copy())
        across, down = x + back[:, :, 0], y + back[:, :, 1]
        returned = cv2.remap(forth, across, down, cv2.INTER_LINEAR)
        is_seen = np.square(back + returned).sum(axis=2) < 0.5
        moved = cv2.remap(result[number - 1], across, down, cv2.INTER_LINEAR)
        difference = np.abs(moved.astype(np.float32) - result[number].astype(np.float32))
        errors.append(float(difference[is_seen].mean()))
    return float(np.mean(errors))
