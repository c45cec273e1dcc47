"""The export sheet: presets, loop, sound, ping-pong counts, the file name, what it asks for."""

from fractions import Fraction

import msgspec
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QLineEdit
from pytestqt.qtbot import QtBot

from engine.jobs import ExportOptions, Format, Sound
from engine.timeline.model import Clip, Sequence, new_sequence
from engine.timeline.time import TimeRange
from ui.export import ExportSheet
from ui.export_presets import height_for, outcome, presets


def sequence(seconds: Fraction, work_area: TimeRange | None = None) -> Sequence:
    clip = Clip("c", "asset", TimeRange(Fraction(0), seconds), Fraction(0))
    made = new_sequence()
    tracks = list(made.tracks)
    tracks[0] = msgspec.structs.replace(tracks[0], clips=(clip,))
    tracks[2] = msgspec.structs.replace(tracks[2], clips=(clip,))
    return msgspec.structs.replace(made, tracks=tuple(tracks), work_area=work_area)


def shown(qtbot: QtBot, work_area: TimeRange | None = None) -> ExportSheet:
    sheet = ExportSheet()
    qtbot.addWidget(sheet)
    sheet.set_sequence(sequence(Fraction(115, 25), work_area))
    sheet.set_target("/home/me/Exports", "loop", True)
    sheet.set_next_name(lambda _folder, prefix, suffix: f"{prefix}_004.{suffix}")
    with qtbot.waitActive(sheet):
        sheet.show()
        sheet.activateWindow()
    return sheet


def press(sheet: ExportSheet, name: str) -> None:
    next(
        one
        for one in sheet.findChildren(QAbstractButton)
        if name in (one.accessibleName(), one.text()) and one.isVisible()
    ).click()


def test_every_preset_is_shown_as_it_is(qtbot: QtBot) -> None:
    sheet = shown(qtbot)
    for place, preset in enumerate(presets(sequence(Fraction(1)))):
        sheet._preset.setCurrentIndex(place)
        sheet._preset.activated.emit(place)
        assert sheet.options() == preset.options
        assert sheet._preset.currentText() == preset.name


def test_a_change_makes_it_custom(qtbot: QtBot) -> None:
    sheet = shown(qtbot)
    press(sheet, "Ping-pong")
    press(sheet, "Loop: Once")
    assert sheet._preset.currentIndex() == -1
    assert sheet.options().loop == 1


def test_last_used_comes_first(qtbot: QtBot) -> None:
    sheet = shown(qtbot)
    mine = ExportOptions(format=Format.GIF, width=300, colours=17)
    sheet.set_options(mine)
    assert sheet._preset.currentText() == "Last used"
    assert sheet.options() == mine


def test_ping_pong_counts(qtbot: QtBot) -> None:
    sheet = shown(qtbot)
    sheet.set_options(ExportOptions(format=Format.GIF))
    press(sheet, "Ping-pong")
    assert "115 frames become 228" in sheet._turns.text()


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        (ExportOptions(), 100),
        (ExportOptions(ping_pong=True), 198),
        (ExportOptions(ping_pong=True, loop=3), 594),
        (ExportOptions(format=Format.GIF, loop=3), 100),
        (ExportOptions(rate=Fraction(25, 2)), 50),
        (ExportOptions(range=TimeRange(Fraction(1), Fraction(1))), 25),
        (ExportOptions(range=TimeRange(Fraction(1), Fraction(1, 25)), ping_pong=True), 1),
    ],
)
def test_outcome(options: ExportOptions, frames: int) -> None:
    assert outcome(sequence(Fraction(4)), options, None).total == frames


def test_loop_means_what_the_format_can_hold(qtbot: QtBot) -> None:
    sheet = shown(qtbot)
    sheet.set_options(ExportOptions(format=Format.GIF, loop=0))
    press(sheet, "MP4")
    assert sheet.options().loop == 1
    press(sheet, "Plays: Times")
    assert sheet.options().loop == 2
    sheet._times.edited.emit(5.0, 1)
    assert sheet.options().loop == 5
    press(sheet, "GIF")
    assert sheet.options().loop == 5
    press(sheet, "Loop: Forever")
    assert sheet.options().loop == 0


def test_mirrored_sound_needs_ping_pong(qtbot: QtBot) -> None:
    sheet = shown(qtbot)
    sheet.set_options(ExportOptions())
    mirrored = next(
        one
        for one in sheet.findChildren(QAbstractButton)
        if one.accessibleName() == "Sound: Mirrored"
    )
    assert not mirrored.isEnabled()
    assert mirrored.toolTip()
    press(sheet, "Ping-pong")
    mirrored.click()
    assert sheet.options().sound is Sound.MIRRORED
    press(sheet, "GIF")
    assert not mirrored.isVisible()


def test_range_follows_in_and_out(qtbot: QtBot) -> None:
    area = TimeRange(Fraction(1), Fraction(2))
    sheet = shown(qtbot, area)
    assert sheet.options().range == area
    press(sheet, "Range: Whole sequence")
    assert sheet.options().range is None


def test_size_and_rate(qtbot: QtBot) -> None:
    sheet = shown(qtbot)
    sheet.set_options(ExportOptions(format=Format.GIF))
    sheet._width.edited.emit(642.0, 1)
    assert sheet.options().width == 642
    assert sheet._height.text() == "× 362"
    sheet._width.edited.emit(1920.0, 2)
    assert sheet.options().width is None
    place = sheet._rate.findText("12.5 fps")
    sheet._rate.activated.emit(place)
    assert sheet.options().rate == Fraction(25, 2)
    assert sheet._rate.currentText() == "12.5 fps"


def test_heights_are_even() -> None:
    assert height_for(sequence(Fraction(1)), 642) == 362
    assert height_for(sequence(Fraction(1)), 16) == 8


def test_enter_exports_under_the_next_name(qtbot: QtBot) -> None:
    sheet = shown(qtbot)
    field = next(
        one for one in sheet.findChildren(QLineEdit) if one.accessibleName() == "File name"
    )
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, "sunset")
    assert sheet.file_name() == "sunset_004.gif"
    with qtbot.waitSignal(sheet.export_requested) as told:
        QTest.keyClick(field, Qt.Key.Key_Return)
    assert told.args == [sheet.options(), "/home/me/Exports", "sunset", True, True]
    assert not sheet.isVisible()


def test_enter_in_a_number_only_takes_the_number(qtbot: QtBot) -> None:
    sheet = shown(qtbot)
    sheet._width.setFocus()
    sheet._width.selectAll()
    with qtbot.assertNotEmitted(sheet.export_requested):
        QTest.keyClicks(sheet._width, "320")
        QTest.keyClick(sheet._width, Qt.Key.Key_Return)
    assert sheet.options().width == 320
    assert sheet.isVisible()


def test_not_saved_is_only_rendered(qtbot: QtBot) -> None:
    sheet = shown(qtbot)
    press(sheet, "Save")
    press(sheet, "Use for one-click Export")
    with qtbot.waitSignal(sheet.export_requested) as told:
        press(sheet, "Render GIF")
    assert told.args[3:] == [False, False]


def test_escape_closes_without_a_wish(qtbot: QtBot) -> None:
    sheet = shown(qtbot)
    with qtbot.assertNotEmitted(sheet.export_requested):
        QTest.keyClick(sheet, Qt.Key.Key_Escape)
    assert not sheet.isVisible()
