"""What the window is held together by: splitters, the frame round a target, the dimmer."""

from PySide6.QtCore import QEvent, QPoint, QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSplitter, QWidget

from ui import theme


class Handle(QSplitter):
    """A splitter with 1 px lines; a double-click on one restores its usual places."""

    restored = Signal()

    def __init__(self, orientation: Qt.Orientation, parent: QWidget | None = None) -> None:
        super().__init__(orientation, parent)
        self.setHandleWidth(1)
        self.setChildrenCollapsible(False)

    def watch(self) -> None:
        """Listens to its handles; called once all parts are in."""
        for i in range(1, self.count()):
            self.handle(i).installEventFilter(self)

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        if event.type() == QEvent.Type.MouseButtonDblClick:
            self.restored.emit()
            return True
        return False


class DropFrame(QWidget):
    """The frame round the panel that would take what is dragged."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def put_round(self, panel: QWidget) -> None:
        corner = panel.mapTo(self.window(), QPoint(0, 0))
        self.setGeometry(corner.x(), corner.y(), panel.width(), panel.height())
        self.raise_()
        self.show()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(QPen(theme.colour("accent"), 2))
        painter.drawRect(QRectF(self.rect()).adjusted(1, 1, -1, -1))


class Scrim(QWidget):
    """Dims the window behind a dialog."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setGeometry(parent.rect())

    def paintEvent(self, event: QPaintEvent) -> None:
        QPainter(self).fillRect(self.rect(), theme.colour("scrim"))
