"""The mouse on the timeline: each gesture by real events, its edit on a real project."""

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from tests.gui.timeline_host import RATE, Host, sample, seconds

CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
ALT = Qt.KeyboardModifier.AltModifier


@pytest.fixture
def host(qapp: object) -> Iterator[Host]:
    made = Host(sample())
    yield made
    made.view.close()


def test_a_click_selects_with_links(host: Host) -> None:
    host.click(host.at(2, "v1"))
    assert host.selection == {"cat", "voice"}
    host.click(host.at(5, "v1"))
    assert host.selection == {"sun"}
    host.click(host.at(3.5, "v1"))
    assert host.selection == set(), "nothing there"


def test_without_links_one_clip_is_selected(host: Host) -> None:
    QTest.mouseClick(host.view.tools.buttons()["Linked"], Qt.MouseButton.LeftButton)
    assert not host.view.is_linked
    host.click(host.at(2, "v1"))
    assert host.selection == {"cat"}


def test_shift_adds_and_ctrl_takes_away(host: Host) -> None:
    host.click(host.at(5, "v1"))
    host.click(host.at(7, "v1"), SHIFT)
    assert host.selection == {"sun", "dusk"}
    host.click(host.at(5, "v1"), CTRL)
    assert host.selection == {"dusk"}
    host.click(host.at(2, "v1"), CTRL)
    assert host.selection == {"dusk", "cat", "voice"}


def test_a_rubber_band_selects(host: Host) -> None:
    host.press(host.at(3.2, "v2"))
    host.move(host.at(5, "v1"))
    assert host.selection == {"sun"}, "while it is drawn"
    host.move(host.at(2.5, "v1"))
    assert host.selection == {"cat", "voice", "top"}
    QTest.keyClick(host.canvas, Qt.Key.Key_Escape)
    assert host.selection == set()
    host.release(host.at(2.5, "v1"))
    assert host.asked == []


def test_a_drag_moves_picture_and_sound(host: Host) -> None:
    start = host.at(2, "v1")
    host.drag(start, start + QPoint(40, 0), ALT)
    assert host.asked == ["Move 2 clips"]
    assert host.spans("v1")[0] == ("cat", 35, 85)
    assert host.spans("a1") == [("voice", 35, 85)]


def test_nothing_changes_before_the_release(host: Host) -> None:
    start = host.at(2, "v1")
    host.press(start)
    host.move(start + QPoint(20, 0))
    host.move(start + QPoint(40, 0))
    assert host.asked == []
    shown = host.canvas.scene.sequence.clip("cat")
    assert shown is not None
    assert shown.start != seconds(1), "but it is shown"
    QTest.keyClick(host.canvas, Qt.Key.Key_Escape)
    assert host.canvas.scene.sequence is host.sequence
    host.release(start + QPoint(40, 0))
    assert host.asked == []


def test_a_press_that_hardly_moves_is_a_click(host: Host) -> None:
    start = host.at(5, "v1")
    host.drag(start, start + QPoint(2, 1))
    assert host.asked == []
    assert host.selection == {"sun"}


def test_moves_catch_at_edges_but_not_with_alt(host: Host) -> None:
    start = host.at(2.5, "v2")
    host.drag(start, start + QPoint(94, 0))  # 23.5 frames: 2.96 s is near to the end of cat, 3 s
    assert host.spans("v2") == [("top", 75, 100)]
    start = host.at(3.5, "v2")
    host.drag(start, start + QPoint(6, 0), ALT)
    assert host.spans("v2")[0][1] == 77, "6 px are 1.5 frames"


def test_no_catching_when_snapping_is_off(host: Host) -> None:
    host.view.set_snapping(False)
    start = host.at(2.5, "v2")
    host.drag(start, start + QPoint(92, 0))
    assert host.spans("v2") == [("top", 73, 98)]


def test_a_drag_up_changes_the_track(host: Host) -> None:
    host.drag(host.at(5, "v1"), host.at(5, "v2"))
    assert [one[0] for one in host.spans("v2")] == ["top", "sun"]
    assert [one[0] for one in host.spans("v1")] == ["cat", "dusk"]


def test_a_move_covers_and_ctrl_inserts(host: Host) -> None:
    host.drag(host.at(2.5, "v2"), host.at(5, "v1"), ALT)  # 1 s of top over sun
    assert [one[0] for one in host.spans("v1")][:3] == ["cat", "sun", "top"]
    assert host.spans("v1")[-1] == ("dusk", 150, 200), "nothing moves"
    host = Host(sample())
    host.drag(host.at(2.5, "v2"), host.at(5, "v1"), CTRL)
    assert host.spans("v1")[-1] == ("dusk", 175, 225), "what follows moves by its length"


