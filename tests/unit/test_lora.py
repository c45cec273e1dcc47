"""LoRAs: every spelling finds its layer, what does not fit is told, live is as merged."""

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from engine.errors import EffectError, WeightsError  # noqa: E402
from engine.models.linear import Fp8Form, Fp8Linear, LoraLinear, to_fp8, together  # noqa: E402
from engine.models.lora import (  # noqa: E402
    LiveLoras,
    Lora,
    LoraUse,
    merge,
    merged,
    read_lora,
    shapes_of,
)
from engine.models.lora_keys import Reason  # noqa: E402
from engine.models.wan.block import LARGE_LINEARS  # noqa: E402
from engine.models.wan.config import TransformerConfig  # noqa: E402
from engine.models.wan.distilled import distilled  # noqa: E402
from engine.models.wan.transformer import Transformer  # noqa: E402

TEXT = TransformerConfig(
    dim=32, heads=2, ffn_dim=48, layers=2, in_dim=4, out_dim=4, text_dim=12, freq_dim=16
)
IMAGE = TransformerConfig(
    dim=32,
    heads=2,
    ffn_dim=48,
    layers=2,
    in_dim=8,
    out_dim=4,
    text_dim=12,
    freq_dim=16,
    image_dim=20,
    image_positions=10,
)
RANK = 3


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def filled(config: TransformerConfig = TEXT) -> Transformer:
    """The same weights each time."""
    torch.manual_seed(1)
    model = Transformer(config).requires_grad_(False)
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape) * 0.2 + (parameter.dim() == 1))
    return model


def thin(model: nn.Module, name: str, rank: int = RANK, size: float = 1.0) -> tuple[Tensor, Tensor]:
    """Factors for a weight: down, up."""
    shape = shapes_of(model)[name]
    draw = torch.Generator().manual_seed(len(name))
    down = torch.randn(rank, *shape[1:], generator=draw) * size
    return down, torch.randn(shape[0], rank, generator=draw) * size


def velocity(model: Transformer) -> Tensor:
    """Of a small clip."""
    draw = torch.Generator().manual_seed(3)
    latents = torch.randn(1, 4, 2, 4, 4, generator=draw).to(torch.float32)
    text = torch.randn(5, TEXT.text_dim, generator=draw)
    with torch.inference_mode():
        return model(latents, torch.tensor([500.0]), model.condition([text]))


def error(made: Tensor, exact: Tensor) -> float:
    """Root mean square of the difference, as a part of that of the exact result."""
    return ((made - exact).norm() / exact.norm()).item()


SPELLINGS = {
    "blocks.1.self_attn.q": [
        "diffusion_model.blocks.1.self_attn.q.lora_A.weight",
        "diffusion_model.blocks.1.self_attn.q.lora_down.weight",
        "model.diffusion_model.blocks.1.self_attn.q.lora_A.default.weight",
        "blocks.1.self_attn.q.lora_A.weight",
        "pipe.dit.blocks.1.self_attn.q.lora_A.default.weight",
        "base_model.model.blocks.1.self_attn.q.lora_A.weight",
        "transformer.blocks.1.attn1.to_q.lora_A.weight",
        "transformer.blocks.1.attn1.to_q.lora.down.weight",
        "diffusion_model._orig_mod.blocks.1.self_attn.q.lora_A.weight",
        "lora_unet_blocks_1_self_attn_q.lora_down.weight",
        "lora_unet__blocks_1_self_attn_q.lora_down.weight",
        "lycoris_blocks_1_self_attn_q.lora_down.weight",
        "lora_transformer_blocks_1_attn1_to_q.lora_down.weight",
    ],
    "blocks.0.self_attn.o": ["transformer.blocks.0.attn1.to_out.0.lora_A.weight"],
    "blocks.0.cross_attn.k_img": [
        "lora_unet_blocks_0_cross_attn_k_img.lora_down.weight",
        "transformer.blocks.0.attn2.add_k_proj.lora_A.weight",
    ],
    "blocks.0.ffn.0": [
        "transformer.blocks.0.ffn.net.0.proj.lora_A.weight",
        "lora_unet_blocks_0_ffn_0.lora_down.weight",
    ],
    "img_emb.proj.1": [
        "lora_unet_img_emb_proj_1.lora_down.weight",
        "transformer.condition_embedder.image_embedder.ff.net.0.proj.lora_A.weight",
    ],
    "time_projection.1": [
        "lora_unet_time_projection_1.lora_down.weight",
        "transformer.condition_embedder.time_proj.lora_A.weight",
    ],
    "text_embedding.2": ["transformer.condition_embedder.text_embedder.linear_2.lora_A.weight"],
    "head.head": ["lora_unet_head_head.lora_down.weight", "transformer.proj_out.lora_A.weight"],
    "patch_embedding": ["diffusion_model.patch_embedding.lora_down.weight"],
}


