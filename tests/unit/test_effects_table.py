"""The effect table: well formed, and every parameter of it changes pixels."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import EffectError
from engine.filters.parallel import new_workers
from engine.filters.pixels import one_thread
from engine.render.keys import Stage, segment_key, stages
from engine.render.making import enlarged, moved, stream
from engine.timeline.effects import (
    EFFECTS,
    EffectKind,
    Engine,
    Parameter,
    ParameterKind,
    Value,
    checked,
    checked_value,
    defaults,
    is_known,
    kind,
    new_use,
    parsed,
)
from engine.timeline.model import Asset, EffectUse, MediaFacts, VideoFacts
from tests.support.moving import textured

ENGINES = [(one, engine) for one in EFFECTS for engine in one.engines]
ROWS = [  # of filters; what models make of theirs is in test_upscale
    pytest.param(one, engine, parameter, id=f"{engine.name}-{parameter.name}")
    for one, engine in ENGINES
    if engine.role == "media"
    for parameter in engine.parameters
]

FRAMES = textured(4, width=120, height=80)


def asset() -> Asset:
    video = VideoFacts(120, 80, Fraction(25), len(FRAMES), "h264", "yuv420p")
    facts = MediaFacts(Fraction(len(FRAMES), 25), "mp4", 1000, video)
    return Asset("a", "/media/a.mp4", "a.mp4", facts, "b2:a")


def stage_of(one: EffectKind, engine: Engine, values: dict[str, Value]) -> Stage:
    return stages(asset(), (new_use(one.name, engine.name, values),))[0]


def result(one: EffectKind, engine: Engine, values: dict[str, Value]) -> list[NDArray[np.uint8]]:
    """A few pictures of an effect, as a bake computes them."""
    stage = stage_of(one, engine, values)
    with one_thread(), new_workers() as workers:
        if one.name == "restyle":
            made = stream(stage, FRAMES, workers, None)
        elif one.name == "upscale":
            made = enlarged(stage, FRAMES[:1], workers)
        else:
            moment = round(float(stage.values["at"]) * 25)
            stop = min(1 if stage.after.width > 1000 else 12, stage.after.frames)
            made = moved(stage, lambda: FRAMES[moment], 0, stop, workers)
        return [picture for picture, _ in made]


def others(parameter: Parameter) -> list[Value]:
    """Other values of a parameter, that each have to show."""
    if parameter.kind is ParameterKind.FLAG:
        return [not parameter.default]
    if parameter.kind is ParameterKind.CHOICE:
        return [value for value, _ in parameter.choices if value != parameter.default]
    if parameter.name == "at":
        return [0.08]  # a moment that the four pictures have
    if parameter.kind is ParameterKind.SEED:
        return [7]
    if parameter.name in ("width", "height"):
        return [64, 200]
    whole = parameter.kind is ParameterKind.INTEGER
    ends = parameter.minimum, min(parameter.maximum, 60)
    return [int(end) if whole else float(end) for end in ends if end != parameter.default]


def same(before: list[NDArray[np.uint8]], after: list[NDArray[np.uint8]]) -> bool:
    return len(before) == len(after) and all(
        one.shape == other.shape and np.array_equal(one, other)
        for one, other in zip(before, after, strict=True)
    )


@pytest.mark.parametrize(("one", "engine", "parameter"), ROWS)
def test_every_parameter_changes_pixels(
    one: EffectKind, engine: Engine, parameter: Parameter
) -> None:
    base = {parameter.shown_if[0]: parameter.shown_if[1][0]} if parameter.shown_if else {}
    before = result(one, engine, dict(base))
    for value in others(parameter):
        after = result(one, engine, {**base, parameter.name: value})
        assert not same(before, after), f"{parameter.name} = {value} changes nothing"


@pytest.mark.parametrize(("one", "engine", "parameter"), ROWS)
def test_every_parameter_is_in_the_key(
    one: EffectKind, engine: Engine, parameter: Parameter
) -> None:
    base = {parameter.shown_if[0]: parameter.shown_if[1][0]} if parameter.shown_if else {}
    before = segment_key(stage_of(one, engine, dict(base)), 0)
    for value in others(parameter):
        assert segment_key(stage_of(one, engine, {**base, parameter.name: value}), 0) != before


def test_hidden_parameters_do_not_make_a_result_stale() -> None:
    one, engine = kind("upscale"), kind("upscale").engine()
    doubled = segment_key(stage_of(one, engine, {"scale": "2"}), 0)
    assert segment_key(stage_of(one, engine, {"scale": "2", "width": 64}), 0) == doubled


@pytest.mark.parametrize(("one", "engine"), ENGINES, ids=lambda row: row.name)
def test_rows_are_well_formed(one: EffectKind, engine: Engine) -> None:
    names = [parameter.name for parameter in engine.parameters]
    assert len(set(names)) == len(names)
    assert engine.note.endswith(".")
    assert engine.role in ("media", "gpu")
    assert checked(engine, defaults(engine)) == defaults(engine)
    for parameter in engine.parameters:
        assert parameter.help.endswith(".")
        assert parameter.label[0].isupper() or parameter.label.startswith("torch.")
        assert len(parameter.label) <= 16
        if parameter.kind in (ParameterKind.NUMBER, ParameterKind.INTEGER):
            assert isinstance(parameter.default, (int, float))
            assert parameter.minimum <= parameter.default <= parameter.maximum
            assert parameter.step > 0
        if parameter.shown_if is not None:
            name, values = parameter.shown_if
            other = engine.parameter(name)
            assert all(checked_value(other, value) == value for value in values)


def test_the_first_engine_is_the_default() -> None:
    assert [one.engine().name for one in EFFECTS] == ["painterly", "camera-move", "lanczos"]
    names = [one.name for one in kind("restyle").engines]
    wan = ["wan2.1-t2v-1.3b", "wan2.1-t2v-14b", "wan2.2-t2v-a14b"]
    assert names == ["painterly", "ink", "cartoon", *wan]


def test_a_camera_move_says_that_it_is_not_generative() -> None:
    assert "Not generative" in kind("image-to-video").engine().note


def test_values_are_refused_with_a_sentence() -> None:
    engine = kind("restyle").engine()
    with pytest.raises(EffectError, match="Strength cannot be 101"):
        checked(engine, {"strength": 101})
    with pytest.raises(EffectError, match="has no parameter «sparkle»"):
        checked(engine, {"sparkle": 1})
    with pytest.raises(EffectError, match="Scale cannot be «5»"):
        checked(kind("upscale").engine(), {"scale": "5"})
    with pytest.raises(EffectError, match="cannot be «many»"):
        parsed(engine.parameter("brush"), "many")
    with pytest.raises(EffectError, match="no effect «sharpen»"):
        kind("sharpen")
    with pytest.raises(EffectError, match="no engine «oil»"):
        kind("restyle").engine("oil")


def test_values_are_parsed() -> None:
    camera = kind("image-to-video").engine()
    assert parsed(camera.parameter("loop"), "yes") is True
    assert parsed(camera.parameter("seconds"), "2.5") == 2.5
    assert parsed(kind("upscale").engine().parameter("scale"), "4") == "4"


def test_unknown_effects_are_kept_but_not_computed() -> None:
    foreign = EffectUse("x", "sparkle", "glitter", {"amount": 3})
    switched_off = EffectUse("y", "upscale", "lanczos", {}, enabled=False)
    assert not is_known(foreign)
    assert stages(asset(), (foreign, switched_off)) == ()
    both = stages(asset(), (foreign, new_use("upscale"), switched_off))
    assert [stage.kind for stage in both] == ["upscale"]
