"""Wan's jobs in this process: what is shared between them, and that no means changes a pixel."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402
from torch import Tensor  # noqa: E402

from engine.errors import EffectError, OutOfMemory, WeightsError  # noqa: E402
from engine.generation import Mode, Shape, resolved  # noqa: E402
from engine.jobs import (  # noqa: E402
    GenerateJob,
    JobResult,
    LoraChoice,
    ModelFiles,
    NeuralOptions,
    SourceClip,
)
from engine.models import swap  # noqa: E402
from engine.models.resident import Resident  # noqa: E402
from engine.models.samplers import State  # noqa: E402
from engine.models.wan import pipeline  # noqa: E402
from engine.models.wan.denoising import Kept  # noqa: E402
from engine.models.wan.loading import load_vae  # noqa: E402
from engine.models.wan.preview import preview  # noqa: E402
from engine.models.wan.teacache import TeaState  # noqa: E402
from engine.models.wan.vae import decode, encode  # noqa: E402
from engine.planning import DeviceFacts, WanPlan  # noqa: E402
from engine.progress import Silent  # noqa: E402
from engine.worker import wan_held, wan_parts, wan_work  # noqa: E402
from engine.worker.generate import Generator  # noqa: E402
from engine.worker.given import clip_chunks  # noqa: E402
from engine.worker.wan_plan import planned, plans_of  # noqa: E402
from engine.worker.wan_settings import LAYOUTS  # noqa: E402
from tests.support.media import make_video  # noqa: E402
from tests.support.wan_checkpoints import TEXT, TRANSFORMER, VAE, write_wan  # noqa: E402

CPU = DeviceFacts(kind="cpu", name="2 cores", has_triton=False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wan(tmp_path_factory.mktemp("models") / "t2v")


@pytest.fixture
def generator() -> Generator:
    return Generator(Resident(1 << 30))


def job_of(weights: Path, folder: Path, **more: Any) -> GenerateJob:
    files = {"transformer": TRANSFORMER, "text": TEXT, "vae": VAE}
    usual: dict[str, Any] = {
        "mode": Mode.TEXT,
        "prompt": "a red fox",
        "width": 32,
        "height": 32,
        "frames": 5,
        "values": {"steps": 2},
        "output": str(folder / "out.mp4"),
        "latents": str(folder / "latents.safetensors"),
        "cache": str(folder / "cache"),
        "models": ModelFiles(
            family="wan2.1-t2v-1.3b",
            files={part: str(weights / name) for part, name in files.items()},
        ),
    }
    return GenerateJob(**(usual | more))


def made(generator: Generator, job: GenerateJob) -> tuple[JobResult, Tensor]:
    """What a job says, and its latents."""
    result = generator.run(job, CPU, Silent())
    return result, load_file(job.latents)["latents"]


def with_values(job_values: dict[str, Any]) -> dict[str, Any]:
    return {"values": {"steps": 2} | job_values}


def test_a_second_job_finds_models_and_prompts(
    generator: Generator, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    real = pipeline.encode_prompt

    def counted(encoder: Any, text: str, report: Any) -> Tensor:
        asked.append(text)
        return real(encoder, text, report)

    monkeypatch.setattr(pipeline, "encode_prompt", counted)
    _, first = made(generator, job_of(weights, tmp_path))

    def refuse(*_: object) -> None:
        raise AssertionError("loaded again")

    for name in ("load_text", "load_vae", "load_diffusion"):
        monkeypatch.setattr(wan_parts, name, refuse)
    _, other = made(generator, job_of(weights, tmp_path, prompt="a blue fox"))
    assert not torch.equal(first, other)
    assert [text[:10] for text in asked] == ["a red fox", "garish col", "a blue fox"]
    result, again = made(generator, job_of(weights, tmp_path))
    assert torch.equal(first, again)
    assert result.made == 0


def test_a_second_job_packs_no_block_and_puts_no_lora_on(
    generator: Generator, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    means = with_values({"blocks_to_swap": 5})
    means["loras"] = (LoraChoice(path=str(lora(weights, tmp_path)), strength=(0.7,)),)
    made(generator, job_of(weights, tmp_path, **means))

    def refuse(*_: object) -> None:
        raise AssertionError("made again")

    with monkeypatch.context() as patch:
        patch.setattr(swap, "_Parcel", refuse)
        patch.setattr(wan_held, "LiveLoras", refuse)
        patch.setattr(wan_parts, "load_diffusion", refuse)
        _, second = made(generator, job_of(weights, tmp_path, seed=7, **means))
    _, alone = made(
        Generator(Resident(1 << 30)),
        job_of(weights, tmp_path, seed=7, **means, cache=str(tmp_path / "other")),
    )
    assert torch.equal(second, alone)


@pytest.mark.parametrize(
    "values",
    [
        {"blocks_to_swap": 5, "prefetch_blocks": 2},
        {"blocks_to_swap": 5, "use_non_blocking": False},
        {"offload_txt_emb": True, "offload_img_emb": True},
        {"keep_keys": False, "decode_chunk": 2},
        {"batched_cfg": True},
        {"context_schedule": "static_standard"},  # the clip is no longer than a window
    ],
)
def test_means_do_not_change_the_result(
    generator: Generator, weights: Path, tmp_path: Path, values: dict[str, Any]
) -> None:
    _, plain = made(generator, job_of(weights, tmp_path))
    job = job_of(weights, tmp_path, cache=str(tmp_path / "other"), **with_values(values))
    _, other = made(generator, job)
    torch.testing.assert_close(other, plain, rtol=1e-4, atol=1e-4)


def test_windows_prompts_and_caches_change_it(
    generator: Generator, weights: Path, tmp_path: Path
) -> None:
    windows = {"context_schedule": "uniform_standard", "context_frames": 5, "context_overlap": 4}
    assert windows["context_schedule"] in LAYOUTS
    long: dict[str, Any] = {"frames": 13, "prompt": "a red fox | a blue cat"}
    _, whole = made(generator, job_of(weights, tmp_path, **long))
    _, parts = made(generator, job_of(weights, tmp_path, **long, **with_values(windows)))
    same = with_values(windows)
    _, one = made(generator, job_of(weights, tmp_path, frames=13, prompt="a red fox", **same))
    assert whole.shape == parts.shape
    assert not torch.equal(whole, parts)
    assert not torch.equal(parts, one)
    assert bool(parts.isfinite().all())


def test_without_guidance_the_negative_prompt_is_not_encoded(
    generator: Generator, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        pipeline, "encode_prompt", lambda _, text, __: asked.append(text) or torch.ones(3, 64)
    )
    made(generator, job_of(weights, tmp_path, **with_values({"cfg": 1})))
    assert asked == ["a red fox"]
    made(generator, job_of(weights, tmp_path, guidance=(5.0, 1.0)))
    assert len(asked) == 2


def lora(weights: Path, folder: Path) -> Path:
    """Thin matrices for a layer, and a difference of a bias."""
    tensors = load_file(weights / TRANSFORMER)
    rows, columns = tensors["blocks.0.self_attn.q.weight"].shape
    draw = torch.Generator().manual_seed(3)
    path = folder / "style.safetensors"
    save_file(
        {
            "diffusion_model.blocks.0.self_attn.q.lora_A.weight": torch.randn(
                4, columns, generator=draw
            ),
            "diffusion_model.blocks.0.self_attn.q.lora_B.weight": torch.randn(
                rows, 4, generator=draw
            ),
            "diffusion_model.blocks.1.ffn.2.diff_b": torch.randn(rows, generator=draw),
        },
        path,
    )
    return path


def test_loras_are_live_or_merged_and_leave_the_model_as_it_was(
    generator: Generator, weights: Path, tmp_path: Path
) -> None:
    chosen = LoraChoice(path=str(lora(weights, tmp_path)), strength=(0.7,))
    _, plain = made(generator, job_of(weights, tmp_path))
    result, live = made(generator, job_of(weights, tmp_path, loras=(chosen,)))
    merged_job = job_of(weights, tmp_path, loras=(chosen,), **with_values({"merge_loras": True}))
    _, merged = made(generator, merged_job)
    assert not torch.allclose(plain, live)
    torch.testing.assert_close(live, merged, rtol=1e-3, atol=1e-3)
    assert any("3 tensors change 2" in note for note in result.notes)
    by_step = LoraChoice(path=chosen.path, strength=(0.7, 0.0))
    swapped = with_values({"blocks_to_swap": 4})
    _, fading = made(generator, job_of(weights, tmp_path, loras=(by_step,), **swapped))
    assert not torch.allclose(fading, live)
    again = job_of(weights, tmp_path, cache=str(tmp_path / "other"))
    assert torch.equal(made(generator, again)[1], plain)


def test_eight_bits_are_near(generator: Generator, weights: Path, tmp_path: Path) -> None:
    _, plain = made(generator, job_of(weights, tmp_path))
    narrow = with_values({"quantization": "fp8_e4m3fn_scaled"})
    _, eight = made(generator, job_of(weights, tmp_path, **narrow))
    wished = job_of(weights, tmp_path, options=NeuralOptions(precision="fp8"))
    _, fast = made(generator, wished)
    assert not torch.equal(plain, eight)
    for one in (eight, fast):
        assert float((one - plain).norm() / plain.norm()) < 0.3


def test_a_processor_runs_in_half_where_it_is_wished(
    generator: Generator, weights: Path, tmp_path: Path
) -> None:
    _, plain = made(generator, job_of(weights, tmp_path))
    _, half = made(generator, job_of(weights, tmp_path, options=NeuralOptions(precision="bf16")))
    assert not torch.equal(half, plain)
    assert float((half - plain).norm() / plain.norm()) < 0.1


def test_a_strength_of_nothing_gives_the_clip_back(
    generator: Generator, weights: Path, tmp_path: Path
) -> None:
    clip = SourceClip(path=str(make_video(tmp_path / "clip.mp4", 10, size=(32, 32))))
    job = job_of(
        weights, tmp_path, mode=Mode.VIDEO, video=clip, **with_values({"denoise_strength": 0})
    )
    _, found = made(generator, job)
    chunks = list(clip_chunks(clip, job.rate, 5, (32, 32), True, 1))
    vae = load_vae(weights / VAE, torch.float32)
    expected = encode(vae, torch.cat(chunks, dim=2))
    torch.testing.assert_close(found, expected)
    assert decode(vae, found).shape[2] == 5


def test_a_file_that_has_gone_is_told_by_name(
    generator: Generator, weights: Path, tmp_path: Path
) -> None:
    job = job_of(weights, tmp_path)
    files = job.models.files | {"text": str(tmp_path / "umt5.pth")}
    gone = job_of(weights, tmp_path, models=ModelFiles(family="wan2.1-t2v-1.3b", files=files))
    with pytest.raises(WeightsError, match=r"umt5\.pth is not where it was"):
        generator.run(gone, CPU, Silent())


def test_what_is_left_open_fits_the_device() -> None:
    values = resolved({}, Mode.TEXT, "wan2.1-t2v-14b", 832, 480)
    card = DeviceFacts(kind="cuda", name="a card", free_bytes=1 << 40, capability=(8, 9))
    way = wan_parts.way_of(values, NeuralOptions(attention="sdpa"), card, {})
    assert (way.dtype, way.text_dtype, way.waits) == (torch.bfloat16, torch.bfloat16, False)
    assert (way.pinned, way.offloaded, way.compiling) == (True, frozenset(), None)
    older = msgspec.structs.replace(card, capability=(7, 5))  # a card without bfloat16
    for place, text in (("", torch.float16), ("cpu", torch.bfloat16)):
        way = wan_parts.way_of(values, NeuralOptions(attention="sdpa"), older, {}, place)
        assert (way.text_dtype, way.image_dtype, way.vae_dtype) == (
            text,
            torch.float16,
            torch.float32,
        )
    here = wan_parts.way_of(values, NeuralOptions(), CPU, {})
    assert (here.dtype, here.text_dtype, here.image_dtype, here.vae_dtype) == (torch.float32,) * 4
    half = wan_parts.way_of(values, NeuralOptions(precision="bf16"), CPU, {})
    assert (half.dtype, half.text_dtype, half.image_dtype, half.vae_dtype) == (torch.bfloat16,) * 4


def test_a_processor_runs_as_its_plan_says(weights: Path, tmp_path: Path) -> None:
    """Little memory makes no run less exact than it is told to be."""
    small = DeviceFacts(kind="cpu", total_bytes=8 << 30, free_bytes=4 << 30, has_triton=False)
    job = job_of(weights, tmp_path)
    shape = Shape(32, 32, 5)
    for precision, expected in (("auto", "fp32"), ("bf16", "bf16")):
        asked = job_of(weights, tmp_path, options=NeuralOptions(precision=precision))
        for plan in plans_of(asked, {}, shape, small, {}):
            assert (plan.precision, plan.quantization) == (expected, "disabled")
            values = resolved(planned(plan), Mode.TEXT, job.models.family, 32, 32)
            way = wan_parts.way_of(values, asked.options, small, {}, plan.text_on)
            assert str(way.dtype).endswith("float32" if expected == "fp32" else "bfloat16")
            assert (way.quantization, way.text_device.type) == ("disabled", "cpu")


@pytest.mark.parametrize(("gigabytes", "swaps"), [(12, True), (80, False)])
def test_a_card_is_used_as_the_plan_says(
    weights: Path, tmp_path: Path, gigabytes: int, swaps: bool
) -> None:
    job = job_of(weights, tmp_path, models=ModelFiles(family="wan2.1-t2v-14b", files={}))
    free = (gigabytes << 30) - (1 << 30)
    card = DeviceFacts(
        kind="cuda", name="RTX 4070", total_bytes=gigabytes << 30, free_bytes=free,
        capability=(8, 9),
    )  # fmt: skip
    shape = Shape(832, 480, 81)
    values = planned(plans_of(job, {}, shape, card, {})[0])
    assert bool(values["blocks_to_swap"]) == swaps
    assert (values["base_precision"], values["load_device"]) == (
        "bf16",
        "offload" if swaps else "main",
    )
    kept = planned(plans_of(job, {"blocks_to_swap": 7}, shape, card, {})[0])
    assert kept["blocks_to_swap"] == 7
    made = resolved(values, Mode.TEXT, "wan2.1-t2v-14b", 832, 480)
    way = wan_parts.way_of(made, NeuralOptions(attention="sdpa"), card, {}, "cpu")
    assert (way.waits, bool(way.swapped)) == (swaps, swaps)
    assert way.text_device.type == "cpu"


def test_a_compiler_that_fails_is_told_and_the_clip_is_the_same(
    generator: Generator, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, plain = made(generator, job_of(weights, tmp_path))

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("there is none")

    monkeypatch.setattr(torch, "compile", refuse)
    job = job_of(weights, tmp_path, **with_values({"compile": True, "dynamic": True}))
    result, found = made(generator, job)
    assert result.made == 2  # another recipe: fused steps may round otherwise
    assert torch.equal(found, plain)
    told = "torch.compile failed, so the run went on without it: there is none."
    assert result.notes.count(told) == 1
    assert told not in made(generator, job_of(weights, tmp_path))[0].notes


PLAN = WanPlan(device="cpu", precision="fp32", text_on="cpu")


def ends_once(stage: str) -> Silent:
    """Memory ends in the second step, or with the second decoded frame, and then no more."""
    seen = []

    class Once(Silent):
        def preview(self, label: str, picture: Any) -> None:
            if stage == "denoise":
                self._count()

        def step(self, name: str, done: int, total: int) -> None:
            if name == stage == "decode" and done:
                self._count()

        def _count(self) -> None:
            seen.append(0)
            if len(seen) == 2:
                raise torch.OutOfMemoryError("out of memory")

    return Once()


def stepped(
    monkeypatch: pytest.MonkeyPatch, stage: str, job: GenerateJob, **smaller: Any
) -> tuple[JobResult, Tensor]:
    """A job whose memory ends in a stage, and which has one smaller plan."""
    plans = (PLAN, msgspec.structs.replace(PLAN, **smaller))
    with monkeypatch.context() as patch:
        patch.setattr(wan_work, "plans_of", lambda *_: plans)
        result = Generator(Resident(1 << 30)).run(job, CPU, ends_once(stage))
    return result, load_file(job.latents)["latents"]


def test_want_of_memory_is_no_end(
    generator: Generator, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A smaller plan that changes no pixel goes on where memory ended."""
    job = job_of(weights, tmp_path, **with_values({"steps": 4}))
    result, found = stepped(monkeypatch, "denoise", job, block_swap=4)
    assert "Not enough memory: went on with 4 blocks swapped." in result.notes
    assert any("Went on after step 2 of 4" in note for note in result.notes)
    assert result.made == 4
    whole = job_of(weights, tmp_path, cache=str(tmp_path / "other"), values={"steps": 4})
    torch.testing.assert_close(found, made(generator, whole)[1], rtol=1e-4, atol=1e-4)


