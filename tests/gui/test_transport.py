"""The transport: typing times, buttons, what gives way when it is narrow."""

from fractions import Fraction

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QLabel
from pytestqt.qtbot import QtBot

from engine.timeline.time import TimeRange
from ui.slider import Slider
from ui.transport import TimecodeField, Transport


def shown(qtbot: QtBot, width: int = 846) -> Transport:
    transport = Transport()
    qtbot.addWidget(transport)
    transport.resize(width, 52)
    transport.set_sequence(Fraction(25), Fraction(20))
    transport.set_time(Fraction(4))
    with qtbot.waitActive(transport):
        transport.show()
        transport.activateWindow()
    return transport


def field(transport: Transport) -> TimecodeField:
    found = transport.findChild(TimecodeField)
    assert isinstance(found, TimecodeField)
    return found


def named(transport: Transport, name: str) -> QAbstractButton:
    return next(
        one for one in transport.findChildren(QAbstractButton) if one.accessibleName() == name
    )


def type_time(transport: Transport, text: str) -> None:
    edit = field(transport)
    edit.setFocus()
    edit.setText(text)
    QTest.keyClick(edit, Qt.Key.Key_Return)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5:10", Fraction(135, 25)), ("+12", 4 + Fraction(12, 25)), ("-5:00", Fraction(0))],
)
def test_typed_times(qtbot: QtBot, text: str, seconds: Fraction) -> None:
    transport = shown(qtbot)
    with qtbot.waitSignal(transport.time_requested) as told:
        type_time(transport, text)
    assert told.args == [seconds]


def test_the_first_click_takes_all_so_that_typing_replaces_it(qtbot: QtBot) -> None:
    transport = shown(qtbot)
    edit = field(transport)
    edit.clearFocus()
    QTest.mouseClick(edit, Qt.MouseButton.LeftButton, pos=edit.rect().center())
    QTest.keyClicks(edit, "5:10")
    assert edit.text() == "5:10"


def test_nonsense_is_refused_and_the_time_comes_back(qtbot: QtBot) -> None:
    transport = shown(qtbot)
    with qtbot.waitSignal(transport.refused) as told:
        type_time(transport, "soon")
    assert "soon" in told.args[0]
    field(transport).clearFocus()
    assert field(transport).text() == "00:00:04:00"


def test_the_clock_does_not_disturb_typing(qtbot: QtBot) -> None:
    transport = shown(qtbot)
    edit = field(transport)
    edit.setFocus()
    edit.setText("7:")
    transport.set_time(Fraction(5))
    assert edit.text() == "7:"


def test_buttons_tell_what_they_say(qtbot: QtBot) -> None:
    transport = shown(qtbot)
    heard: list[object] = []
    transport.to_start_requested.connect(lambda: heard.append("start"))
    transport.step_requested.connect(heard.append)
    transport.play_requested.connect(lambda: heard.append("play"))
    transport.loop_requested.connect(heard.append)
    transport.mute_requested.connect(heard.append)
    for name in ("Go to start", "One frame back", "Play", "One frame on", "Loop", "Mute"):
        named(transport, name).click()
    assert heard == ["start", -1, "play", 1, True, True]


def test_playing_turns_the_button(qtbot: QtBot) -> None:
    transport = shown(qtbot)
    transport.set_playing(True)
    assert named(transport, "Stop").toolTip() == "Stop (Space)"


def test_narrow_drops_in_out_and_volume(qtbot: QtBot) -> None:
    transport = shown(qtbot)
    transport.set_range(TimeRange(Fraction(2), Fraction(3)))
    texts = {one.text() for one in transport.findChildren(QLabel) if one.isVisible()}
    assert {"00:00:02:00", "00:00:05:00", "00:00:20:00"} <= texts
    transport.resize(600, 52)
    slider = transport.findChild(Slider)
    assert slider is not None
    assert not slider.isVisible()
    texts = {one.text() for one in transport.findChildren(QLabel) if one.isVisible()}
    assert "00:00:02:00" not in texts
    assert "00:00:20:00" in texts


def test_play_stays_in_the_middle(qtbot: QtBot) -> None:
    transport = shown(qtbot, 900)
    play = named(transport, "Play")
    centre = play.mapTo(transport, play.rect().center()).x()
    assert abs(centre - 450) <= 2


def test_nothing_to_play_is_disabled(qtbot: QtBot) -> None:
    transport = shown(qtbot)
    transport.set_possible(False)
    assert not named(transport, "Play").isEnabled()