def test_a_move_past_the_start_stops_at_zero(host: Host) -> None:
    host.drag(host.at(2, "v1"), host.at(2, "v1") - QPoint(180, 0))
    assert host.spans("v1")[0] == ("cat", 0, 50)


def test_a_locked_track_says_so_and_stays(host: Host) -> None:
    head = host.view.heads.head("v1")
    QTest.mouseClick(head.lock, Qt.MouseButton.LeftButton)
    assert host.sequence.track("v1").locked
    host.asked.clear()
    start = host.at(5, "v1")
    host.press(start)
    host.move(start + QPoint(30, 0))
    host.move(start + QPoint(40, 0))
    assert host.canvas.scene.preview.refused
    assert "Track V1 is locked" in host.canvas.scene.preview.tip
    host.release(start + QPoint(40, 0))
    assert host.asked == []


def test_trimming_the_tail(host: Host) -> None:
    start = host.at(8, "v1") - QPoint(3, 0)
    host.press(start)
    host.move(start - QPoint(30, 0), ALT)
    host.move(start - QPoint(60, 0), ALT)
    assert host.canvas.scene.preview.tip == "Tail −15 frames · 00:00:01:10"
    host.release(start - QPoint(60, 0), ALT)
    assert host.asked == ["Trim tail"]
    assert host.spans("v1")[-1] == ("dusk", 150, 185)


def test_trimming_takes_linked_sound_along(host: Host) -> None:
    start = host.at(1, "v1") + QPoint(3, 0)
    host.drag(start, start + QPoint(40, 0), ALT)
    assert host.spans("v1")[0] == ("cat", 35, 75)
    assert host.spans("a1") == [("voice", 35, 75)]
    voice = host.sequence.clip("voice")
    assert voice is not None
    assert voice.source.start * RATE == 60


def test_shift_trims_with_ripple(host: Host) -> None:
    start = host.at(3, "v1") - QPoint(3, 0)
    host.drag(start, start - QPoint(40, 0), SHIFT | ALT)
    assert host.asked == ["Ripple trim tail"]
    assert host.spans("v1") == [("cat", 25, 65), ("sun", 90, 140), ("dusk", 140, 190)]


def test_the_ripple_tool_needs_no_shift(host: Host) -> None:
    QTest.mouseClick(host.view.tools.buttons()["Ripple"], Qt.MouseButton.LeftButton)
    assert host.view.tool == "ripple"
    start = host.at(4, "v1") + QPoint(3, 0)
    host.drag(start, start + QPoint(40, 0), ALT)
    assert host.spans("v1") == [("cat", 25, 75), ("sun", 100, 140), ("dusk", 140, 190)]


def test_a_trim_stops_where_the_medium_ends_and_says_so(host: Host) -> None:
    start = host.at(1, "v1") + QPoint(3, 0)
    host.press(start)
    host.move(start - QPoint(60, 0), ALT)
    host.move(start - QPoint(99, 0), ALT)
    assert not host.canvas.scene.preview.refused
    host.release(start - QPoint(99, 0), ALT)
    assert host.spans("v1")[0][0:2] == ("cat", 0)
    start = host.at(3, "v1") - QPoint(3, 0)
    host.press(start)
    host.move(start + QPoint(100, 0), ALT)
    host.move(start + QPoint(130, 0), ALT)
    assert host.canvas.scene.preview.refused
    assert "another clip is in the way" in host.canvas.scene.preview.tip
    host.release(start + QPoint(130, 0), ALT)
    assert host.spans("v1")[0] == ("cat", 0, 100), "as far as it goes"


def test_the_razor_splits_and_shift_splits_all(host: Host) -> None:
    host.view.set_tool("razor")
    host.click(host.at(2.2, "v1"))
    assert host.asked == ["Split"]
    assert [one[1:] for one in host.spans("v1")][:2] == [(25, 55), (55, 75)]
    assert [one[1:] for one in host.spans("a1")] == [(25, 55), (55, 75)], "linked sound too"
    assert len(host.spans("v2")) == 1
    host.click(host.at(2.6, "v1"), SHIFT)
    assert [one[1:] for one in host.spans("v2")] == [(50, 65), (65, 75)]


