"""The focus ring: one frame that follows the focus of buttons, switches, knobs and lists."""

from PySide6.QtCore import QEvent, QObject, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QApplication, QTabBar, QWidget
from shiboken6 import isValid

from ui import theme
from ui.inputs import Slider

GAP = 2
LINE = 2
FOLLOWED = (QEvent.Type.Move, QEvent.Type.Resize, QEvent.Type.Show, QEvent.Type.Hide)


class FocusRing(QObject):
    """2 px of accent, 2 px outside the widget that has the focus by the keyboard.

    Fields draw their own border instead. The frame is a sibling of its target, so it scrolls
    along and may be deleted with it: then a new one is made.
    """

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        self._frame: _Frame | None = None
        self._target: QWidget | None = None
        app.focusChanged.connect(self._follow)

    def _follow(self, _old: QWidget | None, new: QWidget | None) -> None:
        if self._target is not None and isValid(self._target):
            self._target.removeEventFilter(self)
        ringed = isinstance(new, (QAbstractButton, Slider, QTabBar)) or (
            new is not None and bool(new.property("focus_ring"))
        )
        by_keys = new is not None and new.window().testAttribute(
            Qt.WidgetAttribute.WA_KeyboardFocusChange
        )
        ringed = ringed and by_keys
        self._target = new if ringed else None
        if new is not None and ringed:
            new.installEventFilter(self)
        self._place()

    def _place(self) -> None:
        target, frame = self._target, self._frame
        if target is None or not isValid(target) or not target.isVisible():
            if frame is not None and isValid(frame):
                frame.hide()
            return
        parent = target.parentWidget() or target
        if frame is None or not isValid(frame):
            self._frame = frame = _Frame(parent)
        elif frame.parentWidget() is not parent:
            frame.setParent(parent)
        grow = GAP + LINE
        frame.is_round = target.property("kind") == "play"
        frame.setGeometry(target.geometry().adjusted(-grow, -grow, grow, grow))
        frame.raise_()
        frame.show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._target and event.type() in FOLLOWED:
            self._place()
        return False


class _Frame(QWidget):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.is_round = False
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.colour("accent"), LINE))
        area = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        radius = area.height() / 2 if self.is_round else 6
        painter.drawRoundedRect(area, radius, radius)
