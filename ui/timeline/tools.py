"""Which gesture a press begins, by tool and place; the pointer's shape; the keys' meanings."""

from PySide6.QtCore import Qt

from engine.errors import EditError
from engine.timeline import edits
from engine.timeline.edits import Edge
from engine.timeline.model import Clip
from engine.timeline.time import ZERO, Time
from ui.timeline.geometry import RULER, Row
from ui.timeline.gestures import (
    CANCEL,
    NO_SNAPPING,
    Gesture,
    Hints,
    Move,
    Pointer,
    Range,
    Rubber,
    Scrub,
    refusal,
)
from ui.timeline.hits import Hit, Zone
from ui.timeline.scene import NOTHING, Preview, Scene
from ui.timeline.snapping import snap_points
from ui.timeline.trims import DissolveLength, Fade, Trim

SELECT, RAZOR, RIPPLE = "select", "razor", "ripple"
EDGES = {Zone.HEAD: Edge.HEAD, Zone.TAIL: Edge.TAIL}
FADES = {Zone.FADE_IN: Edge.HEAD, Zone.FADE_OUT: Edge.TAIL}
BAND = 6  # height of the part of the ruler where in and out are grabbed
BRACKET = 6


class Razor(Gesture):
    """Splits where it is let go: the clip under it with its links, with Shift all open tracks."""

    hints = (("Shift", "all tracks"), NO_SNAPPING, CANCEL)

    def __init__(self, scene: Scene, press: Pointer, clip: Clip | None) -> None:
        super().__init__(scene, press)
        self._clip = clip
        self._points = snap_points(self.base, scene.playhead)

    def at(self, pointer: Pointer) -> Time:
        at = max(ZERO, self.frames(pointer.seconds))
        found = self.catch((at,), self._points, pointer)
        return at if found is None else found.point

    def update(self, pointer: Pointer) -> Preview:
        at = self.at(pointer)
        ids: frozenset[str] | None = None
        if not pointer.shift:
            if self._clip is None:
                self._edit = None
                return NOTHING
            ids = frozenset((self._clip.id,))
            if self.scene.linked:
                ids = edits.with_links(self.base, ids)
        after = self.try_edit("Split", lambda sequence: edits.split(sequence, at, ids))
        if isinstance(after, EditError):
            return refusal(after)
        return Preview(sequence=after, snap=at)


def gesture_in_tracks(scene: Scene, under: Hit, pointer: Pointer) -> Gesture | None:
    """What a press on the tracks begins, once the pointer has moved (the razor: at once)."""
    clip = scene.actual.clip(under.clip) if under.clip else None
    if scene.tool == RAZOR:
        return Razor(scene, pointer, clip) if clip is not None or pointer.shift else None
    if clip is None:
        return Rubber(scene, pointer)
    if under.zone in (Zone.DISSOLVE_HEAD, Zone.DISSOLVE_TAIL):
        return DissolveLength(scene, pointer, under.clip, under.transition)
    if under.zone in EDGES:
        return Trim(scene, pointer, clip, EDGES[under.zone], scene.tool == RIPPLE)
    if under.zone in FADES:
        return Fade(scene, pointer, clip, FADES[under.zone])
    ids = scene.selection if clip.id in scene.selection else frozenset((clip.id,))
    if scene.linked:
        ids = edits.with_links(scene.actual, ids)
    return Move(scene, pointer, clip, ids)


def gesture_in_ruler(scene: Scene, x: float, y: float, pointer: Pointer) -> Gesture:
    """In and out where they are grabbed, a new span with Shift, else the playhead."""
    part = range_part(scene, x, y)
    if part or pointer.shift:
        return Range(scene, pointer, part or "new")
    return Scrub(scene, pointer)


def range_part(scene: Scene, x: float, y: float) -> str:
    """«in», «out» or «both» of what lies under the pointer in the ruler, or nothing."""
    area = scene.actual.work_area
    if area is None or not 0 <= y < RULER:
        return ""
    left, right = scene.scale.x(area.start), scene.scale.x(area.end)
    grab = min(BRACKET, (right - left) / 3)
    if left - 2 <= x < left + grab:
        return "in"
    if right - grab <= x < right + 2:
        return "out"
    return "both" if left < x < right and y < BAND else ""


def cursor(scene: Scene, under: Hit) -> Qt.CursorShape:
    """The pointer's shape over the tracks."""
    if scene.tool == RAZOR:
        return Qt.CursorShape.SplitHCursor if under.clip else Qt.CursorShape.ArrowCursor
    edges = (Zone.HEAD, Zone.TAIL, Zone.DISSOLVE_HEAD, Zone.DISSOLVE_TAIL)
    if under.zone in edges:
        return Qt.CursorShape.SizeHorCursor
    if under.zone in FADES:
        return Qt.CursorShape.PointingHandCursor
    return Qt.CursorShape.ArrowCursor


def hints(scene: Scene, under: Hit, row: Row | None) -> Hints:
    """What the modifier keys would do where the pointer is."""
    if scene.tool == RAZOR:
        return (("Shift", "split all tracks"), NO_SNAPPING)
    if under.zone in EDGES:
        if scene.tool == RIPPLE:
            return (NO_SNAPPING,)
        return (NO_SNAPPING, ("Shift", "ripple trim"))
    if under.zone is Zone.CLIP:
        return (("Shift", "add to the selection"), ("Ctrl", "add or take away; insert on a drag"))
    if row is not None:
        return (("Ctrl", "zoom with the wheel"), ("Shift", "scroll tracks with the wheel"))
    return ()
