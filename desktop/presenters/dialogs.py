"""The few dialogs: details of a failure, keys, about, save before closing."""

from collections.abc import Callable

from PySide6.QtCore import QEventLoop, Qt
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from desktop.actions import ACTIONS
from desktop.job_entry import Entry
from desktop.wording import own_version
from ui.controls import Keycap, key_text, label, push_button
from ui.panels import column, row
from ui.sheet import Sheet
from ui.window import Window

COLUMNS = (("File", "Edit", "Clip", "Effects"), ("Timeline", "View", "Help"))


def _sheet(window: Window, title: str, width: int) -> tuple[Sheet, QVBoxLayout]:
    """A sheet and the column for its content."""
    sheet = Sheet(title, window)
    sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    sheet.setFixedWidth(width)
    inner = column(gap=12)
    inner.setContentsMargins(20, 16, 20, 20)
    sheet.column.addLayout(inner)
    return sheet, inner


def _foot(sheet: Sheet, inner: QVBoxLayout, *buttons: QPushButton) -> None:
    """The buttons of a sheet, at its right; the last one is the default."""
    foot = row(gap=8)
    foot.addStretch(1)
    for button in buttons:
        button.setAutoDefault(False)
        foot.addWidget(button)
    buttons[-1].setDefault(True)
    inner.addLayout(foot)
    sheet.adjustSize()


def _words(text: str, tone: str, parent: QWidget) -> QLabel:
    words = label(text, "body", tone=tone, parent=parent)
    words.setWordWrap(True)
    return words


def ask_for_lora(window: Window) -> str:
    """A file of the person's choice, "" for none."""
    kinds = "LoRA (*.safetensors);;All files (*)"
    return QFileDialog.getOpenFileName(window, "Add a LoRA", "", kinds)[0]


def show_details(window: Window, title: str, entry: Entry) -> None:
    """The reason, the hint and the log of a failed job, with Copy."""
    sheet, inner = _sheet(window, "Details", 640)
    sheet.set_subject(title)
    inner.addWidget(_words(f"{entry.message} {entry.hint}".strip(), "", sheet))
    text = QPlainTextEdit(entry.details, sheet)
    text.setReadOnly(True)
    text.setFixedHeight(280)
    text.setTabChangesFocus(True)
    text.setAccessibleName("Log")
    inner.addWidget(text)
    copy = push_button("Copy", large=True, parent=sheet)
    close = push_button("Close", "primary", large=True, parent=sheet)
    copy.clicked.connect(
        lambda: QGuiApplication.clipboard().setText(
            f"{title}\n{entry.message} {entry.hint}\n{entry.details}"
        )
    )
    close.clicked.connect(sheet.accept)
    _foot(sheet, inner, copy, close)
    window.run_dialog(sheet)


def show_notes(window: Window, title: str, notes: tuple[str, ...]) -> None:
    """What a finished job tells of how it went, one paragraph each, with Copy."""
    sheet, inner = _sheet(window, "How it went", 560)
    sheet.set_subject(title)
    for one in notes:
        words = _words(one, "", sheet)
        words.setTextFormat(Qt.TextFormat.PlainText)
        words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        inner.addWidget(words)
    copy = push_button("Copy", large=True, parent=sheet)
    close = push_button("Close", "primary", large=True, parent=sheet)
    copy.clicked.connect(lambda: QGuiApplication.clipboard().setText("\n".join((title, *notes))))
    close.clicked.connect(sheet.accept)
    _foot(sheet, inner, copy, close)
    window.run_dialog(sheet)


def show_shortcuts(window: Window, actions: dict[str, QAction]) -> None:
    """Every command that has a key, by menu, in two columns."""
    sheet = Sheet("Keyboard shortcuts", window)
    sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    sheet.resize(760, min(680, window.height() - 40))
    area = QScrollArea(sheet)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    body = QWidget(area)
    across = row(body, (20, 16, 20, 20), 32)
    for menus in COLUMNS:
        rows = column(gap=4)
        for menu in menus:
            rows.addWidget(label(menu, "body", 600, parent=body))
            for one in ACTIONS:
                if one.menu == menu and one.keys:
                    rows.addLayout(_key_row(actions[one.name], one.keys, one.text, body))
            rows.addSpacing(12)
        rows.addStretch(1)
        across.addLayout(rows, 1)
    area.setWidget(body)
    sheet.column.addWidget(area, 1)
    window.run_dialog(sheet)


def _key_row(action: QAction, keys: tuple[str, ...], text: str, parent: QWidget) -> QHBoxLayout:
    line = row(gap=4)
    line.addWidget(label(text, "body", tone="text2", parent=parent))
    line.addStretch(1)
    for one in keys:
        line.addWidget(Keycap(key_text(one), parent))
    return line


def show_about(window: Window) -> None:
    """Name, version, licence."""
    sheet, inner = _sheet(window, "About Reelwright", 420)
    inner.addWidget(label(f"Version {own_version()}".strip(), "body", 600, parent=sheet))
    inner.addWidget(
        _words(
            "A timeline video editor. Free software under the GNU General Public License, "
            "version 3 or later. The typeface is Inter, under the SIL Open Font License 1.1.",
            "text2",
            sheet,
        )
    )
    close = push_button("Close", "primary", large=True, parent=sheet)
    close.clicked.connect(sheet.accept)
    _foot(sheet, inner, close)
    window.run_dialog(sheet)


def ask_to_save(window: Window, name: str, save: Callable[[], bool]) -> bool:
    """Asks before edits are let go; whether to go on. `save` tells whether it was saved."""
    sheet, inner = _sheet(window, f"Save the edits of {name}?", 440)
    inner.addWidget(_words("Without saving they are lost.", "text2", sheet))
    answers = (
        push_button("Do not save", large=True, parent=sheet),
        push_button("Cancel", large=True, parent=sheet),
        push_button("Save", "primary", large=True, parent=sheet),
    )
    drop, _, keep = answers
    chosen: list[QPushButton] = []
    for button in answers:
        button.clicked.connect(lambda _=False, button=button: chosen.append(button))
        button.clicked.connect(sheet.accept)
    _foot(sheet, inner, *answers)
    loop = QEventLoop()
    sheet.finished.connect(loop.quit)
    window.run_dialog(sheet)
    keep.setFocus(Qt.FocusReason.OtherFocusReason)
    loop.exec()
    if chosen == [keep]:
        return save()
    return chosen == [drop]
