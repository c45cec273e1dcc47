"""A small paint box for the sample media: noise, gradients, glows, shapes; pictures in float."""

from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]  # pictures (H, W, 3) RGB, light may exceed 1
Colour: TypeAlias = tuple[float, float, float]


def smooth(low: ArrayLike, high: ArrayLike, value: ArrayLike) -> Floats:
    """0 at `low`, 1 at `high`, without a corner; `low` may be the larger one."""
    low, high, value = np.asarray(low), np.asarray(high), np.asarray(value)
    part = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(part * part * (3 - 2 * part), np.float32)


def gradient(
    width: int, height: int, stops: tuple[float, ...], colours: tuple[tuple[int, int, int], ...]
) -> Floats:
    """Colours from top to bottom."""
    at = np.linspace(0, 1, height)
    columns = [np.interp(at, stops, [colour[i] / 255 for colour in colours]) for i in range(3)]
    column = np.stack(columns, axis=-1).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(column[:, None], (height, width, 3)))


def clouds(width: int, height: int, seed: int, cell: tuple[int, int], octaves: int) -> Floats:
    """Fractal noise, 0 to 1; `cell`: width and height of the largest lumps in pixels."""
    generator = np.random.default_rng(seed)
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    for octave in range(octaves):
        shape = (
            max(2, (height << octave) // cell[1]) + 3,
            max(2, (width << octave) // cell[0]) + 3,
        )
        lumps = generator.uniform(-1, 1, shape).astype(np.float32)
        total += weight * cv2.resize(lumps, (width, height), interpolation=cv2.INTER_CUBIC)
        weight *= 0.52
    low, high = np.percentile(total, (1, 99))
    return np.asarray(np.clip((total - low) / (high - low), 0, 1), np.float32)


def ridge(width: int, seed: int, cell: int) -> Floats:
    """A line of hills, 0 to 1, one height for each column."""
    generator = np.random.default_rng(seed)
    total = np.zeros(width, np.float32)
    weight = 1.0
    for octave in range(7):
        count = max(2, (width << octave) // cell) + 3
        knots = generator.uniform(-1, 1, (1, count)).astype(np.float32)
        line = cv2.resize(knots, (width, 1), interpolation=cv2.INTER_CUBIC)[0]
        total += weight * (line if octave < 2 else -np.abs(line))
        weight *= 0.46
    return np.asarray((total - total.min()) / (total.max() - total.min()), np.float32)


def wave_field(x: Floats, z: Floats, now: float) -> Floats:
    """Water waves at ground places (x, z): crossing sines, about -1 to 1."""
    total = np.zeros(np.broadcast_shapes(x.shape, z.shape), np.float32)
    for along, across, speed, part in (
        (2.1, 1.0, 1.3, 0.34),
        (-3.7, 1.9, 1.7, 0.26),
        (6.3, 3.1, -2.2, 0.18),
        (-9.1, 5.7, 2.9, 0.13),
        (1.3, 8.3, 3.3, 0.20),
    ):
        total += part * np.sin(
            along * x + across * z + speed * now + 1.7 * np.sin(0.6 * x + part * z)
        )
    return total


def blend(picture: Floats, paint: Floats, cover: Floats) -> None:
    """Lays `paint` (a colour, or a picture) over `picture` where `cover` says."""
    picture += (paint - picture) * cover[..., None]


def over(picture: Floats, paint: Floats, cover: Floats, left: int, top: int) -> None:
    """Lays a smaller painting over `picture`, its corner at (left, top); the rest falls off."""
    height, width = cover.shape
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + width, picture.shape[1]), min(top + height, picture.shape[0])
    if x1 > x0 and y1 > y0:
        part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        blend(picture[y0:y1, x0:x1], paint[part], cover[part])


def add_glow(picture: Floats, centre: tuple[float, float], radius: float, light: Colour) -> None:
    """Adds a soft round light that ends at about `radius`."""
    reach = int(radius * 1.6) + 1
    x, y = round(centre[0]), round(centre[1])
    x0, x1 = max(x - reach, 0), min(x + reach + 1, picture.shape[1])
    y0, y1 = max(y - reach, 0), min(y + reach + 1, picture.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    columns = np.arange(x0, x1, dtype=np.float32) - np.float32(centre[0])
    rows = np.arange(y0, y1, dtype=np.float32) - np.float32(centre[1])
    fall_x = np.exp(-((columns / (0.55 * radius)) ** 2))
    fall_y = np.exp(-((rows / (0.55 * radius)) ** 2))
    picture[y0:y1, x0:x1] += (fall_y[:, None] * fall_x[None])[..., None] * np.asarray(
        light, np.float32
    )


def blend_polygon(
    picture: Floats, points: NDArray[np.float64], colour: Colour, opacity: float, blur: float = 0.0
) -> None:
    """Fills a polygon with clean edges, or soft ones by `blur` pixels."""
    margin = int(3 * blur) + 3
    left, top = np.floor(points.min(axis=0)).astype(int) - margin
    right, bottom = np.ceil(points.max(axis=0)).astype(int) + margin
    cover = np.zeros((bottom - top, right - left), np.uint8)
    fixed = np.round((points - (left, top)) * 16).astype(np.int32)
    cv2.fillPoly(cover, [fixed], 255, cv2.LINE_AA, 4)
    part = cover.astype(np.float32) / 255 * np.float32(opacity)
    if blur:
        part = cv2.GaussianBlur(part, (0, 0), blur).astype(np.float32)
    paint = np.broadcast_to(np.asarray(colour, np.float32), (*part.shape, 3))
    over(picture, paint, part, int(left), int(top))


def finished(picture: Floats, width: int, height: int, grain: int) -> NDArray[np.uint8]:
    """Averaged down, highlights rolled off, bloom, vignette and a breath of grain; RGB bytes."""
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    bright = np.clip(small - 0.75, 0, None)
    small = small + 0.5 * cv2.GaussianBlur(bright, (0, 0), width / 110)
    small = np.where(small > 0.8, 0.8 + 0.2 * (1 - np.exp(-(small - 0.8) / 0.2)), small)
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None]
    small = small * (1 - 0.16 * np.clip(rows**2 + columns**2 - 0.5, 0, 1))[..., None]
    noise = np.random.default_rng(1000 + grain).normal(0, 0.004, (height, width, 1))
    return np.asarray(np.clip((small + noise) * 255 + 0.5, 0, 255), np.uint8)
