"""The inspector: rows from the effect table, shared values, wishes, states, Render."""

from dataclasses import dataclass, field
from fractions import Fraction

import msgspec
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QLabel, QPushButton
from pytestqt.qtbot import QtBot

from engine.timeline.effects import EFFECTS, new_use
from engine.timeline.model import Clip, Project, Transform, new_sequence
from engine.timeline.time import TimeRange
from ui.effect_card import EffectCard, UseState
from ui.fields import (
    ChoiceRow,
    FlagRow,
    NumberField,
    NumberRow,
    SeedRow,
    TextRow,
    decimals_of,
    field_for,
)
from ui.generate_loras import LoraRow
from ui.generate_prompt import PromptField
from ui.inputs import Choice, Segments, Switch
from ui.inspector import Inspector, shared_effects
from ui.loras_field import LorasField
from ui.slider import Slider

SECOND = Fraction(1)


def clip(name: str, start: int, *uses: object, **values: object) -> Clip:
    return Clip(
        name, "asset", TimeRange(Fraction(0), SECOND), Fraction(start), name, effects=uses, **values
    )  # type: ignore[arg-type]  # the tests give what belongs there


def project_with(*clips: Clip, sounds: tuple[Clip, ...] = ()) -> Project:
    sequence = new_sequence()
    tracks = list(sequence.tracks)
    tracks[0] = msgspec.structs.replace(tracks[0], clips=clips)
    tracks[2] = msgspec.structs.replace(tracks[2], clips=sounds)
    return Project(sequences=(msgspec.structs.replace(sequence, tracks=tuple(tracks)),))


@dataclass
class Shown:
    panel: Inspector
    heard: list[tuple[object, ...]] = field(default_factory=list)


def shown(qtbot: QtBot, project: Project, *ids: str) -> Shown:
    panel = Inspector()
    qtbot.addWidget(panel)
    panel.resize(320, 700)
    panel.set_selection(project, project.sequences[0].id, frozenset(ids))
    with qtbot.waitActive(panel):
        panel.show()
        panel.activateWindow()
    made = Shown(panel)
    for name in (
        "values_requested",
        "engine_requested",
        "effect_enable_requested",
        "effect_move_requested",
        "transform_requested",
        "sound_requested",
        "render_requested",
        "cancel_requested",
    ):
        getattr(panel, name).connect(lambda *values, name=name: made.heard.append((name, *values)))
    return made


def of_row(card: EffectCard, name: str, kind: type) -> object:
    """The control of that type in the row whose accessible name is `name`."""
    return next(one for one in card.findChildren(kind) if one.accessibleName() == name)


@pytest.mark.parametrize(
    ("kind", "engine"), [(kind.name, one.name) for kind in EFFECTS for one in kind.engines]
)
def test_every_parameter_of_the_table_has_its_row(qtbot: QtBot, kind: str, engine: str) -> None:
    use = new_use(kind, engine)
    made = shown(qtbot, project_with(clip("a", 0, use)), "a")
    (card,) = made.panel.cards()
    table = next(one for one in EFFECTS if one.name == kind).engine(engine)
    shapes = {
        "number": NumberRow,
        "integer": NumberRow,
        "choice": ChoiceRow,
        "flag": FlagRow,
        "seed": SeedRow,
        "text": TextRow,
        "loras": LorasField,
    }
    for parameter in table.parameters:
        row = card._rows[parameter.name]
        assert row.findChild(shapes[parameter.kind.value]) is not None, parameter.name
        assert parameter.help in row.toolTip()
        assert parameter.name in row.toolTip()


def test_what_depends_on_another_value_shows_with_it(qtbot: QtBot) -> None:
    use = new_use("upscale")
    project = project_with(clip("a", 0, use))
    made = shown(qtbot, project, "a")
    (card,) = made.panel.cards()
    assert not card._rows["width"].isVisible()
    sized = msgspec.structs.replace(use, values={**use.values, "scale": "size"})
    project = project_with(clip("a", 0, sized))
    made.panel.set_selection(project, project.sequences[0].id, frozenset({"a"}))
    assert made.panel.cards() == (card,)  # the same widgets: only values changed
    assert card._rows["width"].isVisible()


