"""Wan's transformer: every published file loads, and batches, pieces and caches give the same."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from engine.errors import Cancelled, EngineError, WeightsError  # noqa: E402
from engine.models import dense  # noqa: E402
from engine.models.linear import to_fp8  # noqa: E402
from engine.models.wan import steps  # noqa: E402
from engine.models.wan.block import LARGE_LINEARS  # noqa: E402
from engine.models.wan.config import TRANSFORMER_VARIANTS, TransformerConfig  # noqa: E402
from engine.models.wan.enhance import Enhance, enhance_factor  # noqa: E402
from engine.models.wan.names import (  # noqa: E402
    diffusers_name,
    published,
    published_name,
)
from engine.models.wan.rope import Riflex  # noqa: E402
from engine.models.wan.teacache import COEFFICIENTS, TeaCache, TeaState, judge  # noqa: E402
from engine.models.wan.transformer import Condition, Transformer  # noqa: E402
from engine.models.wan.weights import (  # noqa: E402
    is_exact,
    load_transformer,
    read_transformer,
    transformer_config,
    variants,
)
from tests.golden.case import fill, read_case  # noqa: E402

GOLDEN = Path(__file__).parents[1] / "golden"

T2V = TransformerConfig(
    dim=24, heads=2, ffn_dim=32, layers=2, in_dim=4, out_dim=4, text_dim=12, text_len=8, freq_dim=16
)
I2V = replace(T2V, in_dim=9, image_dim=10)
FLF2V = replace(I2V, image_positions=6)

MANIFESTS = {
    "wan2.1_t2v_1.3b": ["wan2.1_t2v_1.3b"],
    "wan2.1_t2v_1.3b_diffusers": ["wan2.1_t2v_1.3b"],
    "wan2.1_t2v_14b": ["wan2.1_t2v_14b", "wan2.2_t2v_a14b"],
    "wan2.1_i2v_14b": ["wan2.1_i2v_14b_480p", "wan2.1_i2v_14b_720p"],
    "wan2.1_i2v_14b_diffusers": ["wan2.1_i2v_14b_480p", "wan2.1_i2v_14b_720p"],
    "wan2.1_flf2v_14b": ["wan2.1_flf2v_14b"],
    "wan2.2_t2v_a14b_expert": ["wan2.1_t2v_14b", "wan2.2_t2v_a14b"],
    "wan2.2_i2v_a14b_expert": ["wan2.2_i2v_a14b"],
    "wan2.2_ti2v_5b": ["wan2.2_ti2v_5b"],
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Layers this small only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def manifest(name: str) -> dict[str, Tensor]:
    about = json.loads((GOLDEN / "manifests" / f"{name}.json").read_text(encoding="utf-8"))
    return {k: torch.empty(shape, device="meta") for k, shape in about["tensors"].items()}


def filled(config: TransformerConfig, seed: int = 3) -> dict[str, Tensor]:
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in Transformer(config).state_dict().items()}
    return {k: torch.from_numpy(fill(k, shape, seed)) for k, shape in shapes.items()}


def small(config: TransformerConfig = T2V, dtype: torch.dtype | None = None) -> Transformer:
    return load_transformer(filled(config), config, dtype=dtype)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def latents(batch: int = 1, frames: int = 3, seed: int = 0) -> Tensor:
    return drawn(batch, 4, frames, 4, 6, seed=seed)


TIME = torch.tensor([637.0])


def asked(model: Transformer, seed: int = 5) -> Condition:
    return model.condition([drawn(5, 12, seed=seed)])


# Files.


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_published_file_loads_strictly_at_full_size(name: str) -> None:
    tensors = published(manifest(name), name)
    model = load_transformer(tensors, None, name)
    assert variants(model.config) == MANIFESTS[name]
    assert model.state_dict().keys() == tensors.keys()
    assert {x.device.type for x in model.state_dict().values()} == {"meta"}


@pytest.mark.parametrize("prefix", ["model.diffusion_model.", "diffusion_model.", "model."])
def test_a_prefix_is_taken_off_and_what_lies_outside_is_left(prefix: str) -> None:
    inside = filled(T2V)
    file = {f"{prefix}{name}": tensor for name, tensor in inside.items()}
    file["vae.conv1.weight"] = torch.zeros(1)
    found = published(file)
    assert found.keys() == inside.keys()
    assert all(found[name] is inside[name] for name in inside)


def test_a_compiled_model_loads() -> None:
    inside = filled(T2V)
    file = {name.replace("blocks.0.", "blocks.0._orig_mod."): x for name, x in inside.items()}
    assert published(file).keys() == inside.keys()


@pytest.mark.parametrize("name", ["wan2.1_t2v_1.3b", "wan2.1_i2v_14b"])
def test_names_are_mapped_one_to_one_both_ways(name: str) -> None:
    ours, theirs = manifest(name), manifest(f"{name}_diffusers")
    assert {diffusers_name(key) for key in ours} == theirs.keys()
    for key, tensor in theirs.items():
        back = published_name(key)
        assert back is not None
        assert diffusers_name(back) == key
        assert ours[back].shape == tensor.shape


def test_modules_are_mapped_as_tensors_are_and_strangers_have_no_name() -> None:
    assert diffusers_name("blocks.7.cross_attn.k_img") == "blocks.7.attn2.add_k_proj"
    assert published_name("condition_embedder.image_embedder.pos_embed") == "img_emb.emb_pos"
    assert published_name("scale_shift_table") == "head.modulation"
    assert published_name("blocks.7.scale_shift_table") == "blocks.7.modulation"
    assert published_name("blocks.0.norm3.weight") is None
    assert diffusers_name("vace_blocks.0.after_proj.weight") is None


@pytest.mark.parametrize("layout", ["published", "diffusers", "comfy"])
@pytest.mark.parametrize("config", [T2V, FLF2V], ids=["t2v", "flf2v"])
def test_each_layout_of_a_file_gives_the_same_model(
    layout: str, config: TransformerConfig, tmp_path: Path
) -> None:
    tensors = filled(config)
    written = {
        "published": tensors,
        "diffusers": {str(diffusers_name(name)): x for name, x in tensors.items()},
        "comfy": {f"model.diffusion_model.{name}": x for name, x in tensors.items()},
    }[layout]
    path = tmp_path / "model.safetensors"
    save_file(written, path)
    told = "num_attention_heads" if layout == "diffusers" else "num_heads"
    (tmp_path / "config.json").write_text(json.dumps({told: 2, "text_len": 8}), encoding="utf-8")
    model = read_transformer(path)
    assert model.config == config
    for name, x in model.state_dict().items():
        assert torch.equal(x, tensors[name]), name


def test_half_precision_leaves_what_is_computed_in_full_as_stored(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(filled(I2V), path)
    model = read_transformer(path, torch.bfloat16)
    kinds = {name: x.dtype for name, x in model.state_dict().items()}
    assert all((kinds[name] == torch.float32) == is_exact(name) for name in kinds)
    assert (
        kinds["blocks.1.self_attn.norm_q.weight"] == kinds["blocks.0.modulation"] == torch.float32
    )
    assert kinds["time_projection.1.weight"] == kinds["head.head.bias"] == torch.float32
    assert kinds["blocks.0.ffn.0.bias"] == kinds["text_embedding.0.weight"] == torch.bfloat16
    assert model.dtype == torch.bfloat16


def test_without_a_dtype_a_file_runs_in_its_own() -> None:
    half = {name: x.half() for name, x in filled(T2V).items()}
    assert load_transformer(half, T2V).dtype == torch.float16
    eight = {
        k: x.to(torch.float8_e4m3fn) if "ffn" in k or "attn" in k else x.bfloat16()
        for k, x in half.items()
    }
    model = load_transformer(eight, T2V)
    assert model.dtype == torch.bfloat16
    assert {x.dtype for x in model.state_dict().values()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ("vace_blocks.0.before_proj.weight", "VACE"),
        ("pose_patch_embedding.weight", "Animate"),
        ("blocks.0.ffn.0.scale_weight", "no such tensor"),
        ("", "missing"),
    ],
)
def test_another_model_is_refused_by_name(added: str, words: str, tmp_path: Path) -> None:
    tensors = filled(T2V)
    if added:
        tensors[added] = torch.zeros(1)
    else:
        del tensors["head.head.bias"]
    path = tmp_path / "model.safetensors"
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=words) as told:
        read_transformer(path)
    assert str(path) in told.value.message


def test_heads_that_do_not_fit_are_told() -> None:
    with pytest.raises(WeightsError, match="5 heads"):
        transformer_config(filled(T2V), {"num_heads": 5})


# Passes.


@pytest.mark.parametrize("config", [T2V, I2V, FLF2V], ids=["t2v", "i2v", "flf2v"])
@torch.inference_mode()
def test_a_batch_gives_what_each_run_alone_gives(config: TransformerConfig) -> None:
    model = small(config)
    texts = [drawn(5, 12, seed=1), drawn(8, 12, seed=2)]
    has_image = config.image_dim > 0
    image = drawn(2, 6, 10, seed=3) if has_image else None
    given = drawn(1, 5, 3, 4, 6, seed=4) if has_image else None
    times = torch.tensor([637.0, 12.0])
    x = latents(2)
    both = model(x, times, model.condition(texts, image), given=given, enhance=8.0)
    for i, text in enumerate(texts):
        alone = model.condition([text], None if image is None else image[i : i + 1])
        one = model(x[i : i + 1], times[i : i + 1], alone, given=given, enhance=8.0)
        torch.testing.assert_close(both[i : i + 1], one, rtol=1e-5, atol=1e-5)
    shared = model(x[:1], times[:1], model.condition(texts, image), given=given)
    again = model(
        x[:1].expand(2, -1, -1, -1, -1), times[:1], model.condition(texts, image), given=given
    )
    assert torch.equal(shared, again)


@torch.inference_mode()
def test_pieces_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()
    condition = model.condition([drawn(5, 12, seed=1), drawn(8, 12, seed=2)])
    times = [TIME, torch.tensor([[0.0, 500.0, 500.0]]), 1000 * drawn(2, 18, seed=7).abs()]
    whole = [model(latents(), t, condition) for t in times]
    assert len(list(steps.pieces(torch.zeros(2, 18, 1), 3))) == 1
    for most in (4, 7, 12):
        monkeypatch.setattr(steps, "TOKENS_AT_ONCE", most)
        assert len(list(steps.pieces(torch.zeros(2, 18, 1), 3))) > 2
        for t, wanted in zip(times, whole, strict=True):
            torch.testing.assert_close(model(latents(), t, condition), wanted, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_times_may_differ_between_frames_and_tokens() -> None:
    model = small()
    condition = asked(model)
    once = model(latents(), TIME, condition)
    for runs in (3, 18):
        alike = model(latents(), TIME.expand(1, runs), condition)
        torch.testing.assert_close(alike, once, rtol=1e-5, atol=1e-5)
    frames = torch.tensor([[0.0, 637.0, 637.0]])
    first = model(latents(), frames, condition)
    tokens = model(latents(), frames.repeat_interleave(6, dim=1), condition)
    torch.testing.assert_close(first, tokens, rtol=1e-5, atol=1e-5)
    assert (first - once).abs().max() > 0.01


@torch.inference_mode()
def test_kept_keys_give_the_same_and_are_made_once() -> None:
    model = small(I2V)
    image, given = drawn(1, 6, 10, seed=3), drawn(1, 5, 3, 4, 6, seed=4)
    texts = [drawn(5, 12)]
    plain, kept = model.condition(texts, image), model.condition(texts, image, keeps_keys=True)
    wanted = model(latents(), TIME, plain, given=given)
    assert torch.equal(model(latents(), TIME, kept, given=given), wanted)
    assert kept.keys is not None
    assert list(kept.keys) == [0, 1]
    for block in model.blocks:
        block.cross_attn.k = block.cross_attn.v_img = nn.Identity()
    assert torch.equal(model(latents(), TIME, kept, given=given), wanted)


@torch.inference_mode()
def test_without_pictures_their_branch_is_passed_by() -> None:
    model, given = small(I2V), drawn(1, 5, 3, 4, 6)
    texts = [drawn(5, 12)]
    without = model(latents(), TIME, model.condition(texts), given=given)
    with_one = model(latents(), TIME, model.condition(texts, drawn(1, 6, 10)), given=given)
    assert without.isfinite().all()
    assert (without - with_one).abs().max() > 0.01


@torch.inference_mode()
def test_blocks_are_taken_one_by_one_and_a_run_ends_between_them() -> None:
    model = small()
    condition = asked(model)
    seen: list[str] = []

    def swapped() -> Iterator[nn.Module]:
        for number, block in enumerate(model.blocks):
            seen.append(f"take {number}")
            yield block

    wanted = model(latents(), TIME, condition)
    found = model(
        latents(), TIME, condition, blocks=swapped(), on_block=lambda: seen.append("done")
    )
    assert torch.equal(found, wanted)
    assert seen == ["take 0", "done", "take 1", "done"]

    def cancel() -> None:
        raise Cancelled

    seen.clear()
    with pytest.raises(Cancelled):
        model(latents(), TIME, condition, blocks=swapped(), on_block=cancel)
    assert seen == ["take 0"]


@torch.inference_mode()
def test_latents_are_not_written_over() -> None:
    model, x = small(), latents()
    before = x.clone()
    model(x, TIME, asked(model))
    assert torch.equal(x, before)


@torch.inference_mode()
def test_half_precision_stays_near_and_only_the_residual_loses_more() -> None:
    model = small()
    wanted = model(latents(), TIME, asked(model))
    half = small(dtype=torch.bfloat16)
    errors = []
    for residual in (torch.float32, torch.bfloat16):
        half.residual_dtype = residual
        found = half(latents(), TIME, asked(half))
        assert found.dtype == torch.float32
        errors.append(float((found - wanted).std() / wanted.std()))
    assert errors[0] < 0.01
    assert errors[0] < errors[1] < 0.02


@torch.inference_mode()
def test_large_layers_may_be_put_into_8_bits() -> None:
    model = small(I2V)
    condition = model.condition([drawn(5, 12)], drawn(1, 6, 10))
    given = drawn(1, 5, 3, 4, 6)
    wanted = model(latents(), TIME, condition, given=given)
    assert to_fp8(model, *LARGE_LINEARS) == 2 * (4 + 6 + 2)
    found = model(latents(), TIME, condition, given=given)
    assert 0 < (found - wanted).std() / wanted.std() < 0.05


@torch.inference_mode()
def test_what_does_not_fit_is_told() -> None:
    model, flf = small(), small(FLF2V)
    condition = asked(model)
    with pytest.raises(EngineError, match="4 channels, and these latents have 9"):
        model(latents(), TIME, condition, given=drawn(1, 5, 3, 4, 6))
    with pytest.raises(EngineError, match="patches") as told:
        model(drawn(1, 4, 3, 5, 6), TIME, condition)
    assert "16" in told.value.hint
    with pytest.raises(EngineError, match="9 tokens"):
        model.condition([drawn(9, 12)])
    with pytest.raises(EngineError, match="places for 6"):
        flf.condition([drawn(5, 12)], drawn(1, 7, 10))
    model.attention_mode = "magic"
    with pytest.raises(EngineError, match="no attention mode"):
        model(latents(), TIME, condition)


@torch.inference_mode()
def test_a_pass_that_eight_bits_broke_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = dense._Kind("Broken", lambda q, *_: q / 0, is_exact=False)
    monkeypatch.setitem(dense._KINDS, "sageattn", broken)
    monkeypatch.setattr(dense, "_reason", lambda *_: "")
    model, blocks = small(), list[None]()
    exact = model(latents(), TIME, asked(model))
    model.attention_mode = "sageattn"
    found = model(latents(), TIME, asked(model), on_block=lambda: blocks.append(None))
    assert torch.equal(found, exact)
    assert len(blocks) == 2 * len(model.blocks)
    (sentence,) = dense.take_warnings()
    assert sentence.startswith("Broken, gave numbers that are not finite")


@torch.inference_mode()
def test_a_slower_frequency_changes_clips_and_no_single_picture() -> None:
    model = small()
    for frames, is_same in ((3, False), (1, True)):
        x = latents(frames=frames)
        plain = model(x, TIME, asked(model))
        slower = model(x, TIME, asked(model), riflex=Riflex(2, 9))
        assert torch.equal(plain, slower) == is_same


# Enhance-A-Video.


@torch.inference_mode()
def test_enhancing_changes_clips_and_no_single_picture() -> None:
    model = small()
    for frames, is_same in ((3, False), (1, True)):
        x = latents(frames=frames)
        plain = model(x, TIME, asked(model))
        stronger = model(x, TIME, asked(model), enhance=20.0)
        assert torch.equal(plain, stronger) == is_same


def test_frames_that_see_each_other_alike_give_the_factor_by_hand() -> None:
    q = torch.zeros(2, 3 * 5, 9, 4)
    # Each of three frames gives a third of its share to each other.
    torch.testing.assert_close(enhance_factor(q, q, 3, 2.0), torch.full((2,), 5 / 3))
    assert enhance_factor(q, q, 3, -2.0).tolist() == [1, 1]
    assert enhance_factor(q, q, 1, 2.0).tolist() == [1, 1]


def test_enhancing_works_in_its_part_of_the_steps() -> None:
    enhance = Enhance(weight=3.0, start=0.2, end=0.5)
    assert [enhance.at(step, 10) for step in (1, 2, 5, 6)] == [None, 3.0, 3.0, None]


# TeaCache.


def test_coefficients_are_the_published_ones() -> None:
    known: dict[str, Any] = read_case(GOLDEN / "cases" / "wan_teacache").config["coefficients"]
    names = ("wan2.1_t2v_1.3b", "wan2.1_t2v_14b", "wan2.1_i2v_14b_480p", "wan2.1_i2v_14b_720p")
    assert len(known) == len(COEFFICIENTS)
    for name, theirs in zip(names, ("1.3B", "14B", "i2v_480", "i2v_720"), strict=True):
        assert name in TRANSFORMER_VARIANTS
        assert {k: list(v) for k, v in COEFFICIENTS[name].items()} == known[theirs]


def ran(model: Transformer, cache: TeaCache | None, times: list[float]) -> tuple[list[int], Tensor]:
    """In which steps blocks ran, and the last velocity."""
    condition, state, runs = asked(model), TeaState(), list[int]()
    velocity = torch.zeros(0)
    for step, time in enumerate(times):
        ran_blocks: list[int] = []
        velocity, state = model.cached(
            latents(),
            torch.tensor([time]),
            condition,
            cache,
            state,
            step,
            on_block=partial(ran_blocks.append, 1),
        )
        assert len(ran_blocks) in (0, 2)
        runs += [step] if ran_blocks else []
    return runs, velocity


@torch.inference_mode()
def test_steps_alike_are_left_out_and_what_was_added_is_added_again() -> None:
    model = small()
    times = [900.0, 600.0, 600.0, 600.0]
    for embedding in ("e", "e0"):
        cache = TeaCache(threshold=0.01, embedding=embedding, start_step=1)
        runs, velocity = ran(model, cache, times)
        assert runs == [0, 1]
        wanted = model(latents(), torch.tensor([600.0]), asked(model))
        torch.testing.assert_close(velocity, wanted, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_a_cache_is_bounded_by_its_threshold_and_its_steps() -> None:
    model = small()
    times = [900.0, 880.0, 860.0, 840.0, 820.0, 800.0]
    plain = ran(model, None, times)
    assert plain[0] == [0, 1, 2, 3, 4, 5]
    never = ran(model, TeaCache(threshold=0.0), times)
    assert never[0] == plain[0]
    assert torch.equal(never[1], plain[1])
    assert ran(model, TeaCache(threshold=1e9), times)[0] == [0, 1]
    assert ran(model, TeaCache(threshold=1e9, start_step=2, end_step=4), times)[0] == [0, 1, 2, 5]
    some = ran(model, TeaCache(threshold=0.5, embedding="e"), times)
    assert plain[0] != some[0] != [0, 1]


def test_small_changes_add_up_until_one_step_runs() -> None:
    cache = TeaCache(threshold=0.25, coefficients=(2.0, 0.0), start_step=0)
    state, skips = TeaState(), []
    for step, e in enumerate((100.0, 105.0, 110.25, 115.7625, 115.7625)):
        is_skipped, state = judge(cache, state, torch.tensor([e]), step)
        skips.append(is_skipped)
    assert skips == [False, True, True, False, True]
    assert state.skipped == 3
