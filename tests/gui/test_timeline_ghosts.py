"""Clips that jobs still make: how they look on the timeline, and that they are no clips."""

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from msgspec.structs import replace
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QImage, QMouseEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.timeline.model import Project
from tests.gui.timeline_host import FAST, Host, sample, seconds
from ui import theme
from ui.timeline.geometry import DEFAULT_HEIGHT, TOP
from ui.timeline.ghosts import Ghost, ghost_area, ghost_at


@pytest.fixture
def host(qapp: object) -> Iterator[Host]:
    made = Host(sample())
    yield made
    made.view.close()


def ghost(**changes: Any) -> Ghost:
    """On V2 from 4 to 7 seconds, at 50 %."""
    made = Ghost("job", "Text to video", seconds(4), Fraction(3), track="v2", fraction=0.5)
    return dataclasses.replace(made, **changes)


def paint(host: Host) -> QImage:
    QApplication.processEvents()
    return host.canvas.grab().toImage()


def parts(colour: QColor) -> tuple[int, int, int]:
    return colour.red(), colour.green(), colour.blue()


def is_near(found: QColor, wanted: QColor) -> bool:
    pairs = zip(parts(found), parts(wanted), strict=True)
    return all(abs(a - b) <= 3 for a, b in pairs)


def over(under: QColor, upper: QColor, part: float) -> QColor:
    """`upper` laid over `under` with an opacity."""
    pairs = zip(parts(under), parts(upper), strict=True)
    return QColor(*(round(a + (b - a) * part) for a, b in pairs))


def test_it_is_filled_as_far_as_its_job_is(host: Host) -> None:
    host.view.set_ghosts((ghost(),))
    picture = paint(host)
    tint = theme.colour("accent_tint")
    filled = over(tint, theme.colour("accent_line"), 0.55)
    assert is_near(picture.pixelColor(host.at(Fraction(5), "v2")), filled)
    assert is_near(picture.pixelColor(host.at(Fraction(6), "v2")), tint)
    host.view.set_ghosts((ghost(fraction=0.8),))
    assert is_near(paint(host).pixelColor(host.at(Fraction(6), "v2")), filled)
    host.view.set_ghosts((ghost(note="waiting"),))
    assert is_near(paint(host).pixelColor(host.at(Fraction(5), "v2")), tint)


def test_it_has_the_length_and_the_dashed_edge_of_what_will_lie_there(host: Host) -> None:
    host.view.set_ghosts((ghost(),))
    picture = paint(host)
    row = host.canvas.scene.row("v2")
    assert row is not None
    y = TOP + row.clip_top + row.clip_height // 2
    accent = theme.colour("accent")
    left, right = round(4 * FAST), round(7 * FAST)
    for x in (left, right - 1):  # dashes and gaps along the sides
        edge = [picture.pixelColor(x, y + dy) for dy in range(-12, 12)]
        assert any(is_near(one, accent) for one in edge)
        assert not all(is_near(one, accent) for one in edge)
    for x in (left - 2, right + 2):
        assert is_near(picture.pixelColor(x, y), theme.colour("track"))


def test_its_preview_is_its_picture(host: Host) -> None:
    shown = QImage(64, 36, QImage.Format.Format_RGB32)
    shown.fill(QColor(255, 0, 0))
    host.view.set_ghosts((ghost(picture=shown),))
    spot = host.at(Fraction(43, 10), "v2")
    assert paint(host).pixelColor(spot).red() > 150
    host.view.set_ghosts((ghost(),))
    assert paint(host).pixelColor(spot).red() < 60


def test_its_words_tell_how_far_it_is() -> None:
    assert ghost(fraction=0.424).words == "Text to video 42 %"
    assert ghost(note="waiting").words == "Text to video · waiting"


def test_it_goes_and_leaves_nothing(host: Host) -> None:
    before = paint(host)
    host.view.set_ghosts((ghost(),))
    assert paint(host) != before
    host.view.set_ghosts(())
    assert paint(host) == before


