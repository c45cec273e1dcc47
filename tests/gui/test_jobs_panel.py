"""The queue panel: sections, progress in place, order, keys, remedies."""

from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QPushButton
from pytestqt.qtbot import QtBot

from ui.job_rows import FailedCard, RunningCard, WaitingRow
from ui.jobs import DONE, FAILED, RUNNING, STOPPING, WAITING, JobRow, QueuePanel

STAGES = (("Effects", 1.0), ("Encode", 0.4))


def rows() -> list[JobRow]:
    return [
        JobRow("w1", WAITING, "Upscale 2×", "a.mp4", detail="About 40 s"),
        JobRow("r", RUNNING, "Restyle", "b.gif", fraction=0.42, stages=STAGES, step="Frame 42"),
        JobRow("w2", WAITING, "Image to video", "c.jpg", detail="About 3 min"),
        JobRow("w3", WAITING, "Restyle", "d" * 80 + ".mp4"),
        JobRow("f", FAILED, "Upscale 4×", "e.mp4", message="The disk is full.",
               kept="Frames 0 to 39 are kept.", remedies=(("retry", "Retry"),), has_details=True),
        JobRow("d", DONE, "Export GIF", "x.gif", file="/out/x.gif"),
        JobRow("e", DONE, "Restyle", "y.mp4", can_show=True, notes=("Text 1.2 s.",)),
    ]  # fmt: skip


def shown(qtbot: QtBot) -> QueuePanel:
    panel = QueuePanel()
    qtbot.addWidget(panel)
    panel.resize(400, 900)
    panel.set_rows(rows())
    with qtbot.waitActive(panel):
        panel.show()
        panel.activateWindow()
    return panel


def heard_by(panel: QueuePanel) -> list[tuple[object, ...]]:
    heard: list[tuple[object, ...]] = []
    for name in ("cancel", "remove", "remedy", "details", "show", "folder", "move", "pause"):
        getattr(panel, f"{name}_requested").connect(
            lambda *values, name=name: heard.append((name, *values))
        )
    return heard


def test_sections_come_in_order(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    assert [one.job.id for one in panel.entries()] == ["r", "w1", "w2", "w3", "f", "d", "e"]
    assert panel.counts_text() == "1 running, 3 waiting"


def test_progress_keeps_the_widgets(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    before = panel.entries()
    changed = rows()
    changed[1] = JobRow("r", RUNNING, "Restyle", "b.gif", fraction=0.5, stages=STAGES)
    panel.set_rows(changed)
    assert panel.entries() == before
    assert "50 percent" in before[0].accessibleName()
    changed[1] = JobRow("r", STOPPING, "Restyle", "b.gif", fraction=0.5, stages=STAGES)
    panel.set_rows(changed)
    assert panel.entries() == before
    button = before[0].findChild(QPushButton)
    assert isinstance(button, QPushButton)
    assert (button.text(), button.isEnabled()) == ("Stopping…", False)


def test_keys_reorder_remove_and_walk(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    heard = heard_by(panel)
    second = panel.entries()[2]
    second.setFocus()
    QTest.keyClick(second, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    QTest.keyClick(second, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    QTest.keyClick(second, Qt.Key.Key_Delete)
    assert heard == [("move", "w2", 0), ("move", "w2", 2), ("remove", "w2")]
    QTest.keyClick(second, Qt.Key.Key_Up)
    assert panel.entries()[1].hasFocus()


def test_a_waiting_job_is_dragged_to_its_place(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    heard = heard_by(panel)
    last, first = panel.entries()[3], panel.entries()[1]
    assert isinstance(last, WaitingRow)
    end = last.handle.mapFromGlobal(first.mapToGlobal(QPoint(5, 2)))
    QTest.mousePress(last.handle, Qt.MouseButton.LeftButton)
    QTest.mouseMove(last.handle, end)
    QTest.mouseRelease(last.handle, Qt.MouseButton.LeftButton, pos=end)
    assert heard == [("move", "w3", 0)]


def test_failed_card_says_why_and_offers_the_remedy(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    heard = heard_by(panel)
    card = panel.entries()[4]
    assert isinstance(card, FailedCard)
    for words in ("Retry", "Details"):
        next(one for one in card.findChildren(QPushButton) if one.text() == words).click()
    card.setFocus()
    QTest.keyClick(card, Qt.Key.Key_Return)
    assert heard == [("remedy", "f", "retry"), ("details", "f"), ("remedy", "f", "retry")]


def test_enter_shows_what_is_done(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    heard = heard_by(panel)
    for entry in panel.entries()[5:]:
        QTest.keyClick(entry, Qt.Key.Key_Return)
    assert heard == [("folder", "d"), ("show", "e")]


def test_only_a_job_that_tells_how_it_went_offers_to_say_it(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    heard = heard_by(panel)
    silent, telling = panel.entries()[5:]
    names = [one.accessibleName() for one in silent.findChildren(QAbstractButton)]
    assert "How it went" not in names
    buttons = telling.findChildren(QAbstractButton)
    next(one for one in buttons if one.accessibleName() == "How it went").click()
    assert heard == [("details", "e")]


def test_cancel_and_pause(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    heard = heard_by(panel)
    running = panel.entries()[0]
    assert isinstance(running, RunningCard)
    button = running.findChild(QPushButton)
    assert isinstance(button, QPushButton)
    button.click()
    pause = next(one for one in panel.findChildren(QAbstractButton) if one.text() == "Pause")
    pause.click()
    panel.set_paused(True)
    assert pause.text() == "Resume"
    pause.click()
    assert heard == [("cancel", "r"), ("pause", True), ("pause", False)]


def test_focus_stays_on_its_job_when_the_list_changes(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    panel.entries()[2].setFocus()
    panel.set_rows([one for one in rows() if one.id != "w1"])
    focused = [one.job.id for one in panel.entries() if one.hasFocus()]
    assert focused == ["w2"]


def test_an_empty_queue_says_so(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    panel.set_rows([])
    assert panel.entries() == ()
    assert panel.counts_text() == ""
