"""How a medium is painted in the bin: as a tile 120 x 68 with name and facts, or as a row."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QLineEdit, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from ui import theme
from ui.controls import paint_ring
from ui.pictures import paint_picture

ROLE = Qt.ItemDataRole.UserRole
ICONS = {"video": "film", "picture": "picture", "sound": "sound"}
Index = QModelIndex | QPersistentModelIndex


class TileDelegate(QStyledItemDelegate):
    """Paints one `MediaItem`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.as_list = False

    def cell(self, width: int) -> QSize:
        """The grid's cell in a view of that width."""
        return QSize(max(120, width - 8), 48) if self.as_list else QSize(128, 116)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return self.cell(option.rect.width() or 256)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        if self.as_list:
            self._paint_row(painter, option, index)
        else:
            self._paint_tile(painter, option, index)
        painter.restore()

    def _paint_tile(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        item, cell = index.data(ROLE), option.rect
        area = QRectF(cell.x() + 6, cell.y() + 2, 120, 68)
        self._paint_picture(painter, area, item)
        if item.duration and item.state != "missing":
            paint_label(painter, QPointF(area.right() - 3, area.bottom() - 3), item.duration)
        if item.made_by:
            corner = QRectF(area.left() + 4, area.top() + 4, 18, 18)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour("badge"))
            painter.drawRoundedRect(corner, 3, 3)
            scale = painter.device().devicePixelRatio()
            sign = theme.pixmap(item.made_by, "badge_text", 12, scale)
            painter.drawPixmap(corner.topLeft() + QPointF(3, 3), sign)
        self._paint_frame(painter, area, option)
        words = QRect(cell.x() + 6, cell.y() + 74, 120, 16)
        self._paint_name(painter, words, item, option)
        self._paint_meta(painter, words.translated(0, 17), item)

    def _paint_row(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        item, cell = index.data(ROLE), option.rect
        area = QRectF(cell.x() + 6, cell.y() + 6, 64, 36)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour("accent_tint"))
            painter.drawRoundedRect(QRectF(cell).adjusted(0, 1, 0, -1), 4, 4)
        self._paint_picture(painter, area, item)
        self._paint_frame(painter, area, option)
        left = cell.x() + 76
        words = QRect(left, cell.y() + 7, cell.right() - left - 4, 16)
        self._paint_name(painter, words, item, option)
        self._paint_meta(painter, words.translated(0, 17), item, item.duration)

    def _paint_picture(self, painter: QPainter, area: QRectF, item: object) -> None:
        state, kind = getattr(item, "state", ""), getattr(item, "kind", "video")
        ground = "clip_a" if kind == "sound" else "clip_v"
        if state == "missing":
            paint_picture(painter, area, None, "", "error_tint")
            painter.save()
            painter.setBrush(theme.hatch("error", 3, 12, "", painter.device().devicePixelRatio()))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setOpacity(0.25)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.drawRoundedRect(area, 4, 4)
            painter.restore()
            scale = painter.device().devicePixelRatio()
            sign = theme.pixmap("error", "error", 16, scale)
            painter.drawPixmap(area.center() - QPointF(8, 8), sign)
        elif state == "reading":
            paint_picture(painter, area, None, "", ground)
            ring = QRectF(area.center().x() - 8, area.center().y() - 8, 16, 16)
            paint_ring(painter, ring, getattr(item, "fraction", 0.0))
        elif bars := getattr(item, "bars", ()):
            paint_picture(painter, area, None, "", ground)
            paint_bars(painter, area.adjusted(4, 4, -4, -4), bars)
        else:
            paint_picture(painter, area, getattr(item, "thumbnail", None), ICONS[kind], ground)

    def _paint_frame(self, painter: QPainter, area: QRectF, option: QStyleOptionViewItem) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        if chosen:
            painter.setPen(QPen(theme.colour("accent"), 2))
            painter.drawRoundedRect(area.adjusted(0, 0, 0, 0), 4, 4)
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(QPen(theme.colour("text3"), 1))
            painter.drawRoundedRect(area.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        focused = bool(option.state & QStyle.StateFlag.State_HasFocus)
        if focused and not chosen:
            painter.setPen(QPen(theme.colour("accent"), 1))
            painter.drawRoundedRect(area.adjusted(-1.5, -1.5, 1.5, 1.5), 5, 5)

    def _paint_name(
        self, painter: QPainter, area: QRect, item: object, option: QStyleOptionViewItem
    ) -> None:
        used, state = getattr(item, "is_used", False), getattr(item, "state", "")
        chosen = option.state & QStyle.StateFlag.State_Selected
        token = "error" if state == "missing" else "text" if used or chosen else "text2"
        painter.setFont(theme.font("small", 500))
        painter.setPen(theme.colour(token))
        shown = painter.fontMetrics().elidedText(
            getattr(item, "name", ""), Qt.TextElideMode.ElideMiddle, area.width()
        )
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, shown)

    def _paint_meta(self, painter: QPainter, area: QRect, item: object, first: str = "") -> None:
        words = {"missing": "Missing", "reading": "Reading…"}
        text = words.get(getattr(item, "state", ""), getattr(item, "meta", ""))
        if first:
            text = f"{first} · {text}"
        painter.setFont(theme.font("micro", tabular=True))
        painter.setPen(theme.colour("text3"))
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, area.width())
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, shown)

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        field = QLineEdit(parent)
        field.setFont(theme.font("small", 500))
        field.setAccessibleName("Name")
        return field

    def updateEditorGeometry(
        self, editor: QWidget, option: QStyleOptionViewItem, index: Index
    ) -> None:
        cell = option.rect
        if self.as_list:
            editor.setGeometry(cell.x() + 70, cell.y() + 10, cell.width() - 74, 28)
        else:
            editor.setGeometry(cell.x() + 4, cell.y() + 70, 124, 28)


