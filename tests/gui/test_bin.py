"""The media bin: tiles, search, keys, drags, menus' wishes, the effects browser."""

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QDrag, QImage, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit
from pytestqt.qtbot import QtBot

from engine.timeline.effects import EFFECTS
from ui.bin import ASSETS_MIME, Bin, MediaItem
from ui.effects_browser import EFFECT_MIME, EffectRow

LONG = "a_very_long_name_of_a_clip_that_no_tile_has_room_for_2024_final.mp4"


def items() -> list[MediaItem]:
    picture = QImage(64, 36, QImage.Format.Format_RGB32)
    picture.fill(0xFF336699)
    return [
        MediaItem("a", "surf.mp4", "/m/surf.mp4", "video", "00:05:05", "832×480", True),
        MediaItem("b", "walk.gif", "/m/walk.gif", "video", "00:04:00", thumbnail=picture),
        MediaItem("c", LONG, f"/m/{LONG}", "video"),
        MediaItem("d", "gone.mp4", "/m/gone.mp4", "video", state="missing"),
        MediaItem("e", "new.wav", "/m/new.wav", "sound", state="reading", fraction=0.4),
    ]


def shown(qtbot: QtBot) -> Bin:
    panel = Bin()
    qtbot.addWidget(panel)
    panel.resize(272, 488)
    panel.set_items(items())
    with qtbot.waitActive(panel):
        panel.show()
        panel.activateWindow()
    return panel


def test_two_columns_at_the_usual_width(qtbot: QtBot) -> None:
    view = shown(qtbot).view
    rects = [view.visualRect(view.model().index(i, 0)) for i in range(3)]
    assert rects[0].top() == rects[1].top()
    assert rects[1].left() - rects[0].left() == 128
    assert rects[2].top() - rects[0].top() == 116


def test_search_filters_and_says_when_nothing_matches(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    panel.set_search("SURF")
    assert panel.view.model().rowCount() == 1
    panel.set_search("nothing like it")
    assert not panel.view.isVisible()
    panel.set_search("")
    assert panel.view.isVisible()


def test_empty_bin_says_what_to_do(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    panel.set_items([])
    assert not panel.view.isVisible()


def test_selection_stays_when_media_change(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    panel.select({"b"})
    panel.set_items(items()[1:])
    assert panel.selection() == ("b",)


def test_keys(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    panel.select({"a", "b"})
    panel.view.setFocus()
    heard: list[object] = []
    panel.opened.connect(heard.append)
    panel.play_requested.connect(heard.append)
    panel.remove_requested.connect(heard.append)
    QTest.keyClick(panel.view, Qt.Key.Key_Return)
    QTest.keyClick(panel.view, Qt.Key.Key_Space)
    QTest.keyClick(panel.view, Qt.Key.Key_Delete)
    assert heard == ["a", "a", frozenset({"a", "b"})]


def test_rename_is_a_wish(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    index = panel.view.model().index(0, 0)
    panel.view.setCurrentIndex(index)
    panel.view.edit(index)
    field = panel.view.findChild(QLineEdit)
    assert isinstance(field, QLineEdit)
    field.setText("waves.mp4")
    with qtbot.waitSignal(panel.rename_requested) as told:
        QTest.keyClick(field, Qt.Key.Key_Return)
    assert told.args == ["a", "waves.mp4"]
    assert index.data() == "surf.mp4"  # until the project says so


def test_drag_carries_ids_and_files_of_what_is_there(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = shown(qtbot)
    panel.select({"a", "b", "d"})
    carried = []

    def ended(drag: QDrag, *_: object) -> Qt.DropAction:
        carried.append(drag.mimeData())
        return Qt.DropAction.IgnoreAction

    monkeypatch.setattr(QDrag, "exec", ended)  # a real drag waits for a hand
    panel.view.startDrag(Qt.DropAction.CopyAction)
    (mime,) = carried
    assert bytes(mime.data(ASSETS_MIME).data()).decode().split("\n") == ["a", "b"]
    assert [url.toLocalFile() for url in mime.urls()] == ["/m/surf.mp4", "/m/walk.gif"]


def test_missing_and_reading_media_cannot_be_dragged(qtbot: QtBot) -> None:
    model = shown(qtbot).model
    can = [bool(model.flags(model.index(i)) & Qt.ItemFlag.ItemIsDragEnabled) for i in range(5)]
    assert can == [True, True, True, False, False]


def test_list_mode_gives_one_row_each(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    panel.view.set_as_list(True)
    QApplication.processEvents()
    rects = [panel.view.visualRect(panel.view.model().index(i, 0)) for i in range(2)]
    assert rects[1].top() - rects[0].top() == 48


def test_every_state_is_painted(qtbot: QtBot) -> None:
    panel = shown(qtbot)
    for as_list in (False, True):
        panel.view.set_as_list(as_list)
        assert not panel.grab().isNull()


def test_effects_browser_shows_the_table_and_filters(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = shown(qtbot)
    panel.tabs.setCurrentIndex(1)
    rows = panel.findChildren(EffectRow)
    assert len(rows) == sum(len(kind.engines) for kind in EFFECTS)
    panel.set_search("ink")
    assert [one.engine.name for one in rows if one.isVisible()] == ["ink"]
    row = next(one for one in rows if one.isVisible())
    with qtbot.waitSignal(panel.effect_requested) as told:
        QTest.mouseDClick(row, Qt.MouseButton.LeftButton)
    assert told.args == ["restyle", "ink"]
    carried = []
    monkeypatch.setattr(QDrag, "exec", lambda drag, *_: carried.append(drag.mimeData()))
    QTest.mousePress(row, Qt.MouseButton.LeftButton)
    QTest.mouseMove(row, row.rect().center())
    row.mouseMoveEvent(_moved(row))
    assert bytes(carried[0].data(EFFECT_MIME).data()) == b"restyle/ink"


def _moved(row: EffectRow) -> QMouseEvent:
    at = row.rect().bottomRight().toPointF()
    return QMouseEvent(
        QEvent.Type.MouseMove,
        at,
        row.mapToGlobal(at),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