def test_a_segment_tells_value_and_targets(qtbot: QtBot) -> None:
    use = new_use("upscale")
    made = shown(qtbot, project_with(clip("a", 0, use)), "a")
    (card,) = made.panel.cards()
    four = next(
        one for one in card.findChildren(QAbstractButton) if one.accessibleName() == "Scale: 4×"
    )
    four.click()
    name, targets, parameter, value, key = made.heard[-1]
    assert (name, targets, parameter, value) == (
        "values_requested",
        (("a", use.id),),
        "scale",
        "4",
    )
    assert str(key).startswith(f"a/{use.id}/scale/")


def test_one_slide_is_one_gesture(qtbot: QtBot) -> None:
    made = shown(qtbot, project_with(clip("a", 0, new_use("upscale"))), "a")
    (card,) = made.panel.cards()
    slider = of_row(card, "Deblocking", Slider)
    assert isinstance(slider, Slider)
    for _ in range(2):
        y = slider.height() // 2
        QTest.mousePress(slider, Qt.MouseButton.LeftButton, pos=QPoint(20, y))
        QTest.mouseMove(slider, QPoint(60, y))
        QTest.mouseMove(slider, QPoint(80, y))
        QTest.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=QPoint(80, y))
    keys = [told[-1] for told in made.heard]
    assert len(keys) >= 4
    assert len(set(keys)) == 2


def test_typing_scrubbing_and_refusing_a_number(qtbot: QtBot) -> None:
    made = shown(qtbot, project_with(clip("a", 0, new_use("upscale"))), "a")
    (card,) = made.panel.cards()
    number = of_row(card, "Deblocking", NumberField)
    assert isinstance(number, NumberField)
    assert number.text() == "30 %"
    QTest.mouseClick(number, Qt.MouseButton.LeftButton)
    assert number.text() == "30"
    QTest.keyClicks(number, "55")
    QTest.keyClick(number, Qt.Key.Key_Return)
    assert made.heard[-1][2:4] == ("deblock", 55.0)
    number.setFocus()
    number.setText("900")
    number.setModified(True)
    QTest.keyClick(number, Qt.Key.Key_Return)
    assert made.heard[-1][2:4] == ("deblock", 55.0)
    assert "100" in number.toolTip()
    QTest.keyClick(number, Qt.Key.Key_Escape)
    y = number.height() // 2
    QTest.mousePress(number, Qt.MouseButton.LeftButton, pos=QPoint(10, y))
    QTest.mouseMove(number, QPoint(20, y))
    QTest.mouseRelease(number, Qt.MouseButton.LeftButton, pos=QPoint(20, y))
    assert made.heard[-1][2:4] == ("deblock", 65.0)


def test_wheel_needs_the_focus(qtbot: QtBot) -> None:
    choice = Choice("Dither")
    qtbot.addWidget(choice)
    assert choice.focusPolicy() == Qt.FocusPolicy.TabFocus


def test_several_clips_share_what_they_have(qtbot: QtBot) -> None:
    first, second = new_use("upscale"), new_use("upscale", "", {"deblock": 70.0, "scale": "3"})
    project = project_with(clip("a", 0, first, new_use("restyle", "ink")), clip("b", 2, second))
    made = shown(qtbot, project, "a", "b")
    (card,) = made.panel.cards()
    number = of_row(card, "Deblocking", NumberField)
    assert isinstance(number, NumberField)
    assert number.placeholderText() == "Mixed"
    detail = of_row(card, "Detail", NumberField)
    assert isinstance(detail, NumberField)
    assert detail.text() == "40 %"
    scale = of_row(card, "Scale", Segments)
    assert isinstance(scale, Segments)
    assert scale.value() is None
    scale.findChildren(QAbstractButton)[0].click()
    assert made.heard[-1][1] == (("a", first.id), ("b", second.id))


