"""The preferences: a list of pages, a search over all of them, and the pages."""

from itertools import pairwise

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QShowEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QSizePolicy,
    QStackedWidget,
    QWidget,
)

from ui import theme
from ui.controls import FROM_KEYS, Elided, push_button
from ui.device_page import DevicePage
from ui.panels import EmptyState, column, row, surface
from ui.preferences_pages import (
    AppearancePage,
    CachePage,
    GeneralPage,
    KeyboardPage,
    SettingsPage,
)
from ui.sheet import Sheet
from ui.weights_page import BY_HAND, WeightsPage
from ui.weights_rows import order_keys

SIZE = QSize(1096, 760)
LIST, FOOT = 184, 51
PAGES: tuple[type[SettingsPage | WeightsPage], ...] = (
    GeneralPage, AppearancePage, KeyboardPage, WeightsPage, CachePage, DevicePage,
)  # fmt: skip
ROOM = 12  # between the dialog and the edge of a small window


class PreferencesDialog(Sheet):
    """A dialog of 1096 x 760, or as much of it as the window has. Built when it is asked for."""

    page_shown = Signal(str)  # its title

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Preferences", parent)
        self.setFixedSize(_within(parent))
        self._torch = ""
        self._add_search()
        across = row(gap=0)
        across.addWidget(self._list())
        line = surface("line", self)
        line.setFixedWidth(1)
        across.addWidget(line)
        right = column()
        self.general, self.appearance = GeneralPage(self), AppearancePage(self)
        self.keyboard, self.weights = KeyboardPage(self), WeightsPage(self)
        self.cache, self.device = CachePage(self), DevicePage(self)
        self._pages: tuple[SettingsPage | WeightsPage, ...] = (
            self.general, self.appearance, self.keyboard, self.weights, self.cache, self.device,
        )  # fmt: skip
        self._stack = QStackedWidget(self)
        for page in self._pages:
            self._stack.addWidget(page)
        self._nothing = EmptyState("search", "", "", parent=self)
        clear = push_button("Clear search", "quiet", parent=self._nothing)
        clear.clicked.connect(self._search.clear)
        self._nothing.foot.addWidget(clear, 0, Qt.AlignmentFlag.AlignHCenter)
        self._stack.addWidget(self._nothing)
        right.addWidget(self._stack, 1)
        self._foot_line = surface("line", self)
        self._foot_line.setFixedHeight(1)
        right.addWidget(self._foot_line)
        right.addWidget(self._footer())
        across.addLayout(right, 1)
        self.column.addLayout(across, 1)
        for page in self._pages:
            page.bar().rangeChanged.connect(self._show_foot)
            button = self._buttons[page.title]
            button.toggled.connect(lambda on, page=page: self._turn_to(page) if on else None)
        order_keys(self)
        for one, following in pairwise((self._search, *self._crosses, self._buttons["General"])):
            self.setTabOrder(one, following)
        self.show_page("General")

    # Building

    def _add_search(self) -> None:
        self._search = QLineEdit(self)
        self._search.setPlaceholderText("Search preferences")
        self._search.setAccessibleName("Search preferences")
        self._search.setFixedWidth(220)
        self._search.addAction(
            theme.icon("search", "text3"), QLineEdit.ActionPosition.LeadingPosition
        )
        self._search.textChanged.connect(self._filter)
        first = self.column.itemAt(0)
        head = first.widget() if first is not None else None
        line = head.layout() if head is not None else None
        if isinstance(line, QHBoxLayout):
            line.insertWidget(line.count() - 1, self._search)
        self._crosses = head.findChildren(QAbstractButton) if head is not None else []

    def _list(self) -> QWidget:
        listed = QWidget(self)
        listed.setFixedWidth(LIST - 1)
        listed.setAccessibleName("Pages")
        inner = column(listed, (8, 12, 8, 12), 2)
        self._buttons: dict[str, PageButton] = {}
        for page in PAGES:
            button = PageButton(page.title, page.icon, listed)
            inner.addWidget(button)
            self._buttons[page.title] = button
        inner.addStretch(1)
        return listed

    def _footer(self) -> QFrame:
        foot = QFrame(self)
        foot.setFixedHeight(FOOT)
        inner = row(foot, (24, 0, 24, 0), 16)
        words = column(gap=2)
        words.addStretch(1)
        self._by_hand = Elided(BY_HAND, "small", token="text2", parent=foot)
        self._torch_line = Elided("", "small", token="text3", parent=foot)
        words.addWidget(self._by_hand)
        words.addWidget(self._torch_line)
        words.addStretch(1)
        inner.addLayout(words, 1)
        self._close = push_button("Close", large=True, parent=foot)
        self._close.clicked.connect(self.accept)
        inner.addWidget(self._close)
        return foot

    # What the caller shows

    def show_page(self, title: str) -> None:
        """Turns to a page: "General", "Appearance", "Keyboard", "Weights", "Cache", "Device"."""
        self._buttons[title].setChecked(True)

    def page(self) -> str:
        """The title of the page that is shown."""
        return next(title for title, one in self._buttons.items() if one.isChecked())

    def set_torch(self, line: str) -> None:
        """Which torch is there and whether it sees the card; told under the weights."""
        self._torch = line
        self._show_foot()

    def set_search(self, words: str) -> None:
        self._search.setText(words)

    # Inside

    def _turn_to(self, page: SettingsPage | WeightsPage) -> None:
        if self._nothing is not self._stack.currentWidget() or self._matching():
            self._stack.setCurrentWidget(page)
        for title, button in self._buttons.items():
            shown = title == page.title
            button.setFocusPolicy(FROM_KEYS if shown else Qt.FocusPolicy.NoFocus)
        self._show_foot()
        self.page_shown.emit(page.title)

    def _show_foot(self) -> None:
        page = self._stack.currentWidget()
        overflows = any(one is page and one.bar().maximum() > 0 for one in self._pages)
        kind = "line" if overflows else "panel"
        if self._foot_line.property("surface") != kind:
            self._foot_line.setProperty("surface", kind)
            self._foot_line.style().unpolish(self._foot_line)
            self._foot_line.style().polish(self._foot_line)
        on_weights = page is self.weights
        self._by_hand.setVisible(on_weights)
        self._torch_line.set_text(self._torch)
        self._torch_line.setVisible(on_weights and bool(self._torch))

    def _matching(self) -> list[str]:
        """The titles of the pages where the search finds something; tells each page."""
        words = self._search.text().strip()
        return [page.title for page in self._pages if page.set_search(words)]

    def _filter(self) -> None:
        found = self._matching()
        for title, button in self._buttons.items():
            button.setVisible(title in found)
        if not found:
            self._nothing.set_title(f"Nothing matches «{self._search.text().strip()}»")
            self._stack.setCurrentWidget(self._nothing)
        elif self.page() not in found:
            self._buttons[found[0]].setChecked(True)
        else:
            self._stack.setCurrentIndex(list(self._buttons).index(self.page()))
        self._show_foot()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._search.setFocus(Qt.FocusReason.OtherFocusReason)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter acts only where the focus is; Esc takes back a question or the search first."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            return
        if event.key() == Qt.Key.Key_Escape:
            if any(page.dismiss() for page in self._pages):
                return
            if self._search.text() and QApplication.focusWidget() is self._search:
                self._search.clear()
                return
        super().keyPressEvent(event)


