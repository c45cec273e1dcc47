"""The chart of noise levels: a dot for each step, and the two ends of the run to be dragged."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from ui import theme

LEFT, RIGHT, TOP, BOTTOM = 30, 8, 8, 20
GRAB = 6
DOTS = 60  # steps of which each has a dot


class LevelChart(QWidget):
    """220 x 104. It is given levels and ends, and says where the ends are dragged to."""

    ends_requested = Signal(int, int)  # first step, last step; 0 for all

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(104)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setToolTip("Drag the two lines to begin later or to end earlier.")
        self._levels: tuple[float, ...] = ()
        self._first, self._last = 0, 0
        self._held = ""

    def sizeHint(self) -> QSize:
        return QSize(208, 104)

    def steps(self) -> int:
        return max(0, len(self._levels) - 1)

    def set_levels(self, levels: tuple[float, ...], first: int, last: int) -> None:
        """Levels from 1 to 0, one more than steps; the steps that the run goes through."""
        first = min(first, max(0, len(levels) - 2))
        self._levels, self._first, self._last = levels, first, last
        self.setAccessibleName(f"Noise levels of {self.steps()} steps")
        self.update()

    def _end(self) -> int:
        return min(self._last or self.steps(), self.steps())

    def _area(self) -> QRectF:
        return QRectF(self.rect()).adjusted(LEFT, TOP, -RIGHT, -BOTTOM)

    def _x(self, step: float) -> float:
        area = self._area()
        return area.left() + step / max(1, self.steps()) * area.width()

    def _near(self, x: float) -> str:
        if not self.steps():
            return ""
        ends = {"first": abs(x - self._x(self._first)), "last": abs(x - self._x(self._end()))}
        nearest = min(ends, key=lambda one: ends[one])
        return nearest if ends[nearest] <= GRAB else ""

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._held = self._near(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        if not self._held:
            over = bool(self._near(x))
            shape = Qt.CursorShape.SizeHorCursor if over else Qt.CursorShape.ArrowCursor
            self.setCursor(shape)
            return
        area = self._area()
        step = round((x - area.left()) / area.width() * self.steps())
        first, end = self._first, self._end()
        if self._held == "first":
            first = min(max(0, step), end - 1)
        else:
            end = max(first + 1, min(step, self.steps()))
        last = 0 if end == self.steps() else end
        if (first, last) != (self._first, self._last):
            self.ends_requested.emit(first, last)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._held = ""

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.colour("line"), 1))
        painter.setBrush(theme.colour("field"))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        if self.steps():
            self._paint_frame(painter)
            self._paint_curve(painter)

    def _paint_frame(self, painter: QPainter) -> None:
        area = self._area()
        painter.setFont(theme.font("micro", tabular=True))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for level, text in ((1.0, "1.0"), (0.5, "0.5"), (0.0, "0")):
            y = round(area.bottom() - level * area.height()) + 0.5
            painter.setPen(QPen(theme.colour("line"), 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(theme.colour("text3"))
            painter.drawText(QRectF(0, y - 8, area.left() - 6, 16), right, text)
        foot = QRectF(area.left(), area.bottom() + 3, area.width(), 16)
        painter.drawText(foot, Qt.AlignmentFlag.AlignLeft, "step 0")
        painter.drawText(foot, Qt.AlignmentFlag.AlignRight, str(self.steps()))
        plain = QPen(theme.colour("text3"), 1)
        plain.setDashPattern([4, 4])
        painter.setPen(plain)
        painter.drawLine(area.topLeft(), area.bottomRight())

    def _paint_curve(self, painter: QPainter) -> None:
        area = self._area()
        points = [
            QPointF(self._x(i), area.bottom() - level * area.height())
            for i, level in enumerate(self._levels)
        ]
        run = points[self._first : self._end() + 1]
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(theme.colour("accent_line"), 2))
        painter.drawPolyline(QPolygonF(points))
        painter.setPen(QPen(theme.colour("accent"), 2))
        painter.drawPolyline(QPolygonF(run))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("accent"))
        if len(run) <= DOTS:
            for point in run:
                painter.drawEllipse(point, 2.0, 2.0)
        for step, rest in ((self._first, 0), (self._end(), self.steps())):
            token = "text3" if step == rest else "text2"
            x = round(self._x(step)) + 0.5
            painter.setPen(QPen(theme.colour(token), 1))
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(token))
            painter.drawRoundedRect(QRectF(x - 2, area.center().y() - 7, 4, 14), 2, 2)