def test_a_smaller_plan_of_other_pixels_begins_anew(
    generator: Generator, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(weights, tmp_path, **with_values({"steps": 4}))
    kind = "fp8_e4m3fn_scaled"
    result, found = stepped(monkeypatch, "denoise", job, quantization=kind)
    assert "Not enough memory: began anew with 8-bit weights." in result.notes
    assert result.made == 2 + 4
    narrow = job_of(
        weights, tmp_path, cache=str(tmp_path / "other"), values={"steps": 4, "quantization": kind}
    )
    torch.testing.assert_close(found, made(generator, narrow)[1])
    # What was made by the better plan is kept under its own recipe.
    again, _ = made(generator, job)
    assert any("Went on after step 2 of 4" in note for note in again.notes)


def test_latents_outlive_want_of_memory_in_decoding(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the next plan would do to the denoising, it is over."""
    job = job_of(weights, tmp_path, **with_values({"steps": 4}))
    smaller: dict[str, Any] = {"quantization": "fp8_e5m2", "vae_tile": (272, 272)}
    result, _ = stepped(monkeypatch, "decode", job, **smaller)
    assert "Not enough memory: went on with the VAE in tiles." in result.notes
    assert result.notes[-1].startswith("Took: ")
    assert result.made == 4
    with pytest.raises(OutOfMemory):
        stepped(monkeypatch, "decode", job, quantization="fp8_e5m2")


def test_another_way_to_decode_makes_no_step_again(
    generator: Generator, weights: Path, tmp_path: Path
) -> None:
    made(generator, job_of(weights, tmp_path))
    tiled = {"steps": 2, "vae_tiling": True, "tile_x": 64, "tile_stride_x": 32}
    again, _ = made(generator, job_of(weights, tmp_path, values=tiled))
    assert again.made == 0
    assert any("latents of an earlier run" in note for note in again.notes)
    clip = SourceClip(path=str(make_video(tmp_path / "clip.mp4", 5, size=(32, 32))))
    video: dict[str, Any] = {"mode": Mode.VIDEO, "video": clip}
    made(generator, job_of(weights, tmp_path, **video))
    # What a clip is encoded to does depend on it.
    assert made(generator, job_of(weights, tmp_path, **video, values=tiled))[0].made > 0


def test_numbers_out_of_range_are_told_at_once(weights: Path, tmp_path: Path) -> None:
    """And not after minutes, by a black film; what was good before is kept."""
    broken = tmp_path / "broken.safetensors"
    tensors = load_file(weights / TRANSFORMER)
    tensors["blocks.3.ffn.2.bias"][5] = float("nan")
    save_file(tensors, broken)
    job = job_of(weights, tmp_path)
    files = {**job.models.files, "transformer": str(broken)}
    models = ModelFiles(family=job.models.family, files=files)
    with pytest.raises(EffectError, match="Step 1 of 2 gave numbers out of range"):
        made(Generator(Resident(1 << 30)), msgspec.structs.replace(job, models=models))
    assert not list((tmp_path / "cache").glob("latents/*"))
    vae = tmp_path / "vae.pth"
    found = torch.load(weights / VAE, weights_only=True)
    found["decoder.head.2.bias"][1] = float("inf")
    torch.save(found, vae)
    models = ModelFiles(family=job.models.family, files={**job.models.files, "vae": str(vae)})
    with pytest.raises(EffectError, match="Frame 1 of 5 was decoded to numbers out of range"):
        made(Generator(Resident(1 << 30)), msgspec.structs.replace(job, models=models))
    assert not (tmp_path / "out.mp4").exists()


def test_what_is_kept_reads_back_the_same() -> None:
    state = State(torch.randn(1, 16, 2, 4, 4), 3, (torch.ones(2), torch.zeros(3)))
    tea = {
        ((0,), (0, 1)): TeaState(torch.ones(1, 2), 0.25, 0.125, torch.ones(1, 4, 8), 2),
        ((-1,), (0, 1)): TeaState(),
    }
    tensors = Kept(state, tea).tensors()
    back = Kept.of(tensors)
    assert back.tensors().keys() == tensors.keys()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in back.tensors().items())
    assert back.state.done == 3
    assert [one.skipped for one in back.tea.values()] == [2, 0]
    assert back.tea.keys() == tea.keys()


def test_a_preview_is_a_picture_of_four_pixels_to_a_cell() -> None:
    latents = torch.zeros(1, 16, 3, 6, 8)
    latents[:, 14, :, :, 4:] = 2  # the channel that makes red
    shown = preview(latents, 1)
    assert shown.shape == (24, 32, 3)
    assert shown[:, 24:, 0].mean() > shown[:, :8, 0].mean() + 50
