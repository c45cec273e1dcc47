"""What the scenes share: their size, discs, hills and firs."""

import cv2
import numpy as np
from numpy.typing import NDArray

from installers.sample.paint import Floats, blend, smooth

WIDTH, HEIGHT, RATE = 640, 360, 25
SCALE = 2  # painted larger, then averaged down: clean edges


def disc(
    picture: Floats,
    centre: tuple[float, float],
    radius: float,
    light: Floats | tuple[float, float, float],
) -> None:
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    distance = np.hypot(columns - centre[0], rows - centre[1])
    blend(picture, np.asarray(light, np.float32), smooth(radius + SCALE, radius - SCALE, distance))


def silhouette(
    picture: Floats, tops: Floats, colour: tuple[int, int, int], haze: tuple[int, int, int]
) -> None:
    """Fills below the line `tops`; towards the ground the haze shows through."""
    height = picture.shape[0]
    rows = np.arange(height, dtype=np.float32)[:, None]
    cover = np.clip((rows - tops[None]) / SCALE + 0.5, 0, 1)
    depth = np.clip((rows - tops[None]) / np.maximum(height - tops[None], 1), 0, 1)[..., None]
    paint = np.asarray(colour, np.float32) / 255
    air = np.asarray(haze, np.float32) / 255
    blend(picture, paint * (1 - 0.30 * depth) + air * 0.30 * depth, cover)


def firs(width: int, seed: int, places: NDArray[np.float64], tall: int) -> Floats:
    """A row of firs as coverage, (2 * tall * SCALE, width), standing on its lower edge.

    `places`: where each stands, 0 to 2 over the whole width.
    """
    generator = np.random.default_rng(seed)
    rows = 2 * tall * SCALE
    cover = np.zeros((rows, width), np.float32)
    for place in places:
        x, size = place * width / 2, tall * SCALE * generator.uniform(0.6, 1.25)
        points = [(x, rows - size * 1.55)]
        tiers = 9
        left, right = [], []
        for tier in range(1, tiers + 1):
            y = rows - size * 1.55 * (1 - tier / tiers) - size * 0.06
            reach = size * 0.36 * (tier / tiers) ** 0.85
            left += [
                (x - reach * generator.uniform(0.85, 1.1), y),
                (x - reach * 0.52, y - size * 0.035),
            ]
            right += [
                (x + reach * generator.uniform(0.85, 1.1), y),
                (x + reach * 0.52, y - size * 0.035),
            ]
        outline = np.asarray([*points, *right, (x, rows), *left[::-1]])
        fixed = np.round(outline * 16).astype(np.int32)
        cv2.fillPoly(cover, [fixed], 1.0, cv2.LINE_8, 4)
    return cv2.GaussianBlur(cover, (0, 0), 0.6).astype(np.float32)


def plant(picture: Floats, trees: Floats, floor: Floats, ink: tuple[int, int, int]) -> None:
    """Stands `trees` on the line `floor`."""
    rows = np.arange(picture.shape[0], dtype=np.float32)[:, None]
    map_y = rows - floor[None] + trees.shape[0]
    map_x = np.broadcast_to(np.arange(trees.shape[1], dtype=np.float32)[None], map_y.shape)
    cover = cv2.remap(
        trees, np.ascontiguousarray(map_x), map_y.astype(np.float32), cv2.INTER_LINEAR
    )
    blend(picture, np.asarray(ink, np.float32) / 255, cover.astype(np.float32))
