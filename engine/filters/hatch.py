"""Hatching: even pen strokes that lie where the grain of a picture puts them.

A layer of strokes is a wave, kept as the phase by which it differs from a plain one: the unit
vector (cos, sin) of it, which can be averaged and moved. A layer takes two channels.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from engine.filters.flow import Motion
from engine.filters.pixels import Field, blurred, enlarged, grid, shrunk, unit_of

CALM = 2.0  # pixels at 360 lines within which carried strokes lie alike
SMALLER = 4  # times: the size at which strokes are smoothed
STROKE = 2.0  # reach of the grain that lays a stroke, in spacings
GRAIN = 0.009  # of the paper, which lays strokes where the picture has no grain of its own
RELIEF = 0.003  # of the picture, below which its grain counts for less


class Hatching:
    """Layers of strokes, each at an angle in degrees, `spacing` 1 to 10 apart."""

    def __init__(self, angles: tuple[float, ...], spacing: float) -> None:
        self._turns = tuple(float(np.deg2rad(angle)) for angle in angles)
        self._spacing = spacing
        self._paper: Field | None = None

    def period(self, width: int, height: int) -> float:
        """From one stroke to the next, in pixels of a plate of this size."""
        return (1.7 + 0.95 * self._spacing) * max(1.0, unit_of(width, height))

    def laid(self, grey: Field) -> Field:
        """(h, w, 2 per layer): strokes as one picture by itself lays them.

        The wave of each layer that is strongest in the picture's fine grain: so strokes sit on
        the shapes, and those of a moving thing move with it.
        """
        height, width = grey.shape
        period = self.period(width, height)
        small = max(1, width // SMALLER), max(1, height // SMALLER)
        fine = grey - blurred(grey, 0.7 * period)
        relief = blurred(shrunk(np.square(fine), *small), 2 * period / SMALLER)
        relief = np.sqrt(relief + np.float32(RELIEF**2))
        parts = []
        for cosine, sine in self._plain(width, height, period):
            parts += [shrunk(fine * cosine, *small), -shrunk(fine * sine, *small)]
        near = np.dstack(parts) / relief[:, :, None] + self._grain(*small)
        near = enlarged(blurred(near, STROKE * period / SMALLER), width, height, smooth=False)
        return _merged([_whole(*pair) for pair in _pairs(near)])

    def carried(self, strokes: Field, moved: Motion) -> Field:
        """Strokes read from where they were in the picture before, as they lie in this one."""
        height, width = strokes.shape[:2]
        x, y = grid(width, height)
        across, down = moved.across - x, moved.down - y
        rate = 2 * np.pi / self.period(width, height)
        parts = []
        for (a, b), turn in zip(_pairs(strokes), self._turns, strict=True):
            by = down * np.float32(np.cos(turn) * rate) - across * np.float32(np.sin(turn) * rate)
            c, s = np.cos(by), np.sin(by)
            parts.append((np.asarray(a * c - b * s), np.asarray(a * s + b * c)))
        small = max(1, width // SMALLER), max(1, height // SMALLER)
        near = blurred(shrunk(_merged(parts), *small), CALM * unit_of(width, height) / SMALLER)
        return _merged(
            [_whole(*pair) for pair in _pairs(enlarged(near, width, height, smooth=False))]
        )

    def waves(self, strokes: Field, width: int, height: int) -> list[Field]:
        """Each layer at the size of the picture: 1 amid a stroke, -1 amid two of them."""
        period = self.period(strokes.shape[1], strokes.shape[0]) * width / strokes.shape[1]
        field = enlarged(strokes, width, height, smooth=False)
        plain = self._plain(width, height, period)
        waves = []
        for pair, (cosine, sine) in zip(_pairs(field), plain, strict=True):
            a, b = _whole(*pair)
            waves.append(np.asarray(a * cosine - b * sine, np.float32))
        return waves

    def _plain(self, width: int, height: int, period: float) -> Iterator[tuple[Field, Field]]:
        """The cosine and the sine of each layer's plain wave."""
        rate = 2 * np.pi / period
        for turn in self._turns:
            x = np.arange(width) * (-np.sin(turn) * rate)
            y = np.arange(height) * (np.cos(turn) * rate)
            cx, sx = np.cos(x).astype(np.float32), np.sin(x).astype(np.float32)
            cy, sy = np.cos(y).astype(np.float32)[:, None], np.sin(y).astype(np.float32)[:, None]
            yield cy * cx - sy * sx, sy * cx + cy * sx

    def _grain(self, width: int, height: int) -> Field:
        """Of the paper: noise, the same for every picture."""
        paper = self._paper
        if paper is None or paper.shape[:2] != (height, width):
            chance = np.random.default_rng(1)
            shape = (height, width, 2 * len(self._turns))
            paper = chance.standard_normal(shape, np.float32) * np.float32(GRAIN)
            self._paper = paper
        return paper


def _pairs(strokes: Field) -> list[tuple[Field, Field]]:
    planes = [np.asarray(plane, np.float32) for plane in cv2.split(strokes)]
    return list(zip(planes[::2], planes[1::2], strict=True))


def _whole(a: Field, b: Field) -> tuple[Field, Field]:
    """The vector (a, b) at length 1."""
    share = 1 / (cv2.magnitude(a, b) + np.float32(1e-9))
    return np.asarray(a * share, np.float32), np.asarray(b * share, np.float32)


def _merged(pairs: list[tuple[Field, Field]]) -> Field:
    return np.asarray(cv2.merge([plane for pair in pairs for plane in pair]), np.float32)
