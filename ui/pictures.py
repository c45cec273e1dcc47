"""Pictures in small frames: cropped to fill, with round corners, or a quiet field."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QWidget

from ui import theme


def paint_picture(
    painter: QPainter,
    area: QRectF,
    image: QImage | None,
    icon: str = "",
    ground: str = "clip_v",
    radius: float = 4,
) -> None:
    """Fills `area` with the middle of `image`; without one, `ground` with `icon` in it.

    Of an upright picture the upper third is shown, where the face mostly is.
    """
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    path = QPainterPath()
    path.addRoundedRect(area, radius, radius)
    if image is None or image.isNull():
        painter.fillPath(path, theme.colour(ground))
        if icon:
            scale = painter.device().devicePixelRatio()
            middle = area.center() - QPointF(8, 8)
            painter.drawPixmap(middle, theme.pixmap(icon, "text3", 16, scale))
    else:
        painter.setClipPath(path)
        aspect = area.width() / area.height()
        width, height = float(image.width()), float(image.height())
        if width / height > aspect:
            part = QRectF((width - height * aspect) / 2, 0, height * aspect, height)
        else:
            part = QRectF(
                0, (height - width / aspect) / (2 if width > height else 4), width, width / aspect
            )
        painter.drawImage(area, image, part)
    painter.restore()


class Picture(QWidget):
    """A small picture of a fixed size."""

    def __init__(self, width: int, height: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedSize(width, height)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._image: QImage | None = None
        self._icon, self._ground = "", "clip_v"

    def set_image(self, image: QImage | None, icon: str = "", ground: str = "clip_v") -> None:
        self._image, self._icon, self._ground = image, icon, ground
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        paint_picture(painter, QRectF(self.rect()), self._image, self._icon, self._ground)
