"""The focus ring: one frame that follows the focus of buttons, switches, knobs and lists."""

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QAbstractScrollArea, QApplication, QTabBar, QWidget
from shiboken6 import isValid

from ui import theme
from ui.slider import Slider

GAP = 2
LINE = 2
FOLLOWED = (QEvent.Type.Move, QEvent.Type.Resize, QEvent.Type.Show, QEvent.Type.Hide)


class FocusRing(QObject):
    """2 px of accent, 2 px outside the widget that has the focus by the keyboard.

    Fields draw their own border instead. The frame is a child of what scrolls, or of the
    window; it may be deleted with that: then a new one is made.
    """

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        self._frame: _Frame | None = None
        self._target: QWidget | None = None
        self._host: QWidget | None = None
        self._watched: list[QWidget] = []
        app.focusChanged.connect(self._follow)

    def _follow(self, _old: QWidget | None, new: QWidget | None) -> None:
        for widget in self._watched:
            if isValid(widget):
                widget.removeEventFilter(self)
        self._watched = []
        self._target = new if new is not None and _is_ringed(new) else None
        if self._target is not None:
            self._host = _host(self._target)
            widget = self._target
            while widget is not self._host:
                self._watched.append(widget)
                widget.installEventFilter(self)
                widget = widget.parentWidget() or self._host
        self._place()

    def _place(self) -> None:
        target, frame = self._target, self._frame
        if target is None or not isValid(target) or not target.isVisible():
            if frame is not None and isValid(frame):
                frame.hide()
            return
        host = self._host or target
        if frame is None or not isValid(frame):
            self._frame = frame = _Frame(host)
        elif frame.parentWidget() is not host:
            frame.setParent(host)
        grow = GAP + LINE
        corner = target.mapTo(host, QPoint(0, 0))
        area = QRect(corner, target.size())
        frame.is_round = target.property("kind") == "play"
        frame.setGeometry(area.adjusted(-grow, -grow, grow, grow))
        frame.raise_()
        frame.show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in FOLLOWED:
            self._place()
        return False


def _is_ringed(widget: QWidget) -> bool:
    by_keys = widget.window().testAttribute(Qt.WidgetAttribute.WA_KeyboardFocusChange)
    kinds = isinstance(widget, (QAbstractButton, Slider, QTabBar))
    return by_keys and (kinds or bool(widget.property("focus_ring")))


def _host(target: QWidget) -> QWidget:
    """The content of the scroll area round `target`, or the window: there is room for the frame."""
    widget = target
    while (parent := widget.parentWidget()) is not None and not widget.isWindow():
        if isinstance(parent.parentWidget(), QAbstractScrollArea) and widget is not target:
            return widget
        widget = parent
    return widget


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
