"""The window: panels and where they go, menus, drops, notices, queue and Export buttons."""

import subprocess
import sys
from fractions import Fraction

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, QRect, Qt, QUrl
from PySide6.QtGui import QAction, QColor, QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDialog,
    QLineEdit,
    QListView,
    QPushButton,
    QTabBar,
    QWidget,
)
from pytestqt.qtbot import QtBot

from ui import theme
from ui.menurow import ExportButton, QueueButton
from ui.notice import Notice, NoticeBar
from ui.slider import Slider
from ui.statusbar import StatusBar
from ui.window import Window


def shown(qtbot: QtBot, width: int = 1440) -> Window:
    play = QAction("Play")
    timeline = QWidget()
    timeline.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    window = Window({"timeline.play": play}, {"File": ["timeline.play"]}, timeline)
    window._play = play  # type: ignore[attr-defined]  # keeps the action alive
    qtbot.addWidget(window)
    window.resize(width, 900)
    window.viewer.set_sequence("Sequence 1", 1920, 1080, Fraction(25))
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    return window


def test_the_frame_of_the_design(qtbot: QtBot) -> None:
    window = shown(qtbot)
    assert window.menu_row.height() == 44
    assert window.bin.width() == 272
    assert window.inspector.width() == 320
    corner = window.timeline.mapTo(window, QPoint(0, 0))
    assert corner.y() == 533
    assert window.timeline.height() == 343
    assert window.status.mapTo(window, QPoint(0, 0)).y() == 876


def test_a_notice_shortens_the_upper_row_only(qtbot: QtBot) -> None:
    window = shown(qtbot)
    before = window.timeline.mapTo(window, QPoint(0, 0)).y()
    window.notices.tell(Notice("error", "a.mov cannot be read."))
    qtbot.waitUntil(lambda: window.bin.mapTo(window, QPoint(0, 0)).y() == 84)
    assert window.timeline.mapTo(window, QPoint(0, 0)).y() == before


def test_the_queue_takes_the_place_of_the_inspector(qtbot: QtBot) -> None:
    window = shown(qtbot)
    window.menu_row.queue.click()
    assert window.is_queue_shown()
    assert not window.inspector.isVisible()
    assert window.queue.width() == 400
    QTest.keyClick(window, Qt.Key.Key_Escape)
    assert not window.is_queue_shown()
    assert window.inspector.isVisible()
    assert not window.menu_row.queue.isChecked()


def test_a_wide_window_shows_both(qtbot: QtBot) -> None:
    window = shown(qtbot, 1800)
    window.show_queue(True)
    assert window.inspector.isVisible()


def test_larger_view(qtbot: QtBot) -> None:
    window = shown(qtbot)
    window.set_larger_view(True)
    hidden = (window.bin, window.inspector, window.timeline)
    assert not any(one.isVisible() for one in hidden)
    window.set_larger_view(False)
    assert all(one.isVisible() for one in hidden)