def test_shared_effects_pair_the_same_turn() -> None:
    one, two, three = new_use("upscale"), new_use("upscale"), new_use("upscale")
    groups = shared_effects([clip("a", 0, one, two), clip("b", 2, three)])
    assert groups == [[("a", one), ("b", three)]]


def test_states_are_chips(qtbot: QtBot) -> None:
    use = new_use("upscale")
    made = shown(qtbot, project_with(clip("a", 0, use)), "a")
    (card,) = made.panel.cards()
    for state, text in (
        (UseState("stale"), "Stale"),
        (UseState("running", 0.42), "Running 42 %"),
        (UseState("failed", 0, "The disk is full."), "Failed"),
        (UseState("fresh", 1), "Fresh"),
    ):
        made.panel.set_states({use.id: state})
        assert card._chip.isVisible()
        assert card._chip.text() == text
    made.panel.set_states({})
    assert not card._chip.isVisible()


def test_eye_turns_the_effect_off(qtbot: QtBot) -> None:
    use = new_use("upscale")
    made = shown(qtbot, project_with(clip("a", 0, use)), "a")
    made.panel.cards()[0]._eye.click()
    assert made.heard == [("effect_enable_requested", (("a", use.id),), False)]


def test_reorder_by_keys_and_by_dragging(qtbot: QtBot) -> None:
    first, second = new_use("upscale"), new_use("restyle", "ink")
    made = shown(qtbot, project_with(clip("a", 0, first, second)), "a")
    top, below = made.panel.cards()
    QTest.keyClick(top.handle, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    assert made.heard[-1] == ("effect_move_requested", "a", first.id, 1)
    made.heard.clear()
    end = below.handle.mapFromGlobal(top.mapToGlobal(QPoint(10, 4)))
    QTest.mousePress(below.handle, Qt.MouseButton.LeftButton)
    QTest.mouseMove(below.handle, end)
    QTest.mouseRelease(below.handle, Qt.MouseButton.LeftButton, pos=end)
    assert made.heard == [("effect_move_requested", "a", second.id, 0)]


def test_an_unknown_effect_is_kept_and_says_so(qtbot: QtBot) -> None:
    use = msgspec.structs.replace(new_use("upscale"), kind="sparkle", engine="x")
    made = shown(qtbot, project_with(clip("a", 0, use)), "a")
    assert len(made.panel.cards()) == 1
    assert made.panel.cards()[0].accessibleName() == "sparkle"


def test_transform_rows_tell_in_the_model_units(qtbot: QtBot) -> None:
    moved = Transform(x=0.25, scale=0.5)
    made = shown(qtbot, project_with(clip("a", 0, transform=moved)), "a")
    fold = made.panel._transform
    assert fold.head.summary == "50 %, moved"
    with qtbot.waitSignal(made.panel.transform_shown):
        fold.set_open(True)
    x = next(one for one in fold.findChildren(NumberField) if one.accessibleName().endswith("X"))
    assert x.text() == "480 px"
    x.edited.emit(960.0, 1)
    assert made.heard[-1] == ("transform_requested", ("a",), {"x": 0.5}, "transform/x/1")


def test_sound_tab(qtbot: QtBot) -> None:
    made = shown(qtbot, project_with(sounds=(clip("s", 0),)), "s")
    assert made.panel.tabs.currentIndex() == 1
    gain = next(
        one for one in made.panel.findChildren(NumberField) if one.accessibleName() == "Gain"
    )
    gain.edited.emit(-6.0, 7)
    assert made.heard[-1] == ("sound_requested", ("s",), {"gain_db": -6.0}, "sound/gain_db/7")


def test_render_button(qtbot: QtBot) -> None:
    made = shown(qtbot, project_with(clip("a", 0, new_use("upscale"))), "a")
    button = made.panel._foot.render_button.findChild(QPushButton)
    assert isinstance(button, QPushButton)
    made.panel.set_render("stale")
    button.click()
    made.panel.set_render("running", 0.42)
    assert button.text() == "42 % · Cancel"
    button.click()
    made.panel.set_render("fresh")
    assert (button.text(), button.isEnabled()) == ("Rendered", False)
    assert [told[0] for told in made.heard] == ["render_requested", "cancel_requested"]


def test_nothing_selected(qtbot: QtBot) -> None:
    made = shown(qtbot, project_with(clip("a", 0)))
    assert made.panel.cards() == ()
    assert not made.panel._foot.isVisible()


def test_decimals_follow_the_step() -> None:
    assert [decimals_of(step) for step in (1, 0.1, 0.04, 0.5)] == [0, 1, 2, 1]


def test_seed_dice_throws_another(qtbot: QtBot) -> None:
    parameter = next(
        one for kind in EFFECTS for e in kind.engines for one in e.parameters if one.kind == "seed"
    )
    editor = field_for(parameter)
    qtbot.addWidget(editor)
    with qtbot.waitSignal(editor.changed) as told:
        next(
            one
            for one in editor.findChildren(QAbstractButton)
            if one.accessibleName() == "New random seed"
        ).click()
    assert 0 <= told.args[0] < 2**31


def test_flag_is_a_switch(qtbot: QtBot) -> None:
    editor = FlagRow("Loop")
    qtbot.addWidget(editor)
    editor.set_value(True)
    switch = editor.findChild(Switch)
    assert isinstance(switch, Switch)
    assert switch.isChecked()
    with qtbot.waitSignal(editor.changed) as told:
        switch.click()
    assert told.args[0] is False


def test_clips_without_a_common_effect_are_not_said_to_have_none(qtbot: QtBot) -> None:
    one, other = new_use("restyle", "ink"), new_use("upscale", "lanczos")
    made = shown(qtbot, project_with(clip("a", 0, one), clip("b", 1, other)), "a", "b")
    made.panel.set_render("stale", clips=2)
    words = [one.text() for one in made.panel.findChildren(QLabel) if one.isVisible()]
    assert "These clips have no effect in common." in words
    assert not any(text.startswith("No effects yet") for text in words)
    buttons = [one for one in made.panel.findChildren(QPushButton) if one.isVisible()]
    assert [one.text() for one in buttons] == ["Render 2 clips"]


def test_loras_are_rows_to_add_and_take_away(qtbot: QtBot) -> None:
    use = new_use("restyle", "wan2.1-t2v-1.3b", {"loras": "/a/ink.safetensors@0.5\n/b/x@1:0-3"})
    made = shown(qtbot, project_with(clip("a", 0, use)), "a")
    asked: list[str] = []
    made.panel.file_requested.connect(lambda _targets, name: asked.append(name))
    (card,) = made.panel.cards()
    rows = card.findChild(LorasField).findChildren(LoraRow)
    assert [row.strength.value() for row in rows] == [0.5, 1.0]
    rows[0].removed.emit()
    (name, _targets, parameter, value, _key) = made.heard[-1]
    assert (name, parameter, value) == ("values_requested", "loras", "/b/x@1:0-3")
    button = next(one for one in card.findChildren(QPushButton) if one.text().startswith("Add"))
    button.click()
    assert asked == ["loras"]


def test_words_are_typed_in_one_undo_step(qtbot: QtBot) -> None:
    use = new_use("restyle", "wan2.1-t2v-1.3b", {"prompt": "ink"})
    made = shown(qtbot, project_with(clip("a", 0, use)), "a")
    (card,) = made.panel.cards()
    words = card.findChild(TextRow).findChild(PromptField)
    assert words.words() == "ink"
    words.setFocus()
    QTest.keyClicks(words, "y!")
    told = [one for one in made.heard if one[0] == "values_requested"]
    assert [one[3] for one in told] == ["inky", "inky!"]
    assert told[0][4] == told[1][4]
