"""Sizes, lengths and values of what is generated, before anything runs."""

import pytest

from engine.errors import EffectError
from engine.generation import Mode, negative_of, parameter, published, resolved, shape_of
from engine.wan_parameters import NO_PIXELS, PARAMETERS


def test_a_size_or_length_that_cannot_be_becomes_the_nearest_and_is_told() -> None:
    shape = shape_of(Mode.TEXT, 850, 470, 80)
    assert (shape.width, shape.height, shape.frames) == (848, 464, 81)
    assert len(shape.notes) == 2
    assert "848 × 464" in shape.notes[0]
    assert shape_of(Mode.TEXT, 832, 480, 81).notes == ()


def test_without_a_size_it_is_shaped_as_what_is_given() -> None:
    shape = shape_of(Mode.IMAGE, 0, 0, 81, (1080, 1920))
    assert (shape.width, shape.height) == (464, 832)
    assert shape_of(Mode.STILL, 0, 0, 81).frames == 1
    assert (shape_of(Mode.TEXT, 0, 0, 81).width, shape_of(Mode.TEXT, 0, 0, 81).height) == (832, 480)


def test_values_are_as_published_unless_someone_says_otherwise() -> None:
    small = resolved({}, Mode.IMAGE, "wan2.1-i2v-14b", 832, 480)
    large = resolved({"steps": 7}, Mode.IMAGE, "wan2.1-i2v-14b", 1280, 720)
    assert (small["shift"], small["steps"]) == (3.0, 40)
    assert (large["shift"], large["steps"]) == (5.0, 7)
    assert published(Mode.ENDS, "wan2.1-flf2v-14b", 1280, 720)["shift"] == 16.0
    assert published(Mode.TEXT, "wan2.1-t2v-1.3b", 832, 480)["cfg"] == 6.0
    assert resolved({}, Mode.VIDEO, "wan2.1-t2v-1.3b", 832, 480)["denoise_strength"] == 70.0


def test_unknown_and_impossible_values_are_refused() -> None:
    with pytest.raises(EffectError, match="no parameter «stepps»"):
        parameter("stepps")
    with pytest.raises(EffectError, match="Steps cannot be 0"):
        resolved({"steps": 0}, Mode.TEXT, "wan2.1-t2v-14b", 832, 480)


def test_the_table_is_sound() -> None:
    names = [one.name for one in PARAMETERS]
    assert len(set(names)) == len(names)
    assert set(names) > NO_PIXELS
    assert all(one.help.endswith((".", "off.")) for one in PARAMETERS)
    assert negative_of(Mode.ENDS).startswith("camera cuts, camera shake, garish")
