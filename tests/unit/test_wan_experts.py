"""Wan 2.2's two experts: a run changes over between them, and is what a loop by hand gives."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402
from torch import Tensor  # noqa: E402

from engine.errors import Cancelled, WeightsError  # noqa: E402
from engine.models.guidance import Guidance  # noqa: E402
from engine.models.samplers import sample  # noqa: E402
from engine.models.schedules import Step  # noqa: E402
from engine.models.wan.ask import (  # noqa: E402
    Ask,
    Conditions,
    Given,
    Influence,
    Means,
    Prompts,
    Switch,
)
from engine.models.wan.conditioning import picture_condition, resized  # noqa: E402
from engine.models.wan.denoising import Kept, Ready, denoised  # noqa: E402
from engine.models.wan.experts import FIRST, HIGH, LOW, SECOND, expert_of  # noqa: E402
from engine.models.wan.loading import facts, load  # noqa: E402
from engine.models.wan.pipeline import WanModels, conditions, first_latents  # noqa: E402
from engine.models.wan.teacache import TeaCache  # noqa: E402
from engine.models.wan.transformer import Transformer  # noqa: E402
from engine.progress import Silent  # noqa: E402
from tests.support.wan_checkpoints import (  # noqa: E402
    INDEX,
    TEXT,
    VAE,
    transformer_config,
    write_experts,
    write_repackaged_experts,
)

Files = dict[str, Path]
BOUNDARY = {"t2v": 0.875, "i2v": 0.9}
STEPS = 6


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    """As Wan-AI publishes them, by kind."""
    root = tmp_path_factory.mktemp("models")
    return {kind: shards_of(write_experts(root / kind, kind)) for kind in BOUNDARY}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    """The same as Comfy-Org packs them."""
    root = tmp_path_factory.mktemp("comfy")
    made = {}
    for kind in BOUNDARY:
        folder = write_repackaged_experts(root / kind, kind) / "diffusion_models"
        name = f"wan2.2_{kind}_{{}}_noise_14B_fp32.safetensors"
        parts = {FIRST: folder / name.format("high"), SECOND: folder / name.format("low")}
        text, vae = "text_encoders/umt5_xxl_fp32.safetensors", "vae/wan_2.1_vae.safetensors"
        made[kind] = parts | {"text": folder.parent / text, "vae": folder.parent / vae}
    return made


def shards_of(folder: Path) -> Files:
    experts = {
        FIRST: folder / "high_noise_model" / INDEX,
        SECOND: folder / "low_noise_model" / INDEX,
    }
    return experts | {"text": folder / TEXT, "vae": folder / VAE}


def ask_of(kind: str, **more: Any) -> Ask:
    usual: dict[str, Any] = {
        "width": 32,
        "height": 32,
        "frames": 5,
        "steps": STEPS,
        "shift": 12.0 if kind == "t2v" else 5.0,
        "seed": 3,
        "guidance": Guidance(scale=4.0),
        "switch": Switch(boundary=BOUNDARY[kind], scale=3.0),
    }
    return Ask(**(usual | more))


def picture(seed: int) -> Tensor:
    return torch.rand(3, 40, 48, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def prompts() -> Prompts:
    towards, away = torch.randn(2, 6, 64, generator=torch.Generator().manual_seed(1))
    return Prompts((towards,), away)


@dataclass
class Watched:
    """Loaded models, and a list of who came when and who was there then."""

    models: WanModels
    told: list[str] = field(default_factory=list)

    @contextmanager
    def transformer(self, part: str = FIRST) -> Iterator[Ready]:
        self.told.append(f"{part} comes")
        with self.models.transformer(part) as ready:
            yield ready
        self.told.append(f"{part} goes")


class Story:
    """A run from its beginning, or from what was kept of it."""

    def __init__(self, models: WanModels, ask: Ask, made: Conditions | None = None) -> None:
        self.models, self.ask, self.made = models, ask, made or Conditions()
        self.kept: list[Kept] = []
        self.told: list[str] = []

    def run(self, begin: Kept | None = None, report: Silent | None = None) -> Tensor:
        watched = Watched(self.models, self.told)
        start = begin or first_latents(self.ask, Given(), self.made, 16)
        with torch.inference_mode():
            return denoised(
                watched.transformer,
                self.ask,
                prompts(),
                self.made,
                start,
                report or Silent(),
                self.kept.append,
                keeps_keys=True,
            )


def by_hand(models: WanModels, ask: Ask, given: Tensor | None = None) -> Tensor:
    """The published loop: the model and the guidance of each step are chosen by its timestep."""
    high, low = models.transformer_model, models.low_model
    assert low is not None
    assert ask.switch is not None
    boundary = 1000 * ask.switch.boundary
    said = prompts()

    def velocity(x: Tensor, step: Step) -> Tensor:
        model: Transformer = high if step.timestep >= boundary else low
        scale = 4.0 if step.timestep >= boundary else 3.0
        time = torch.tensor([step.timestep])
        towards = model(x, time, model.condition([said.positive[0]]), given=given)
        assert said.negative is not None
        away = model(x, time, model.condition([said.negative]), given=given)
        found: Tensor = away + scale * (towards - away)
        return found

    x = first_latents(ask, Given(), Conditions(), 16)
    with torch.inference_mode():
        if ask.sampler != "euler":
            return sample(ask.sampler, velocity, x, ask.schedule, lambda _: x)
        for index in range(ask.steps):
            step = ask.schedule.step(index)
            x = x + (step.following - step.sigma) * velocity(x, step)
    return x


@pytest.mark.parametrize("sampler", ["euler", "unipc"])
def test_words_become_what_a_loop_by_hand_gives(
    sharded: dict[str, Files], packed: dict[str, Files], sampler: str
) -> None:
    ask = ask_of("t2v", sampler=sampler)
    assert 0 < sum(ask.is_second) < STEPS
    models = load(sharded["t2v"], "cpu", torch.float32)
    story = Story(models, ask)
    found = story.run()
    assert story.told == ["transformer comes", "transformer goes", "low comes", "low goes"]
    assert torch.equal(found, by_hand(models, ask))
    same = load(packed["t2v"], "cpu", torch.float32)
    for one, other in (
        (models.transformer_model, same.transformer_model),
        (models.low_model, same.low_model),
    ):
        assert one is not None
        assert other is not None
        theirs = other.state_dict()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in one.state_dict().items())
    torch.testing.assert_close(Story(same, ask).run(), found, rtol=1e-4, atol=1e-4)
    alone = replace(ask, switch=None)
    assert not torch.allclose(Story(models, alone).run(), found)


def test_a_picture_becomes_what_a_loop_by_hand_gives_and_no_clip_is_asked(
    sharded: dict[str, Files],
) -> None:
    ask, files = ask_of("i2v", sampler="euler"), sharded["i2v"]
    assert 0 < sum(ask.is_second) < STEPS
    assert "image" not in files
    models = load(files, "cpu", torch.float32)
    config, influence, means = transformer_config("i2v_expert"), Influence(), Means()
    first, last = picture(1), picture(2)

    def made(given: Given) -> Conditions:
        with torch.inference_mode():
            return conditions(models, ask, given, influence, means, Silent(), config)

    one = made(Given(first=first))
    assert one.tokens is None
    by_itself = picture_condition(models.vae_model, 5, resized(first, 32, 32))
    assert one.given is not None
    assert torch.equal(one.given, by_itself)
    assert torch.equal(Story(models, ask, one).run(), by_hand(models, ask, by_itself))
    # A last picture stands in its place, and is no frame more.
    both = made(Given(first=first, last=last))
    assert both.appended == 0
    assert both.given is not None
    assert both.given.shape == by_itself.shape
    ends = picture_condition(models.vae_model, 5, resized(first, 32, 32), resized(last, 32, 32))
    assert torch.equal(both.given, ends)


CACHE = TeaCache(threshold=100.0, start_step=1)


@pytest.mark.parametrize("cache", [None, CACHE], ids=["", "teacache"])
def test_a_run_goes_on_the_same_from_every_step(
    sharded: dict[str, Files], cache: TeaCache | None
) -> None:
    models, ask = load(sharded["t2v"], "cpu", torch.float32), ask_of("t2v", cache=cache)
    story = Story(models, ask)
    whole = story.run()
    at = list(ask.is_second).index(True)
    assert 1 < at < STEPS - 1
    if cache is not None:
        assert max(one.skipped for one in story.kept[at - 2].tea.values()) > 0
        assert not torch.equal(whole, Story(models, ask_of("t2v")).run())
    for done, kept in enumerate(story.kept[:-1], 1):
        saved = {name: tensor.clone() for name, tensor in kept.tensors().items()}
        again = Story(models, ask)
        assert torch.equal(again.run(Kept.of(saved)), whole), done
        both = ["transformer comes", "transformer goes"] if done < at else []
        assert again.told == [*both, "low comes", "low goes"]


def test_each_expert_has_a_teacache_of_its_own(sharded: dict[str, Files]) -> None:
    """The second one's first step runs in full, whatever the first one had saved up."""
    models = load(sharded["t2v"], "cpu", torch.float32)
    ask = ask_of("t2v", cache=CACHE, sampler="euler")
    story = Story(models, ask)
    story.run()
    at = list(ask.is_second).index(True)
    skipped = [sum(one.skipped for one in kept.tea.values()) for kept in story.kept]
    # Of two prompts each; a step is compared from the expert's second on.
    assert skipped[at - 2] == 2 * (at - 3) > 0
    assert not story.kept[at - 1].tea  # what the first has saved up is not kept for the second
    assert skipped[at:] == [2 * i for i in range(STEPS - at)]


