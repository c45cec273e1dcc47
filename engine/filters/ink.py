"""Restyle «ink»: pen lines and hatching on tinted paper."""

import cv2
import numpy as np

from engine.filters.flow import Motion
from engine.filters.hatch import Hatching
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
from engine.filters.strokes import run_of

LONG_SIDE = 1280  # lines are found at this size at most, and drawn at the picture's own

INKS = {"black": (0.09, 0.09, 0.11), "sepia": (0.27, 0.15, 0.07), "blue": (0.08, 0.14, 0.38)}
PAPERS = {
    "white": (0.985, 0.985, 0.98),
    "cream": (0.965, 0.935, 0.865),
    "grey": (0.83, 0.83, 0.82),
    "blue": (0.84, 0.90, 0.95),
}

# The layers of a hatched drawing: direction in degrees, and the tone below which each is drawn.
LAYERS = ((-45.0, 0.62), (38.0, 0.34))

LINES, TONE, STROKES = 0, 1, 2  # channels of the plate; STROKES: two for each layer
LASTING = 0.5  # power of the share of strokes that is carried: they last longer than tones
CRISPER = 0.06  # of lines and tones: being moved again and again softens them
CRISP = 0.2  # of hatching, by its spacing in pixels: harder lines flicker as they glide along


class Ink:
    """A drawing of each picture. The plate: what lines, tone and hatching are drawn from."""

    def __init__(
        self,
        *,
        line: float,
        detail: float,
        shading: str,
        tone: float,
        spacing: float,
        colour: float,
        ink: str,
        paper: str,
    ) -> None:
        """Percentages come as 0..1; `line` and `spacing` are 1 to 10."""
        self._line = line
        self._detail = detail
        self._shading = shading
        self._tone = tone
        self._hatching = Hatching(tuple(angle for angle, _ in LAYERS), spacing)
        self._colour = colour
        self._ink = np.array(INKS[ink], np.float32)
        self._paper = np.array(PAPERS[paper], np.float32)
        strokes = 2 * len(LAYERS) if shading == "hatch" else 0
        self.keep = np.array([1, 1] + [LASTING] * strokes, np.float32)
        self.shown = slice(TONE, TONE + 1)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Of the plates for pictures of this size."""
        return fitted(width, height, LONG_SIDE)

    def plate(self, picture: Picture) -> Field:
        """What one picture's drawing is made from, by itself."""
        height, width = picture.shape[:2]
        width, height = self.size(width, height)
        unit = unit_of(width, height)
        grey = luma(floated(resized(picture, width, height)))
        calm = blurred(grey, 0.6)
        pen = max(0.8, 0.5 * self._line * unit)
        lines = line_field(calm, run_of(calm, 1.2 + 0.8 * pen), pen)
        tone = blurred(_evened(grey), 1.6 * unit)
        channels = [lines * np.float32(10), tone]
        if self._shading == "hatch":
            channels.append(self._hatching.laid(grey))
        return np.dstack(channels)

    def settled(self, plate: Field, moved: Motion) -> Field:
        """The carried plate, a little sharper; strokes of hatching as far along as the shapes."""
        drawn = plate[:, :, :STROKES]
        plate[:, :, :STROKES] = drawn + (drawn - blurred(drawn, 0.9)) * np.float32(CRISPER)
        if self._shading == "hatch":
            plate[:, :, STROKES:] = self._hatching.carried(plate[:, :, STROKES:], moved)
        return plate

    def finish(self, plate: Field, picture: Picture) -> Picture:
        """The drawing at the size of the picture."""
        height, width = picture.shape[:2]
        field = enlarged(plate[:, :, :STROKES], width, height)
        faint = 0.30 * (1 - self._detail) ** 2 + 0.012
        cover = smoothstep(faint * 0.45, faint * 1.35 + 0.02, -field[:, :, LINES])
        light = field[:, :, TONE]
        if self._shading == "wash":
            cover = np.maximum(cover, self._washed(light))
        elif self._shading == "hatch":
            period = self._hatching.period(width, height)
            crisp = min(max(CRISP * period, 1.2), 3.0)
            waves = self._hatching.waves(plate[:, :, STROKES:], width, height)
            for wave, (_, darkest) in zip(waves, LAYERS, strict=True):
                stripes = self._stripes(wave, light, darkest, crisp)
                cover = 1 - (1 - cover) * (1 - np.float32(0.85) * stripes)
            black = 0.05 + 0.12 * self._tone
            cover = np.maximum(cover, 1 - smoothstep(black * 0.3, black, light))
        ground = self._paper[None, None, :]
        if self._colour > 0:
            wash = saturated(floated(picture), 1.25)
            wash = wash * np.float32(0.75) + np.float32(0.25)
            ground = ground * (1 + (wash - 1) * np.float32(self._colour))
        return quantised(ground + (self._ink - ground) * cover[:, :, None])

    def _washed(self, light: Field) -> Field:
        """Three thinned tones of ink, one over the other."""
        reach = 0.25 + 0.75 * self._tone
        total = np.zeros_like(light)
        for edge in (0.75, 0.48, 0.24):
            total += 1 - smoothstep(edge * reach - 0.035, edge * reach + 0.035, light)
        return np.asarray(total * np.float32(0.1 + 0.16 * self._tone), np.float32)

    def _stripes(self, pattern: Field, light: Field, darkest: float, crisp: float) -> Field:
        """One layer of hatching: its lines swell as the tone falls below `darkest`."""
        edge = darkest * (0.35 + 1.15 * self._tone)
        depth = np.clip((edge - light) / max(edge, 0.05), 0, 1)
        threshold = np.float32(0.98) - np.float32(1.25) * np.sqrt(depth)
        ramp = np.clip((pattern - threshold) * np.float32(crisp), 0, 1)
        return np.asarray(ramp * smoothstep(0.0, 0.12, depth), np.float32)


def _evened(grey: Field) -> Field:
    """Brightness stretched so that the darkest and lightest twentieths reach black and white."""
    small = cv2.resize(grey, (96, 54), interpolation=cv2.INTER_AREA)
    low, high = np.percentile(small, (4.0, 96.0))
    spread = max(float(high - low), 0.25)
    return np.asarray((grey - np.float32(low)) / np.float32(spread) * 0.96 + 0.02, np.float32)
