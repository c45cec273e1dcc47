"""The strip under the larger picture: the clip's frames, what of it is rendered, the playhead."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from engine.timeline.model import Asset, Clip
from engine.timeline.time import ZERO, Time
from ui import theme
from ui.timeline.pictures import paint_filmstrip
from ui.timeline.states import FAILED, FRESH, RUNNING, STALE, ClipState, Thumbnails

HEIGHT = 44
TOP, PICTURES, BAR = 9, 28, 4
MARGIN = 12
LEAST = 480  # px; under a narrower picture the strip takes the whole width
HEAD = 12  # width of the playhead's head


class ClipStrip(QWidget):
    """44 px along the picture; press and drag moves the playhead within the clip."""

    time_requested = Signal(object)  # Time

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Frames of the clip")
        self._clip: Clip | None = None
        self._asset: Asset | None = None
        self._state: ClipState | None = None
        self._thumbnails: Thumbnails = lambda _asset, _at, _height: None
        self._now: Time = ZERO
        self._span = (0.0, 0.0)

    def sizeHint(self) -> QSize:
        return QSize(LEAST, HEIGHT)

    def set_thumbnails(self, thumbnails: Thumbnails) -> None:
        self._thumbnails = thumbnails

    def set_clip(self, clip: Clip | None, asset: Asset | None, state: ClipState | None) -> None:
        """The clip whose frames are shown; None shows none."""
        self._clip, self._asset, self._state = clip, asset, state
        name = (clip.name if clip else "") or (asset.name if asset else "the clip")
        self.setAccessibleName(f"Frames of {name}")
        self.update()

    def set_time(self, now: Time) -> None:
        """Moves the playhead; only what it leaves and enters is painted again."""
        if now != self._now:
            before, self._now = self._x(), now
            for x in (before, self._x()):
                self.update(QRectF(x - HEAD, 0, 2 * HEAD, HEIGHT).toAlignedRect())

    def set_span(self, left: float, right: float) -> None:
        """Where the picture above begins and ends."""
        if (left, right) != self._span:
            self._span = (left, right)
            self.update()

    def body(self) -> QRectF:
        """Frames and bar."""
        left = max(float(MARGIN), self._span[0])
        right = min(float(self.width() - MARGIN), self._span[1])
        if right - left < LEAST:
            left, right = MARGIN, self.width() - MARGIN
        return QRectF(left, TOP, max(1.0, right - left), PICTURES + BAR)

    def _x_of(self, at: Time) -> float:
        body, clip = self.body(), self._clip
        if clip is None or clip.duration <= 0:
            return body.left()
        part = min(1.0, max(0.0, float((at - clip.start) / clip.duration)))
        dpr = self.devicePixelRatioF()
        return round((body.left() + part * body.width()) * dpr) / dpr

    def _x(self) -> float:
        return self._x_of(self._now)

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(event.rect(), theme.colour("panel"))
        painter.fillRect(0, 0, self.width(), 1, theme.colour("line"))
        if self._clip is None or self._asset is None:
            return
        body = self.body()
        path = QPainterPath()
        path.addRoundedRect(body, 4, 4)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setClipPath(path)
        painter.fillRect(body, theme.colour("clip_v"))
        paint_filmstrip(
            painter,
            self._clip,
            self._asset,
            QRectF(body.left(), body.top(), body.width(), PICTURES),
            (float(event.rect().left()), float(event.rect().right() + 1)),
            body.width() / float(self._clip.duration),
            self.devicePixelRatioF(),
            self._thumbnails,
        )
        self._paint_bar(painter, body)
        painter.restore()
        self._paint_playhead(painter)

    def _paint_bar(self, painter: QPainter, body: QRectF) -> None:
        assert self._clip is not None
        state = self._state
        if state is None or not state.name:
            return
        dpr = self.devicePixelRatioF()
        pieces = state.spans or ((self._clip.start, self._clip.end, state.name),)
        brushes = {
            FRESH: theme.colour("accent"),
            STALE: theme.hatch("warn", 3, 6, "warn_tint", dpr),
            FAILED: theme.hatch("error", 3, 8, "error_tint", dpr),
            RUNNING: theme.colour("accent_line"),
        }
        for start, end, name in pieces:
            left, right = self._x_of(start), self._x_of(end)
            area = QRectF(left, body.bottom() - BAR, max(1.0, right - left), BAR)
            if name in brushes:
                painter.fillRect(area, brushes[name])
            if name == RUNNING:
                area.setWidth(area.width() * state.fraction)
                painter.fillRect(area, theme.colour("accent"))

    def _paint_playhead(self, painter: QPainter) -> None:
        x, half = self._x(), HEAD / 2
        halo, ink = theme.mixed("playhead_halo", 0.45), theme.colour("playhead")
        painter.fillRect(QRectF(x - 1, 8, 3, HEIGHT - 8), halo)
        painter.fillRect(QRectF(x, 8, 1, HEIGHT - 8), ink)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(halo, 1))
        painter.setBrush(ink)
        middle = x + 0.5
        corners = ((-half, 1), (half, 1), (half, 6), (0, 11), (-half, 6))
        painter.drawPolygon(QPolygonF([QPointF(middle + across, y) for across, y in corners]))

    # Gestures

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._scrub(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._scrub(event.position())

    def _scrub(self, at: QPointF) -> None:
        if self._clip is None:
            return
        body = self.body()
        thousandths = min(1000, max(0, round(1000 * (at.x() - body.left()) / body.width())))
        self.time_requested.emit(self._clip.start + self._clip.duration * thousandths / 1000)