def test_it_can_be_stopped_on_either_side(sharded: dict[str, Files]) -> None:
    models, ask = load(sharded["t2v"], "cpu", torch.float32), ask_of("t2v")
    total = 16 * STEPS
    at = 16 * list(ask.is_second).index(True)

    class Stopping(Silent):
        def __init__(self, block: int) -> None:
            self.block = block

        def step(self, stage: str, done: int, total_: int) -> None:
            assert total_ == total
            if done == self.block:
                raise Cancelled

    for block, there in ((at - 3, "transformer"), (at + 3, "low")):
        story = Story(models, ask)
        with pytest.raises(Cancelled):
            story.run(report=Stopping(block))
        assert story.told[-1] == f"{there} comes"  # and it was given back by the exception
        assert len(story.kept) == block // 16


def test_a_distilled_run_of_four_steps_changes_over_after_two() -> None:
    for kind, boundary in BOUNDARY.items():
        for steps in ({"timesteps": (1000, 750, 500, 250)}, {"steps": 4, "sampler": "euler"}):
            ask = ask_of(kind, shift=5.0, switch=Switch(boundary=boundary, scale=1.0), **steps)
            assert ask.is_second == (False, False, True, True)


def test_guidance_is_of_each_expert_unless_a_list_says_it() -> None:
    ask = ask_of("t2v", steps=4, shift=5.0, sampler="euler")
    assert ask.guided.scale == (4.0, 4.0, 3.0, 3.0)
    assert replace(ask, start_step=1).guided.scale == (4.0, 3.0, 3.0)
    assert replace(ask, guidance=Guidance(scale=(6.0, 1.0))).guided.scale == (6.0, 1.0)
    assert replace(ask, switch=None).guided.scale == 4.0
    halves = replace(ask, guidance=Guidance(scale=1.0))
    assert halves.guided.needs_negative(4)
    assert replace(halves, switch=Switch(boundary=0.875, scale=1.0)).guided.scale == (1.0,) * 4
    assert not replace(halves, end_step=2).guided.needs_negative(2)