def test_the_razor_shows_where_it_would_cut(host: Host) -> None:
    host.view.set_tool("razor")
    QTest.mouseMove(host.canvas, host.at(5, "v1"))
    host.canvas.hand.hover(host.at(5, "v1").toPointF())
    assert host.canvas.scene.preview.snap == 5
    host.canvas.hand.hover(host.at(3.5, "v1").toPointF())
    assert host.canvas.scene.preview.snap is None
    assert host.asked == []


def test_fades_by_their_handles(host: Host) -> None:
    row = host.canvas.scene.row("a1")
    assert row is not None
    knee = (2 + 16) / row.height
    start = host.at(1, "a1", knee) + QPoint(2, 0)
    host.drag(start, start + QPoint(40, 0))
    voice = host.sequence.clip("voice")
    assert voice is not None
    assert voice.sound.fade_in * RATE == 10
    assert host.asked == ["Fade in"]
    end = host.at(3, "a1", knee) - QPoint(2, 0)
    host.drag(end, end - QPoint(20, 0))
    voice = host.sequence.clip("voice")
    assert voice is not None
    assert voice.sound.fade_out * RATE == 5


def test_a_dissolve_by_its_ends(host: Host) -> None:
    start = host.at(6, "v1") + QPoint(38, 0)
    host.drag(start, start + QPoint(12, 0))
    (cross,) = host.sequence.track("v1").transitions
    assert 20 < cross.duration * RATE <= 26
    assert cross.duration * RATE % 2 == 0, "as much on both sides of the cut"
    spot = host.at(6, "v1")
    end = QPoint(spot.x() + round(float(cross.duration) * 50) - 2, spot.y())
    host.drag(end, spot)
    assert host.sequence.track("v1").transitions == ()


def test_the_ruler_moves_the_playhead(host: Host) -> None:
    host.press(QPoint(250, 20))
    assert host.playheads == [seconds(2, 12)]
    host.move(QPoint(300, 20))
    host.move(QPoint(302, 20), SHIFT)
    assert host.playheads[-1] == 3, "with Shift it catches at an edge"
    host.release(QPoint(302, 20))
    assert host.asked == []


def test_in_and_out_in_the_ruler(host: Host) -> None:
    QTest.mousePress(host.canvas, Qt.MouseButton.LeftButton, SHIFT, QPoint(100, 20))
    host.move(QPoint(200, 20), SHIFT | ALT)
    host.move(QPoint(250, 20), SHIFT | ALT)
    host.release(QPoint(250, 20), SHIFT | ALT)
    area = host.sequence.work_area
    assert area is not None
    assert (area.start, area.end) == (1, seconds(2, 12))
    host.drag(QPoint(round(float(area.end) * 100) - 2, 20), QPoint(498, 20), ALT)
    area = host.sequence.work_area
    assert area is not None
    assert area.start == 1
    assert area.end == 5
    host.drag(QPoint(300, 2), QPoint(400, 2), ALT)
    area = host.sequence.work_area
    assert area is not None
    assert (area.start, area.end) == (2, 6)


def test_in_and_out_by_their_buttons(host: Host) -> None:
    host.view.set_playhead(seconds(2))
    QTest.mouseClick(host.view.tools.buttons()["Mark in"], Qt.MouseButton.LeftButton)
    host.view.set_playhead(seconds(5))
    QTest.mouseClick(host.view.tools.buttons()["Mark out"], Qt.MouseButton.LeftButton)
    area = host.sequence.work_area
    assert area is not None
    assert (area.start, area.end) == (2, 5)
    host.view.clear_marks()
    assert host.sequence.work_area is None


def test_the_middle_button_pans(host: Host) -> None:
    host.zoom(400)
    QTest.mousePress(
        host.canvas, Qt.MouseButton.MiddleButton, Qt.KeyboardModifier.NoModifier, QPoint(500, 100)
    )
    host.move(QPoint(380, 100))
    QTest.mouseRelease(
        host.canvas, Qt.MouseButton.MiddleButton, Qt.KeyboardModifier.NoModifier, QPoint(380, 100)
    )
    assert host.canvas.scene.scale.offset == 120


def test_hints_follow_what_is_done(host: Host) -> None:
    QTest.mouseMove(host.canvas, host.at(8, "v1") - QPoint(3, 0))
    assert ("Shift", "ripple trim") in host.hints
    start = host.at(5, "v1")
    host.press(start)
    host.move(start + QPoint(30, 0))
    assert ("Ctrl", "insert") in host.hints
    assert ("Esc", "cancel") in host.hints
    host.release(start + QPoint(30, 0))
    assert ("Ctrl", "insert") not in host.hints
