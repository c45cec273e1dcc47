"""What only the export sheet shows: format tiles, the preview, a labelled line."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QSizePolicy, QWidget

from ui import theme
from ui.controls import FROM_KEYS, label
from ui.panels import row
from ui.pictures import paint_picture

LABEL = 104


class Tile(QAbstractButton):
    """A format, 56 high: name, what it is, a tick when chosen."""

    def __init__(self, name: str, line: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setText(name)
        self._line = line
        self.setCheckable(True)
        self.setAutoExclusive(True)
        self.setFixedHeight(56)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(FROM_KEYS)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setAccessibleDescription(line)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        on = self.isChecked()
        fill = "accent_tint" if on else "hover" if self.underMouse() else "raised"
        painter.setPen(QPen(theme.colour("accent_line" if on else "border"), 1))
        painter.setBrush(theme.colour(fill))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        painter.setFont(theme.font("body", 600))
        painter.setPen(theme.colour("accent" if on else "text"))
        painter.drawText(QRectF(13, 9, self.width() - 40, 18), 0, self.text())
        painter.setFont(theme.font("small"))
        painter.setPen(theme.colour("text2"))
        painter.drawText(QRectF(13, 29, self.width() - 26, 16), 0, self._line)
        if on:
            sign = theme.pixmap("check", "accent", 16, self.devicePixelRatioF())
            painter.drawPixmap(QPointF(self.width() - 28, 10), sign)


class PreviewArea(QWidget):
    """The frame as it will be, fitted into 432 x 243."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(243)
        self.setAccessibleName("Preview")
        self._image: QImage | None = None

    def set_image(self, image: QImage | None) -> None:
        self._image = image
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        area = QRectF(self.rect())
        paint_picture(painter, area, None, "" if self._image else "film", "viewer")
        if self._image is None or self._image.isNull():
            return
        scale = min(area.width() / self._image.width(), area.height() / self._image.height())
        shown = QRectF(0, 0, self._image.width() * scale, self._image.height() * scale)
        shown.moveCenter(area.center())
        paint_picture(painter, shown, self._image)


def labelled(parent: QWidget, text: str, content: QWidget | QHBoxLayout) -> QWidget:
    """A line of the form: a label of 104, then `content`."""
    line = QWidget(parent)
    inner = row(line, gap=4)
    words = label(text, "body", tone="text2", parent=line)
    words.setFixedSize(LABEL, 28)
    inner.addWidget(words)
    if isinstance(content, QWidget):
        inner.addWidget(content, 1)
    else:
        inner.addLayout(content, 1)
    return line
