"""The few dialogs: find any command, details of a failure, keys, about, save before closing."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QAction, QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QGridLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMessageBox,
    QPlainTextEdit,
    QScrollArea,
    QWidget,
)

from desktop.job_entry import Entry
from ui.controls import label, push_button
from ui.panels import column, row
from ui.window import Window


def _dialog(window: Window, title: str, width: int, height: int) -> QDialog:
    dialog = QDialog(window)
    dialog.setWindowTitle(title)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setProperty("surface", "panel")
    dialog.resize(width, height)
    return dialog


class Palette(QObject):
    """A field and the commands that match; Enter does the chosen one."""

    def __init__(self, window: Window, actions: dict[str, QAction]) -> None:
        self._dialog = _dialog(window, "Find any command", 480, 420)
        super().__init__(self._dialog)
        self._actions = [
            action for action in actions.values() if action.text() and action.isEnabled()
        ]
        inner = column(self._dialog, (12, 12, 12, 12), 8)
        self._field = QLineEdit(self._dialog)
        self._field.setPlaceholderText("Find any command")
        self._list = QListWidget(self._dialog)
        self._list.setAccessibleName("Commands")
        inner.addWidget(self._field)
        inner.addWidget(self._list, 1)
        self._field.textChanged.connect(self._filter)
        self._field.returnPressed.connect(self._do)
        self._list.itemActivated.connect(lambda _item: self._do())
        self._field.installEventFilter(self)
        self._filter("")
        window.run_dialog(self._dialog)
        self._field.setFocus()

    def _filter(self, words: str) -> None:
        wanted = words.lower().split()
        self._list.clear()
        for action in self._actions:
            text = action.text().replace("&", "")
            if all(word in text.lower() for word in wanted):
                keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
                item = QListWidgetItem(f"{text}\t{keys}" if keys else text)
                item.setData(Qt.ItemDataRole.UserRole, action)
                item.setToolTip(action.toolTip())
                self._list.addItem(item)
        self._list.setCurrentRow(0)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Up and Down in the field move in the list."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}.get(Qt.Key(event.key()))
            if step is not None and self._list.count():
                self._list.setCurrentRow((self._list.currentRow() + step) % self._list.count())
                return True
        return False

    def _do(self) -> None:
        item = self._list.currentItem()
        self._dialog.accept()
        if item is not None:
            action: QAction = item.data(Qt.ItemDataRole.UserRole)
            action.trigger()


def show_details(window: Window, title: str, entry: Entry) -> None:
    """The reason, the hint and the log of a failed job, with Copy."""
    dialog = _dialog(window, title, 640, 420)
    inner = column(dialog, (20, 20, 20, 20), 12)
    head = label(f"{entry.message} {entry.hint}".strip(), "body", parent=dialog)
    head.setWordWrap(True)
    inner.addWidget(head)
    text = QPlainTextEdit(entry.details, dialog)
    text.setReadOnly(True)
    inner.addWidget(text, 1)
    buttons = row(gap=8)
    copy = push_button("Copy", parent=dialog)
    close = push_button("Close", "primary", parent=dialog)
    copy.clicked.connect(
        lambda: QGuiApplication.clipboard().setText(
            f"{title}\n{entry.message} {entry.hint}\n{entry.details}"
        )
    )
    close.clicked.connect(dialog.accept)
    buttons.addStretch(1)
    buttons.addWidget(copy)
    buttons.addWidget(close)
    inner.addLayout(buttons)
    window.run_dialog(dialog)


def show_shortcuts(window: Window, actions: dict[str, QAction]) -> None:
    """Every command that has a key."""
    dialog = _dialog(window, "Keyboard shortcuts", 560, 640)
    outer = column(dialog, (0, 0, 0, 0), 0)
    area = QScrollArea(dialog)
    area.setWidgetResizable(True)
    body = QWidget(area)
    grid = QGridLayout(body)
    grid.setContentsMargins(20, 20, 20, 20)
    grid.setHorizontalSpacing(24)
    grid.setVerticalSpacing(8)
    keyed = [action for action in actions.values() if not action.shortcut().isEmpty()]
    for place, action in enumerate(keyed):
        keys = "  ".join(
            one.toString(QKeySequence.SequenceFormat.NativeText) for one in action.shortcuts()
        )
        grid.addWidget(label(action.text().replace("&", ""), "body", parent=body), place, 0)
        grid.addWidget(label(keys, "small", tone="text2", parent=body), place, 1)
    area.setWidget(body)
    outer.addWidget(area)
    window.run_dialog(dialog)


def show_about(window: Window) -> None:
    """Name, version, licence."""
    dialog = _dialog(window, "About Reelwright", 420, 220)
    inner = column(dialog, (24, 24, 24, 24), 8)
    try:
        number = version("reelwright")
    except PackageNotFoundError:
        number = ""
    inner.addWidget(label("Reelwright", "title", parent=dialog))
    lines = (
        f"Version {number}".strip(),
        "A timeline video editor. Free software under the GNU General Public License, "
        "version 3 or later. The typeface is Inter, under the SIL Open Font License 1.1.",
    )
    for line in lines:
        words: QLabel = label(line, "body", tone="text2", parent=dialog)
        words.setWordWrap(True)
        inner.addWidget(words)
    inner.addStretch(1)
    close = push_button("Close", "primary", parent=dialog)
    close.clicked.connect(dialog.accept)
    foot = row(gap=8)
    foot.addStretch(1)
    foot.addWidget(close)
    inner.addLayout(foot)
    window.run_dialog(dialog)


def ask_to_save(window: Window, name: str, save: Callable[[], bool]) -> bool:
    """Asks before edits are let go; whether to go on. `save` tells whether it was saved."""
    box = QMessageBox(window)
    box.setWindowTitle("Reelwright")
    box.setText(f"Save the edits of {name}?")
    box.setInformativeText("Without saving they are lost.")
    buttons = QMessageBox.StandardButton
    box.setStandardButtons(buttons.Save | buttons.Discard | buttons.Cancel)
    box.setDefaultButton(buttons.Save)
    answer = box.exec()
    if answer == buttons.Save:
        return save()
    return answer == buttons.Discard
