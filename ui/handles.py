"""Transform handles as numbers: where they lie on the picture, what a drag of one makes."""

from dataclasses import dataclass
from math import atan2, cos, degrees, hypot, radians, sin

import msgspec
from PySide6.QtCore import QPointF, QRectF

from engine.timeline.model import Transform

GRAB = 8.0  # pixels round a handle
STEM = 24.0  # from the top edge to the knob that turns
CORNERS = ("top_left", "top_right", "bottom_right", "bottom_left")


@dataclass(frozen=True)
class Box:
    """The selected picture on the screen: its middle, half sides, and turn in degrees.

    `stem`: how far above the top edge the knob that turns lies; negative: below it.
    """

    centre: QPointF
    half_width: float
    half_height: float
    turn: float
    stem: float = STEM

    def at(self, x: float, y: float) -> QPointF:
        """The point `x`, `y` half sides from the middle, turned along."""
        return self.turned(x * self.half_width, y * self.half_height)

    def turned(self, dx: float, dy: float) -> QPointF:
        angle = radians(self.turn)
        return QPointF(
            self.centre.x() + dx * cos(angle) - dy * sin(angle),
            self.centre.y() + dx * sin(angle) + dy * cos(angle),
        )

    def corners(self) -> list[QPointF]:
        """From the top left clockwise."""
        return [self.at(-1, -1), self.at(1, -1), self.at(1, 1), self.at(-1, 1)]

    def knob(self) -> QPointF:
        return self.turned(0, -self.half_height - self.stem)


def box(transform: Transform, width: int, height: int, frame: QRectF) -> Box:
    """Where a picture of `width` x `height` lies when the sequence's frame fills `frame`."""
    kept_width = max(1.0, width * (1 - transform.crop_left - transform.crop_right))
    kept_height = max(1.0, height * (1 - transform.crop_top - transform.crop_bottom))
    fit = min(frame.width() / kept_width, frame.height() / kept_height) * transform.scale
    centre = QPointF(
        frame.left() + frame.width() * (0.5 + transform.x),
        frame.top() + frame.height() * (0.5 + transform.y),
    )
    return Box(centre, kept_width * fit / 2, kept_height * fit / 2, transform.rotation)


def hit(shape: Box, at: QPointF) -> str:
    """What a press at `at` takes: a corner's name, "turn", "move", or "" for nothing."""
    if _distance(shape.knob(), at) <= GRAB:
        return "turn"
    for name, corner in zip(CORNERS, shape.corners(), strict=True):
        if max(abs(corner.x() - at.x()), abs(corner.y() - at.y())) <= GRAB:
            return name
    angle = radians(-shape.turn)
    dx, dy = at.x() - shape.centre.x(), at.y() - shape.centre.y()
    along, across = dx * cos(angle) - dy * sin(angle), dx * sin(angle) + dy * cos(angle)
    inside = abs(along) <= shape.half_width and abs(across) <= shape.half_height
    return "move" if inside else ""


def dragged(
    grip: str,
    start: Transform,
    shape: Box,
    frame: QRectF,
    press: QPointF,
    now: QPointF,
    *,
    snapped: bool = True,
) -> Transform:
    """The transform after dragging `grip` from `press` to `now`.

    Snapped: a move keeps to the frame's middle, a turn to whole 15 degrees within 2.
    """
    if grip == "move":
        x = start.x + (now.x() - press.x()) / frame.width()
        y = start.y + (now.y() - press.y()) / frame.height()
        if snapped:
            x = 0.0 if abs(x) * frame.width() < 6 else x
            y = 0.0 if abs(y) * frame.height() < 6 else y
        return msgspec.structs.replace(start, x=x, y=y)
    if grip == "turn":
        turn = start.rotation + degrees(_angle(shape.centre, now) - _angle(shape.centre, press))
        turn = (turn + 180) % 360 - 180
        nearest = round(turn / 15) * 15
        if snapped and abs(turn - nearest) < 2:
            turn = float(nearest)
        return msgspec.structs.replace(start, rotation=turn)
    before = max(1.0, _distance(shape.centre, press))
    scale = start.scale * _distance(shape.centre, now) / before
    if snapped and abs(scale - 1) < 0.02:
        scale = 1.0
    return msgspec.structs.replace(start, scale=min(20.0, max(0.01, scale)))


def _distance(one: QPointF, other: QPointF) -> float:
    return hypot(one.x() - other.x(), one.y() - other.y())


def _angle(centre: QPointF, at: QPointF) -> float:
    return atan2(at.y() - centre.y(), at.x() - centre.x())
