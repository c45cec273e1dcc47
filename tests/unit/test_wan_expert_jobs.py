"""Jobs of Wan 2.2 in this process: LoRAs of each expert, means, being stopped, plans."""

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402
from torch import Tensor  # noqa: E402

from engine.errors import Cancelled  # noqa: E402
from engine.files import weights_bytes  # noqa: E402
from engine.generation import Mode, Shape, resolved  # noqa: E402
from engine.jobs import (  # noqa: E402
    GenerateJob,
    JobResult,
    LoraChoice,
    ModelFiles,
    NeuralOptions,
)
from engine.models.resident import Resident  # noqa: E402
from engine.models.wan import pipeline  # noqa: E402
from engine.models.wan.experts import FIRST, SECOND  # noqa: E402
from engine.planning import DeviceFacts  # noqa: E402
from engine.progress import Silent  # noqa: E402
from engine.worker import wan_parts  # noqa: E402
from engine.worker.generate import Generator  # noqa: E402
from engine.worker.wan_plan import planned, plans_of  # noqa: E402
from tests.support.wan_checkpoints import INDEX, TEXT, VAE, write_experts  # noqa: E402

CPU = DeviceFacts(kind="cpu", name="2 cores", has_triton=False)
GIB = 1 << 30
FAMILY = "wan2.2-t2v-a14b"
STEPS = 4  # of which two are each expert's, at a shift of 5


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_experts(tmp_path_factory.mktemp("models") / "pair")


@pytest.fixture
def generator() -> Generator:
    return Generator(Resident(GIB))


def files_of(weights: Path) -> dict[str, str]:
    experts = {FIRST: weights / "high_noise_model", SECOND: weights / "low_noise_model"}
    found = {part: str(folder / INDEX) for part, folder in experts.items()}
    return found | {"text": str(weights / TEXT), "vae": str(weights / VAE)}


def job_of(weights: Path, folder: Path, **more: Any) -> GenerateJob:
    values = {"steps": STEPS, "shift": 5.0, "scheduler": "euler"} | more.pop("values", {})
    usual: dict[str, Any] = {
        "mode": Mode.TEXT,
        "prompt": "a red fox",
        "width": 32,
        "height": 32,
        "frames": 5,
        "values": values,
        "output": str(folder / "out.mp4"),
        "latents": str(folder / "latents.safetensors"),
        "cache": str(folder / "cache"),
        "models": ModelFiles(family=FAMILY, files=files_of(weights)),
    }
    return GenerateJob(**(usual | more))


def made(generator: Generator, job: GenerateJob) -> tuple[JobResult, Tensor]:
    """What a job says, and its latents."""
    result = generator.run(job, CPU, Silent())
    return result, load_file(job.latents)["latents"]


def lora(folder: Path, name: str) -> LoraChoice:
    """Thin matrices for a layer of a tiny expert."""
    draw = torch.Generator().manual_seed(3)
    key = "diffusion_model.blocks.0.self_attn.q.lora_{}.weight"
    shapes = {"A": (4, 128), "B": (128, 4)}
    tensors = {
        key.format(half): torch.randn(shape, generator=draw) for half, shape in shapes.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / name)
    return LoraChoice(path=str(folder / name))


@pytest.mark.parametrize("merges", [False, True], ids=["live", "merged"])
def test_a_lora_goes_onto_the_expert_that_its_name_or_a_person_says(
    generator: Generator, weights: Path, tmp_path: Path, merges: bool
) -> None:
    def latents(choice: LoraChoice | None, **values: Any) -> Tensor:
        loras = (choice,) if choice is not None else ()
        values |= {"merge_loras": merges}
        return made(generator, job_of(weights, tmp_path, loras=loras, values=values))[1]

    high = lora(tmp_path / "a", "wan2.2_t2v_style_high_noise.safetensors")
    low = lora(tmp_path / "a", "wan2.2_t2v_style_LOW.safetensors")
    any_ = lora(tmp_path / "b", "style.safetensors")
    none, on_high, on_low, on_both = (latents(one) for one in (None, high, low, any_))
    told = [none, on_high, on_low, on_both]
    pairs = [(a, b) for i, a in enumerate(told) for b in told[i + 1 :]]
    assert not any(torch.allclose(a, b) for a, b in pairs)
    # What a person says outweighs the name.
    for expert, expected in (("high", on_high), ("low", on_low)):
        for one in (any_, high):
            said = LoraChoice(path=one.path, expert=expert)
            assert torch.equal(latents(said), expected)
    # Where the second expert runs alone, the first one's LoRA changes nothing.
    alone: dict[str, Any] = {"boundary": 1.0, "scheduler": "unipc"}
    assert torch.equal(latents(high, **alone), latents(None, **alone))
    assert not torch.equal(latents(low, **alone), latents(None, **alone))


def test_loras_of_experts_are_told_and_a_distilled_pair_sets_the_run(
    generator: Generator, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        pipeline, "encode_prompt", lambda _, text, __: asked.append(text) or torch.ones(3, 64)
    )
    names = [
        f"wan2.2_t2v_lightx2v_4steps_lora_v1.1_{one}_noise.safetensors" for one in ("high", "low")
    ]
    loras = tuple(lora(tmp_path, name) for name in names)
    job = job_of(weights, tmp_path, loras=loras)
    result = generator.run(GenerateJob(**(fields(job) | {"values": {}})), CPU, Silent())
    assert result.made == 4
    assert asked == ["a red fox"]  # and no negative prompt
    assert f"{names[0]} goes onto the high-noise expert alone." in result.notes
    assert f"{names[1]} goes onto the low-noise expert alone." in result.notes
    assert any("is distilled: 4 steps, shift 5, guidance 1." in note for note in result.notes)


