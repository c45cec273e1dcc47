"""The divider between before and after: where it stands, how it is taken and painted."""

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from ui import theme

KNOB = 17  # radius
GRAB = 12  # either side of the line


class Divider:
    """Where the line between both sides stands: a part of what is seen of the picture."""

    def __init__(self) -> None:
        self.part = 0.5
        self._grip: float | None = None  # from the line to where it was taken

    @property
    def is_held(self) -> bool:
        return self._grip is not None

    def x(self, area: QRectF, dpr: float) -> float:
        """On a whole device pixel."""
        return round((area.left() + self.part * area.width()) * dpr) / dpr

    def hit(self, at: QPointF, area: QRectF, dpr: float) -> bool:
        """Whether `at` is near the line, at any height."""
        return abs(at.x() - self.x(area, dpr)) <= GRAB

    def take(self, at: QPointF, area: QRectF, dpr: float) -> None:
        self._grip = at.x() - self.x(area, dpr)

    def drag(self, at: QPointF, area: QRectF) -> None:
        """Follows the pointer."""
        if self._grip is not None:
            self.set((at.x() - self._grip - area.left()) / max(1.0, area.width()))

    def let_go(self) -> None:
        self._grip = None

    def set(self, part: float) -> None:
        self.part = min(1.0, max(0.0, part))

    def strip(self, area: QRectF, dpr: float) -> QRect:
        """All that the line and its knob cover, with their halo and focus ring."""
        x = self.x(area, dpr)
        reach = KNOB + 6
        across = QRectF(x - reach, area.top() - 1, 2 * reach, area.height() + 2)
        knob = QRectF(x - reach, area.center().y() - reach, 2 * reach, 2 * reach)
        return across.united(knob).toAlignedRect()

    def paint(self, painter: QPainter, area: QRectF, has_focus: bool) -> None:
        x = self.x(area, painter.device().devicePixelRatio())
        halo, line = QColor(0, 0, 0, 150), QColor(255, 255, 255)
        painter.fillRect(QRectF(x - 1, area.top(), 3, area.height()), halo)
        painter.fillRect(QRectF(x, area.top(), 1, area.height()), line)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle = QPointF(x + 0.5, round(area.center().y()) + 0.5)
        painter.setPen(QPen(halo, 1))
        painter.setBrush(line)
        painter.drawEllipse(middle, KNOB + 0.5, KNOB + 0.5)
        pen = QPen(QColor(23, 25, 28), 1.75)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for way in (-1, 1):
            points = [QPointF(way * 4.0, -5.5), QPointF(way * 9.0, 0), QPointF(way * 4.0, 5.5)]
            painter.drawPolyline(QPolygonF([middle + point for point in points]))
        if has_focus:
            painter.setPen(QPen(theme.colour("accent"), 2))
            painter.drawEllipse(middle, KNOB + 3.0, KNOB + 3.0)
        painter.restore()