@pytest.mark.parametrize(
    ("layer", "key"), [(layer, key) for layer, keys in SPELLINGS.items() for key in keys]
)
def test_every_spelling_finds_its_layer(layer: str, key: str) -> None:
    model = filled(IMAGE)
    name = f"{layer}.weight"
    down, up = thin(model, name)
    other = key.replace("lora_A", "lora_B").replace("down", "up")
    lora = read_lora({key: down, other: up}, shapes_of(model), "a.safetensors")
    assert lora.matching.changed == (name,)
    assert (lora.matching.used, lora.matching.left_out) == (2, {})
    before = model.get_parameter(name).clone()
    assert merge(model, [LoraUse(lora, -0.5)]) == 1
    change = -0.5 * (up @ down.flatten(1)).reshape(before.shape)
    torch.testing.assert_close(model.get_parameter(name), before + change)


@pytest.mark.parametrize(
    ("alpha", "scale"), [(None, 1.0), (torch.tensor(6.0), 2.0), (torch.tensor([1.5]), 0.5)]
)
def test_alpha_is_shared_by_the_rank(alpha: Tensor | None, scale: float) -> None:
    model = filled()
    down, up = thin(model, "blocks.0.ffn.2.weight")
    keys = {
        "lora_unet_blocks_0_ffn_2.lora_down.weight": down,
        "lora_unet_blocks_0_ffn_2.lora_up.weight": up,
    }
    if alpha is not None:
        keys["lora_unet_blocks_0_ffn_2.alpha"] = alpha.to(torch.bfloat16)
    lora = read_lora(keys, shapes_of(model), "a")
    assert lora.factors["blocks.0.ffn.2.weight"].scale == scale


def stabilised(model: nn.Module, layer: str, rank: int) -> dict[str, Tensor]:
    """Keys of PEFT's rank-stabilised files."""
    down, up = thin(model, f"{layer}.weight", rank)
    start = f"base_model.model.{layer}"
    return {f"{start}.lora_A.weight": down, f"{start}.lora_B.weight": up}


def test_stabilised_files_have_no_alpha() -> None:
    model = filled()
    marked = stabilised(model, "blocks.0.cross_attn.k", 5)
    lora = read_lora(marked, shapes_of(model), "a")
    assert lora.factors["blocks.0.cross_attn.k.weight"].scale == 11 / 5  # floor(5^1.5) / 5
    marked["base_model.model.blocks.0.cross_attn.k.alpha"] = torch.tensor(5.0)
    assert read_lora(marked, shapes_of(model), "a").factors.popitem()[1].scale == 1  # type: ignore[attr-defined]
    unmarked = stabilised(model, "blocks.0.cross_attn.q", 5)
    lora = read_lora(unmarked, shapes_of(model), "a")
    assert lora.factors["blocks.0.cross_attn.q.weight"].scale == 1


