"""What a screen reader finds in the timeline."""

import gc

from msgspec.structs import replace
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QAccessible
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from tests.gui.timeline_host import Host, sample

NAME = QAccessible.Text.Name


def test_the_timeline_is_a_list_of_clips(qapp: QApplication) -> None:
    host = Host(sample())
    host.view.set_selection(frozenset(("cat",)))
    found = QAccessible.queryAccessibleInterface(host.canvas)
    assert found.role() is QAccessible.Role.List
    assert found.text(NAME) == "Timeline"
    names = [found.child(index).text(NAME) for index in range(found.childCount())]
    assert names == [
        "cat.mp4, V2, 00:00:02:00 to 00:00:03:00",
        "cat.mp4, V1, 00:00:01:00 to 00:00:03:00, selected",
        "sun.mp4, V1, 00:00:04:00 to 00:00:06:00",
        "sun.mp4, V1, 00:00:06:00 to 00:00:08:00",
        "cat.mp4, A1, 00:00:01:00 to 00:00:03:00",
    ]
    cat = found.child(1)
    assert cat.role() is QAccessible.Role.ListItem
    assert found.indexOfChild(cat) == 1
    spot = host.canvas.mapToGlobal(host.at(1.5, "v1"))
    assert cat.rect().contains(spot)
    assert found.childAt(spot.x(), spot.y()) is cat
    assert cat.state().selected
    assert not found.child(2).state().selected


def test_the_focus_is_known(qapp: QApplication) -> None:
    host = Host(sample())
    host.view.set_selection(frozenset(("sun",)))
    host.canvas.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.keyClick(host.canvas, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)
    found = QAccessible.queryAccessibleInterface(host.canvas)
    assert found.focusChild().text(NAME).startswith("sun.mp4, V1, 00:00:06:00")


def test_clips_out_of_view_are_left_out(qapp: QApplication) -> None:
    host = Host(sample())
    host.zoom(600)
    found = QAccessible.queryAccessibleInterface(host.canvas)
    assert found.childCount() == 2


def test_a_deleted_clip_is_not_valid(qapp: QApplication) -> None:
    host = Host(sample())
    found = QAccessible.queryAccessibleInterface(host.canvas)
    item = found.child(0)
    assert item.isValid()
    lower = replace(host.sequence, tracks=host.sequence.tracks[:1])
    host.view.set_project(replace(host.project, sequences=(lower,)), "s")
    assert not item.isValid()
    assert item.text(NAME) == ""


def test_views_come_and_go(qapp: QApplication) -> None:
    for _ in range(10):
        host = Host(sample())
        found = QAccessible.queryAccessibleInterface(host.canvas)
        kept = [found.child(index) for index in range(found.childCount())]
        numbers = [QAccessible.uniqueId(one) for one in kept]
        assert len(set(numbers)) == 5
        host.view.deleteLater()
        qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        del host, found
        gc.collect()
        assert not any(one.isValid() for one in kept)
