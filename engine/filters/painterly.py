"""Restyle «painterly»: brush strokes that follow the shapes, with thick paint in the light."""

import numpy as np

from engine.filters.flow import Motion
from engine.filters.pixels import (
    Field,
    Picture,
    blurred,
    enlarged,
    fitted,
    floated,
    luma,
    quantised,
    resized,
    saturated,
    shrunk,
    smoothstep,
    unit_of,
)
from engine.filters.strokes import Run, along, brushed, paths, run_of

LONG_SIDE = 1280  # painted at this size at most: strokes are broader than what a larger one adds
HALF_SIZE_RADIUS = 5.0  # pixels from which the broad brush paints at half the size


class Painterly:
    """A painting of each picture. The plate that is carried is the painting: (h, w, 3), 0..1."""

    def __init__(
        self,
        *,
        brush: float,
        stroke: float,
        detail: float,
        relief: float,
        colour: float,
        seed: int,
    ) -> None:
        """Percentages come as 0..1 (colour to 2); `brush` is 1 to 10."""
        self._brush = brush
        self._stroke = stroke
        self._detail = detail
        self._relief = relief
        self._colour = colour
        self._seed = seed
        self._grain: Field | None = None
        self.keep = np.ones(3, np.float32)
        self.shown = slice(0, 3)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Of the plates for pictures of this size."""
        return fitted(width, height, LONG_SIDE)

    def plate(self, picture: Picture) -> Field:
        """The painting of one picture, by itself."""
        height, width = picture.shape[:2]
        width, height = self.size(width, height)
        rgb = floated(resized(picture, width, height))
        unit = unit_of(width, height)
        radius = max(1.0, self._brush * unit)
        grey = luma(rgb)
        run = run_of(blurred(grey, 0.4 + 0.25 * radius), 1.0 + 0.7 * radius)
        broad = self._broad(rgb, run, radius)
        painting = broad
        if self._detail > 0:
            fine = brushed(rgb, run, max(1.0, radius * 0.38), 0.6)
            busy = self._busy(grey, radius)
            painting = broad + (fine - broad) * busy[:, :, None]
        ways = paths(run, max(1.0, radius * (0.3 + 2.4 * self._stroke)), 5)
        painting = along(painting, ways)
        painting = painting + (painting - blurred(painting, 0.6 * radius)) * np.float32(0.8)
        marks = along(self._grained(width, height, unit), ways)
        return self._lit(saturated(painting, self._colour), marks, run)

    def settled(self, plate: Field, moved: Motion) -> Field:
        """The carried painting, a little sharper: being moved again and again softens it."""
        return np.asarray(plate + (plate - blurred(plate, 0.9)) * np.float32(0.06), np.float32)

    def finish(self, plate: Field, picture: Picture) -> Picture:
        """The painting at the size of the picture."""
        height, width = picture.shape[:2]
        return quantised(enlarged(plate, width, height))

    def _broad(self, rgb: Field, run: Run, radius: float) -> Field:
        """The painting with the broad brush; at half the size where nobody can tell."""
        reach = 0.2 + 1.6 * self._stroke
        if radius < HALF_SIZE_RADIUS:
            return brushed(rgb, run, radius, reach)
        height, width = run.x.shape
        half_width, half_height = max(1, width // 2), max(1, height // 2)
        half = brushed(
            shrunk(rgb, half_width, half_height),
            Run(
                shrunk(run.x, half_width, half_height, by_mean=False),
                shrunk(run.y, half_width, half_height, by_mean=False),
                shrunk(run.firmness, half_width, half_height),
            ),
            radius / 2,
            reach,
        )
        return enlarged(half, width, height)

    def _busy(self, grey: Field, radius: float) -> Field:
        """0 where the broad brush is enough, 1 where small things are."""
        fine = np.square(grey - blurred(grey, 0.7 * radius))
        amount = np.sqrt(blurred(fine, 1.2 * radius))
        edge = 0.16 * (1 - self._detail) ** 2 + 0.004
        return smoothstep(edge * 0.5, edge * 1.5 + 0.01, amount)

    def _grained(self, width: int, height: int, unit: float) -> Field:
        """(h, w, 2) noise: fine for bristles, coarse for paint that differs between strokes."""
        grain = self._grain
        if grain is None or grain.shape[:2] != (height, width):
            chance = np.random.default_rng(self._seed)
            noise = chance.standard_normal((height, width, 2)).astype(np.float32)
            fine = blurred(noise[:, :, 0], max(0.55, 0.6 * unit))
            coarse = blurred(noise[:, :, 1], max(0.8, 0.55 * self._brush * unit))
            grain = np.dstack((fine / fine.std(), coarse / coarse.std()))
            self._grain = grain
        return grain

    def _lit(self, painting: Field, marks: Field, run: Run) -> Field:
        """The painting with bristle marks that catch a light from the upper left."""
        marks = marks / np.float32(0.45)
        height = marks[:, :, 0] + np.float32(0.6) * marks[:, :, 1]
        slope = np.zeros_like(height)
        slope[1:-1, 1:-1] = height[2:, 2:] - height[:-2, :-2]
        shade = np.tanh(slope * np.float32(0.5)) * np.float32(0.17 * self._relief)
        tone = marks[:, :, 1] * np.float32(0.06 * self._relief)
        return np.asarray(painting * (1 + shade + tone)[:, :, None], np.float32)