def test_differences_are_added_whatever_the_alpha() -> None:
    model = filled()
    before = {name: p.clone() for name, p in model.named_parameters()}
    targets = {
        "diffusion_model.blocks.0.norm3.diff": "blocks.0.norm3.weight",
        "diffusion_model.blocks.0.norm3.diff_b": "blocks.0.norm3.bias",
        "diffusion_model.blocks.1.self_attn.norm_k.diff": "blocks.1.self_attn.norm_k.weight",
        "diffusion_model.blocks.1.diff_m": "blocks.1.modulation",
        "diffusion_model.head.diff_m": "head.modulation",
        "diffusion_model.head.head.diff": "head.head.weight",
        "diffusion_model.patch_embedding.diff": "patch_embedding.weight",
        "transformer.blocks.0.scale_shift_table.diff": "blocks.0.modulation",
        "lora_unet_blocks_0_ffn_0.diff_b": "blocks.0.ffn.0.bias",
    }
    keys = {key: torch.randn(before[name].shape) for key, name in targets.items()}
    keys["diffusion_model.head.head.alpha"] = torch.tensor(0.5)
    lora = read_lora(keys, shapes_of(model), "a")
    assert set(lora.differences) == set(targets.values())
    assert lora.matching.left_out == {Reason.HALF: ("diffusion_model.head.head.alpha",)}
    assert merge(model, [LoraUse(lora, 0.5)]) == len(targets)
    for key, name in targets.items():
        torch.testing.assert_close(model.get_parameter(name), before[name] + 0.5 * keys[key])


def test_what_is_left_out_is_told_with_its_reason() -> None:
    model = filled(TEXT)
    down, up = thin(model, "blocks.0.self_attn.q.weight")
    of_image = {
        f"diffusion_model.blocks.{i}.cross_attn.{last}": torch.ones(32)
        for i in range(2)
        for last in ("norm_k_img.diff", "k_img.diff_b", "v_img.diff_b")
    }
    unknown = {f"text_model.{i}.lora_A.weight": down for i in range(40)}
    keys = {
        "diffusion_model.blocks.0.self_attn.q.lora_A.weight": down,
        "diffusion_model.blocks.0.self_attn.q.lora_B.weight": up,
        "transformer.blocks.0.attn1.to_q.lora_A.weight": down,
        "transformer.blocks.0.attn1.to_q.lora_B.weight": up,
        "diffusion_model.patch_embedding.diff": torch.ones(32, 36, 1, 2, 2),
        "diffusion_model.blocks.0.ffn.0.lora_A.weight": torch.ones(2, 99),
        "diffusion_model.blocks.0.ffn.0.lora_B.weight": torch.ones(48, 2),
        "diffusion_model.blocks.0.self_attn.v.lora_A.weight": down,
        "diffusion_model.blocks.0.self_attn.k.lora_A.weight": down,
        "diffusion_model.blocks.0.self_attn.k.lora_B.weight": up,
        "diffusion_model.blocks.0.self_attn.k.dora_scale": torch.ones(32, 1),
        "strange": torch.ones(1),
        **of_image,
        **unknown,
    }
    matching = read_lora(keys, shapes_of(model), "old.safetensors").matching
    assert matching.changed == ("blocks.0.self_attn.q.weight",)
    counts = {reason: len(found) for reason, found in matching.left_out.items()}
    assert counts == {
        Reason.IMAGE: 6,
        Reason.CHANNELS: 1,
        Reason.SIZE: 2,
        Reason.HALF: 1,
        Reason.TWICE: 2,
        Reason.METHOD: 3,
        Reason.UNKNOWN: 41,
    }
    assert matching.used + sum(counts.values()) == len(keys)
    told = matching.sentences()
    assert told[0] == "old.safetensors: 2 tensors change 1 of the model's."
    assert told[1] == (
        "Left out: 6 tensors for image layers, which this model does not have and does not need."
    )
    assert told[2].endswith("number of channels (diffusion_model.patch_embedding.diff).")
    assert told[-1].count("lora_A") + told[-1].count("strange") == 3
    assert told[-1].endswith(", …).")


def test_a_file_that_changes_nothing_is_refused() -> None:
    strange = {"lora_te_layer.lora_down.weight": torch.ones(2, 64)}
    with pytest.raises(WeightsError, match=r"te\.safetensors does not fit.*1 tensor for no layer"):
        read_lora(strange, shapes_of(filled()), "te.safetensors")


def test_a_file_for_another_size_is_refused_though_a_bias_fits() -> None:
    wide = {
        "diffusion_model.blocks.0.self_attn.q.lora_A.weight": torch.ones(2, 64),
        "diffusion_model.blocks.0.self_attn.q.lora_B.weight": torch.ones(64, 2),
        "diffusion_model.head.head.diff_b": torch.ones(16),
    }
    with pytest.raises(
        WeightsError, match=r"14b does not fit.* 2 tensors for layers of another size"
    ):
        read_lora(wide, shapes_of(filled()), "14b")


