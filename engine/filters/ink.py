"""Restyle «ink»: pen lines and hatching on tinted paper."""

import cv2
import numpy as np

from engine.filters.lines import line_field
from engine.filters.pixels import (
    Field,
    Picture,
    blurred,
    enlarged,
    fitted,
    floated,
    grid,
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
LAYERS = ((-48.0, 0.62), (-42.0, 0.40), (38.0, 0.22))

LINES, TONE, HATCH = 0, 1, 2  # channels of the plate; hatching takes the rest
HATCH_KEEP = 0.2  # the power of the carrying of hatching: it must ride on the shapes
LEAST_HEIGHT = 0.6  # of the hatching's waves: what moving wears down further is given back,
MOST_RESTORED = 1.3  # in steps of so much at most


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
        self._spacing = spacing
        self._colour = colour
        self._ink = np.array(INKS[ink], np.float32)
        self._paper = np.array(PAPERS[paper], np.float32)
        self._pattern: Field | None = None
        self._reach = 9  # pixels, more than two lines of hatching
        layers = len(LAYERS) if shading == "hatch" else 0
        self.keep = np.array([1.0, 1.0] + [HATCH_KEEP] * layers, np.float32)

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
            pattern = self._hatched(width, height, unit)
            channels += [pattern[:, :, i] for i in range(len(LAYERS))]
        return np.dstack(channels)

    def settled(self, plate: Field) -> Field:
        """The carried plate with the hatching's contrast restored, which moving wears down."""
        if self._shading == "hatch":
            worn = plate[:, :, HATCH:]
            height = np.sqrt(2 * cv2.blur(worn * worn, (self._reach, self._reach)))
            plate[:, :, HATCH:] = worn * np.clip(LEAST_HEIGHT / (height + 0.02), 1.0, MOST_RESTORED)
        return plate

    def finish(self, plate: Field, picture: Picture) -> Picture:
        """The drawing at the size of the picture."""
        height, width = picture.shape[:2]
        field = enlarged(plate, width, height)
        faint = 0.30 * (1 - self._detail) ** 2 + 0.012
        cover = smoothstep(faint * 0.45, faint * 1.35 + 0.02, -field[:, :, LINES])
        light = field[:, :, TONE]
        if self._shading == "wash":
            cover = np.maximum(cover, self._washed(light))
        elif self._shading == "hatch":
            for layer, (_, darkest) in enumerate(LAYERS):
                stripes = self._stripes(field[:, :, HATCH + layer], light, darkest)
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

    def _stripes(self, pattern: Field, light: Field, darkest: float) -> Field:
        """One layer of hatching: its lines swell as the tone falls below `darkest`."""
        edge = darkest * (0.35 + 1.15 * self._tone)
        depth = np.clip((edge - light) / max(edge, 0.05), 0, 1)
        threshold = np.float32(0.98) - np.float32(1.25) * np.sqrt(depth)
        ramp = np.clip((pattern - threshold) * np.float32(2.2), 0, 1)
        return np.asarray(ramp * smoothstep(0.0, 0.12, depth), np.float32)

    def _hatched(self, width: int, height: int, unit: float) -> Field:
        """(h, w, layers): hatching lines as waves from -1 to 1, a little unsteady as by hand."""
        pattern = self._pattern
        if pattern is None or pattern.shape[:2] != (height, width):
            x, y = grid(width, height)
            period = max(3.0, (1.4 + 0.7 * self._spacing) * unit)
            waves = []
            for number, (angle, _) in enumerate(LAYERS):
                noise = np.random.default_rng(number).standard_normal((height, width))
                sway = blurred(noise.astype(np.float32), 9 * unit)
                sway *= np.float32(0.09 * period) / sway.std()
                radians = np.deg2rad(angle)
                across = -np.sin(radians) * x + np.cos(radians) * y + sway
                waves.append(np.cos(across * np.float32(2 * np.pi / period)))
            pattern = np.dstack(waves).astype(np.float32)
            self._pattern = pattern
            self._reach = 2 * round(1.2 * period) + 1
        return pattern


def _evened(grey: Field) -> Field:
    """Brightness stretched so that the darkest and lightest twentieths reach black and white."""
    small = cv2.resize(grey, (96, 54), interpolation=cv2.INTER_AREA)
    low, high = np.percentile(small, (4.0, 96.0))
    spread = max(float(high - low), 0.25)
    return np.asarray((grey - np.float32(low)) / np.float32(spread) * 0.96 + 0.02, np.float32)
