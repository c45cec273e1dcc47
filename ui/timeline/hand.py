"""The pointer over the canvas: selecting, gestures from press to release, hovering."""

from PySide6.QtCore import QObject, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QWidget

from engine.timeline import edits
from engine.timeline.time import Time
from ui.timeline import tools
from ui.timeline.geometry import RULER, TOP, row_at
from ui.timeline.gestures import Gesture, Hints, Move, Pointer, Rubber
from ui.timeline.hits import Hit, Zone, hit
from ui.timeline.scene import NOTHING, Preview, Scene

THRESHOLD = 4  # pixels before a press becomes a drag
EDGE = 24  # where a drag scrolls
SCROLL_MS = 30
FASTEST = 60.0  # pixels a step


def pointer_at(scene: Scene, spot: QPointF, keys: Qt.KeyboardModifier) -> Pointer:
    return Pointer(
        scene.scale.seconds(spot.x()),
        spot.y() - TOP + scene.scroll_y,
        bool(keys & Qt.KeyboardModifier.ShiftModifier),
        bool(keys & Qt.KeyboardModifier.ControlModifier),
        bool(keys & Qt.KeyboardModifier.AltModifier),
    )


class Hand(QObject):
    """Holds what is pressed and the gesture it became; asks for everything, changes nothing."""

    wished = Signal(object)  # Wish
    playhead_requested = Signal(object)
    selection_requested = Signal(object)
    scroll_requested = Signal(float, float)
    preview_changed = Signal(object)
    hover_changed = Signal(object)
    hints_changed = Signal(object)

    def __init__(self, scene: Scene, canvas: QWidget) -> None:
        super().__init__(canvas)
        self.scene = scene
        self.spot = QPointF()  # where the pointer was last
        self._canvas = canvas
        self._gesture: Gesture | None = None
        self._press: tuple[QPointF, Pointer, Hit] | None = None
        self._pan: QPointF | None = None
        self._keys = Qt.KeyboardModifier.NoModifier
        self._hints: Hints = ()
        self._hover = Hit()
        self._blade: tools.Razor | None = None
        self._scroller = QTimer(self)
        self._scroller.setInterval(SCROLL_MS)
        self._scroller.timeout.connect(self._scroll_at_edge)

    @property
    def is_busy(self) -> bool:
        """Whether a gesture is under way."""
        return self._gesture is not None

    def hit(self, spot: QPointF) -> Hit:
        scene = self.scene
        if spot.y() < TOP:
            return Hit()
        y = spot.y() - TOP + scene.scroll_y
        return hit(
            scene.sequence, scene.rows, scene.spans, scene.scale, spot.x(), y, scene.selection
        )

    # From press to release

    def press(self, event: QMouseEvent) -> None:
        spot, keys = event.position(), event.modifiers()
        self.spot, self._keys = spot, keys
        if event.button() is Qt.MouseButton.MiddleButton:
            self._pan = spot
            self._canvas.setCursor(Qt.CursorShape.ClosedHandCursor)
            return
        if event.button() is not Qt.MouseButton.LeftButton or self._press is not None:
            return
        pointer, under = pointer_at(self.scene, spot, keys), self.hit(spot)
        self._press = spot, pointer, under
        if spot.y() < RULER:
            self._begin(tools.gesture_in_ruler(self.scene, spot.x(), spot.y(), pointer))
            self._follow(pointer)
        elif self.scene.tool == tools.RAZOR:
            self._begin(tools.gesture_in_tracks(self.scene, under, pointer))
            self._follow(pointer)
        elif under.clip and under.zone is not Zone.DISSOLVE:
            if under.clip not in self.scene.selection and not pointer.ctrl:
                self.select(under.clip, pointer.shift)
        elif not under.clip and not (pointer.shift or pointer.ctrl):
            self._request_selection(frozenset())

    def move(self, event: QMouseEvent) -> None:
        spot, keys = event.position(), event.modifiers()
        self.spot, self._keys = spot, keys
        if self._pan is not None:
            moved = self._pan - spot
            self._pan = spot
            self.scroll_requested.emit(moved.x(), moved.y())
        elif self._press is None:
            self.hover(spot)
        elif self._gesture is None:
            start, pointer, under = self._press
            if (spot - start).manhattanLength() >= THRESHOLD:
                self._begin(tools.gesture_in_tracks(self.scene, under, pointer))
                self._follow(pointer_at(self.scene, spot, keys))
        else:
            self._follow(pointer_at(self.scene, spot, keys))

    def release(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.MiddleButton:
            self._pan = None
            self.hover(event.position())
            return
        if event.button() is not Qt.MouseButton.LeftButton or self._press is None:
            return
        _, pointer, under = self._press
        gesture = self._gesture
        self._end()
        if gesture is not None:
            wish = gesture.wish()
            if wish is not None:
                self.wished.emit(wish)
        elif under.clip and under.zone is not Zone.DISSOLVE:
            self._click(under.clip, pointer)
        self.hover(event.position())

    def keys_changed(self, keys: Qt.KeyboardModifier) -> None:
        """A modifier was pressed or let go: the gesture may mean something else now."""
        self._keys = keys
        if self._gesture is not None:
            self._follow(pointer_at(self.scene, self.spot, keys))

    def cancel(self) -> bool:
        """Puts back what a gesture shows; says whether there was one."""
        gesture = self._gesture
        if gesture is None:
            return False
        self._end()
        if isinstance(gesture, Rubber):
            self._request_selection(gesture.before)
        self.hover(self.spot)
        return True

    def _begin(self, gesture: Gesture | None) -> None:
        self._gesture = gesture
        if gesture is None:
            return
        if isinstance(gesture, Move):
            clip = self._press[2].clip if self._press else ""
            if clip not in self.scene.selection:
                self.select(clip, False)
            self._canvas.setCursor(Qt.CursorShape.ClosedHandCursor)
        self.say(gesture.hints)
        self._scroller.start()

    def _follow(self, pointer: Pointer) -> None:
        """Shows what the gesture makes of where the pointer is."""
        gesture = self._gesture
        if gesture is None:
            return
        self.preview_changed.emit(gesture.update(pointer))
        if gesture.playhead is not None and gesture.playhead != self.scene.playhead:
            self.playhead_requested.emit(gesture.playhead)
        if gesture.selection is not None:
            self._request_selection(gesture.selection)

    def _end(self) -> None:
        self._gesture = None
        self._press = None
        self._scroller.stop()
        self.preview_changed.emit(NOTHING)

    def _scroll_at_edge(self) -> None:
        x, width = self.spot.x(), self._canvas.width()
        over = min(0.0, x - EDGE) or max(0.0, x - (width - EDGE))
        if over and not (over < 0 and self.scene.scale.offset <= 0):
            self.scroll_requested.emit(max(-FASTEST, min(FASTEST, over)), 0.0)
            self._follow(pointer_at(self.scene, self.spot, self._keys))

    # Selecting

    def _click(self, clip: str, pointer: Pointer) -> None:
        """A press on a clip that was let go where it was."""
        if pointer.ctrl:
            ids = self._with_links(clip)
            chosen = self.scene.selection
            self._request_selection(chosen - ids if clip in chosen else chosen | ids)
        elif not pointer.shift:
            self.select(clip, False)

    def select(self, clip: str, adding: bool) -> None:
        """Asks for the clip to be selected, with its links where they are on."""
        ids = self._with_links(clip)
        self._request_selection(self.scene.selection | ids if adding else ids)

    def _with_links(self, clip: str) -> frozenset[str]:
        ids = frozenset((clip,))
        return edits.with_links(self.scene.actual, ids) if self.scene.linked else ids

    def _request_selection(self, ids: frozenset[str]) -> None:
        if ids != self.scene.selection:
            self.selection_requested.emit(ids)

    # Hovering

    def hover(self, spot: QPointF) -> None:
        """The pointer's shape, the bars it calls up, and what the keys mean here."""
        scene = self.scene
        self.spot = spot
        if not QRectF(self._canvas.rect()).contains(spot):
            self.leave()
            return
        if spot.y() < RULER:
            self._show_hover(Hit())
            self._show_blade(Hit())
            part = tools.range_part(scene, spot.x(), spot.y())
            shape = Qt.CursorShape.SizeHorCursor if part else Qt.CursorShape.ArrowCursor
            self._canvas.setCursor(shape)
            self.say(() if part else (("Shift", "draw in and out"),))
            return
        under = self.hit(spot)
        self._canvas.setCursor(tools.cursor(scene, under))
        self._show_hover(under)
        self._show_blade(under)
        row = row_at(scene.rows, spot.y() - TOP + scene.scroll_y)
        self.say(tools.hints(scene, under, row))

    def _show_blade(self, under: Hit) -> None:
        """Where the razor would cut."""
        at: Time | None = None
        if self.scene.tool == tools.RAZOR and under.clip:
            known = self._blade
            if known is None or known.base is not self.scene.actual:
                clip = self.scene.actual.clip(under.clip)
                known = tools.Razor(self.scene, pointer_at(self.scene, self.spot, self._keys), clip)
                self._blade = known
            at = known.at(pointer_at(self.scene, self.spot, self._keys))
        if at != self.scene.preview.snap:
            self.preview_changed.emit(NOTHING if at is None else Preview(snap=at))

    def leave(self) -> None:
        if self._press is None:
            self._show_blade(Hit())
            self._show_hover(Hit())
            self.say(())

    def _show_hover(self, under: Hit) -> None:
        if under != self._hover:
            self._hover = under
            self.hover_changed.emit(under)

    def say(self, hints: Hints) -> None:
        if hints != self._hints:
            self._hints = hints
            self.hints_changed.emit(hints)


def clip_area(scene: Scene, clip_id: str) -> QRectF | None:
    """Where a clip lies on the canvas, with room for its outlines; None where it is not."""
    track = scene.sequence.track_of(clip_id) if clip_id else None
    row = scene.row(track.id) if track is not None else None
    clip = scene.sequence.clip(clip_id) if clip_id else None
    if clip is None or row is None:
        return None
    left, right = scene.scale.x(clip.start), scene.scale.x(clip.end)
    return QRectF(left - 6, TOP - scene.scroll_y + row.top - 4, right - left + 12, row.height + 8)