def _within(parent: QWidget | None) -> QSize:
    """The size of the dialog over a window that may be smaller."""
    if parent is None:
        return SIZE
    return SIZE.boundedTo(parent.size() - QSize(2 * ROOM, 2 * ROOM))


class PageButton(QAbstractButton):
    """A page in the list; Up and Down go to the next."""

    def __init__(self, title: str, icon: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon = icon
        self.setText(title)
        self.setAccessibleName(title)
        self.setCheckable(True)
        self.setAutoExclusive(True)
        self.setFocusPolicy(FROM_KEYS)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setMinimumHeight(32)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(LIST - 17, max(32, self.fontMetrics().height() + 12))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        on = self.isChecked()
        fill = "accent_tint" if on else "pressed" if self.isDown() else "hover"
        if on or self.underMouse():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(fill))
            painter.drawRoundedRect(self.rect(), 4, 4)
        ink = "accent" if on else "text" if self.underMouse() else "text2"
        sign = theme.pixmap(self._icon, ink, 16, self.devicePixelRatioF())
        painter.drawPixmap(12, (self.height() - 16) // 2, sign)
        painter.setFont(theme.font("body", 600 if on else 400))
        painter.setPen(theme.colour(ink))
        area = QRect(36, 0, self.width() - 44, self.height())
        words = painter.fontMetrics().elidedText(
            self.text(), Qt.TextElideMode.ElideRight, area.width()
        )
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, words)
