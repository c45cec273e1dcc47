"""The timeline's own scrollbar: a thumb of 6 px, no arrows."""

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractSlider, QWidget

from ui import theme

ROOM, THUMB = 14, 6
SHORTEST = 32


class ScrollStrip(QAbstractSlider):
    """A scrollbar; `pageStep` is the part in view. It takes no keyboard focus."""

    def __init__(self, orientation: Qt.Orientation, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setOrientation(orientation)
        self._grab: int | None = None
        if orientation is Qt.Orientation.Horizontal:
            self.setFixedHeight(ROOM)
        else:
            self.setFixedWidth(ROOM)
        self.rangeChanged.connect(self.update)

    def _length(self) -> int:
        wide = self.orientation() is Qt.Orientation.Horizontal
        return self.width() if wide else self.height()

    def _thumb(self) -> tuple[float, float]:
        """Start and length of the thumb."""
        whole = self.maximum() - self.minimum() + self.pageStep()
        room = self._length()
        length = max(min(SHORTEST, room), room * self.pageStep() / max(1, whole))
        part = (self.value() - self.minimum()) / max(1, self.maximum() - self.minimum())
        return part * (room - length), length

    def _along(self, event: QMouseEvent) -> int:
        spot = event.position()
        return round(spot.x() if self.orientation() is Qt.Orientation.Horizontal else spot.y())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.colour("track"))
        if self.maximum() <= self.minimum() and self.orientation() is Qt.Orientation.Vertical:
            return
        start, length = self._thumb()
        inset = (ROOM - THUMB) / 2
        box = QRectF(start, inset, length, THUMB)
        if self.orientation() is Qt.Orientation.Vertical:
            box = QRectF(inset, start, THUMB, length)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        busy = self._grab is not None or self.underMouse()
        painter.setBrush(theme.colour("text3" if busy else "border"))
        painter.drawRoundedRect(box, THUMB / 2, THUMB / 2)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is not Qt.MouseButton.LeftButton:
            return
        spot = self._along(event)
        start, length = self._thumb()
        if not start <= spot < start + length:  # to where was clicked, thumb in the middle
            self._move(spot - length / 2)
            start, length = self._thumb()
        self._grab = round(spot - start)
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._grab is not None:
            self._move(self._along(event) - self._grab)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._grab = None
        self.update()

    def _move(self, start: float) -> None:
        room = self._length() - self._thumb()[1]
        part = start / room if room > 0 else 0.0
        self.setValue(round(self.minimum() + part * (self.maximum() - self.minimum())))
