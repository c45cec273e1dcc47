"""The part of the timeline that scrolls: keeps what is painted, hands events to those concerned."""

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QEnterEvent,
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPixmap,
    QWheelEvent,
)
from PySide6.QtWidgets import QToolTip, QWidget

from engine.timeline.time import Time
from ui.timeline import keyboard, overlays
from ui.timeline.clips import ClipPainter
from ui.timeline.dragging import DropTarget
from ui.timeline.geometry import RULER, TOP, total_height
from ui.timeline.ghosts import Ghost, ghost_area, ghost_at
from ui.timeline.hand import Hand, clip_area
from ui.timeline.hits import Hit
from ui.timeline.painting import Painting
from ui.timeline.ruler import paint_playhead, playhead_strip
from ui.timeline.scene import Preview, Scene
from ui.timeline.states import FAILED, RUNNING, STALE

STATE_TIPS = {
    STALE: "Stale: {0} changed. Ctrl R renders it.",
    RUNNING: "Running: {0}, {1} %.",
    FAILED: "Failed: {0}. The queue says why.",
}
BY_KEYBOARD = (
    Qt.FocusReason.TabFocusReason,
    Qt.FocusReason.BacktabFocusReason,
    Qt.FocusReason.ShortcutFocusReason,
)
PARTS = 8  # of what is dirty, before it is painted as one rectangle


