"""Image to video «camera-move»: a camera glides over one still picture."""

from math import cos, hypot, log, pi, sin
from typing import NamedTuple

import cv2
import numpy as np

from engine.filters.pixels import Picture, premultiplied, resized, straightened

TILT = 0.03  # radians that a sway leans at an amount of 1


class View(NamedTuple):
    """What the camera sees: its centre as parts of the picture's width and height, `zoom` (1 is
    the whole picture) and `tilt` in radians clockwise."""

    x: float
    y: float
    zoom: float
    tilt: float = 0.0


class CameraMove:
    """The frames of a move over a picture, (height, width) each, by number."""

    def __init__(
        self,
        picture: Picture,
        width: int,
        height: int,
        frames: int,
        *,
        move: str,
        amount: float,
        easing: str,
        loop: bool,
        focus_x: float,
        focus_y: float,
    ) -> None:
        """`amount` and the focus come as 0..1 (amount to 2)."""
        self._size = (width, height)
        self._frames = frames
        self._move = move
        self._amount = amount
        self._easing = easing
        self._loop = loop
        self._focus = (focus_x, focus_y)
        self._has_alpha = picture.shape[2] == 4
        # Larger than what the closest view needs would only alias.
        closest = max(self.view(number).zoom for number in range(frames))
        most_width, most_height = round(width * closest), round(height * closest)
        if picture.shape[1] > most_width and picture.shape[0] > most_height:
            picture = resized(premultiplied(picture), most_width, most_height)
        else:
            picture = premultiplied(picture)
        self._picture = picture

    def view(self, number: int) -> View:
        """Where the camera is in frame `number`."""
        if self._loop:
            along = number / self._frames
            part = self._eased(1 - abs(2 * along - 1))
        else:
            along = number / max(1, self._frames - 1)
            part = self._eased(along)
        zoom = 1 + self._amount
        if self._move == "sway":
            return self._sway(part, along)
        if self._move in ("push-in", "pull-out"):
            part = part if self._move == "push-in" else 1 - part
            # Equal steps of zoom look equally fast when each multiplies.
            return self._held(zoom**part, *self._focus)
        left, top = self._focus
        match self._move:
            case "pan-left":
                left = 1 - part
            case "pan-right":
                left = part
            case "pan-up":
                top = 1 - part
            case "pan-down":
                top = part
            case _:
                left = top = part
        return self._held(zoom, left, top)

    def frame(self, number: int) -> Picture:
        """Frame `number`, (height, width, 3 or 4)."""
        width, height = self._size
        rows, columns = self._picture.shape[:2]
        view = self.view(number)
        # One scale for both axes would show bars where rounding to even sizes changed the shape.
        across, down = columns / width / view.zoom, rows / height / view.zoom
        c, s = cos(view.tilt), sin(view.tilt)
        middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
        matrix = np.array(
            [
                [across * c, -across * s, view.x * columns - 0.5],
                [down * s, down * c, view.y * rows - 0.5],
            ]
        )
        matrix[:, 2] -= matrix[:, :2] @ np.array([middle_x, middle_y])
        source = self._picture
        coarse = max(across, down)
        if coarse > 1.02:  # the picture is finer than the frame here: averaged, without a jump
            source = np.asarray(
                cv2.GaussianBlur(source, (0, 0), 0.5 * (coarse * coarse - 1) ** 0.5), np.uint8
            )
        frame = cv2.warpAffine(
            source,
            matrix,
            (width, height),
            flags=cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return straightened(np.asarray(frame, np.uint8))

    def _eased(self, along: float) -> float:
        match self._easing:
            case "smooth":
                return (1 - cos(pi * along)) / 2
            case "ease-in":
                return along * along
            case "ease-out":
                return 1 - (1 - along) ** 2
            case _:
                return along

    def _held(self, zoom: float, left: float, top: float) -> View:
        """The view that has `left` of the spare width to its left and `top` above it."""
        spare = 1 - 1 / zoom
        return View(left * spare + 0.5 / zoom, top * spare + 0.5 / zoom, zoom)

    def _sway(self, part: float, along: float) -> View:
        """Round a flat ellipse and leaning into it; a loop goes all the way round."""
        turn = 2 * pi * along if self._loop and self._easing == "smooth" else pi * part
        if self._loop and self._easing != "smooth":
            turn = 2 * pi * (part / 2 if along < 0.5 else 1 - part / 2)
        zoom = 1 + self._amount
        tilt = TILT * self._amount * sin(turn - pi / 2)
        width, height = self._size
        longest = max(width / height, height / width)
        need = cos(tilt) + longest * abs(sin(tilt))
        spare = max(0.0, 1 - need / zoom) / 2
        slow = 1 / hypot(1.0, log(zoom))  # a close view needs less of a way
        x = 0.5 - cos(turn) * spare * slow
        y = 0.5 + sin(turn) * spare * slow * 0.4
        middle_x = (self._focus[0] - 0.5) * 2 * spare * (1 - slow)
        middle_y = (self._focus[1] - 0.5) * 2 * spare * (1 - 0.4 * slow)
        return View(x + middle_x, y + middle_y, zoom, tilt)
