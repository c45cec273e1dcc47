"""A bay at dusk with paper lanterns."""

from collections.abc import Iterator

import cv2
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
    wave_field,
)
from installers.sample.scenery import HEIGHT, RATE, SCALE, WIDTH, disc, silhouette


def lantern_bay(seconds: int) -> Iterator[NDArray[np.uint8]]:
    """A bay at dusk: sun, ridges, paper lanterns rising, a boat; all of it mirrored in water."""
    width, height = WIDTH * SCALE, HEIGHT * SCALE
    horizon = int(height * 0.60)
    stops = (0.0, 0.35, 0.62, 0.84, 1.0)
    colours = ((19, 24, 66), (70, 52, 118), (186, 84, 118), (255, 140, 86), (255, 206, 132))
    sky = gradient(width, horizon, stops, colours)
    veil = clouds(width * 2, horizon, seed=3, cell=(420, 60), octaves=6)
    ridges = [ridge(width * 2, seed, cell) for seed, cell in ((11, 420), (12, 300), (13, 210))]
    generator = np.random.default_rng(8)
    flock = [
        (
            float(generator.uniform(-0.05, 1.05)),
            float(generator.uniform(-0.1, 1.25)),
            float(generator.uniform(0.0, 1.0) ** 1.6),
            float(generator.uniform(0, 6.3)),
        )
        for _ in range(30)
    ]
    flock.sort(key=lambda one: one[2])
    for number in range(seconds * RATE):
        now = number / RATE
        pan = 26 * SCALE * (now / seconds - 0.5)
        upper = sky.copy()
        sun = (0.60 * width - 0.15 * pan, horizon - 0.045 * height)
        add_glow(upper, sun, 330 * SCALE, (0.50, 0.24, 0.10))
        add_glow(upper, sun, 95 * SCALE, (0.70, 0.40, 0.16))
        disc(upper, sun, 24 * SCALE, (1.25, 1.08, 0.80))
        _cloud_bank(upper, veil, shift=0.25 * pan + 5 * SCALE * now, sun=sun)
        depths = (
            (0.125, (140, 76, 112), 0.5),
            (0.085, (92, 50, 96), 0.9),
            (0.05, (44, 28, 70), 1.5),
        )
        for line, (tall, colour, depth) in zip(ridges, depths, strict=True):
            start = int(width * 0.4 + depth * pan)
            heights = line[start : start + width] * tall * height
            silhouette(upper, horizon - heights, colour, haze=(255, 150, 110))
        for place, rise, near, phase in flock:
            size = SCALE * (4.5 + 17 * near)
            x = place * width + (6 + 12 * near) * SCALE * np.sin(0.8 * now + phase)
            x -= (0.3 + 1.6 * near) * pan
            risen = (rise + now * (0.016 + 0.034 * near)) % 1.3
            y = horizon - 1.5 * size - horizon * 1.05 * risen
            flicker = 0.92 + 0.08 * np.sin(7 * now + 5 * phase)
            _lantern(upper, x, y, size, flicker, shown=float(smooth(0.0, 0.07, risen)))
        picture = np.empty((height, width, 3), np.float32)
        picture[:horizon] = upper
        picture[horizon:] = _water(upper, height - horizon, now, sun[0], pan)
        _boat(picture, 0.27 * width - 1.8 * pan, horizon + 0.20 * height, now)
        yield finished(picture, WIDTH, HEIGHT, grain=number)


def _cloud_bank(upper: Floats, veil: Floats, shift: float, sun: tuple[float, float]) -> None:
    height, width = upper.shape[:2]
    moved = veil[:, int(width * 0.4 + shift) : int(width * 0.4 + shift) + width]
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    band = np.exp(-(((rows - 0.50) / 0.30) ** 2))
    cover = smooth(0.50, 0.80, moved) * band * 0.80
    columns = np.arange(width, dtype=np.float32)[None]
    towards = np.exp(-(((columns - sun[0]) / (0.42 * width)) ** 2)) * rows
    body = np.array((0.37, 0.22, 0.42), np.float32)
    rim = np.array((1.06, 0.56, 0.40), np.float32)
    lit = np.clip(towards * 1.25 * (1.25 - smooth(0.55, 0.95, moved)), 0, 1)[..., None]
    blend(upper, body * (1 - lit) + rim * lit, cover)


