"""The dialogs: the command palette, keys, about, and the question before edits are let go."""

from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QLabel,
    QLineEdit,
    QListView,
    QPushButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from desktop.actions import ACTIONS
from desktop.presenters.dialogs import ask_to_save, show_about, show_notes, show_shortcuts
from desktop.presenters.palette import Palette
from ui.controls import Keycap
from ui.window import Window


@pytest.fixture
def actions(qapp: QApplication) -> dict[str, QAction]:
    return {one.name: QAction(one.text, qapp) for one in ACTIONS}


@pytest.fixture
def window(qtbot: QtBot, actions: dict[str, QAction]) -> Iterator[Window]:
    made = Window(actions, {}, QWidget())
    qtbot.addWidget(made)
    made.show()
    yield made
    made.hide()


def dialog(window: Window) -> QDialog:
    return next(one for one in window.findChildren(QDialog) if one.isVisible())


def test_the_palette_finds_by_words_and_by_menu_and_enter_does_it(
    window: Window, actions: dict[str, QAction], qtbot: QtBot
) -> None:
    Palette(window, actions)
    field, rows = dialog(window).findChild(QLineEdit), dialog(window).findChild(QListView)
    assert field is not None
    assert rows is not None
    assert rows.model().rowCount() == len(ACTIONS) - 1
    qtbot.keyClicks(field, "tail trim")
    assert [rows.model().index(i, 0).data() for i in range(rows.model().rowCount())] == [
        "Ripple trim tail to playhead"
    ]
    with qtbot.waitSignal(actions["clip.trim_tail"].triggered):
        qtbot.keyClick(field, Qt.Key.Key_Return)


def test_notes_of_a_job_are_read_and_copied(window: Window) -> None:
    notes = ("style.safetensors: 3 of 4 parts matched.", "Text 1.2 s, denoise 40 s.")
    show_notes(window, "Restyle · a.mp4", notes)
    sheet = dialog(window)
    shown = [one.text() for one in sheet.findChildren(QLabel)]
    assert all(one in shown for one in notes)
    next(one for one in sheet.findChildren(QPushButton) if one.text() == "Copy").click()
    assert QApplication.clipboard().text().splitlines() == ["Restyle · a.mp4", *notes]


def test_the_palette_says_when_nothing_matches_and_enter_does_nothing(
    window: Window, actions: dict[str, QAction], qtbot: QtBot
) -> None:
    Palette(window, actions)
    shown = dialog(window)
    field, rows = shown.findChild(QLineEdit), shown.findChild(QListView)
    assert field is not None
    assert rows is not None
    qtbot.keyClicks(field, "xyzzy")
    assert rows.model().index(0, 0).data() == "Nothing matches «xyzzy»"
    qtbot.keyClick(field, Qt.Key.Key_Return)
    qtbot.keyClick(field, Qt.Key.Key_Down)
    assert shown.isVisible()


def test_every_key_of_the_table_is_among_the_shortcuts(
    window: Window, actions: dict[str, QAction]
) -> None:
    show_shortcuts(window, actions)
    caps = dialog(window).findChildren(Keycap)
    assert len(caps) == sum(len(one.keys) for one in ACTIONS)


def test_about_tells_the_licence(window: Window) -> None:
    show_about(window)
    words = " ".join(one.text() for one in dialog(window).findChildren(QLabel))
    assert "GNU General Public License" in words


@pytest.mark.parametrize(
    ("answer", "saved", "goes_on"),
    [("Save", True, True), ("Save", False, False), ("Do not save", True, True)],
)
def test_the_answer_decides_whether_edits_are_let_go(
    window: Window, qtbot: QtBot, answer: str, saved: bool, goes_on: bool
) -> None:
    asked: list[str] = []

    def save() -> bool:
        asked.append("saved")
        return saved

    QTimer.singleShot(0, pressing(window, answer))
    assert ask_to_save(window, "film", save) is goes_on
    assert asked == (["saved"] if answer == "Save" else [])


def test_escape_keeps_the_edits_and_the_window(window: Window, qtbot: QtBot) -> None:
    QTimer.singleShot(0, lambda: qtbot.keyClick(dialog(window), Qt.Key.Key_Escape))
    assert not ask_to_save(window, "film", lambda: True)


def pressing(window: Window, words: str) -> Callable[[], None]:
    def press() -> None:
        buttons = dialog(window).findChildren(QPushButton)
        next(one for one in buttons if one.text() == words).click()

    return press
