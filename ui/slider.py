"""The slider: a groove, a knob, a double-click for the default."""

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QSlider, QWidget

from ui import theme
from ui.controls import FROM_KEYS


class Slider(QSlider):
    """A thin slider that jumps to the pointer; double-click brings the default back."""

    let_go = Signal()
    default_requested = Signal()

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setFocusPolicy(FROM_KEYS)
        self.setFixedHeight(28)
        self.setMinimumWidth(40)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setAccessibleName(name)
        self._held = False

    def _knob(self) -> float:
        span = max(1, self.maximum() - self.minimum())
        return 7 + (self.value() - self.minimum()) / span * (self.width() - 14)

    def _follow(self, x: float) -> None:
        span = self.maximum() - self.minimum()
        part = (x - 7) / max(1, self.width() - 14)
        self.setValue(self.minimum() + round(min(1.0, max(0.0, part)) * span))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._held = True
            self.setSliderDown(True)
            self._follow(event.position().x())
            event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._held:
            self._follow(event.position().x())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._held:
            self._held = False
            self.setSliderDown(False)
            self.update()
            self.let_go.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.default_requested.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        middle, knob, enabled = self.height() / 2, self._knob(), self.isEnabled()
        painter.setBrush(theme.colour("border" if enabled else "line"))
        painter.drawRoundedRect(QRectF(1, middle - 2, self.width() - 2, 4), 2, 2)
        painter.setBrush(theme.colour("accent_fill" if enabled else "accent_line"))
        painter.drawRoundedRect(QRectF(1, middle - 2, max(0.0, knob - 1), 4), 2, 2)
        radius = 7 if enabled and (self.underMouse() or self._held) else 6
        fill = "disabled" if not enabled else "accent_fill" if self._held else "knob"
        painter.setBrush(theme.colour(fill))
        painter.setPen(QPen(theme.colour("text3" if enabled else "disabled"), 1))
        painter.drawEllipse(QPointF(knob, middle), radius - 0.5, radius - 0.5)