class Canvas(QWidget):
    """Ruler, lane and tracks. All but the playhead and the tip is kept as one picture."""

    menu_requested = Signal(str, QPoint)
    scroll_requested = Signal(float, float)  # by pixels
    zoom_requested = Signal(float, float)  # factor, x to keep where it is
    reveal_requested = Signal(str)  # clip
    ghost_requested = Signal(str)  # the job of a clip that is being made
    ghost_menu_requested = Signal(str, QPoint)
    focus_moved = Signal(str)  # clip that the keyboard is at, or ""

    def __init__(self, scene: Scene, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.scene = scene
        self.clips = ClipPainter()
        self.painting = Painting(scene, self.clips)
        self.hand = Hand(scene, self)
        self.target = DropTarget(scene, self)
        self.hand.preview_changed.connect(self.show_preview)
        self.target.preview_changed.connect(self.show_preview)
        self.target.hints_changed.connect(self.hand.say)
        self.hand.hover_changed.connect(self._show_hover)
        self.setMouseTracking(True)
        self.setAcceptDrops(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName("Timeline")
        self._layer = QPixmap()
        self._dirty: list[QRect] = []
        self._shown = scene.preview

    def refresh(self, area: QRectF | None = None) -> None:
        """Paints clips and all the rest anew, or what lies in `area`."""
        rect = self.rect() if area is None else area.toAlignedRect() & self.rect()
        if not any(known.contains(rect) for known in self._dirty):
            self._dirty.append(rect)
        self.update(rect)

    def show_playhead(self, at: Time) -> None:
        """Moves the playhead; the picture under it is kept, no clip is painted."""
        scene = self.scene
        for time in (scene.playhead, at):
            strip = playhead_strip(scene.scale.x(time), self.height())
            self.update(strip.toAlignedRect())
        scene.playhead = at

    def show_preview(self, preview: Preview) -> None:
        self.scene.preview = preview
        if preview is not self._shown:
            before, self._shown = self._shown, preview
            if not _is_tip_only(before) or not _is_tip_only(preview):
                self.refresh()
        self.update()  # the tip follows the pointer

    def _show_hover(self, under: Hit) -> None:
        before, self.painting.hover = self.painting.hover, under
        touched = {before.clip, under.clip}
        for one in (before, under):
            if one.transition:
                track = self.scene.sequence.track(one.track)
                touched |= {each.right for each in track.transitions if each.id == one.transition}
        for clip in touched:
            self.refresh_clip(clip)

    def refresh_clip(self, clip_id: str) -> None:
        area = clip_area(self.scene, clip_id)
        if area is not None:
            self.refresh(area)

    def refresh_ghost(self, ghost: Ghost) -> None:
        area = ghost_area(self.scene, ghost)
        if area is not None:
            self.refresh(area.adjusted(-2, -2, 2, 2))

    def _ghost_at(self, spot: QPointF) -> Ghost | None:
        """The clip that is being made under a point, unless a clip lies there too."""
        return None if self.hand.hit(spot).clip else ghost_at(self.scene, spot)

    def paintEvent(self, event: QPaintEvent) -> None:
        dpr = self.devicePixelRatioF()
        size = (QRectF(self.rect()).size() * dpr).toSize()
        if self._layer.size() != size or self._layer.devicePixelRatio() != dpr:
            self._layer = QPixmap(size)
            self._layer.setDevicePixelRatio(dpr)
            self._dirty = [self.rect()]
        if self._dirty:
            self._paint_layer()
        painter = QPainter(self)
        painter.setClipRegion(event.region())
        painter.drawPixmap(0, 0, self._layer)
        scene = self.scene
        bottom = min(self.height(), TOP - scene.scroll_y + total_height(scene.rows))
        paint_playhead(painter, scene.playhead, scene.scale, bottom)
        preview = scene.preview
        if preview.tip:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            area = QRectF(self.rect())
            box = overlays.tip_box(preview.tip, self.hand.spot, area, preview.refused)
            overlays.paint_tip(painter, box, preview.tip, preview.refused)

    def _paint_layer(self) -> None:
        rects, self._dirty = self._dirty, []
        if len(rects) > PARTS:
            whole = rects[0]
            for rect in rects:
                whole = whole.united(rect)
            rects = [whole]
        painter = QPainter(self._layer)
        for rect in rects:
            self.painting.paint(painter, QRectF(rect), self.width(), self.height())
        painter.end()

    # Events

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._focus_clip("")
        ghost = self._ghost_at(event.position())
        if ghost is not None and event.button() is Qt.MouseButton.LeftButton:
            self.ghost_requested.emit(ghost.id)
            return
        self.hand.press(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.hand.move(event)
        if not event.buttons() and self._ghost_at(event.position()) is not None:
            self.setCursor(Qt.CursorShape.PointingHandCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self.hand.release(event)

    def leaveEvent(self, event: QEvent) -> None:
        self.hand.leave()

    def enterEvent(self, event: QEnterEvent) -> None:
        self.hand.hover(event.position())

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        self.target.enter(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        self.target.move(event)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.target.leave()

    def dropEvent(self, event: QDropEvent) -> None:
        self.target.drop(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        pixels, angle = event.pixelDelta(), event.angleDelta()
        fine = not pixels.isNull()  # a touchpad
        dx, dy = (pixels.x(), pixels.y()) if fine else (angle.x() / 2, angle.y() / 2)
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            factor = 2 ** ((dy or dx) / 120)
            self.zoom_requested.emit(factor, event.position().x())
        elif event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.scroll_requested.emit(0.0, -(dy or dx))
        elif fine:
            self.scroll_requested.emit(-dx, -dy)
        else:
            self.scroll_requested.emit(-(dx + dy), 0.0)
        event.accept()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.reason() is QContextMenuEvent.Reason.Keyboard:
            area = clip_area(self.scene, self.painting.focus)
            spot = QPointF(8, TOP) if area is None else area.topLeft() + QPointF(14, 26)
            self.menu_requested.emit(self.painting.focus, self.mapToGlobal(spot.toPoint()))
            return
        ghost = self._ghost_at(QPointF(event.pos()))
        if ghost is not None:
            self.ghost_menu_requested.emit(ghost.id, event.globalPos())
            return
        under = self.hand.hit(QPointF(event.pos()))
        if under.clip and under.clip not in self.scene.selection:
            self.hand.select(under.clip, False)
        self.menu_requested.emit(under.clip, event.globalPos())

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            QToolTip.showText(event.globalPos(), self.tip_at(QPointF(event.pos())), self)
            return True
        return super().event(event)

    def tip_at(self, spot: QPointF) -> str:
        """What is said about what lies under the pointer when it rests there."""
        scene = self.scene
        if RULER <= spot.y() < TOP:
            seconds = scene.scale.seconds(spot.x())
            for track in reversed(scene.sequence.tracks):
                for index in scene.spans.within(track, seconds, seconds):
                    state = scene.states.get(track.clips[index].id)
                    if state is not None and state.name in STATE_TIPS:
                        percent = round(state.fraction * 100)
                        return STATE_TIPS[state.name].format(state.badge, percent)
        under = self.hand.hit(spot)
        clip = scene.sequence.clip(under.clip) if under.clip else None
        if clip is None:
            ghost = ghost_at(scene, spot)
            return "" if ghost is None else f"{ghost.words}. {ghost.subject}"
        asset = scene.asset(clip)
        name = clip.name or (asset.name if asset is not None else "")
        return f"{name} is not where it was." if clip.asset in scene.missing else name

    # The keyboard

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, keys = event.key(), event.modifiers()
        focus = self.painting.focus
        ctrl = bool(keys & Qt.KeyboardModifier.ControlModifier)
        if key == Qt.Key.Key_Escape and self.hand.cancel():
            return
        if ctrl and Qt.Key(key) in keyboard.ARROWS:
            self._focus_clip(keyboard.next_focus(self.scene, focus, keyboard.ARROWS[Qt.Key(key)]))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and focus:
            self.hand.select(focus, bool(keys & Qt.KeyboardModifier.ShiftModifier))
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            factor = 1 / 1.5 if key == Qt.Key.Key_Minus else 1.5
            self.zoom_requested.emit(factor, self.scene.scale.x(self.scene.playhead))
        else:
            self.hand.keys_changed(keys)
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        self.hand.keys_changed(event.modifiers())
        super().keyReleaseEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        by_key = event.reason() in BY_KEYBOARD
        if by_key and not self.painting.focus:
            self._focus_clip(keyboard.first_focus(self.scene))

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._focus_clip("")

    def _focus_clip(self, clip_id: str) -> None:
        """Puts the keyboard's ring round a clip, or takes it away."""
        before, self.painting.focus = self.painting.focus, clip_id
        if before == clip_id:
            return
        self.refresh_clip(before)
        self.refresh_clip(clip_id)
        self.describe_focus()
        if clip_id:
            self.reveal_requested.emit(clip_id)
        self.focus_moved.emit(clip_id)

    def describe_focus(self) -> None:
        """Tells a screen reader about the clip that the keyboard is at."""
        clip = self.scene.sequence.clip(self.painting.focus) if self.painting.focus else None
        state = self.scene.states.get(self.painting.focus)
        words = "" if clip is None else keyboard.described(self.scene, clip, state)
        self.setAccessibleDescription(words)


def _is_tip_only(preview: Preview) -> bool:
    """Whether nothing of it is in the kept picture."""
    return (
        preview.sequence is None
        and preview.rubber is None
        and preview.hint is None
        and preview.snap is None
        and not preview.onto
    )
