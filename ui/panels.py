"""The frame of every panel: header, tabs, folds, the empty state, hairlines."""

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QFrame,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from ui import theme
from ui.controls import FROM_KEYS, Keycap, label


def row(
    parent: QWidget | None = None, margins: tuple[int, int, int, int] = (0, 0, 0, 0), gap: int = 8
) -> QHBoxLayout:
    """An empty row with plain margins."""
    made = QHBoxLayout(parent) if parent is not None else QHBoxLayout()
    made.setContentsMargins(*margins)
    made.setSpacing(gap)
    return made


def column(
    parent: QWidget | None = None, margins: tuple[int, int, int, int] = (0, 0, 0, 0), gap: int = 0
) -> QVBoxLayout:
    """An empty column with plain margins."""
    made = QVBoxLayout(parent) if parent is not None else QVBoxLayout()
    made.setContentsMargins(*margins)
    made.setSpacing(gap)
    return made


def surface(kind: str, parent: QWidget | None = None) -> QFrame:
    """A filled frame: "panel", "panel_top", "panel_foot", "card", "card_failed" or "app"."""
    made = QFrame(parent)
    made.setProperty("surface", kind)
    return made


class Header(QFrame):
    """The 36 px strip at the top of a panel."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("surface", "panel_top")
        self.setFixedHeight(36)
        self.row = row(self, (12, 0, 8, 0), 4)


class Tabs(QTabBar):
    """Plain tabs with an underline."""

    def __init__(self, names: tuple[str, ...], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setExpanding(False)
        self.setDrawBase(False)
        self.setFont(theme.font("body", 500))
        self.setFocusPolicy(FROM_KEYS)
        for name in names:
            self.addTab(name)


class FoldHead(QAbstractButton):
    """The head of a fold: chevron, title, and a summary while it is closed."""

    def __init__(self, title: str, height: int = 28, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setText(title)
        self.setCheckable(True)
        self.setFixedHeight(height)
        self.setFocusPolicy(FROM_KEYS)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFont(theme.font("body", 600))
        self.summary = ""
        self.inset = 12
        self.light = False

    def sizeHint(self) -> QSize:
        return QSize(120, self.height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if self.underMouse():
            painter.fillRect(self.rect(), theme.colour("hover"))
        sign = "chevron_down" if self.isChecked() else "chevron_right"
        arrow = theme.pixmap(sign, "text2", 12, self.devicePixelRatioF())
        painter.drawPixmap(self.inset - 2, (self.height() - 12) // 2, arrow)
        left = self.inset + 18
        painter.setPen(theme.colour("text2" if self.light else "text"))
        if self.light:
            painter.setFont(theme.font("body", 500))
        words = painter.fontMetrics().horizontalAdvance(self.text())
        right = self.width() - (self.inset - 8)
        area = QRect(left, 0, right - left, self.height())
        elide = Qt.TextElideMode.ElideRight
        title = painter.fontMetrics().elidedText(self.text(), elide, area.width())
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, title)
        room = QRect(left + words + 12, 0, right - left - words - 12, self.height())
        if self.summary and not self.isChecked() and room.width() > 24:
            painter.setFont(theme.font("small", tabular=True))
            painter.setPen(theme.colour("text3"))
            shown = painter.fontMetrics().elidedText(
                self.summary, Qt.TextElideMode.ElideRight, room.width()
            )
            side = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(room, side, shown)


class Fold(QWidget):
    """A titled part that opens and closes; `body` is a column to fill."""

    toggled = Signal(bool)

    def __init__(
        self,
        title: str,
        *,
        opened: bool = False,
        height: int = 28,
        inset: int = 12,
        light: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        outer = column(self)
        self.head_row = row(gap=0)
        self.head = FoldHead(title, height, self)
        self.head.inset, self.head.light = inset, light
        self.head.setChecked(opened)
        self.head_row.addWidget(self.head)
        outer.addLayout(self.head_row)
        self.content = QWidget(self)
        self.body = column(self.content)
        self.content.setVisible(opened)
        outer.addWidget(self.content)
        self.head.toggled.connect(self._open)

    def is_open(self) -> bool:
        return self.head.isChecked()

    def set_open(self, opened: bool) -> None:
        self.head.setChecked(opened)

    def set_summary(self, text: str) -> None:
        self.head.summary = text
        self.head.update()

    def _open(self, opened: bool) -> None:
        self.content.setVisible(opened)
        self.toggled.emit(opened)


class EmptyState(QWidget):
    """An icon, one line and one hint in the middle of a panel. `keys` ends the hint as a key."""

    def __init__(
        self, icon: str, title: str, hint: str, keys: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        outer = column(self, (16, 0, 16, 0), 0)
        outer.addStretch(1)
        self._sign = Sign(icon, "text3", 24, self)
        self.title = label(title, "body", 500, parent=self)
        self.title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        outer.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignHCenter)
        outer.addSpacing(8)
        outer.addWidget(self.title)
        outer.addSpacing(4)
        lines = hint.split("\n")
        for i, line in enumerate(lines):
            words = label(line, "small", tone="text2", parent=self)
            words.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            if keys and i == len(lines) - 1:
                last = row(gap=6)
                last.addStretch(1)
                last.addWidget(words)
                last.addWidget(Keycap(keys, self))
                last.addStretch(1)
                outer.addLayout(last)
            else:
                outer.addWidget(words)
        outer.addStretch(1)
        self.foot = column()
        outer.insertLayout(outer.count() - 1, self.foot)

    def set_title(self, text: str) -> None:
        self.title.setText(text)


class Sign(QLabel):
    """An icon that shows something and does nothing."""

    def __init__(
        self, icon: str, token: str = "text2", size: int = 16, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._icon, self._token, self._size = icon, token, size
        self.setFixedSize(size, size)

    def set(self, icon: str, token: str) -> None:
        self._icon, self._token = icon, token
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        token = self._token if self.isEnabled() else "disabled"
        scale = self.devicePixelRatioF()
        QPainter(self).drawPixmap(0, 0, theme.pixmap(self._icon, token, self._size, scale))


def hairline(parent: QWidget | None = None) -> QFrame:
    """A 1 px line across."""
    made = QFrame(parent)
    made.setProperty("surface", "line")
    made.setFixedHeight(1)
    return made