def drop(window: Window, at: QPoint) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile("/m/a.mp4"), QUrl("https://example.org/b.mp4")])
    keys = (Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    enter = QDragEnterEvent(at, Qt.DropAction.CopyAction, mime, *keys)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    event = QDropEvent(QPointF(at), Qt.DropAction.CopyAction, mime, *keys)
    QApplication.sendEvent(window, event)


@pytest.mark.parametrize(
    ("at", "where"),
    [(QPoint(100, 300), "bin"), (QPoint(700, 300), "viewer"), (QPoint(1300, 300), "window")],
)
def test_files_land_where_they_are_dropped(qtbot: QtBot, at: QPoint, where: str) -> None:
    window = shown(qtbot)
    with qtbot.waitSignal(window.files_dropped) as told:
        drop(window, at)
    assert told.args == [("/m/a.mp4",), where]
    assert not window._frame.isVisible()


def test_a_drag_frames_the_panel_under_it(qtbot: QtBot) -> None:
    window = shown(qtbot)
    assert window._aim(QPoint(100, 300)) == "bin"
    assert window._frame.geometry().width() == window.bin.width()
    window._aim(None)
    assert not window._frame.isVisible()


def test_a_dialog_dims_the_window_and_gives_the_focus_back(qtbot: QtBot) -> None:
    window = shown(qtbot)
    window.timeline.setFocus()
    dialog = QDialog()
    dialog.resize(400, 300)
    window.run_dialog(dialog)
    assert window._scrim is not None
    dialog.reject()
    assert window._scrim is None
    qtbot.waitUntil(window.timeline.hasFocus)


def test_f6_goes_from_panel_to_panel(qtbot: QtBot) -> None:
    window = shown(qtbot)
    window.timeline.setFocus()
    seen = []
    for _ in range(len(window.panels())):
        window.focus_panel(1)
        focus = QApplication.focusWidget()
        seen.append(next(p for p in window.panels() if p is focus or p.isAncestorOf(focus)))
    assert {window.bin, window.viewer, window.transport, window.timeline} <= set(seen)


def test_the_ring_is_for_the_keyboard(qtbot: QtBot) -> None:
    window = shown(qtbot)
    window.menu_row.export.set_possible(True)
    window.menu_row.queue.setFocus(Qt.FocusReason.OtherFocusReason)
    assert window._ring._frame is None
    QTest.keyClick(window.menu_row.queue, Qt.Key.Key_Tab)
    frame = window._ring._frame
    assert frame is not None
    assert frame.isVisible()
    focus = QApplication.focusWidget()
    assert focus is not None
    at = QRect(focus.mapTo(window, QPoint(0, 0)), focus.size())
    assert frame.geometry() == at.adjusted(-4, -4, 4, 4)
    focus.clearFocus()
    assert not frame.isVisible()


def test_the_name_gives_way_to_menus_and_buttons(qtbot: QtBot) -> None:
    window = shown(qtbot, 1120)
    window.set_project("a_project_with_quite_a_long_name_" * 4, True)
    title = window.menu_row._title
    assert title.geometry().right() < window.menu_row.queue.geometry().left()
    assert title.geometry().left() > window.menu_row.menu_bar.geometry().right()
    assert not window.menu_row._edited.isVisible()


def test_queue_button_says_what_runs(qtbot: QtBot) -> None:
    button = QueueButton()
    qtbot.addWidget(button)
    button.set_running("Restyle", 0.42, "1 min left", 2)
    assert button.words() == "Restyle 42 %"
    assert button.accessibleName() == "Queue: Restyle 42 percent, 2 waiting"
    assert button.sizeHint().width() == 240
    button.set_idle()
    button.set_failed(1)
    assert button.words() == "Queue"
    assert button.accessibleName() == "Queue: 1 failed"


def test_export_button_exports_then_cancels(qtbot: QtBot) -> None:
    button = ExportButton()
    qtbot.addWidget(button)
    main, arrow = button.findChildren(QAbstractButton)
    assert not main.isEnabled()
    assert "nothing" in main.toolTip()
    heard: list[str] = []
    button.export_requested.connect(lambda: heard.append("export"))
    button.cancel_requested.connect(lambda: heard.append("cancel"))
    button.sheet_requested.connect(lambda: heard.append("sheet"))
    button.set_possible(True)
    main.click()
    button.set_progress(0.37)
    assert main.text() == "37 %"
    main.click()
    button.set_progress(None)
    arrow.click()
    assert heard == ["export", "cancel", "sheet"]


def test_notices_stack_the_newest_on_top(qtbot: QtBot) -> None:
    bar = NoticeBar()
    qtbot.addWidget(bar)
    first = Notice("error", "First.", (("copy", "Copy details"),))
    second = Notice("warning", "Second.", (("a", "One"), ("b", "Two")))
    bar.tell(first)
    bar.tell(second)
    assert bar.notices() == (first, second)
    assert bar._more.text() == "+1"
    with qtbot.waitSignal(bar.action_requested) as told:
        next(one for one in bar.findChildren(QPushButton) if one.text() == "Two").click()
    assert told.args == [second, "b"]
    with qtbot.waitSignal(bar.closed):
        bar.close_newest()
    assert bar.notices() == (first,)
    bar.withdraw(first)
    assert bar.isHidden()


def test_details_of_a_notice_can_be_copied(qtbot: QtBot) -> None:
    window = shown(qtbot)
    heard: list[str] = []
    window.notices.action_requested.connect(lambda _notice, key: heard.append(key))
    window.notices.tell(Notice("error", "It failed.", (), "line 3: no such thing"))
    copy = next(one for one in window.notices.findChildren(QPushButton) if one.isVisible())
    assert copy.text() == "Copy details"
    copy.click()
    assert QApplication.clipboard().text() == "It failed.\nline 3: no such thing"
    assert heard == []


def test_only_done_goes_by_itself(qtbot: QtBot) -> None:
    bar = NoticeBar()
    qtbot.addWidget(bar)
    bar.tell(Notice("done", "x.gif is ready: 7.6 MB."))
    assert bar._timer.isActive()
    assert bar._timer.interval() == 6000
    bar._expire()
    assert bar.notices() == ()
    bar.tell(Notice("error", "It failed."))
    assert not bar._timer.isActive()


def test_help_of_a_control_is_in_the_status_bar(qtbot: QtBot) -> None:
    bar = StatusBar()
    qtbot.addWidget(bar)
    bar.set_hints([("Alt", "no snapping"), ("Ctrl I", "import")])
    assert bar.hints() == (("Alt", "no snapping"), ("Ctrl I", "import"))
    bar.show_tip("Ping-pong (Ctrl Shift L).")
    assert bar._stack.currentIndex() == 1
    bar.show_tip("")
    assert bar._stack.currentIndex() == 0


def test_every_button_has_a_name(qtbot: QtBot) -> None:
    window = shown(qtbot)
    window.show_queue(True)
    nameless = [
        one
        for one in window.findChildren(QAbstractButton)
        if one.isVisible() and not (one.accessibleName() or one.text())
    ]
    assert nameless == []


def test_both_themes_paint(qtbot: QtBot, qapp: QApplication) -> None:
    window = shown(qtbot)
    dark = window.grab().toImage().pixelColor(1300, 300)
    theme.apply(qapp, "light")
    light = window.grab().toImage().pixelColor(1300, 300)
    assert dark == QColor("#17181B")
    assert light == QColor("#F5F6F7")


def test_the_window_imports_nothing_heavy() -> None:
    code = (
        "import sys, ui.window;"
        "bad = {'numpy', 'av', 'cv2', 'torch', 'PySide6.QtSvg', 'PySide6.QtMultimedia'};"
        "bad |= {'ui.export', 'asyncio'};"
        "sys.exit(', '.join(sorted(bad & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_window_that_is_not_complete_yet_can_be_resized(qtbot: QtBot) -> None:
    window = Window({}, {})
    qtbot.addWidget(window)
    window.viewer.set_sequence("Sequence 1", 1920, 1080, Fraction(25))
    with qtbot.waitExposed(window):
        window.show()
    before = window.viewer.canvas.frame_rect()
    with qtbot.waitSignal(window.viewer.canvas.scale_changed):
        window.resize(1700, 1100)
    assert window.viewer.canvas.frame_rect().width() > before.width()
    window.complete(QWidget())
    window.resize(1440, 900)


@pytest.mark.parametrize(
    ("kind", "needed"),
    [
        (QPushButton, {Qt.Key.Key_Space}),
        (QListView, {Qt.Key.Key_Space, Qt.Key.Key_Delete, Qt.Key.Key_Left, Qt.Key.Key_Up}),
        (Slider, {Qt.Key.Key_Left, Qt.Key.Key_Up}),
        (QTabBar, {Qt.Key.Key_Left}),
        (QLineEdit, {Qt.Key.Key_Space, Qt.Key.Key_Left, Qt.Key.Key_Up, Qt.Key.Key_Delete}),
        (QWidget, set()),
    ],
)
def test_a_focused_control_keeps_the_keys_it_needs(
    qtbot: QtBot, kind: type[QWidget], needed: set[Qt.Key]
) -> None:
    window = shown(qtbot)
    control = Slider("Value") if kind is Slider else kind()
    control.setParent(window)
    control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    control.show()
    control.setFocus()
    heard: set[Qt.Key] = set()
    keys = {Qt.Key.Key_Space, Qt.Key.Key_Delete, Qt.Key.Key_Left, Qt.Key.Key_Up, Qt.Key.Key_F2}
    for key in keys:
        action = QAction(window)
        action.setShortcut(key)
        action.triggered.connect(lambda _=False, key=key: heard.add(key))
        window.addAction(action)
    for key in keys:
        QTest.keyClick(control, key)
    assert heard == keys - needed


def test_space_presses_the_button_that_has_the_focus(qtbot: QtBot) -> None:
    window = shown(qtbot)
    play = window.actions()[0]
    play.setShortcut(Qt.Key.Key_Space)
    button = QPushButton(window)
    button.show()
    button.setFocus()
    with qtbot.waitSignal(button.clicked), qtbot.assertNotEmitted(play.triggered):
        QTest.keyClick(button, Qt.Key.Key_Space)


def test_the_queue_button_never_loses_its_percent(qtbot: QtBot) -> None:
    button = QueueButton()
    qtbot.addWidget(button)
    button.set_running("Image to video", 0.79, "20 s left", 1)
    assert button.words_within(400) == "Image to video 79 %"
    assert button.words_within(90).endswith("… 79 %")
    button.set_idle()
    assert button.words_within(400) == "Queue"
