"""FlashVSR's engines in the gpu child: every field counts, recipes, plans, size, transparency."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")

from engine.errors import OutOfMemory, WeightsError
from engine.filters.pixels import Picture
from engine.jobs import EffectJob, ModelFiles, NeuralOptions
from engine.models.resident import Resident
from engine.planning import DeviceFacts
from engine.render.keys import Stage, segment_key, stages
from engine.timeline.effects import (
    FLASHVSR_ENGINES,
    Engine,
    Parameter,
    ParameterKind,
    Value,
    new_use,
)
from engine.timeline.model import Asset, MediaFacts, VideoFacts
from engine.worker.upscale import Upscaler, ask_of
from tests.support.checkpoints import DECODER, PROJECTION, PROMPT, TRANSFORMER, VAE, write_flashvsr
from tests.support.moving import textured

FRAMES = textured(5, width=48, height=32)
GB = 10**9
CPU = DeviceFacts(kind="cpu", name="test", total_bytes=16 * GB, free_bytes=12 * GB)
NAMES = {
    "transformer": TRANSFORMER,
    "projection": PROJECTION,
    "prompt": PROMPT,
    "decoder": DECODER,
    "vae": VAE,
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flashvsr(tmp_path_factory.mktemp("weights"), vae=True)


def asset(alpha: bool = False) -> Asset:
    video = VideoFacts(48, 32, Fraction(25), len(FRAMES), "h264", "yuv420p", alpha=alpha)
    facts = MediaFacts(Fraction(len(FRAMES), 25), "mp4", 1000, video)
    return Asset("a", "/media/a.mp4", "a.mp4", facts, "b2:a")


def stage_of(engine: str, alpha: bool = False, **values: Value) -> Stage:
    return stages(asset(alpha), (new_use("upscale", engine, values),))[0]


def upscaler(folder: Path | None, device: DeviceFacts = CPU, **options: Any) -> Upscaler:
    models = ()
    if folder is not None:
        files = {name: str(folder / file) for name, file in NAMES.items()}
        models = tuple(
            ModelFiles(family=family, files=files) for family in ("flashvsr-1.0", "flashvsr-1.1")
        )
    job = EffectJob(
        title="Upscale",
        subject="a.mp4",
        asset=asset(),
        uses=(),
        cache="",
        models=models,
        options=NeuralOptions(**options),
    )
    return Upscaler(job, device, Resident(GB))


def nothing() -> None:
    pass


def made(
    folder: Path, engine: str = "flashvsr-1.1-tiny", read: Callable[[int], Picture] | None = None,
    **values: Value,
) -> list[Picture]:  # fmt: skip
    stage = stage_of(engine, alpha=read is not None, **values)
    span = range(len(FRAMES))
    source = read or FRAMES.__getitem__
    return list(upscaler(folder).pictures(stage, source, len(FRAMES), span, nothing))


def others(parameter: Parameter) -> list[Value]:
    if parameter.kind is ParameterKind.FLAG:
        return [not parameter.default]
    if parameter.kind is ParameterKind.CHOICE:
        return [value for value, _ in parameter.choices if value != parameter.default]
    if parameter.kind is ParameterKind.SEED:
        return [7]
    whole = parameter.kind is ParameterKind.INTEGER
    ends = (parameter.minimum, min(parameter.maximum, 4096))
    return [int(end) if whole else float(end) for end in ends if end != parameter.default]


@pytest.mark.parametrize("engine", FLASHVSR_ENGINES, ids=lambda one: one.name)
def test_every_field_is_asked_of_the_model_and_is_in_the_key(engine: Engine) -> None:
    def asked(values: dict[str, Value]) -> tuple[object, ...]:
        stage = stage_of(engine.name, **values)
        plan = upscaler(None).plan(stage)
        size = stage.after.width, stage.after.height
        fit = stage.values["fit"] if stage.values["scale"] == "size" else ""
        return ask_of(stage.values, plan, *size), fit

    for parameter in engine.parameters:
        base = {parameter.shown_if[0]: parameter.shown_if[1][0]} if parameter.shown_if else {}
        for value in others(parameter):
            changed = {**base, parameter.name: value}
            assert asked(changed) != asked(dict(base)), f"{parameter.name} = {value}"
            key = segment_key(stage_of(engine.name, **changed), 0)
            assert key != segment_key(stage_of(engine.name, **base), 0)


@pytest.mark.parametrize(
    "values",
    [{"strength": 50.0}, {"band": "high"}, {"colour_fix": "adain"}, {"seed": 7}],
    ids=lambda one: next(iter(one)),
)
def test_what_changes_the_result_changes_pixels(weights: Path, values: dict[str, Value]) -> None:
    assert not np.array_equal(made(weights)[2], made(weights, **values)[2])


@pytest.mark.parametrize("engine", FLASHVSR_ENGINES, ids=lambda one: one.name)
def test_as_many_pictures_of_exactly_the_size(weights: Path, engine: Engine) -> None:
    pictures = made(weights, engine.name, scale="3")
    assert [one.shape for one in pictures] == [(96, 144, 3)] * len(FRAMES)


def test_versions_and_modes_differ(weights: Path) -> None:
    found = [made(weights, engine.name, scale="2")[2] for engine in FLASHVSR_ENGINES]
    for number, one in enumerate(found):
        assert not any(np.array_equal(one, other) for other in found[:number])


@pytest.mark.parametrize("fit", ["crop", "bars", "stretch"])
def test_a_size_of_another_shape(weights: Path, fit: str) -> None:
    values: dict[str, Value] = {"scale": "size", "width": 100, "height": 100, "fit": fit}
    picture = made(weights, **values)[0]
    assert picture.shape == (100, 100, 3)
    border = picture[0].max()
    assert (border == 0) == (fit == "bars")


def test_no_strength_is_the_source_enlarged(weights: Path) -> None:
    plain = made(weights, scale="2", strength=0.0)
    source = FRAMES[3].astype(int)
    small = plain[3].reshape(32, 2, 48, 2, 3).mean((1, 3))
    assert np.abs(small - source).mean() < 8


def test_transparency_is_kept(weights: Path) -> None:
    def read(index: int) -> Picture:
        alpha = np.zeros((32, 48, 1), np.uint8)
        alpha[:, 24:] = 255
        return np.dstack((FRAMES[index], alpha))

    picture = made(weights, read=read, scale="2")[1]
    assert picture.shape == (64, 96, 4)
    assert picture[:, :40, 3].max() == 0
    assert picture[:, 56:, 3].min() == 255


def test_the_recipe_tells_what_else_can_change_pixels(weights: Path, tmp_path: Path) -> None:
    stage = stage_of("flashvsr-1.1-tiny")
    first = upscaler(weights).recipe(stage)
    assert upscaler(weights).recipe(stage) == first
    other = write_flashvsr(tmp_path, seed=9, vae=True)
    assert upscaler(other).recipe(stage) != first
    assert upscaler(weights, precision="bf16").recipe(stage) != first


def test_a_smaller_plan_is_another_recipe_and_the_smallest_fails(weights: Path) -> None:
    stage = stage_of("flashvsr-1.1-tiny")
    one = upscaler(weights)
    list(one.pictures(stage, FRAMES.__getitem__, len(FRAMES), range(1), nothing))
    told, recipes = [], {one.recipe(stage)}

    def to_the_end() -> None:
        for at in range(100):
            told.append(one.step_down(OutOfMemory("full"), at))
            recipes.add(one.recipe(stage))

    with pytest.raises(OutOfMemory, match="full"):
        to_the_end()
    assert len(recipes) > 1
    assert told
    assert all("Not enough memory" in sentence for sentence in told)


def test_weights_that_are_missing_are_told(tmp_path: Path) -> None:
    stage = stage_of("flashvsr-1.1-tiny")
    with pytest.raises(WeightsError, match=r"FlashVSR 1\.1 tiny"):
        upscaler(None).recipe(stage)
    with pytest.raises(WeightsError, match="is not where it was"):
        upscaler(tmp_path).recipe(stage)


def test_eight_bit_layers_are_another_result_near_the_same(weights: Path) -> None:
    stage = stage_of("flashvsr-1.1-tiny", scale="2")

    def of(precision: str) -> Picture:
        one = upscaler(weights)
        plan = msgspec.structs.replace(one.plan(stage), precision=precision)
        one._ladders[stage.chain] = [plan]  # as a card gets it
        made = one.pictures(stage, FRAMES.__getitem__, len(FRAMES), range(3), nothing)
        return list(made)[2]

    plain, small = of("bf16"), of("fp8")
    assert not np.array_equal(plain, small)
    assert np.abs(plain.astype(int) - small).mean() < 4


def test_weights_are_kept_as_they_run_where_that_is_allowed(tmp_path: Path) -> None:
    folder = write_flashvsr(tmp_path, vae=True)
    stage = stage_of("flashvsr-1.1-tiny", scale="2")

    def run(allowed: bool) -> Picture:
        one = upscaler(folder, precision="bf16", keep_converted=allowed)
        made = one.pictures(stage, FRAMES.__getitem__, len(FRAMES), range(1), nothing)
        return next(iter(made))

    before = run(False)
    assert not list(folder.glob("*reelwright*"))
    assert np.array_equal(run(True), before)
    assert (folder / f"{TRANSFORMER}.reelwright-bf16.safetensors").exists()
    assert np.array_equal(run(True), before)
