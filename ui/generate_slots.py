"""Where the first and the last picture are given: drop, choose, or take the playhead's."""

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QImage,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QApplication, QSizePolicy, QWidget

from ui import theme
from ui.bin import ASSETS_MIME
from ui.controls import FROM_KEYS, icon_button, push_button, with_help
from ui.generate_form import PictureGiven
from ui.pictures import paint_picture

HEIGHT = 72
FITTED = "size as the picture"


class PictureSlot(QWidget):
    """A place for one picture, 72 high. It is given the picture and says what is wanted."""

    choose_requested = Signal()
    playhead_requested = Signal()
    clear_requested = Signal()
    fit_requested = Signal()
    files_dropped = Signal(object)  # tuple of paths
    assets_dropped = Signal(object)  # tuple of ids

    NEEDED_KEYS = frozenset({Qt.Key.Key_Delete, Qt.Key.Key_Backspace, Qt.Key.Key_Space})

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self._given: PictureGiven | None = None
        self._image: QImage | None = None
        self._is_target = False
        self.setFixedHeight(HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(FROM_KEYS)
        self.setProperty("focus_ring", True)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAcceptDrops(True)
        self._link = push_button("use the playhead frame", "link", parent=self)
        self._link.setFont(theme.font("small"))
        self._link.clicked.connect(self.playhead_requested)
        self._clear = icon_button("close", f"Take the {title.lower()} away", side=24, parent=self)
        self._clear.setProperty("kind", "overlay")
        self._clear.clicked.connect(self.clear_requested)
        self._chip = push_button("", "overlay", parent=self)
        self._chip.setFont(theme.font("micro", 500))
        self._chip.clicked.connect(self.fit_requested)
        self.set_given(None, None)

    def sizeHint(self) -> QSize:
        return QSize(216, HEIGHT)

    def set_given(self, given: PictureGiven | None, image: QImage | None, note: str = "") -> None:
        """The picture, how it looks, and what will be done to it: «will be cropped to …»."""
        self._given, self._image = given, image
        self._link.setVisible(given is None)
        self._clear.setVisible(given is not None)
        self._chip.setVisible(given is not None and bool(note))
        self._chip.setText(note)
        fitted = note == FITTED
        line = "the size that was chosen before" if fitted else "the size that fits the picture"
        with_help(self._chip, note, "", f"Click for {line}.")
        words = given.name if given else "empty. Drop a picture, or press Enter to choose one"
        self.setAccessibleName(f"{self._title}: {words}")
        self.setToolTip(given.name if given else "Drop a picture, or click to choose one.")
        self._place()
        self.update()

    def set_playhead(self, reason: str) -> None:
        """Why the playhead gives no picture, "" where it does."""
        self._link.setEnabled(not reason)
        with_help(self._link, "Use the playhead frame", "", reason)

    def given(self) -> PictureGiven | None:
        return self._given

    def _place(self) -> None:
        size = self._link.sizeHint()
        self._link.setGeometry((self.width() - size.width()) // 2, 44, size.width(), 20)
        self._clear.move(self.width() - 28, 4)
        wide = min(self._chip.sizeHint().width(), self.width() - 36)
        self._chip.setGeometry(4, 4, wide, 20)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place()

    # The hand and the keys

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        inside = self.rect().contains(event.position().toPoint())
        if inside and event.button() == Qt.MouseButton.LeftButton:
            self.choose_requested.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if event.matches(QKeySequence.StandardKey.Paste):
            self._paste()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.choose_requested.emit()
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self._given is not None:
            self.clear_requested.emit()
        else:
            super().keyPressEvent(event)

    def _paste(self) -> None:
        urls = QApplication.clipboard().mimeData().urls()
        if paths := tuple(url.toLocalFile() for url in urls if url.isLocalFile()):
            self.files_dropped.emit(paths)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        mime = event.mimeData()
        if mime.hasUrls() or mime.hasFormat(ASSETS_MIME):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self._is_target = True
            self.update()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self._is_target = False
        self.update()

    def dropEvent(self, event: QDropEvent) -> None:
        self._is_target = False
        self.update()
        mime = event.mimeData()
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
        if mime.hasFormat(ASSETS_MIME):
            ids = bytes(mime.data(ASSETS_MIME).data()).decode().split("\n")
            self.assets_dropped.emit(tuple(ids))
            return
        paths = tuple(url.toLocalFile() for url in mime.urls() if url.isLocalFile())
        if paths:
            self.files_dropped.emit(paths)

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect())
        if self._given is not None:
            paint_picture(painter, area, self._image, "picture")
            self._paint_name(painter, self._given.name)
        else:
            self._paint_empty(painter, area)
        if self._is_target:
            painter.setPen(QPen(theme.colour("accent"), 2))
            painter.setBrush(theme.mixed("accent", 0.12))
            painter.drawRoundedRect(area.adjusted(1, 1, -1, -1), 4, 4)

    def _paint_empty(self, painter: QPainter, area: QRectF) -> None:
        over = self.underMouse()
        pen = QPen(theme.colour("text3" if over else "border"), 1)
        pen.setDashPattern([3, 3])
        painter.setPen(pen)
        painter.setBrush(theme.colour("hover" if over else "panel"))
        painter.drawRoundedRect(area.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        scale = self.devicePixelRatioF()
        sign = theme.pixmap("image_add", "text2", 16, scale)
        painter.drawPixmap(QPointF((self.width() - 16) / 2, 8), sign)
        painter.setFont(theme.font("small"))
        painter.setPen(theme.colour("text3"))
        words = QRect(0, 27, self.width(), 18)
        painter.drawText(words, Qt.AlignmentFlag.AlignCenter, "Drop a picture, or")

    def _paint_name(self, painter: QPainter, name: str) -> None:
        painter.setFont(theme.font("small"))
        metrics = painter.fontMetrics()
        shown = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, self.width() - 24)
        box = QRectF(4, self.height() - 22, metrics.horizontalAdvance(shown) + 10, 18)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("overlay"))
        painter.drawRoundedRect(box, 3, 3)
        painter.setPen(theme.colour("text"))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, shown)
