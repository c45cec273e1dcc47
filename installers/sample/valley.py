"""Hot-air balloons over a misty valley: the still."""

import numpy as np
from numpy.typing import NDArray

from installers.sample.paint import (
    Floats,
    add_glow,
    blend,
    blend_polygon,
    clouds,
    finished,
    gradient,
    over,
    ridge,
    smooth,
)
from installers.sample.scenery import SCALE, disc, firs, plant, silhouette

STRIPES = (
    ((232, 74, 58), (250, 238, 220)),
    ((246, 178, 56), (214, 84, 60)),
    ((46, 134, 150), (244, 226, 190)),
    ((180, 74, 124), (250, 206, 150)),
    ((58, 92, 160), (240, 232, 222)),
    ((240, 140, 70), (250, 230, 190)),
)


def balloon_valley() -> NDArray[np.uint8]:
    """A still: balloons over misty ridges shortly after sunrise, 1280 x 832."""
    wide, tall = 1280, 832
    width, height = wide * SCALE, tall * SCALE
    picture = gradient(
        width,
        height,
        (0.0, 0.30, 0.52, 0.72, 1.0),
        ((64, 118, 178), (142, 178, 206), (250, 214, 186), (255, 196, 150), (228, 160, 140)),
    )
    sun = (0.24 * width, 0.47 * height)
    add_glow(picture, sun, 0.62 * width, (0.32, 0.20, 0.07))
    add_glow(picture, sun, 0.13 * width, (0.55, 0.45, 0.28))
    disc(picture, sun, 30 * SCALE, (1.4, 1.32, 1.1))
    veil = clouds(width, height, seed=15, cell=(900, 70), octaves=6)
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    cover = smooth(0.52, 0.82, veil) * np.exp(-(((rows - 0.22) / 0.16) ** 2)) * 0.75
    blend(picture, np.array((1.02, 0.93, 0.90), np.float32), cover)
    balloons = (
        (0.865, 0.300, 34, 5),
        (0.42, 0.355, 26, 3),
        (0.585, 0.235, 52, 1),
        (0.11, 0.24, 40, 4),
        (0.30, 0.20, 74, 2),
        (0.73, 0.42, 88, 0),
    )
    layers = (
        (0.52, 0.10, 800, (168, 150, 172), 61),
        (0.60, 0.13, 620, (132, 112, 148), 62),
        (0.69, 0.13, 520, (92, 84, 122), 63),
        (0.80, 0.14, 420, (52, 58, 88), 64),
        (0.95, 0.16, 340, (22, 34, 52), 65),
    )
    mist = clouds(width, height, seed=16, cell=(700, 90), octaves=5)
    for index, (line, rough, cell, colour, seed) in enumerate(layers):
        tops = line * height - ridge(width, seed, cell * SCALE) * rough * height
        silhouette(picture, tops.astype(np.float32), colour, haze=(255, 214, 180))
        centre = line + 0.06
        fog = np.exp(-(((rows - centre) / 0.055) ** 2)) * (0.35 + 0.65 * smooth(0.3, 0.75, mist))
        blend(picture, np.array((1.0, 0.86, 0.76), np.float32), fog * (0.62 - 0.10 * index))
        for x, y, size, style in balloons:
            if (index == 2 and size < 50) or (index == 4 and size >= 50):
                _balloon(picture, x * width, y * height, size * SCALE, style, sun)
    trees = firs(width, 71, np.random.default_rng(70).uniform(0, 2, 46), 84)
    floor = 1.03 * height - ridge(width, 72, 500 * SCALE) * 0.07 * height
    plant(picture, trees, floor.astype(np.float32), (9, 17, 26))
    silhouette(picture, floor.astype(np.float32), (9, 17, 26), haze=(9, 17, 26))
    return finished(picture, wide, tall, grain=1)


def _balloon(
    picture: Floats, x: float, y: float, size: float, style: int, sun: tuple[float, float]
) -> None:
    """An envelope of gores lit from the sun's side, lines, and a basket."""
    half, tall = int(size * 1.08), int(size * 1.75)
    rows, columns = np.mgrid[-half : tall + 1, -half : half + 1].astype(np.float32) / size
    neck = smooth(0.25, 1.28, rows)
    wide = np.where(rows < 0.2, np.sqrt(np.clip(1 - (rows / 1.0) ** 2, 0, 1)), 0.0)
    wide = np.where(rows >= 0.2, 0.98 * (1 - neck) + 0.17 * neck, wide)
    edge = 1.5 * SCALE / size
    cover = smooth(wide + edge, wide - edge, np.abs(columns)) * smooth(
        1.28 + edge, 1.28 - edge, rows
    )
    around = np.arcsin(np.clip(columns / np.maximum(wide, 0.02), -1, 1))
    first, second = (np.asarray(one, np.float32) / 255 for one in STRIPES[style])
    gores = smooth(-0.22, 0.22, np.sin(around * 7 + 0.4))[..., None]
    paint = first * gores + second * (1 - gores)
    if style in (0, 2, 4):
        band = (smooth(0.10, 0.14, rows) * smooth(0.36, 0.32, rows))[..., None]
        paint = paint * (1 - band) + second * 0.98 * band
    side = np.sign(sun[0] - x)
    facing = np.cos(around) * 0.55 + np.sin(around) * 0.55 * side - 0.10 * rows
    shade = np.clip(0.52 + 0.62 * facing, 0.28, 1.22)[..., None]
    seams = 1 - 0.10 * np.exp(-((np.sin(around * 14 + 0.8) / 0.18) ** 2))[..., None]
    lit = paint * shade * seams * np.array((1.08, 1.0, 0.94), np.float32)
    left, top = round(x) - half, round(y) - half
    over(picture, lit.astype(np.float32), cover, left, top)
    ink = (0.17, 0.11, 0.09)
    for side_x in (-1, 1):
        rope = (
            (0.15 * side_x, 1.26),
            (0.165 * side_x, 1.26),
            (0.105 * side_x, 1.52),
            (0.09 * side_x, 1.52),
        )
        blend_polygon(picture, np.asarray(rope) * size + (x, y), ink, 0.85)
    basket = ((-0.125, 1.50), (0.125, 1.50), (0.105, 1.70), (-0.105, 1.70))
    blend_polygon(picture, np.asarray(basket) * size + (x, y), (0.36, 0.22, 0.14), 1.0)
