"""The picture of the viewer: letterboxed or zoomed, with safe areas, labels and handles."""

from dataclasses import replace
from fractions import Fraction

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QCursor,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from engine.timeline.model import Transform
from ui import handles, theme

MARGIN = 12
KNOB = 6  # half the knob that turns


class Canvas(QWidget):
    """Paints the frame it was given; asks for one of the right size by `size_wanted`."""

    size_wanted = Signal(int, int)  # device pixels
    scale_changed = Signal(float)  # device pixels for one of the sequence's
    zoom_requested = Signal(int)  # +1 in, -1 out
    transform_requested = Signal(object, bool)  # Transform, final
    framed = Signal()  # the picture may lie elsewhere now

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(200, 120)
        self.setMouseTracking(True)
        self.setAccessibleName("Picture")
        self._image: QImage | None = None
        self._width, self._height = 1920, 1080
        self._has_sequence = False
        self._zoom: float | None = None  # None: fit
        self._quality = Fraction(1)
        self._pan = QPointF(0, 0)
        self._safe = False
        self._note = ""
        self._wanted = (0, 0)
        self._scale = 0.0
        self._transform: Transform | None = None
        self._picture = (1, 1)
        self._grip = ""
        self._press = QPointF()
        self._start = Transform()
        self._pressed_box: handles.Box | None = None
        self._panning: QPointF | None = None
        self._detail = 1.0

    def set_sequence_size(self, width: int, height: int) -> None:
        self._width, self._height = max(1, width), max(1, height)
        self._has_sequence = True
        self._changed()

    def set_frame(self, image: QImage | None) -> None:
        self._image = image
        self.update()

    def frame(self) -> QImage | None:
        return self._image

    def set_note(self, text: str) -> None:
        """A short label on the picture: «Not rendered here»."""
        if text != self._note:
            self._note = text
            self.update()

    def set_zoom(self, percent: int | None) -> None:
        """Device pixels for 100 of the sequence's; None fits the picture into the panel."""
        self._zoom = None if percent is None else percent / 100
        if percent is None:
            self._pan = QPointF(0, 0)
        self._changed()

    def set_quality(self, quality: Fraction) -> None:
        """How much of the shown size is rendered: 1, 1/2, 1/4."""
        self._quality = quality
        self._changed()

    def set_safe_areas(self, shown: bool) -> None:
        self._safe = shown
        self.update()

    def set_transform(self, transform: Transform | None, width: int = 1, height: int = 1) -> None:
        """Shows handles for a picture of that size lying so; None hides them."""
        if transform is None:
            self._grip = ""
        self._transform, self._picture = transform, (max(1, width), max(1, height))
        self.update()

    def set_detail(self, detail: float) -> None:
        """Pixels that a frame may have for one of the sequence's: enlarged clips have more."""
        if detail != self._detail:
            self._detail = detail
            self._changed()

    def panes(self) -> tuple[QRectF, ...]:
        """Where pictures may lie; the last is that of the frame itself."""
        return (QRectF(self.rect()),)

    def frame_rect(self, pane: int = -1) -> QRectF:
        """Where the sequence's frame lies in a pane, on whole device pixels."""
        dpr = self.devicePixelRatioF()
        scale = self._fit() if self._zoom is None else self._zoom / dpr
        width, height = self._width * scale, self._height * scale
        room = self.panes()[pane]
        left = room.left() + (room.width() - width) / 2 + self._pan.x()
        top = room.top() + (room.height() - height) / 2 + self._pan.y()
        return QRectF(
            round(left * dpr) / dpr,
            round(top * dpr) / dpr,
            max(1, round(width * dpr)) / dpr,
            max(1, round(height * dpr)) / dpr,
        )

    def seen(self, pane: int = -1) -> QRectF:
        """The part of the frame that is on screen."""
        return self.frame_rect(pane).intersected(self.panes()[pane])

    def _fit(self) -> float:
        width = max(16, self.panes()[-1].width() - 2 * MARGIN)
        height = max(16, self.height() - 2 * MARGIN)
        return min(width / self._width, height / self._height)

    def _changed(self) -> None:
        self._clamp_pan()
        frame, dpr = self.frame_rect(), self.devicePixelRatioF()
        scale = frame.width() * dpr / self._width
        if scale != self._scale:
            self._scale = scale
            self.scale_changed.emit(scale)
        part = min(self._detail, scale) * float(self._quality)
        wanted = (max(2, round(self._width * part)), max(2, round(self._height * part)))
        if wanted != self._wanted and self.width() > 1:
            self._wanted = wanted
            self.size_wanted.emit(*wanted)
        self._panned()

    def _panned(self) -> None:
        self.framed.emit()
        self.update()

    def _clamp_pan(self) -> None:
        scale = self._fit() if self._zoom is None else self._zoom / self.devicePixelRatioF()
        room = self.panes()[-1].width()
        spare_x = max(0.0, (self._width * scale - room) / 2 + MARGIN)
        spare_y = max(0.0, (self._height * scale - self.height()) / 2 + MARGIN)
        if self._width * scale <= room:
            spare_x = 0
        if self._height * scale <= self.height():
            spare_y = 0
        self._pan = QPointF(
            min(spare_x, max(-spare_x, self._pan.x())), min(spare_y, max(-spare_y, self._pan.y()))
        )

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._changed()

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(event.rect(), theme.colour("viewer"))
        self._paint_pictures(painter)
        for pane in range(len(self.panes())):
            if self._safe:
                self._paint_safe_areas(painter, self.frame_rect(pane))
        if self._note:
            self._paint_note(painter)
        self._paint_over(painter)

    def _paint_pictures(self, painter: QPainter) -> None:
        self._paint_picture(painter, self.frame_rect(), self._image)

    def _paint_over(self, painter: QPainter) -> None:
        if self._transform is not None:
            self._paint_handles(painter)

    def _paint_picture(self, painter: QPainter, frame: QRectF, image: QImage | None) -> None:
        if image is None or image.isNull():
            if self._has_sequence:
                painter.fillRect(frame, QColor(0, 0, 0))
            return
        exact = image.width() == round(frame.width() * self.devicePixelRatioF())
        enlarged = self._zoom is not None and self._zoom >= 2
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not exact and not enlarged)
        painter.drawImage(frame, image, QRectF(image.rect()))

    def _paint_safe_areas(self, painter: QPainter, frame: QRectF) -> None:
        for part in (0.05, 0.1):  # of each side: action and title safe
            area = frame.adjusted(
                frame.width() * part,
                frame.height() * part,
                -frame.width() * part,
                -frame.height() * part,
            ).toRect()
            painter.setPen(QPen(QColor(0, 0, 0, 140), 3))
            painter.drawRect(area)
            painter.setPen(QPen(QColor(255, 255, 255, 200), 1))
            painter.drawRect(area)

    def _note_corner(self) -> QPointF:
        return self.seen(0).topLeft() + QPointF(12, 12)

    def _paint_note(self, painter: QPainter) -> None:
        painter.setFont(theme.font("small", 500))
        width = painter.fontMetrics().horizontalAdvance(self._note) + 20
        corner = self._note_corner()
        area = QRectF(corner.x(), corner.y(), width, 28)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("overlay"))
        painter.drawRoundedRect(area, 4, 4)
        painter.setPen(theme.colour("text"))
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter, self._note)

    def _paint_handles(self, painter: QPainter) -> None:
        shape = self._shape()
        assert shape is not None
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        halo, line = QColor(0, 0, 0, 150), QColor(255, 255, 255)
        stem = (shape.at(0, -1), shape.knob())
        for colour, width in ((halo, 3.0), (line, 1.0)):
            painter.setPen(QPen(colour, width))
            painter.drawPolygon(shape.corners())
            painter.drawLine(*stem)
        painter.setPen(QPen(halo, 1))
        painter.setBrush(line)
        for corner in shape.corners():
            painter.drawRect(QRectF(corner.x() - 4, corner.y() - 4, 8, 8))
        painter.drawEllipse(shape.knob(), 4.5, 4.5)

    # Gestures

    def _has_handles(self) -> bool:
        return self._transform is not None

    def _shape(self) -> handles.Box | None:
        if self._transform is None or not self._has_handles():
            return None
        shape = handles.box(self._transform, *self._picture, self.frame_rect())
        room = QRectF(self.rect()).adjusted(KNOB, KNOB, -KNOB, -KNOB)
        if not room.contains(shape.knob()):
            return replace(shape, stem=-handles.STEM)  # where it can be reached
        return shape

    def mousePressEvent(self, event: QMouseEvent) -> None:
        shape = self._shape()
        left = event.button() == Qt.MouseButton.LeftButton
        if left and shape is not None and self._transform is not None:
            self._grip = handles.hit(shape, event.position())
            self._press, self._start = event.position(), self._transform
            self._pressed_box = shape
            if self._grip:
                return
        if self._zoom is not None and event.button() in (
            Qt.MouseButton.LeftButton,
            Qt.MouseButton.MiddleButton,
        ):
            self._panning = event.position() - self._pan
            self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._grip and self._pressed_box is not None:
            self.transform_requested.emit(self._dragged(event), False)
        elif self._panning is not None:
            self._pan = event.position() - self._panning
            self._clamp_pan()
            self._panned()
        else:
            self._show_cursor(event.position())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._grip and self._pressed_box is not None:
            moved = (event.position() - self._press).manhattanLength() > 1
            if moved:
                self.transform_requested.emit(self._dragged(event), True)
            self._grip = ""
        self._panning = None
        self._show_cursor(event.position())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self._grip:
            self._grip = ""
            self.transform_requested.emit(self._start, True)
            return
        super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoom_requested.emit(1 if event.angleDelta().y() > 0 else -1)
        elif self._zoom is not None:
            self._pan += QPointF(event.angleDelta()) / 2
            self._clamp_pan()
            self._panned()
        else:
            event.ignore()

    def _dragged(self, event: QMouseEvent) -> Transform:
        assert self._pressed_box is not None
        free = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        return handles.dragged(
            self._grip,
            self._start,
            self._pressed_box,
            self.frame_rect(),
            self._press,
            event.position(),
            snapped=not free,
        )

    def _show_cursor(self, at: QPointF) -> None:
        shape = self._shape()
        grip = handles.hit(shape, at) if shape is not None else ""
        cursors = {
            "move": Qt.CursorShape.SizeAllCursor,
            "turn": Qt.CursorShape.CrossCursor,
            "top_left": Qt.CursorShape.SizeFDiagCursor,
            "bottom_right": Qt.CursorShape.SizeFDiagCursor,
            "top_right": Qt.CursorShape.SizeBDiagCursor,
            "bottom_left": Qt.CursorShape.SizeBDiagCursor,
        }
        self.setCursor(QCursor(cursors.get(grip, Qt.CursorShape.ArrowCursor)))
