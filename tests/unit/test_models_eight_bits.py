"""Checkpoints in 8 bits stay so when they are loaded; wider ones are narrowed as they are read."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from engine.errors import WeightsError  # noqa: E402
from engine.models.eight_bits import (  # noqa: E402
    Narrowing,
    arrange,
    eight_bits,
    load_eight_bits,
)
from engine.models.linear import (  # noqa: E402
    Fp8Form,
    Fp8Linear,
    linears,
    weights_to_eight_bits,
)
from engine.models.loading import places_of  # noqa: E402
from engine.models.lora import LoraUse, read_lora  # noqa: E402
from engine.models.wan.config import TransformerConfig  # noqa: E402
from engine.models.wan.precision import FP8_FORMS, stays_wide  # noqa: E402
from engine.models.wan.quantised import load_quantised  # noqa: E402
from engine.models.wan.transformer import Transformer  # noqa: E402
from engine.models.weights import read_tensors  # noqa: E402

E4, E5 = torch.float8_e4m3fn, torch.float8_e5m2
CONFIG = TransformerConfig(
    dim=64, heads=2, ffn_dim=96, layers=2, in_dim=4, out_dim=4, text_dim=12, freq_dim=16
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def checkpoint(dtype: torch.dtype = torch.bfloat16) -> dict[str, Tensor]:
    """Of a small transformer, in one dtype."""
    torch.manual_seed(1)
    state = Transformer(CONFIG).state_dict()
    return {name: (torch.randn(t.shape) * 0.1).to(dtype) for name, t in state.items()}


def velocity(model: Transformer) -> Tensor:
    """Of a small clip."""
    draw = torch.Generator().manual_seed(3)
    latents = torch.randn(1, 4, 2, 4, 4, generator=draw)
    with torch.inference_mode():
        text = torch.randn(5, CONFIG.text_dim, generator=draw)
        return model(latents, torch.tensor([500.0]), model.condition([text]))


def error(made: Tensor, exact: Tensor) -> float:
    """Root mean square of the difference, as a part of that of the exact result."""
    return ((made - exact).norm() / exact.norm()).item()


def narrowed(
    wide: Mapping[str, Tensor], kind: torch.dtype, scales: str = "", rows: bool = False
) -> dict[str, Tensor]:
    """As a checkpoint in 8 bits is stored: weights by the later rule, scales beside them."""
    result = dict(wide)
    for path in linears(Transformer(CONFIG)):
        name = f"{path}.weight"
        if stays_wide(name):
            continue
        form = Fp8Form(kind, "none" if not scales else "row" if rows else "tensor")
        packed, scale = weights_to_eight_bits(wide[name].float(), form)
        result[name] = packed
        if scales:
            result[f"{path}.{scales}"] = scale if rows else scale[:1, 0]
    return result


def eight_of(model: nn.Module) -> dict[str, Fp8Linear]:
    """The layers in 8 bits."""
    return {path: m for path, m in model.named_modules() if isinstance(m, Fp8Linear)}


@pytest.mark.parametrize("kind", [E4, E5])
@pytest.mark.parametrize("scales", ["none", "tensor", "row"])
def test_every_form_keeps_each_value_within_half_a_step(kind: torch.dtype, scales: str) -> None:
    torch.manual_seed(1)
    weight = torch.randn(40, 64) * torch.logspace(-3, 1, 40)[:, None]
    form = Fp8Form(kind, scales)  # type: ignore[arg-type]
    packed, scale = weights_to_eight_bits(weight, form)
    assert (packed.dtype, scale.shape, scale.dtype) == (kind, (40, 1), torch.float32)
    half = 1 / 16 if kind == E4 else 1 / 8
    least = (2**-10 if kind == E4 else 2**-17) * scale
    assert ((packed.float() * scale - weight).abs() <= weight.abs() * half + least).all()
    assert {"none": 1, "tensor": 1, "row": 40}[scales] == len(scale.unique())


def test_what_is_too_large_becomes_the_largest() -> None:
    packed, _ = weights_to_eight_bits(torch.tensor([[1e6, -500.0]]), Fp8Form(E4, "none"))
    assert packed.float().tolist() == [[448, -448]]


@pytest.mark.parametrize("kind", [E4, E5])
def test_chance_gives_one_of_the_neighbours_and_keeps_the_mean(kind: torch.dtype) -> None:
    torch.manual_seed(1)
    value = torch.randn(200, 1) * torch.logspace(-4, 2, 200)[:, None]
    packed, _ = weights_to_eight_bits(value.expand(200, 2000), Fp8Form(kind, "none"), seed=5)
    got = packed.float()
    nearest = value.to(kind).float()
    step = torch.maximum(
        value.abs() * (1 / 8 if kind == E4 else 1 / 4),
        torch.tensor(2.0 ** (-9 if kind == E4 else -16)),
    )
    assert ((got - value).abs() < step * 1.0001).all()
    assert max(len(row.unique()) for row in got) == 2
    bias = (got.mean(dim=1, keepdim=True) - value).abs()
    assert (bias <= step * 0.06).all()
    assert (bias / step).mean() < 0.2 * ((nearest - value).abs() / step).mean()


@pytest.mark.parametrize("kind", [E4, E5])
@pytest.mark.parametrize(
    ("scales", "rows"), [("", False), ("scale_weight", False), ("weight_scale", True)]
)
def test_what_is_stored_in_eight_bits_stays_so(
    tmp_path: Path, kind: torch.dtype, scales: str, rows: bool
) -> None:
    stored = narrowed(checkpoint(), kind, scales, rows)
    file = tmp_path / "a.safetensors"
    save_file(stored, file)
    model = load_quantised(read_tensors(file), CONFIG, "a", torch.float32)
    layers = eight_of(model)
    assert len(layers) == 2 * 10
    for path, layer in layers.items():
        packed = stored[f"{path}.weight"]
        assert torch.equal(layer.weight.view(kind).float(), packed.float())
        scale = stored[f"{path}.{scales}"].view(-1, 1) if scales else torch.ones(1, 1)
        torch.testing.assert_close(layer.widened(torch.float32), packed.float() * scale)
        assert layer.bias is not None
        assert layer.bias.dtype == torch.float32
    held = sum(t.numel() * t.element_size() for layer in layers.values() for t in layer.buffers())
    values = sum(layer.weight.numel() for layer in layers.values())
    assert held < 1.15 * values
    # It computes what the file means.
    wide = dict(stored)
    for path in layers:
        wide[f"{path}.weight"] = layers[path].widened(torch.float32)
        wide.pop(f"{path}.{scales}", None)
    same = load_quantised(wide, CONFIG, "b", torch.float32)
    torch.testing.assert_close(velocity(model), velocity(same), rtol=1e-5, atol=1e-6)


def test_nothing_is_read_before_it_is_placed(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    save_file(narrowed(checkpoint(), E4, "scale_weight"), file)
    tensors = read_tensors(file)
    arranged = arrange(lambda: Transformer(CONFIG), tensors)
    name = "blocks.1.ffn.0.weight"
    assert arranged.tensors[name].dtype == torch.uint8
    assert arranged.tensors[name].data_ptr() == tensors[name].data_ptr()
    assert places_of(arranged.tensors)[name] == places_of(tensors)[name]
    assert "blocks.1.ffn.0.scale_weight" not in places_of(arranged.tensors)


def test_the_facts_of_a_checkpoint() -> None:
    wide = checkpoint()
    assert eight_bits(wide) is None
    plain = eight_bits(narrowed(wide, E5))
    assert plain is not None
    assert (plain.kind, plain.count, plain.is_scaled, plain.may_multiply) == (E5, 20, False, True)
    scaled = narrowed(wide, E4, "scale_weight")
    for count, may_multiply in ((0, True), (2, False)):
        facts = eight_bits({**scaled, "scaled_fp8": torch.zeros(count).to(E4)})
        assert facts is not None
        assert (facts.is_scaled, facts.may_multiply, facts.count) == (True, may_multiply, 20)


@pytest.mark.parametrize("kind", [E4, torch.float32])  # what published files have as their mark
@pytest.mark.parametrize(
    ("marks", "wish", "is_fast"), [(0, True, True), (0, False, False), (2, True, False)]
)
def test_products_of_eight_bits_need_the_wish_and_the_file(
    marks: int, wish: bool, is_fast: bool, kind: torch.dtype
) -> None:
    stored = narrowed(checkpoint(), E4, "scale_weight")
    stored["scaled_fp8"] = torch.zeros(marks).to(kind)
    for path in linears(Transformer(CONFIG)):
        if f"{path}.scale_weight" in stored:
            stored[f"{path}.scale_input"] = torch.ones(())
    name = "fp8_e4m3fn_scaled_fast" if wish else "fp8_e4m3fn_scaled"
    model = load_quantised(stored, CONFIG, quantization=name)
    assert {layer.form.is_fast for layer in eight_of(model).values()} == {is_fast}


def test_notes_beside_weights() -> None:
    stored = narrowed(checkpoint(), E4, "weight_scale")
    notes = {
        "blocks.0.ffn.0": b'{"format": "float8_e4m3fn", "full_precision_matrix_mult": true}',
        "blocks.1.ffn.0": b'{"format": "float8_e4m3fn"}',
    }
    for path, note in notes.items():
        stored[f"{path}.comfy_quant"] = torch.tensor(list(note), dtype=torch.uint8)
    model = load_quantised(stored, CONFIG, quantization="fp8_e4m3fn_fast")
    fast = {path: layer.form.is_fast for path, layer in eight_of(model).items()}
    assert [fast[path] for path in notes] == [False, True]
    stored["blocks.0.ffn.0.comfy_quant"] = torch.tensor(list(b'{"format": "nvfp4"}')).byte()
    with pytest.raises(WeightsError, match=r"my\.file.*blocks\.0\.ffn\.0\.weight.*not known"):
        load_quantised(stored, CONFIG, "my.file")


def test_other_layers_in_eight_bits_are_widened_with_their_scale() -> None:
    wide = checkpoint()
    stored = narrowed(wide, E4, "scale_weight")
    form = Fp8Form(E4, "tensor")
    packed, scale = weights_to_eight_bits(wide["head.head.weight"].float(), form)
    stored["head.head.weight"], stored["head.head.scale_weight"] = packed, scale[:1, 0]
    stored["blocks.0.norm3.bias"] = wide["blocks.0.norm3.bias"].to(E4)
    model = load_quantised(stored, CONFIG, dtype=torch.float32)
    torch.testing.assert_close(model.head.head.weight.data, packed.float() * scale)
    assert torch.equal(model.blocks[0].norm3.bias, stored["blocks.0.norm3.bias"].float())


def test_scales_of_nothing_and_of_a_strange_size_are_refused() -> None:
    stored = narrowed(checkpoint(), E4, "scale_weight")
    with pytest.raises(WeightsError, match=r"blocks\.9\.ffn\.0\.scale_weight.*no such tensor"):
        load_quantised({**stored, "blocks.9.ffn.0.scale_weight": torch.ones(1)}, CONFIG)
    with pytest.raises(WeightsError, match=r"scale_weight' has shape \[7\], expected one"):
        load_quantised({**stored, "blocks.1.ffn.0.scale_weight": torch.ones(7)}, CONFIG)
    del stored["blocks.1.ffn.0.weight"]
    with pytest.raises(WeightsError, match=r"blocks\.1\.ffn\.0\.weight.*missing"):
        load_quantised(stored, CONFIG)


@pytest.mark.parametrize("name", FP8_FORMS)
def test_wider_files_are_narrowed_while_they_are_read(tmp_path: Path, name: str) -> None:
    file = tmp_path / "a.safetensors"
    save_file(checkpoint(), file)
    exact = load_quantised(read_tensors(file), CONFIG, dtype=torch.float32)
    assert not eight_of(exact)
    model = load_quantised(read_tensors(file), CONFIG, dtype=torch.float32, quantization=name)
    form = FP8_FORMS[name]
    assert {layer.form for layer in eight_of(model).values()} == {form}
    assert len(eight_of(model)) == 20
    bound = 0.04 if form.kind == E4 else 0.08
    assert bound / 20 < error(velocity(model), velocity(exact)) < bound


def test_loras_are_merged_before_rounding() -> None:
    wide = checkpoint(torch.float32)
    torch.manual_seed(2)
    keys = {}
    for layer in ("blocks.0.ffn.0", "blocks.1.self_attn.q"):
        out, count = wide[f"{layer}.weight"].shape
        keys[f"{layer}.lora_A.weight"] = torch.randn(2, count) * 0.05
        keys[f"{layer}.lora_B.weight"] = torch.randn(out, 2) * 0.05
        keys[f"{layer}.diff_b"] = torch.randn(out)
    lora = read_lora(keys, {name: t.shape for name, t in wide.items()}, "a")
    uses = [LoraUse(lora, 0.5)]
    before = {name: tensor.clone() for name, tensor in wide.items()}
    exact = load_quantised(wide, CONFIG, dtype=torch.float32, loras=uses)
    model = load_quantised(
        wide, CONFIG, dtype=torch.float32, quantization="fp8_e4m3fn_scaled", loras=uses
    )
    for layer in ("blocks.0.ffn.0", "blocks.1.self_attn.q"):
        want = exact.get_submodule(layer)
        got = model.get_submodule(layer)
        assert isinstance(got, Fp8Linear)
        # Rounded once, to the nearest: a sixteenth of a value at most.
        off = (got.widened(torch.float32) - want.weight).abs()
        assert (off <= want.weight.abs() / 16 + 1e-4).all()
        assert got.bias is not None
        assert torch.equal(got.bias, want.bias)
        change = wide[f"{layer}.weight"] - want.weight
        assert change.abs().max() > 1e-3
    # What was read from the file is not written to.
    assert all(torch.equal(tensor, before[name]) for name, tensor in wide.items())


def test_a_module_of_any_family() -> None:
    linear = nn.Linear(16, 8)
    tensors = {"weight": torch.randn(8, 16), "bias": torch.zeros(8)}
    narrow = Narrowing(Fp8Form(), lambda name: False)
    model = load_eight_bits(
        lambda: nn.Sequential(nn.Linear(16, 8)),
        {f"0.{name}": tensor for name, tensor in tensors.items()},
        narrow=narrow,
    )
    linear.load_state_dict(tensors)
    x = torch.randn(3, 16)
    assert 0 < error(model(x), linear(x)) < 0.05