def _lantern(
    picture: Floats, x: float, y: float, size: float, flicker: float, shown: float = 1.0
) -> None:
    """A paper lantern: a tapered lit body, a bright mouth, and the light around it."""
    light = flicker * shown
    add_glow(picture, (x, y), size * 4.2, (0.34 * light, 0.15 * light, 0.035 * light))
    if size < 6 * SCALE:
        add_glow(picture, (x, y), size * 0.9, (1.3 * light, 0.72 * light, 0.26 * light))
        return
    half, tall = int(size * 1.2) + 2, int(size * 1.5) + 2
    rows, columns = np.mgrid[-tall : tall + 1, -half : half + 1].astype(np.float32)
    rows += np.float32(round(y) - y)
    columns += np.float32(round(x) - x)
    along = rows / (size * 1.05)  # -1 crown, 1 mouth
    wide = size * (0.80 - 0.20 * along - 0.10 * along**2)
    crown = np.clip(1 - np.maximum(-along - 0.72, 0) / 0.28, 0, 1) ** 0.5
    inside = smooth(wide * crown + SCALE, wide * crown - SCALE, np.abs(columns))
    cover = inside * smooth(1.03, 0.97, np.abs(along)) * np.float32(shown)
    warmth = smooth(-1.0, 1.0, along)[..., None]
    paint = np.array((0.86, 0.26, 0.10), np.float32) * (1 - warmth)
    paint = paint + np.array((1.45, 0.98, 0.46), np.float32) * warmth
    paint = paint * (1.06 - 0.30 * (np.abs(columns) / (wide + 1))[..., None] ** 2) * flicker
    ribs = 0.93 + 0.07 * np.cos(columns / (wide + 1) * 9)[..., None]
    over(picture, paint * ribs, cover, round(x) - half, round(y) - tall)


def _water(upper: Floats, height: int, now: float, sun_x: float, pan: float) -> Floats:
    """The mirror of `upper` in moving water, darker towards the viewer, with glitter."""
    horizon, width = upper.shape[:2]
    rows = np.arange(height, dtype=np.float32)[:, None] + 2
    far = 150.0 * SCALE / rows  # how far away each row lies
    columns = np.arange(width, dtype=np.float32)[None] - width / 2 + 1.3 * pan / far
    waves = wave_field(columns * far / (150 * SCALE), far * 2.6, now)
    depth = rows / height
    shift_y = waves * (3 + 20 * depth) * SCALE
    shift_x = wave_field(columns * far / (120 * SCALE) + 9, far * 2.1, now * 1.1) * 5 * SCALE
    map_y = np.clip(horizon - 1 - rows * 1.12 + shift_y, 0, horizon - 1).astype(np.float32)
    map_x = np.clip(np.arange(width)[None] + shift_x * (0.3 + depth), 0, width - 1)
    mirror = cv2.remap(upper, map_x.astype(np.float32), map_y, cv2.INTER_LINEAR)
    dark = np.array((0.46, 0.44, 0.60), np.float32) * (1 - 0.52 * depth[..., None])
    result = mirror * (dark + 0.26 * (1 - depth[..., None]))
    spread = (34 + 150 * depth) * SCALE
    path = np.exp(-(((np.arange(width)[None] - sun_x) / spread) ** 2))
    fine = wave_field(columns * far / (34 * SCALE), far * 9.0, now * 1.8)
    glitter = smooth(0.25, 0.85, fine + 0.55 * waves) * path * (0.85 - 0.45 * depth)
    result += glitter[..., None] * np.array((1.25, 0.72, 0.38), np.float32)
    edge = np.exp(-rows / (5 * SCALE))[..., None]
    return np.asarray(result + edge * np.array((0.28, 0.14, 0.09), np.float32))


def _boat(picture: Floats, x: float, y: float, now: float) -> None:
    """A rowing boat with somebody in it who holds a lantern."""
    unit = SCALE * 1.18
    y += 2.2 * unit * np.sin(1.35 * now)
    tilt = np.deg2rad(1.7 * np.sin(1.35 * now + 0.8))
    turn = np.array(((np.cos(tilt), np.sin(tilt)), (-np.sin(tilt), np.cos(tilt))))
    ink = (0.045, 0.03, 0.085)

    def shape(*points: tuple[float, float]) -> NDArray[np.float64]:
        return np.asarray(points) * unit @ turn + (x, y)

    shadow = shape((-50, 9), (54, 9), (38, 17), (-30, 17))
    blend_polygon(picture, shadow, ink, 0.55, blur=5 * SCALE)
    glow = shape((31, -34))[0]
    flicker = 0.93 + 0.07 * np.sin(9 * now)
    add_glow(picture, (glow[0], glow[1]), 62 * SCALE, (0.50 * flicker, 0.24 * flicker, 0.06))
    curve = np.linspace(-1, 1, 24)
    hull = [(52 * a, -8 + 5 * (1 - abs(a) ** 2.2)) for a in curve]
    keel = [(44 * a, 11 - 9 * abs(a) ** 3) for a in curve[::-1]]
    blend_polygon(picture, shape(*hull, *keel), ink, 1.0)
    blend_polygon(
        picture, shape((-17, 2), (-14, -20), (-7, -27), (3, -26), (8, -18), (10, 2)), ink, 1.0
    )
    ring = np.linspace(0, 2 * np.pi, 28)
    blend_polygon(
        picture, shape(*((-2 + 6.6 * np.cos(a), -33.5 + 7.4 * np.sin(a)) for a in ring)), ink, 1.0
    )
    blend_polygon(picture, shape((0, -24), (24, -33.5), (25.5, -30.5), (3, -17)), ink, 1.0)
    blend_polygon(picture, shape((-30, -1), (-27, -2.4), (-58, 15), (-62, 19), (-65, 17)), ink, 1.0)
    _lantern(picture, glow[0], glow[1], 8.5 * unit, flicker)
