"""The notice bar: one sentence at a time, at most two actions, never in the way."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from PySide6.QtCore import QEvent, QMimeData, QPoint, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QDrag,
    QEnterEvent,
    QGuiApplication,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import QApplication, QFrame, QMenu, QWidget

from ui import theme
from ui.controls import Elided, icon_button, push_button
from ui.panels import Sign, row
from ui.pictures import Picture

STAY_MS = 6000
COPY = "copy details"
LIST_WIDTH = 560
_KINDS = {  # token, ground, sign
    "error": ("error", "error_tint", "error"),
    "warning": ("warn", "warn_tint", "warning"),
    "done": ("accent", "accent_tint", "done"),
}
_numbers = count(1)


@dataclass(frozen=True)
class Notice:
    """One sentence for the person. `actions`: (key, words), two at most. `file`: can be dragged.

    `details`: for those who help; «Copy details» is offered where there is room for it.
    """

    kind: str  # "error", "warning" or "done"
    text: str
    actions: tuple[tuple[str, str], ...] = ()
    details: str = ""
    file: str = ""
    thumbnail: QImage | None = None
    id: int = field(default_factory=lambda: next(_numbers))

    def offers(self) -> tuple[tuple[str, str], ...]:
        """The actions as they are shown."""
        copy = ((COPY, "Copy details"),) if self.details else ()
        return (*self.actions, *copy)[:2]


class FileHandle(Picture):
    """A thumbnail that can be dragged out as its file."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(50, 28, parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents, False)
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        self.setToolTip("Drag it to another program")
        self._file = ""
        self._press: QPoint | None = None

    def set_file(self, file: str) -> None:
        self._file = file

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._press = event.position().toPoint()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._press is None:
            return
        if (event.position().toPoint() - self._press).manhattanLength() < 6:
            return
        self._press = None
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(self._file)])
        drag = QDrag(self)
        drag.setMimeData(mime)
        drag.setPixmap(self.grab())
        drag.exec(Qt.DropAction.CopyAction)


class NoticeBar(QFrame):
    """40 px under the menu row; shows the newest notice, «+2» opens the others."""

    action_requested = Signal(object, str)  # Notice, key
    closed = Signal(object)  # Notice

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(40)
        self.setAccessibleName("Notice")
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._notices: list[Notice] = []
        outer = row(self, (14, 0, 8, 0), 8)
        self._sign = Sign("error", "error", 16, self)
        self._picture = FileHandle(self)
        self._text = Elided("", "body", 500, parent=self)
        self._actions = [push_button("", "notice", parent=self) for _ in range(2)]
        self._more = push_button("", "notice", parent=self)
        self._more.setAccessibleName("Other notices")
        self._close = icon_button("close", "Close notice", parent=self)
        outer.addWidget(self._sign)
        outer.addWidget(self._picture)
        outer.addWidget(self._text, 1)
        for i, button in enumerate(self._actions):
            button.clicked.connect(lambda _=False, i=i: self._act(i))
            outer.addWidget(button)
        outer.addWidget(self._more)
        outer.addWidget(self._close)
        self._more.clicked.connect(self._show_list)
        self._close.clicked.connect(self.close_newest)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(STAY_MS)
        self._timer.timeout.connect(self._expire)
        self.hide()

    def notices(self) -> tuple[Notice, ...]:
        """What is told, oldest first."""
        return tuple(self._notices)

    def tell(self, notice: Notice) -> None:
        """Shows `notice` on top of the others."""
        self._notices.append(notice)
        event = QAccessibleAnnouncementEvent(self, notice.text)
        if notice.kind == "error":
            event.setPoliteness(QAccessible.AnnouncementPoliteness.Assertive)
        QAccessible.updateAccessibility(event)
        self._refresh()

    def withdraw(self, notice: Notice) -> None:
        """Takes `notice` away without telling anyone."""
        self._notices = [one for one in self._notices if one.id != notice.id]
        self._refresh()

    def close_newest(self) -> None:
        if self._notices:
            notice = self._notices.pop()
            self._refresh()
            self.closed.emit(notice)

    def focus_first(self) -> None:
        """Puts the focus on the first action, or on the cross (F8)."""
        if self.isVisible():
            target = next((one for one in self._actions if one.isVisible()), self._close)
            target.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _refresh(self) -> None:
        self._timer.stop()
        if not self._notices:
            self.hide()
            return
        notice = self._notices[-1]
        token, _, sign = _KINDS[notice.kind]
        self._sign.set(sign, token)
        self._text.set_text(notice.text)
        self._picture.setVisible(bool(notice.file) and notice.thumbnail is not None)
        self._picture.set_image(notice.thumbnail)
        self._picture.set_file(notice.file)
        offers = notice.offers()
        for i, button in enumerate(self._actions):
            button.setVisible(i < len(offers))
            if i < len(offers):
                button.setText(offers[i][1])
        others = len(self._notices) - 1
        self._more.setVisible(others > 0)
        self._more.setText(f"+{others}")
        self.show()
        self.update()
        if notice.kind == "done":
            self._timer.start()

    def _act(self, index: int) -> None:
        notice = self._notices[-1]
        key = notice.offers()[index][0]
        if key == COPY:
            QGuiApplication.clipboard().setText(f"{notice.text}\n{notice.details}")
            return
        if notice.kind == "done" and index == 0:
            self.withdraw(notice)
        self.action_requested.emit(notice, key)

    def _expire(self) -> None:
        focused = QApplication.focusWidget()
        if self.underMouse() or (focused is not None and self.isAncestorOf(focused)):
            self._timer.start()
        else:
            self.close_newest()

    def _show_list(self) -> None:
        menu = QMenu(self)
        for notice in reversed(self._notices[:-1]):
            words = menu.fontMetrics().elidedText(
                notice.text.replace("&", "&&"), Qt.TextElideMode.ElideRight, LIST_WIDTH
            )
            action = menu.addAction(theme.icon(*reversed(_KINDS[notice.kind][::2])), words)
            action.triggered.connect(self._raiser(notice))
        foot = self._more.mapToGlobal(QPoint(self._more.width(), self._more.height() + 4))
        menu.exec(foot - QPoint(menu.sizeHint().width(), 0))
        menu.deleteLater()

    def _raiser(self, notice: Notice) -> Callable[[], None]:
        def bring_up() -> None:
            self._notices.remove(notice)
            self._notices.append(notice)
            self._refresh()

        return bring_up

    def leaveEvent(self, event: QEvent) -> None:
        if self._notices and self._notices[-1].kind == "done":
            self._timer.start()

    def enterEvent(self, event: QEnterEvent) -> None:
        self._timer.stop()

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._notices:
            return
        token, ground, _ = _KINDS[self._notices[-1].kind]
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.colour(ground))
        painter.fillRect(0, 0, 3, self.height(), theme.colour(token))
        painter.fillRect(0, self.height() - 1, self.width(), 1, theme.colour("app"))
