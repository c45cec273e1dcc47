"""The buttons of the viewer's header that open menus: choices in words, and Compare."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QPainter, QPaintEvent
from PySide6.QtWidgets import QMenu, QToolButton, QWidget

from ui import theme
from ui.compare import MODES, Mode
from ui.controls import FROM_KEYS, with_help


class MenuButton(QToolButton):
    """Words with a chevron that open a menu of choices."""

    chosen = Signal(object)

    def __init__(self, name: str, line: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "menu")
        self.setFixedHeight(28)
        self.setFocusPolicy(FROM_KEYS)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        with_help(self, name, "", line)
        self._choices: tuple[tuple[object, str], ...] = ()
        self._value: object = None

    def set_choices(self, choices: tuple[tuple[object, str], ...], value: object) -> None:
        self._choices = choices
        menu = QMenu(self)
        group = QActionGroup(menu)
        for one, text in choices:
            action = QAction(text, menu)
            action.setCheckable(True)
            action.setChecked(one == value)
            action.triggered.connect(lambda _=False, one=one: self.chosen.emit(one))
            group.addAction(action)
            menu.addAction(action)
        self.setMenu(menu)
        self.set_value(value)

    def set_value(self, value: object, shown: str = "") -> None:
        self._value = value
        for (one, text), action in zip(self._choices, self.menu().actions(), strict=True):
            action.setChecked(one == value)
            if one == value:
                self.setText(shown or text)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        token = "text" if self.underMouse() else "text2"
        arrow = theme.pixmap("chevron_down", token, 12, self.devicePixelRatioF())
        QPainter(self).drawPixmap(self.width() - 19, (self.height() - 12) // 2, arrow)


class CompareButton(QToolButton):
    """Before and after at a click; its menu, by a right click or a long one, has the other ways."""

    chosen = Signal(object)  # Mode

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setIcon(theme.icon("compare"))
        self.setFixedSize(28, 28)
        self.setCheckable(True)
        self.setFocusPolicy(FROM_KEYS)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.DelayedPopup)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        line = "Before and after of effects. A right click offers side by side and the difference."
        with_help(self, "Compare", "D", line)
        menu = QMenu(self)
        group = QActionGroup(menu)
        self._actions: dict[Mode, QAction] = {}
        for mode, text in MODES:
            action = QAction(text, menu)
            action.setCheckable(True)
            action.triggered.connect(lambda _=False, mode=mode: self.chosen.emit(mode))
            group.addAction(action)
            menu.addAction(action)
            self._actions[mode] = action
        self.setMenu(menu)
        self.customContextMenuRequested.connect(lambda _at: self.showMenu())
        self.clicked.connect(lambda on: self.chosen.emit(Mode.DIVIDER if on else Mode.OFF))

    def set_value(self, mode: Mode) -> None:
        self.setChecked(mode is not Mode.OFF)
        self._actions[mode].setChecked(True)