# The files


def test_names_tell_which_expert_a_file_is() -> None:
    told = {
        "high_noise_model/diffusion_pytorch_model.safetensors.index.json": HIGH,
        "wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors": LOW,
        "T2V/Wan2_2-T2V-A14B_HIGH_fp8_e4m3fn_scaled_KJ.safetensors": HIGH,
        "T2V/Wan2_2-T2V-A14B-LOW_fp8_e4m3fn_scaled_KJ.safetensors": LOW,
        "Wan2.2-T2V-A14B-Diffusers/transformer/diffusion_pytorch_model.safetensors": HIGH,
        "models--Wan-AI--Wan2.2-I2V-A14B-Diffusers/snapshots/ab/transformer/m.safetensors": HIGH,
        "Wan2.2-T2V-A14B-Diffusers/transformer_2/diffusion_pytorch_model.safetensors": LOW,
        "wan2.2_t2v_A14b_high_noise_lora_rank64_lightx2v_4step_1217.safetensors": HIGH,
        "Wan2.2-T2V-A14B-4steps-lora-rank64-Seko-V1/low_noise_model.safetensors": LOW,
        "Wan2.1-T2V-14B-Diffusers/transformer/diffusion_pytorch_model.safetensors": "",
        "Wan2.2-TI2V-5B-Diffusers/transformer/diffusion_pytorch_model.safetensors": "",
        "wan2.1_t2v_14B_bf16.safetensors": "",
        "wan2.2_high_low_merge.safetensors": "",
        "wan2.2_slow_motion.safetensors": "",
        "low/my_low_style.safetensors": "",
    }
    assert {name: expert_of(Path("/models") / name) for name in told} == told