def everywhere(model: nn.Module, seed: int, size: float = 0.3, rank: int = RANK) -> Lora:
    """Thin factors on all large layers, and differences beside them."""
    torch.manual_seed(seed)
    keys: dict[str, Tensor] = {}
    for name, shape in shapes_of(model).items():
        layer, _, last = name.rpartition(".")
        if last == "weight" and layer.endswith(LARGE_LINEARS):
            keys[f"{layer}.lora_A.weight"] = torch.randn(rank, shape[1]) * size
            keys[f"{layer}.lora_B.weight"] = torch.randn(shape[0], rank) * size
            keys[f"{layer}.diff_b"] = torch.randn(shape[0]) * size
        elif layer.endswith("norm3") and last == "weight":
            keys[f"{layer}.diff"] = torch.randn(shape) * size
    return read_lora(keys, shapes_of(model), f"{seed}.safetensors")


def test_live_is_as_merged() -> None:
    plain, live = filled(), filled()
    loras = [everywhere(plain, seed, rank=seed) for seed in (2, 5)]
    uses = [LoraUse(loras[0], 0.7), LoraUse(loras[1], -0.4, frozenset({1}))]
    before = velocity(plain)
    attached = LiveLoras(live, uses, torch.float32)
    assert merge(plain, uses) == len(loras[0].matching.changed)
    exact = velocity(plain)
    assert error(exact, before) > 0.05
    assert attached.count == 20
    torch.testing.assert_close(velocity(live), exact, rtol=1e-4, atol=1e-5)
    attached.remove()
    assert torch.equal(velocity(live), before)
    assert not any(isinstance(layer, LoraLinear) for layer in live.modules())


def test_live_strengths_change_between_steps() -> None:
    live = filled()
    lora = everywhere(live, 2)
    attached = LiveLoras(live, [LoraUse(lora, (1.0, 0.25))], torch.float32)
    for step, strength in ((0, 1.0), (1, 0.25), (7, 0.25), (0, 1.0)):
        plain = filled()
        merge(plain, [LoraUse(lora, strength)])
        attached.set_step(step)
        torch.testing.assert_close(velocity(live), velocity(plain), rtol=1e-4, atol=1e-5)
    attached.set_strengths([0.0])
    assert torch.equal(velocity(live), velocity(filled()))


def test_a_strength_for_each_step_is_not_merged() -> None:
    model = filled()
    use = LoraUse(everywhere(model, 2), (1.0, 0.5))
    with pytest.raises(EffectError, match="cannot be merged"):
        merge(model, [use])


def test_in_bfloat16_both_cost_half_a_percent() -> None:
    layer = nn.Linear(256, 128).requires_grad_(False)
    model = nn.ModuleDict({"q": layer})
    torch.manual_seed(1)
    keys = {
        "q.lora_A.weight": torch.randn(8, 256) / 16,
        "q.lora_B.weight": torch.randn(128, 8) / 8,
    }
    x = torch.randn(50, 256)
    exact = layer(x) + x @ keys["q.lora_A.weight"].T @ keys["q.lora_B.weight"].T
    uses = [LoraUse(read_lora(keys, shapes_of(model), "a"))]
    model.bfloat16()
    attached = LiveLoras(model, uses, torch.bfloat16)
    assert error(model["q"](x.bfloat16()).float(), exact) < 0.005
    attached.remove()
    merge(model, uses)
    assert error(model["q"](x.bfloat16()).float(), exact) < 0.005


def eight(form: Fp8Form) -> tuple[nn.ModuleDict, LoraUse, Tensor, Tensor]:
    """A layer in 8 bits, a change far below its steps, the change, and some x."""
    torch.manual_seed(1)
    model = nn.ModuleDict({"q": nn.Linear(512, 64).requires_grad_(False)})
    to_fp8(model, "q", form=form)
    keys = {
        "q.lora_A.weight": torch.randn(4, 512) / 2000,
        "q.lora_B.weight": torch.randn(64, 4) / 2,
    }
    change = keys["q.lora_B.weight"] @ keys["q.lora_A.weight"]
    use = LoraUse(read_lora(keys, shapes_of(model), "a"))
    return model, use, change, torch.randn(4000, 512)


