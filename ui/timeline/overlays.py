"""Paints what a gesture or drop puts over the clips: boxes, lines, tips, hints, bars."""

from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from ui import theme
from ui.timeline.clips import RADIUS
from ui.timeline.geometry import LANE, RULER, TOP, TRIM
from ui.timeline.labels import elided, text_width

TIP_HEIGHT = 24
HINT = QSizeF(284, 52)


def paint_box(painter: QPainter, box: QRectF, added: bool) -> None:
    """The part that a gesture removes or adds: hatched, dashed."""
    dpr = painter.device().devicePixelRatio()
    token = "accent" if added else "text3"
    if not added:
        painter.fillRect(box, theme.mixed("app", 0.55))
    painter.setOpacity(0.45)
    painter.setBrushOrigin(box.topLeft())
    painter.fillRect(box, theme.hatch(token, 1.5, 8, scale=dpr))
    painter.setBrushOrigin(QPointF(0, 0))
    painter.setOpacity(1.0)
    pen = QPen(theme.colour(token), 1)
    pen.setDashPattern([4, 3])
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(box.adjusted(0.5, 0.5, -0.5, -0.5))


def paint_selection(painter: QPainter, box: QRectF) -> None:
    painter.setPen(QPen(theme.colour("accent"), 2))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(box.adjusted(1, 1, -1, -1), RADIUS - 1, RADIUS - 1)


def paint_focus(painter: QPainter, box: QRectF) -> None:
    """The ring round the clip that the keyboard is at, outside its selection."""
    painter.setPen(QPen(theme.colour("accent"), 2))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(box.adjusted(-2, -2, 2, 2), RADIUS + 2, RADIUS + 2)


def paint_trim_bar(painter: QPainter, box: QRectF, at_head: bool, token: str) -> None:
    """The bar of 8 px at a clip's end, with its grip."""
    width = min(TRIM, box.width() / 4)
    left = box.left() if at_head else box.right() - width
    bar = QRectF(left, box.top(), width, box.height())
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.colour(token))
    painter.drawRoundedRect(bar, 3, 3)
    grip = QRectF(round(bar.center().x()) - 1, round(bar.center().y()) - 8, 2, 16)
    painter.fillRect(grip, theme.colour("on_accent" if token == "accent" else "app"))


def paint_dissolve(painter: QPainter, box: QRectF, is_active: bool) -> None:
    """A box over the filmstrips with a cross: one picture goes, the other comes."""
    ink = theme.colour("accent") if is_active else QColor(236, 237, 239)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(0, 0, 0, 76))
    painter.drawRoundedRect(box, 2, 2)
    faint = QColor(ink)
    faint.setAlphaF(0.8)
    painter.setPen(QPen(faint, 1))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    inner = box.adjusted(0.5, 0.5, -0.5, -0.5)
    painter.drawLine(inner.topLeft(), inner.bottomRight())
    painter.drawLine(inner.bottomLeft(), inner.topRight())
    painter.drawRoundedRect(inner, 2, 2)


def paint_snap_line(painter: QPainter, x: float, bottom: float) -> None:
    """From the lane to the last track, a diamond at both ends."""
    ink = theme.colour("accent")
    painter.fillRect(QRectF(x, RULER, 1, bottom - RULER), ink)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ink)
    for y in (TOP - LANE / 2 + 4, bottom - 4):
        middle = QPointF(x + 0.5, y)
        painter.drawPolygon(
            QPolygonF([middle + QPointF(*way) for way in ((0, -4), (4, 0), (0, 4), (-4, 0))])
        )


def paint_insert_line(painter: QPainter, x: float, bottom: float) -> None:
    ink = theme.colour("accent")
    painter.fillRect(QRectF(x - 1, RULER, 2, bottom - RULER), ink)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ink)
    tip = QPointF(x, RULER + 7)
    painter.drawPolygon(QPolygonF([QPointF(x - 6.5, RULER), QPointF(x + 6.5, RULER), tip]))


def paint_rubber(painter: QPainter, box: QRectF) -> None:
    painter.fillRect(box, theme.mixed("accent", 0.2))
    painter.setPen(QPen(theme.colour("accent"), 1))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(box.adjusted(0.5, 0.5, -0.5, -0.5))


def paint_frame(painter: QPainter, area: QRectF) -> None:
    """Something that fits is over the timeline."""
    painter.setPen(QPen(theme.colour("accent"), 2))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(area.adjusted(1, 1, -1, -1))


def tip_box(text: str, pointer: QPointF, area: QRectF, refused: bool = False) -> QRectF:
    """Where a tip hangs: 12 px from the pointer, inside `area`."""
    width = round(text_width(text, "small", 500)) + 20 + (20 if refused else 0)
    x = pointer.x() + 12
    if x + width > area.right() - 4:
        x = pointer.x() - 12 - width
    y = pointer.y() - 12 - TIP_HEIGHT
    y = min(max(y, area.top() + 4), area.bottom() - TIP_HEIGHT - 4)
    return QRectF(round(max(x, area.left() + 4)), round(y), width, TIP_HEIGHT)


def paint_tip(painter: QPainter, box: QRectF, text: str, refused: bool = False) -> None:
    _plate(painter, box, 4)
    left = box.left() + 10
    if refused:
        scale = painter.device().devicePixelRatio()
        painter.drawPixmap(
            QPointF(left - 2, box.top() + 4), theme.pixmap("error", "error", 16, scale)
        )
        left += 20
    painter.setFont(theme.font("small", 500, True))
    painter.setPen(theme.colour("text"))
    painter.drawText(
        QRectF(left, box.top(), box.right() - left, box.height()),
        Qt.AlignmentFlag.AlignVCenter,
        text,
    )


def paint_hint(painter: QPainter, box: QRectF, icon: str, title: str, line: str) -> None:
    """The box that says what a drop would do, in two lines."""
    _plate(painter, box, 6)
    scale = painter.device().devicePixelRatio()
    token = "error" if icon == "error" else "accent"
    painter.drawPixmap(box.topLeft() + QPointF(12, 8), theme.pixmap(icon, token, 16, scale))
    room = box.width() - 36 - 8
    painter.setFont(theme.font("body", 600, True))
    painter.setPen(theme.colour("text"))
    if not line:
        painter.setFont(theme.font("small", 500))
        both = QRectF(box.left() + 36, box.top() + 8, room, box.height() - 12)
        painter.drawText(both, Qt.TextFlag.TextWordWrap, title)
        return
    first = QRectF(box.left() + 36, box.top() + 8, room, 16)
    painter.drawText(first, Qt.AlignmentFlag.AlignVCenter, elided(title, "body", 600, int(room)))
    painter.setFont(theme.font("small"))
    painter.setPen(theme.colour("text2"))
    painter.drawText(
        first.translated(0, 20),
        Qt.AlignmentFlag.AlignVCenter,
        elided(line, "small", 400, int(room)),
    )


def paint_push_arrow(painter: QPainter, x: float, y: float) -> None:
    """Pointing right, before what an insert pushes."""
    painter.setPen(QPen(theme.colour("accent"), 1.5))
    painter.drawLine(QPointF(x, y), QPointF(x + 28, y))
    painter.drawLine(QPointF(x + 23, y - 5), QPointF(x + 28, y))
    painter.drawLine(QPointF(x + 23, y + 5), QPointF(x + 28, y))


def _plate(painter: QPainter, box: QRectF, radius: float) -> None:
    painter.setPen(QPen(theme.colour("border"), 1))
    painter.setBrush(theme.colour("raised"))
    painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), radius, radius)
