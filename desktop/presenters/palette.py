"""The command palette: a field, and under it every command that matches."""

from typing import NamedTuple

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QAction, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
)

from desktop.actions import ACTIONS
from ui import theme
from ui.controls import key_text
from ui.panels import column
from ui.sheet import Plate
from ui.window import Window

NAME, KEYS = int(Qt.ItemDataRole.UserRole), int(Qt.ItemDataRole.UserRole) + 1
Index = QModelIndex | QPersistentModelIndex


class Palette(QObject):
    """Shows itself; Enter does the chosen command, Up and Down choose."""

    def __init__(self, window: Window, actions: dict[str, QAction]) -> None:
        self._dialog = Plate("Find any command", window)
        super().__init__(self._dialog)
        self._dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._dialog.setFixedSize(520, 424)
        self._actions = {
            one.name: actions[one.name]
            for one in ACTIONS
            if one.name != "view.palette" and actions[one.name].isEnabled()
        }
        inner = column(gap=8)
        inner.setContentsMargins(12, 12, 12, 8)
        self._dialog.column.addLayout(inner)
        self._field = QLineEdit(self._dialog)
        self._field.setPlaceholderText("Find any command")
        self._field.setAccessibleName("Find any command")
        self._field.addAction(
            theme.icon("search", "text3"), QLineEdit.ActionPosition.LeadingPosition
        )
        self._found = Found(self._dialog)
        self._list = QListView(self._dialog)
        self._list.setModel(self._found)
        self._list.setAccessibleName("Commands")
        self._list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._list.setMouseTracking(True)
        self._list.setItemDelegate(CommandDelegate(self._list))
        inner.addWidget(self._field)
        inner.addWidget(self._list, 1)
        self._field.textChanged.connect(self._filter)
        self._field.returnPressed.connect(self._do)
        self._list.clicked.connect(self._do)
        self._field.installEventFilter(self)
        self._filter("")
        window.run_dialog(self._dialog)
        self._field.setFocus()

    def _filter(self, words: str) -> None:
        wanted = words.lower().split()
        self._found.show_rows(
            [
                Found.Row(one.name, self._actions[one.name].text(), one.keys, one.help)
                for one in ACTIONS
                if one.name in self._actions
                and all(
                    word in f"{one.menu} {self._actions[one.name].text()}".lower()
                    for word in wanted
                )
            ]
            or [Found.Row("", f"Nothing matches «{words.strip()}»", (), "")]
        )
        self._list.setCurrentIndex(self._found.index(0))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Up and Down in the field move in the list."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}.get(Qt.Key(event.key()))
            if step is not None:
                place = (self._list.currentIndex().row() + step) % self._found.rowCount()
                self._list.setCurrentIndex(self._found.index(place))
                return True
        return False

    def _do(self) -> None:
        action = self._actions.get(self._list.currentIndex().data(NAME))
        if action is not None:
            self._dialog.accept()
            action.trigger()


class Found(QAbstractListModel):
    """The commands that match, or one row that says that none does."""

    class Row(NamedTuple):
        """`name`: of the action, or "" for words alone."""

        name: str
        text: str
        keys: tuple[str, ...]
        help: str

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._rows: list[Found.Row] = []

    def show_rows(self, rows: "list[Found.Row]") -> None:
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008  # Qt's own default
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        row = self._rows[index.row()]
        values = {
            int(Qt.ItemDataRole.DisplayRole): row.text,
            int(Qt.ItemDataRole.ToolTipRole): row.help or None,
            NAME: row.name,
            KEYS: key_text(row.keys[0]) if row.keys else "",
        }
        return values.get(role)


class CommandDelegate(QStyledItemDelegate):
    """One command in a row of 28 px: its words at the left, its key at the right."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(200, 28)

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: Index,
    ) -> None:
        area = QRectF(option.rect).adjusted(0, 0, -2, 0)
        is_command = bool(index.data(NAME))
        is_chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        if is_command and (is_chosen or option.state & QStyle.StateFlag.State_MouseOver):
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour("accent_tint" if is_chosen else "hover"))
            painter.drawRoundedRect(area, 4, 4)
        middle = Qt.AlignmentFlag.AlignVCenter
        words = area.adjusted(8, 0, -8, 0)
        painter.setFont(theme.font("body"))
        ink = "text" if is_command else "text3"
        painter.setPen(theme.colour("accent" if is_command and is_chosen else ink))
        painter.drawText(words, middle, index.data(Qt.ItemDataRole.DisplayRole))
        painter.setFont(theme.font("small"))
        painter.setPen(theme.colour("text3"))
        painter.drawText(words, middle | Qt.AlignmentFlag.AlignRight, index.data(KEYS) or "")
        painter.restore()
