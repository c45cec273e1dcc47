"""The viewer's picture while before and after are compared, and by itself."""

from PySide6.QtCore import QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QImage, QKeyEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import QWidget

from ui.canvas import MARGIN, Canvas
from ui.compare import (
    DOUBLINGS,
    INSET,
    LABEL,
    Label,
    Labels,
    Mode,
    beside,
    difference,
    label_at,
    paint_label,
)
from ui.divider import Divider

STEP, LONG_STEP = 0.01, 0.1  # of the divider by a key


class CompareCanvas(Canvas):
    """A canvas that may show two pictures of one moment, in one place, zoom and pan."""

    leave_requested = Signal()  # Esc

    NEEDED_KEYS: frozenset[Qt.Key] = frozenset()  # that no shortcut takes while it has the focus

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._mode = Mode.OFF
        self._before: QImage | None = None
        self._apart: QImage | None = None  # the difference of what is shown, once it is needed
        self._labels = Labels()
        self._divider = Divider()

    @property
    def mode(self) -> Mode:
        return self._mode

    def set_frame(self, image: QImage | None) -> None:
        self.set_pair(image, None)

    def set_pair(self, after: QImage | None, before: QImage | None) -> None:
        """Both pictures of one moment, put in together."""
        self._before, self._apart = before, None
        super().set_frame(after)

    def before(self) -> QImage | None:
        return self._before

    def set_compare(self, mode: Mode) -> None:
        """How before and after are shown; the pictures come by `set_pair`."""
        if mode is self._mode:
            return
        was_on, is_on = self._mode is not Mode.OFF, mode is not Mode.OFF
        self._mode = mode
        moves = {Qt.Key.Key_Left, Qt.Key.Key_Right} if mode is Mode.DIVIDER else set()
        self.NEEDED_KEYS = frozenset(moves)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus if is_on else Qt.FocusPolicy.NoFocus)
        if is_on and not was_on:
            self.setFocus(Qt.FocusReason.OtherFocusReason)
        elif not is_on:
            self._before = self._apart = None
            self._divider.let_go()
            self.clearFocus()
        self._name()
        self._changed()

    def set_labels(self, labels: Labels) -> None:
        if labels != self._labels:
            self._labels = labels
            if self._mode is not Mode.OFF:
                self.update()

    def divider(self) -> float:
        """Where the divider stands, 0 to 1 of what is seen of the picture."""
        return self._divider.part

    def set_divider(self, part: float) -> None:
        before = self._divider.strip(self.seen(), self.devicePixelRatioF()), self._shown_labels()
        self._divider.set(part)
        self._moved(*before)

    def _moved(self, strip: QRect, labels: list[Label]) -> None:
        """Paints anew from `strip` to where the divider is now, and labels that come or go."""
        if self._mode is Mode.DIVIDER:
            self.update(strip.united(self._divider.strip(self.seen(), self.devicePixelRatioF())))
            now = self._shown_labels()
            for one in (*labels, *now):
                if (one in labels) != (one in now):
                    self.update(one.area.toAlignedRect())
        self._name()

    def _name(self) -> None:
        words = {
            Mode.OFF: "Picture",
            Mode.DIVIDER: f"Before and after, divider at {round(self._divider.part * 100)} %",
            Mode.SIDE: "Before and after, side by side",
            Mode.DIFFERENCE: "Difference of before and after",
        }
        self.setAccessibleName(words[self._mode])

    def panes(self) -> tuple[QRectF, ...]:
        if self._mode is not Mode.SIDE:
            return super().panes()
        scale = (self.height() - 2 * MARGIN) / self._height
        if self._zoom is not None:
            scale = self._zoom / self.devicePixelRatioF()
        return beside(self.size(), self._width * scale + 2 * MARGIN)  # narrow ones lie close

    # Painting

    def _paint_pictures(self, painter: QPainter) -> None:
        match self._mode:
            case Mode.OFF:
                super()._paint_pictures(painter)
            case Mode.DIVIDER:
                self._paint_divided(painter)
            case Mode.SIDE:
                for pane, image in ((0, self._before), (1, self._image)):
                    painter.setClipRect(self.panes()[pane])
                    self._paint_picture(painter, self.frame_rect(pane), image)
                painter.setClipping(False)
            case Mode.DIFFERENCE:
                if self._apart is None and self._before is not None and self._image is not None:
                    self._apart = difference(self._before, self._image)
                self._paint_picture(painter, self.frame_rect(), self._apart or self._image)

    def _paint_divided(self, painter: QPainter) -> None:
        """Each side whole and clipped: so both lie on the very same pixels."""
        frame, width, height = self.frame_rect(), self.width(), self.height()
        x = self._divider.x(self.seen(), self.devicePixelRatioF())
        painter.setClipRect(QRectF(0, 0, x, height))
        self._paint_picture(painter, frame, self._before or self._image)
        painter.setClipRect(QRectF(x, 0, width - x, height))
        self._paint_picture(painter, frame, self._image)
        painter.setClipping(False)

    def _paint_over(self, painter: QPainter) -> None:
        if self._mode is Mode.OFF:
            super()._paint_over(painter)
            return
        for one in self._shown_labels():
            paint_label(painter, one)
        if self._mode is Mode.DIVIDER:
            by_keys = self.window().testAttribute(Qt.WidgetAttribute.WA_KeyboardFocusChange)
            self._divider.paint(painter, self.seen(), self.hasFocus() and by_keys)

    def _note_corner(self) -> QPointF:
        if self._mode is Mode.OFF:
            return super()._note_corner()
        return self.seen(0).bottomLeft() + QPointF(INSET, -INSET - LABEL)  # above are the labels

    def _shown_labels(self) -> list[Label]:
        """Labels in the picture's corners; none lies over the divider or on the other side."""
        labels, area = self._labels, self.seen()
        if self._mode is Mode.SIDE:
            before = label_at(self.seen(0), "Before", labels.before, right=False)
            return [before, self._label_after(area)]
        left = QRectF(area.left(), area.top(), area.width() / 2, area.height())
        after = self._label_after(left.translated(left.width(), 0))
        if self._mode is Mode.DIFFERENCE:
            words = f"amplified {2**DOUBLINGS} ×"
            return [label_at(left, "Difference", words, right=False), after]
        x = self._divider.x(area, self.devicePixelRatioF())
        before = label_at(left, "Before", labels.before, right=False)
        shown = [before] if x >= before.area.right() + 4 else []
        return [*shown, after] if x <= after.area.left() - 4 else shown

    def _label_after(self, area: QRectF) -> Label:
        if self._labels.is_rendered:
            return label_at(area, "After", self._labels.after, right=True)
        made = label_at(area, "After", "not rendered here", right=True, hatched=True)
        if made.words:
            return made
        short = label_at(area, "Not rendered", "", right=True, hatched=True)
        return short if short.area.left() > area.left() else made

    # Gestures

    def _on_divider(self, at: QPointF) -> bool:
        is_shown = self._mode is Mode.DIVIDER
        return is_shown and self._divider.hit(at, self.seen(), self.devicePixelRatioF())

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        is_left = event.button() == Qt.MouseButton.LeftButton
        if is_left and self._on_divider(event.position()):
            self.set_divider(0.5)
        else:
            self.mousePressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        is_left = event.button() == Qt.MouseButton.LeftButton
        if is_left and self._on_divider(event.position()):
            self._divider.take(event.position(), self.seen(), self.devicePixelRatioF())
        else:
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if not self._divider.is_held:
            super().mouseMoveEvent(event)
            return
        before = self._divider.strip(self.seen(), self.devicePixelRatioF()), self._shown_labels()
        self._divider.drag(event.position(), self.seen())
        self._moved(*before)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._divider.let_go()
        super().mouseReleaseEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        way = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if self._mode is Mode.DIVIDER and way is not None:
            is_long = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self.set_divider(self._divider.part + way * (LONG_STEP if is_long else STEP))
        elif self._mode is not Mode.OFF and event.key() == Qt.Key.Key_Escape:
            self.leave_requested.emit()
        else:
            super().keyPressEvent(event)

    def _has_handles(self) -> bool:
        return self._mode is Mode.OFF and super()._has_handles()

    def _show_cursor(self, at: QPointF) -> None:
        if self._on_divider(at):
            self.setCursor(Qt.CursorShape.SplitHCursor)
        else:
            super()._show_cursor(at)