def share_of(change: Tensor, got: Tensor) -> float:
    """How much of a change was got, all values together."""
    return ((got * change).sum() / change.square().sum()).item()


@pytest.mark.parametrize("form", [Fp8Form(), Fp8Form(torch.float8_e5m2, "none")])
def test_onto_eight_bits_live_is_exact_and_merging_keeps_the_mean(form: Fp8Form) -> None:
    model, use, change, x = eight(form)
    before = model["q"](x)
    attached = LiveLoras(model, [use], torch.float32)
    torch.testing.assert_close(model["q"](x), before + x @ change.T, rtol=1e-4, atol=1e-5)
    attached.remove()
    assert torch.equal(model["q"](x), before)
    layer = model["q"]
    assert isinstance(layer, Fp8Linear)
    old = layer.widened(torch.float32)
    merge(model, [use])
    assert abs(share_of(change, layer.widened(torch.float32) - old) - 1) < 0.03


def test_merging_to_the_nearest_would_lose_most() -> None:
    model, use, change, _ = eight(Fp8Form(scales="none"))
    layer = model["q"]
    assert isinstance(layer, Fp8Linear)
    old = layer.widened(torch.float32)
    layer.replace(merged(old, "q.weight", [use]))
    assert share_of(change, layer.widened(torch.float32) - old) < 0.7


def test_merging_into_eight_bits_is_the_same_each_time() -> None:
    made = []
    for _ in range(2):
        model, use, _, x = eight(Fp8Form())
        merge(model, [use])
        made.append(model["q"](x))
    assert torch.equal(*made)


def test_a_transformer_in_eight_bits_with_live_loras() -> None:
    plain, live = filled(), filled()
    lora = everywhere(plain, 2)
    merge(plain, [LoraUse(lora, 0.8)])
    to_fp8(live, *LARGE_LINEARS)
    LiveLoras(live, [LoraUse(lora, 0.8)], torch.float32)
    assert 1e-3 < error(velocity(live), velocity(plain)) < 0.05


def test_layers_of_the_same_input() -> None:
    torch.manual_seed(1)
    plain = nn.Linear(32, 16).requires_grad_(False)
    beside = LoraLinear(plain, torch.randn(2, 32), torch.randn(16, 2))
    x = torch.randn(2, 7, 32)
    for made, layer in zip(together(x, [beside, plain]), (beside, plain), strict=True):
        assert torch.equal(made, layer(x))
    torch.testing.assert_close(beside(x), plain(x) + x @ beside.down.T @ beside.up.T)


def test_live_takes_the_thin_matrices_and_no_more() -> None:
    model = filled()
    size = sum(t.numel() for t in model.state_dict().values())
    lora = everywhere(model, 2)
    LiveLoras(model, [LoraUse(lora)], torch.bfloat16)
    more = [b for b in model.buffers() if b.dtype == torch.bfloat16]
    rows = [RANK * sum(shapes_of(model)[name]) for name in lora.factors]
    assert sum(b.numel() for b in more) == sum(rows)
    strengths = RANK * len(lora.factors)
    assert sum(t.numel() for t in model.state_dict().values()) == size + sum(rows) + strengths


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("Wan21_T2V_14B_lightx2v_cfg_step_distill_lora_rank32.safetensors", 4),
        ("lightx2v_I2V_14B_480p_cfg_step_distill_rank128_bf16.safetensors", 4),
        ("Wan2.1-T2V-14B-StepDistill-8steps.safetensors", 8),
        ("wan_lightning_4-step.safetensors", 4),
        ("my_style_2000steps.safetensors", None),
        ("portrait_4_steps.safetensors", None),
    ],
)
def test_distilled_files_say_how_they_are_run(name: str, steps: int | None) -> None:
    found = distilled(name)
    assert (found and found.steps) == steps
    if found:
        assert (found.shift, found.guidance) == (5.0, 1.0)
        assert found.sentence() == f"{name} is distilled: {steps} steps, shift 5, guidance 1."


def test_notes_in_the_header_tell_distilled_files_too() -> None:
    found = distilled("a.safetensors", ["ss_base: lightx2v, 4 steps"])
    assert found is not None
    assert found.steps == 4
