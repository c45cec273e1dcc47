"""Restyle «cartoon»: flat colours and dark outlines."""

import cv2
import numpy as np

from engine.filters.flow import Motion
from engine.filters.lines import line_field
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
    smoothstep,
    unit_of,
)
from engine.filters.strokes import brushed, run_of

LONG_SIDE = 1280  # drawn at this size at most; edges are made crisp at the full size

LINES = 3  # channel of the plate, after red, green and blue
CLEAN = 0.9  # width of the step that makes carried edges crisp again; 1 hardly would
CRISPER = 0.06  # of each carried plate: being moved again and again softens it


class Cartoon:
    """A cartoon of each picture. The plate: colours in steps, and how far lines cover them.

    Steps and lines are carried, rather than what they come from: noise that the steps made large
    would stay in what is drawn from a carried source.
    """

    def __init__(
        self,
        *,
        flatness: float,
        colours: int,
        softness: float,
        outline: float,
        line: float,
        detail: float,
        colour: float,
    ) -> None:
        """Percentages come as 0..1 (colour to 2); `line` is 1 to 10."""
        self._flatness = flatness
        self._colours = colours
        self._softness = softness
        self._outline = outline
        self._line = line
        self._detail = detail
        self._colour = colour
        self.keep = np.ones(4, np.float32)
        self.shown = slice(0, LINES)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Of the plates for pictures of this size."""
        return fitted(width, height, LONG_SIDE)

    def plate(self, picture: Picture) -> Field:
        """What one picture's cartoon is made from, by itself."""
        height, width = picture.shape[:2]
        width, height = self.size(width, height)
        unit = unit_of(width, height)
        small = resized(picture, width, height)
        calm = floated(np.asarray(cv2.bilateralFilter(small, 5, 40.0, 3.0), np.uint8))
        grey = luma(calm)
        pen = max(0.8, 0.5 * self._line * unit)
        run = run_of(blurred(grey, 0.8), 1.2 + 0.8 * pen)
        lines = line_field(grey, run, pen)
        flat = calm
        if self._flatness > 0:
            radius = max(1.0, (0.8 + 5.2 * self._flatness) * unit)
            flat = brushed(calm, run, radius, 0.5)
        faint = 0.30 * (1 - self._detail) ** 2 + 0.03
        cover = smoothstep(faint * 0.5, faint * 1.3 + 0.02, lines * np.float32(-10))
        blend = 0.04 + 0.92 * self._softness
        return np.dstack((self._stepped(np.clip(flat, 0, 1), blend), cover))

    def settled(self, plate: Field, moved: Motion) -> Field:
        """The carried plate, a little sharper."""
        return np.asarray(plate + (plate - blurred(plate, 0.9)) * np.float32(CRISPER), np.float32)

    def finish(self, plate: Field, picture: Picture) -> Picture:
        """The cartoon at the size of the picture."""
        height, width = picture.shape[:2]
        field = enlarged(plate, width, height)
        colours = self._stepped(np.clip(field[:, :, :LINES], 0, 1), CLEAN)
        cover = smoothstep(0.5 - CLEAN / 2, 0.5 + CLEAN / 2, field[:, :, LINES])
        ink = 1 - cover * np.float32(self._outline)
        return quantised(saturated(colours, self._colour) * ink[:, :, None])

    def _stepped(self, rgb: Field, width: float) -> Field:
        """RGB whose brightness takes few values; the steps between are `width` of one wide."""
        light = np.sqrt(np.maximum(luma(rgb), 1e-5))
        levels = light * np.float32(self._colours)
        below = np.floor(levels)
        rise = smoothstep(0.5 - width / 2, 0.5 + width / 2, levels - below)
        stepped = (below + rise) / np.float32(self._colours)
        gain = np.square(stepped / light)
        return np.asarray(rgb * gain[:, :, None], np.float32)
