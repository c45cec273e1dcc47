"""A snowy night with northern lights."""

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
)
from installers.sample.scenery import HEIGHT, RATE, SCALE, WIDTH, firs, plant, silhouette


def northern_lights(seconds: int) -> Iterator[NDArray[np.uint8]]:
    """A cabin in a snowy forest under moving northern lights; the camera glides to the right."""
    width, height = WIDTH * SCALE, HEIGHT * SCALE
    ground = int(height * 0.74)
    sky = gradient(
        width, height, (0.0, 0.45, 0.80, 1.0), ((5, 9, 28), (9, 22, 52), (18, 52, 82), (30, 74, 96))
    )
    generator = np.random.default_rng(21)
    for _ in range(420):
        light = float(generator.uniform(0.15, 1.0) ** 3) * 1.1
        spot = (float(generator.uniform(0, width)), float(generator.uniform(0, ground * 0.8)))
        add_glow(sky, spot, SCALE * (0.9 + 0.9 * light), (light, light, light * 1.05))
    lines = {seed: ridge(width * 3, seed, cell) for seed, cell in ((31, 520), (32, 700), (33, 900))}
    places = np.random.default_rng(44).uniform
    rows_of_trees = [
        firs(width * 2, 41, places(0, 2, 190), 27),
        firs(width * 2, 42, places(0, 2, 100), 46),
        firs(width * 2, 43, np.array((0.03, 0.12, 0.255, 0.98, 1.09, 1.16, 1.3)), 128),
    ]
    flakes = generator.uniform(0, 1, (330, 4))
    smoke = clouds(200 * SCALE, 400 * SCALE, seed=5, cell=(34, 40), octaves=4)
    for number in range(seconds * RATE):
        now = number / RATE
        pan = 60 * SCALE * (now / seconds)
        picture = sky.copy()
        _aurora(picture, now, ground)
        silhouette(
            picture,
            ground * 0.92 - lines[31][int(pan * 0.2) :][:width] * 0.20 * height,
            (17, 40, 66),
            haze=(60, 130, 140),
        )
        ground_rows = (
            (0.0, rows_of_trees[0], 0.45, (13, 30, 50), 32, (54, 98, 122)),
            (0.08, rows_of_trees[1], 0.9, (8, 19, 36), 33, (92, 140, 168)),
        )
        for drop, trees, depth, ink, seed, snow in ground_rows:
            start = int(depth * pan)
            floor = ground + drop * height - lines[seed][start : start + width] * 16 * SCALE
            plant(picture, trees[:, start : start + width], floor, ink)
            _snow(picture, floor, snow)
            if drop == 0.08:
                x = 0.60 * width - depth * pan
                _cabin(picture, x, float(floor[int(np.clip(x, 0, width - 1))]), now, smoke)
        start = int(2.0 * pan)
        near = (
            np.full(width, height * 0.93, np.float32)
            - lines[31][start : start + width] * 10 * SCALE
        )
        plant(picture, rows_of_trees[2][:, start : start + width], near + 14 * SCALE, (4, 9, 20))
        _snow(picture, near, (96, 140, 182), light=0.72)
        for x, y, near_by, phase in flakes:
            size = SCALE * (0.7 + 2.2 * near_by**3)
            fall = (y + now * (0.05 + 0.16 * near_by)) % 1.05
            drift = x * width - (0.6 + 2.4 * near_by) * pan + 9 * SCALE * np.sin(now + 6.3 * phase)
            light = 0.20 + 0.45 * near_by
            spot = (float(drift % width), float(fall * height))
            add_glow(picture, spot, size, (light, light, light * 1.06))
        yield finished(picture, WIDTH, HEIGHT, grain=number)