def test_a_new_track_for_it_has_a_row_above_the_others(host: Host) -> None:
    scene = host.canvas.scene
    top = scene.rows[0].top
    coming = ghost(track="", coming=1)
    host.view.set_ghosts((coming,))
    height = DEFAULT_HEIGHT[scene.rows[0].kind]
    assert scene.rows[0].top == top + height
    assert [one.label for one in scene.coming] == ["V3"]
    area = ghost_area(scene, coming)
    assert area is not None
    assert (area.left(), area.right()) == (4 * FAST, 7 * FAST)
    assert TOP <= area.top() < area.bottom() <= TOP + height
    tint = theme.colour("accent_tint")
    assert is_near(paint(host).pixelColor(round(6.5 * FAST), TOP + 40), tint)
    assert host.view.heads.head("v2").y() == height
    host.view.set_ghosts(())
    assert scene.rows[0].top == top


def test_a_click_asks_for_its_job_and_selects_nothing(host: Host, qtbot: QtBot) -> None:
    host.selection = frozenset({"cat"})
    host.view.set_selection(host.selection)
    host.view.set_ghosts((ghost(),))
    spot = host.at(Fraction(5), "v2")
    with qtbot.waitSignal(host.view.ghost_requested) as asked:
        host.click(spot)
    assert asked.args == ["job"]
    assert host.selection == {"cat"}
    assert host.canvas.tip_at(spot.toPointF()).startswith("Text to video 50 %.")
    assert host.canvas.hand.hit(spot.toPointF()).clip == ""


def test_a_drag_over_it_is_no_edit_and_a_clip_over_it_is_taken_first(host: Host) -> None:
    host.view.set_ghosts((ghost(track="v1", start=seconds(0)),))
    scene = host.canvas.scene
    assert ghost_at(scene, host.at(Fraction(1, 2), "v1").toPointF()) is not None
    host.drag(host.at(Fraction(1, 2), "v1"), host.at(Fraction(5), "v1"))
    assert host.asked == []
    host.click(host.at(Fraction(2), "v1"))
    assert "cat" in host.selection


def test_it_can_be_scrolled_to_and_takes_the_words_of_an_empty_timeline(host: Host) -> None:
    empty = sample()
    bare = tuple(replace(one, clips=(), transitions=()) for one in empty.sequences[0].tracks)
    project = Project(sequences=(replace(empty.sequences[0], tracks=bare),))
    host.view.set_project(project, "s")
    assert host.canvas.scene.is_empty
    host.view.set_ghosts((ghost(start=seconds(100)),))
    assert not host.canvas.scene.is_empty
    assert host.canvas.scene.end == 103
    host.view.fit()
    area = ghost_area(host.canvas.scene, host.canvas.scene.ghosts[0])
    assert area is not None
    assert area.right() < host.canvas.width()


def test_only_what_changed_is_painted_anew(host: Host) -> None:
    host.view.set_ghosts((ghost(),))
    paint(host)
    host.canvas.clips.painted = 0
    host.view.set_ghosts((ghost(fraction=0.6),))
    paint(host)
    assert host.canvas.clips.painted == 0  # no clip lies under it


def test_the_hand_says_that_it_can_be_clicked(host: Host) -> None:
    host.view.set_ghosts((ghost(),))
    for when, shape in (
        (Fraction(5), Qt.CursorShape.PointingHandCursor),
        (Fraction(8), Qt.CursorShape.ArrowCursor),
    ):
        spot = host.at(when, "v2").toPointF()
        none = Qt.MouseButton.NoButton
        move = QMouseEvent(
            QMouseEvent.Type.MouseMove,
            spot,
            host.canvas.mapToGlobal(spot),
            none,
            none,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(host.canvas, move)
        assert host.canvas.cursor().shape() is shape