def fields(job: GenerateJob) -> dict[str, Any]:
    return {name: getattr(job, name) for name in job.__struct_fields__ if name != "id"}


@pytest.mark.parametrize(
    "values",
    [
        {"blocks_to_swap": 5, "prefetch_blocks": 2},
        {"keep_keys": False},
        {"batched_cfg": True},
    ],
)
def test_means_do_not_change_the_result(
    generator: Generator, weights: Path, tmp_path: Path, values: dict[str, Any]
) -> None:
    _, plain = made(generator, job_of(weights, tmp_path))
    job = job_of(weights, tmp_path, cache=str(tmp_path / "other"), values=values)
    _, other = made(generator, job)
    torch.testing.assert_close(other, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("done", [1, 2, 3])
def test_it_is_stopped_and_goes_on_the_same(
    generator: Generator, weights: Path, tmp_path: Path, done: int
) -> None:
    class Stopping(Silent):
        """Ends the run some blocks after so many steps."""

        def step(self, stage: str, at: int, total: int) -> None:
            if stage == "denoise" and at == total * done // STEPS + 3:
                raise Cancelled

    values = {"scheduler": "unipc"}
    with pytest.raises(Cancelled):
        generator.run(job_of(weights, tmp_path, values=values), CPU, Stopping())
    result, rest = made(generator, job_of(weights, tmp_path, values=values))
    assert result.made == STEPS - done
    again = job_of(weights, tmp_path, values=values, cache=str(tmp_path / "other"))
    assert torch.equal(made(generator, again)[1], rest)


def test_one_guidance_that_is_said_is_both_experts() -> None:
    def values(**said: Any) -> tuple[Any, Any]:
        found = resolved(said, Mode.TEXT, FAMILY, 832, 480)
        return found["cfg"], found["cfg_low"]

    assert values() == (4.0, 3.0)
    assert values(cfg=1.0) == (1.0, 1.0)
    assert values(cfg=5.0, cfg_low=2.0) == (5.0, 2.0)
    assert values(cfg_low=2.0) == (4.0, 2.0)
    text, picture = (
        resolved({}, mode, family, 832, 480)
        for mode, family in ((Mode.TEXT, FAMILY), (Mode.IMAGE, "wan2.2-i2v-a14b"))
    )
    assert (text["steps"], text["shift"], text["boundary"]) == (40, 12.0, 0.875)
    assert (picture["steps"], picture["shift"], picture["boundary"]) == (40, 5.0, 0.9)
    assert (picture["cfg"], picture["cfg_low"]) == (3.5, 3.5)


def test_two_experts_take_turns_on_a_card_of_any_size(weights: Path, tmp_path: Path) -> None:
    files = {part: Path(path) for part, path in files_of(weights).items()}
    assert weights_bytes(files[FIRST]) > 1_000_000  # of the shards, not of their index
    card = DeviceFacts(
        kind="cuda", name="H200", total_bytes=141 * GIB, free_bytes=140 * GIB, capability=(9, 0)
    )
    options = NeuralOptions(attention="sdpa")
    for load in ("auto", "main", "offload"):
        values = resolved({"load_device": load}, Mode.TEXT, FAMILY, 832, 480)
        assert wan_parts.way_of(values, options, card, files).waits
    one = {part: path for part, path in files.items() if part != SECOND}
    assert not wan_parts.way_of(values | {"load_device": "main"}, options, card, one).waits
    job = job_of(weights, tmp_path, models=ModelFiles(family=FAMILY, files={}))
    assert planned(plans_of(job, {}, Shape(832, 480, 81), card, {})[0])["load_device"] == "offload"


def test_where_memory_is_short_the_first_expert_leaves_before_the_second_comes(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = weights_bytes(Path(files_of(weights)[FIRST]))
    held: list[float] = []
    real = wan_parts.load_diffusion

    def load(*arguments: Any) -> Any:
        held.append(resident.bytes / one)
        return real(*arguments)

    monkeypatch.setattr(wan_parts, "load_diffusion", load)
    for budget, is_kept in ((1.8, False), (4.0, True)):
        resident = Resident(round(budget * one))
        held.clear()
        job = job_of(weights, tmp_path, cache=str(tmp_path / str(budget)))
        Generator(resident).run(job, CPU, Silent())
        assert [one >= 1 for one in held] == [False, is_kept]


def test_an_index_counts_as_all_its_files(tmp_path: Path) -> None:
    for number, size in enumerate((10, 20)):
        (tmp_path / f"{number}.safetensors").write_bytes(b"\0" * size)
    index = tmp_path / "m.safetensors.index.json"
    for text, size in (
        ('{"weight_map": {"a": "0.safetensors", "b": "1.safetensors", "c": "0.safetensors"}}', 30),
        ('{"weight_map": {"a": "0.safetensors", "b": "gone.safetensors"}}', 10),
        ('{"weight_map": {"a": "../x/0.safetensors", "b": 3}}', 0),
        ('{"weight_map": [1]}', 0),
        ("{", 0),
    ):
        index.write_text(text)
        assert weights_bytes(index) == size + len(text)
    assert weights_bytes(tmp_path / "0.safetensors") == 10
    assert weights_bytes(tmp_path / "gone.safetensors") == 0