def paint_bars(painter: QPainter, area: QRectF, bars: tuple[float, ...]) -> None:
    """A sound in a few round bars about the middle of `area`."""
    step = area.width() / len(bars)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.colour("wave_rms"))
    for i, loud in enumerate(bars):
        height = max(2.0, loud * area.height())
        left, top = area.left() + i * step, area.center().y() - height / 2
        painter.drawRoundedRect(QRectF(left, top, max(1.0, step * 0.6), height), 1, 1)


def paint_label(painter: QPainter, corner: QPointF, text: str) -> None:
    """A small dark label with its lower right corner at `corner`, for words on a picture."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setFont(theme.font("micro", 500, tabular=True))
    width = painter.fontMetrics().horizontalAdvance(text) + 8
    area = QRectF(corner.x() - width, corner.y() - 15, width, 15)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(10, 11, 13, 209))
    painter.drawRoundedRect(area, 3, 3)
    painter.setPen(QColor(255, 255, 255))
    painter.drawText(area, Qt.AlignmentFlag.AlignCenter, text)


def drag_picture(images: list[QImage], number: int, scale: float) -> QPixmap:
    """What hangs at the pointer: up to two stacked thumbnails and, from two on, the number."""
    picture = QPixmap(round(100 * scale), round(72 * scale))
    picture.setDevicePixelRatio(scale)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    places = [QRectF(14, 6, 80, 45), QRectF(4, 22, 80, 45)][-min(2, max(1, number)) :]
    for i, place in enumerate(places):
        image = images[len(places) - 1 - i] if len(images) > len(places) - 1 - i else None
        paint_picture(painter, place, image, "film")
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(theme.colour("text"), 1))
        painter.drawRoundedRect(place, 4, 4)
    if number > 1:
        badge = QRectF(78, 0, 20, 20)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("accent_fill"))
        painter.drawEllipse(badge)
        painter.setFont(theme.font("micro", 600))
        painter.setPen(theme.colour("on_accent"))
        painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, str(number))
    painter.end()
    return picture
