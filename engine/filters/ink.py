"""Restyle «ink»: pen lines and hatching on tinted paper."""

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
    grid,
    luma,
    quantised,
    resized,
    saturated,
    shrunk,
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

LINES, TONE, SLIDE = 0, 1, 2  # channels of the plate; SLIDE is two: how far hatching went along
CRISP = 0.25  # of hatching, by its spacing in pixels: harder lines flicker as they glide along
RELAXED = 0.01  # share of the hatching's distortion that goes back in each picture
CALM = 6.0  # pixels at 360 lines within which hatching moves as one


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
        self.keep = np.array([1, 1, 0, 0] if shading == "hatch" else [1, 1], np.float32)

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
            channels += [np.zeros_like(grey), np.zeros_like(grey)]
        return np.dstack(channels)

    def settled(self, plate: Field, moved: Motion) -> Field:
        """The carried plate; its hatching has gone where the shapes went, and lies calm.

        What comes into sight takes up the hatching beside it.
        """
        if self._shading == "hatch":
            height, width = plate.shape[:2]
            x, y = grid(width, height)
            slide = plate[:, :, SLIDE:] + np.dstack((moved.across - x, moved.down - y))
            small = max(1, width // 4), max(1, height // 4)
            near = np.maximum(shrunk(moved.trust, *small), 0.002)[:, :, None]
            calm = max(1.0, CALM * unit_of(width, height) / 4)
            spread = blurred(near, calm)[:, :, None]
            mean = blurred(shrunk(slide, *small) * near, calm) / spread
            whole = mean.mean(axis=(0, 1), keepdims=True)
            mean = whole + (mean - whole) * np.float32(1 - RELAXED)
            plate[:, :, SLIDE:] = enlarged(mean, width, height, smooth=False)
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
            slide = field[:, :, SLIDE:]
            scale = plate.shape[1] / width
            period = self._period(plate.shape[1], plate.shape[0])
            crisp = min(max(CRISP * period / scale, 1.2), 3.0)
            for angle, darkest in LAYERS:
                pattern = self._hatched(slide, angle, scale, period)
                stripes = self._stripes(pattern, light, darkest, crisp)
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

    def _period(self, width: int, height: int) -> float:
        """From one line of hatching to the next, in pixels of a plate of this size."""
        return max(2.6, (1.7 + 0.95 * self._spacing) * unit_of(width, height))

    def _hatched(self, slide: Field, angle: float, scale: float, period: float) -> Field:
        """Hatching lines as waves from -1 to 1, a little unsteady as if drawn by hand.

        `scale`: pixels of the plate, in which `slide` counts, in one of the picture.
        """
        height, width = slide.shape[:2]
        x, y = grid(width, height)
        x, y = x * np.float32(scale) + slide[:, :, 0], y * np.float32(scale) + slide[:, :, 1]
        turn = np.deg2rad(angle)
        lies = np.float32(np.cos(turn) / period), np.float32(np.sin(turn) / period)
        along, across = x * lies[0] + y * lies[1], y * lies[0] - x * lies[1]
        sway = np.sin(along * np.float32(0.31) + across * np.float32(0.17))
        sway += np.sin(along * np.float32(0.13) - across * np.float32(0.41))
        return np.asarray(np.cos((across + sway * np.float32(0.1)) * np.float32(2 * np.pi)))


def _evened(grey: Field) -> Field:
    """Brightness stretched so that the darkest and lightest twentieths reach black and white."""
    small = cv2.resize(grey, (96, 54), interpolation=cv2.INTER_AREA)
    low, high = np.percentile(small, (4.0, 96.0))
    spread = max(float(high - low), 0.25)
    return np.asarray((grey - np.float32(low)) / np.float32(spread) * 0.96 + 0.02, np.float32)