def test_a_pair_is_known_and_makes_what_it_learned(
    sharded: dict[str, Files], packed: dict[str, Files]
) -> None:
    for files in (sharded, packed):
        assert facts(files["t2v"]).modes == ("t2v", "t2i", "v2v")
        assert facts(files["i2v"]).modes == ("i2v", "flf2v")
        assert all(facts(files[kind]).is_pair and not facts(files[kind]).image for kind in files)


def test_a_missing_doubled_or_wrong_expert_is_refused_by_name(
    packed: dict[str, Files], sharded: dict[str, Files], tmp_path: Path
) -> None:
    def refused(files: Files, family: str = "") -> str:
        with pytest.raises(WeightsError) as caught:
            facts(files, family)
        return f"{caught.value.message} {caught.value.hint}"

    files = packed["t2v"]
    alone = {part: path for part, path in files.items() if part != SECOND}
    assert "wan2.2_t2v_high_noise_14B_fp32.safetensors is an expert" in refused(alone)
    assert "the low-noise expert is missing" in refused(alone)
    assert "the high-noise expert is missing" in refused(alone | {FIRST: files[SECOND]})
    assert "chosen for both" in refused(files | {SECOND: files[FIRST]})
    swapped = refused(files | {FIRST: files[SECOND], SECOND: files[FIRST]})
    assert "they are in each other’s place" in swapped
    again = tmp_path / "wan2.2_t2v_high_noise_again.safetensors"
    save_file(load_file(files[SECOND]), again)
    assert "both are the high-noise expert" in refused(files | {SECOND: again})
    mixed = refused(files | {SECOND: packed["i2v"][SECOND]})
    assert "do not belong together" in mixed
    # Called by no name: the tensors tell an expert for pictures, and the family any.
    unnamed = tmp_path / "model.safetensors"
    save_file(load_file(packed["i2v"][FIRST]), unnamed)
    assert "low-noise expert is missing" in refused(alone | {FIRST: unnamed}, "wan2.1-i2v-14b")
    save_file(load_file(files[FIRST]), unnamed)
    assert "low-noise expert is missing" in refused(alone | {FIRST: unnamed}, "wan2.2-t2v-a14b")
    assert not facts(alone | {FIRST: unnamed}).is_pair
    # A person's word: it is run as one of Wan 2.1, or is not what it is called.
    assert not facts(alone, "wan2.1-t2v-14b").is_pair
    assert facts(files | {FIRST: unnamed, SECOND: files[FIRST]}).is_pair
    five = dict(load_file(files[FIRST]))
    five["head.head.weight"], five["head.head.bias"] = torch.zeros(192, 128), torch.zeros(192)
    save_file(five, unnamed)
    assert "Wan 2.2 TI2V 5B" in refused(alone | {FIRST: unnamed})
    assert sharded["t2v"][FIRST].name == sharded["t2v"][SECOND].name  # only folders tell these
    assert "in each other’s place" in refused(
        sharded["t2v"] | {FIRST: sharded["t2v"][SECOND], SECOND: sharded["t2v"][FIRST]}
    )