def _aurora(picture: Floats, now: float, ground: int) -> None:
    """Three curtains; each a wandering line from which rays stand up and fade."""
    height, width = picture.shape[:2]
    small = 4
    columns = np.arange(0, width, small, dtype=np.float32) / width
    rows = np.arange(0, ground, small, dtype=np.float32)[:, None] / height
    total = np.zeros((rows.shape[0], columns.shape[0], 3), np.float32)
    for base, speed, power, phase in (
        (0.50, 0.21, 0.85, 0.0),
        (0.40, -0.16, 0.65, 2.1),
        (0.56, 0.12, 0.50, 4.4),
    ):
        bend = 0.075 * np.sin(5.2 * columns + speed * 4 * now + phase)
        bend += 0.035 * np.sin(12.1 * columns - speed * 6 * now + 2 * phase)
        foot = base + bend
        rays = 0.55 + 0.25 * np.sin(61 * columns + 9 * bend * 8 + 1.4 * now + phase)
        rays += 0.20 * np.sin(143 * columns - 1.9 * now + 3 * phase) + 0.10 * np.sin(
            17 * columns + now
        )
        rays *= 0.55 + 0.45 * np.sin(3.1 * columns + speed * 5 * now + phase)
        above = foot[None] - rows
        body = np.where(above > 0, np.exp(-above / 0.13), np.exp(above / 0.016))
        light = body * np.clip(rays, 0, None)[None] * power
        mix = smooth(0.02, 0.30, above)[..., None]
        total += (
            1.4
            * light[..., None]
            * (
                np.array((0.16, 1.00, 0.62), np.float32) * (1 - mix)
                + np.array((0.62, 0.26, 0.95), np.float32) * mix
            )
        )
    total = cv2.GaussianBlur(total, (0, 0), 2.2).astype(np.float32)
    picture[:ground] += cv2.resize(total, (width, ground), interpolation=cv2.INTER_CUBIC)
    mist = np.exp(-(((np.arange(height)[:, None] - ground) / (0.10 * height)) ** 2))
    picture += (mist * 0.10)[..., None] * np.array((0.30, 0.95, 0.80), np.float32)


def _snow(picture: Floats, floor: Floats, colour: tuple[int, int, int], light: float = 1.0) -> None:
    height = picture.shape[0]
    rows = np.arange(height, dtype=np.float32)[:, None]
    cover = np.clip((rows - floor[None]) / SCALE + 0.5, 0, 1)
    deep = np.clip((rows - floor[None]) / (70 * SCALE), 0, 1)[..., None]
    paint = np.asarray(colour, np.float32) / 255 * light
    blend(picture, paint * (1 - 0.62 * deep), cover)


def _cabin(picture: Floats, x: float, floor: float, now: float, smoke: Floats) -> None:
    unit = SCALE * 1.0
    base = floor + 7 * unit

    def shape(*points: tuple[float, float]) -> NDArray[np.float64]:
        return np.asarray(points) * unit + (x, base)

    plume = smoke[int(150 * SCALE - 18 * SCALE * now) :][: 110 * SCALE, : 60 * SCALE]
    rows, columns = np.mgrid[: plume.shape[0], : plume.shape[1]].astype(np.float32)
    high = 1 - rows / plume.shape[0]
    middle = plume.shape[1] * (0.30 + 0.35 * high + 0.06 * np.sin(6 * high + now))
    width = plume.shape[1] * (0.05 + 0.17 * high)
    cover = (
        np.exp(-(((columns - middle) / width) ** 2)) * smooth(0.25, 0.8, plume) * (1 - high) ** 0.6
    )
    cover *= smooth(0.0, 0.06, high) * 0.62
    top = shape((15, -58))[0]
    paint = np.array((0.42, 0.56, 0.62), np.float32)
    left = int(top[0] - 0.30 * plume.shape[1])
    over(
        picture,
        np.broadcast_to(paint, (*cover.shape, 3)),
        cover,
        left,
        int(top[1]) - plume.shape[0],
    )
    wood, snow = (0.075, 0.06, 0.075), (0.50, 0.68, 0.78)
    blend_polygon(picture, shape((11, -38), (11, -59), (19, -59), (19, -38)), wood, 1.0)
    blend_polygon(picture, shape((-30, 0), (-30, -26), (30, -26), (30, 0)), wood, 1.0)
    blend_polygon(picture, shape((-37, -24), (-20, -47), (20, -47), (37, -24)), snow, 1.0)
    blend_polygon(
        picture,
        shape((-37, -24), (-35.5, -26.5), (35.5, -26.5), (37, -24)),
        (0.25, 0.38, 0.48),
        1.0,
    )
    flicker = 0.94 + 0.06 * np.sin(6 * now)
    for offset in (-19, 9):
        window = shape((offset, -7), (offset, -19), (offset + 11, -19), (offset + 11, -7))
        blend_polygon(picture, window, (1.30 * flicker, 0.80 * flicker, 0.34 * flicker), 1.0)
        bars = shape((offset + 5, -7), (offset + 5, -19), (offset + 6.2, -19), (offset + 6.2, -7))
        blend_polygon(picture, bars, wood, 1.0)
        centre = window.mean(axis=0)
        add_glow(
            picture, (centre[0], centre[1]), 30 * SCALE, (0.42 * flicker, 0.20 * flicker, 0.05)
        )
        add_glow(picture, (centre[0], centre[1] + 18 * SCALE), 26 * SCALE, (0.26, 0.13, 0.04))
