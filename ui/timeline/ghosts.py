"""Clips that jobs still make, at the places where they will land: no clips of the project yet."""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QImage

from engine.timeline.time import Time
from ui.timeline.geometry import TOP, Row, coming_id

if TYPE_CHECKING:
    from ui.timeline.scene import Scene


@dataclass(frozen=True)
class Ghost:
    """One clip to be. `id`: of its job. `start` and `length` in seconds of the sequence.

    `track`: "" where a new track will be made for it; `coming` then counts these, 1 for the first
    above those that are there. `note`: «waiting», in place of the percent of `fraction`.
    `picture`: the latest preview, None before there is one.
    """

    id: str
    title: str
    start: Time
    length: Fraction
    track: str = ""
    coming: int = 0
    fraction: float = 0.0
    note: str = ""
    subject: str = ""
    picture: QImage | None = None

    @property
    def end(self) -> Time:
        return self.start + self.length

    @property
    def words(self) -> str:
        """«Text to video 42 %», «Text to video · waiting»."""
        if self.note:
            return f"{self.title} · {self.note}"
        return f"{self.title} {round(self.fraction * 100)} %"


def ghost_row(scene: "Scene", ghost: Ghost) -> Row | None:
    """The row it stands in; None where its track is gone."""
    if ghost.track:
        return scene.row(ghost.track)
    return next((one for one in scene.coming if one.track_id == coming_id(ghost.coming)), None)


def ghost_area(scene: "Scene", ghost: Ghost) -> QRectF | None:
    """Where it lies on the canvas; None where it is not."""
    row = ghost_row(scene, ghost)
    if row is None:
        return None
    left, right = scene.scale.x(ghost.start), scene.scale.x(ghost.end)
    top = TOP - scene.scroll_y + row.clip_top
    return QRectF(left, top, right - left, row.clip_height)


def ghost_at(scene: "Scene", spot: QPointF) -> Ghost | None:
    """The ghost under a point of the canvas."""
    if spot.y() < TOP:
        return None
    areas = ((one, ghost_area(scene, one)) for one in reversed(scene.ghosts))
    return next((one for one, area in areas if area is not None and area.contains(spot)), None)
