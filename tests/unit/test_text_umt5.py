"""The text encoder: both layouts at full size and tiny, and what its parts compute."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor  # noqa: E402

from engine.errors import WeightsError  # noqa: E402
from engine.models.text.umt5 import UMT5, UMT5Config, distance_buckets  # noqa: E402
from engine.models.text.weights import load_umt5, umt5_config, umt5_tensors  # noqa: E402
from engine.models.weights import read_tensors  # noqa: E402
from tests.golden.case import fill  # noqa: E402
from tests.support.text import spiece_model  # noqa: E402

MANIFESTS = Path(__file__).parents[1] / "golden" / "manifests"
TINY = UMT5Config(vocab=97, dim=24, dim_attn=32, dim_ffn=40, heads=2, layers=2)
HF = (  # Wan's names -> Hugging Face's, the other way round than the loader
    ("token_embedding.", "shared."),
    (".norm1.", ".layer.0.layer_norm."),
    (".norm2.", ".layer.1.layer_norm."),
    (".attn.", ".layer.0.SelfAttention."),
    (".pos_embedding.embedding.", ".layer.0.SelfAttention.relative_attention_bias."),
    (".ffn.gate.0.", ".layer.1.DenseReluDense.wi_0."),
    (".ffn.fc1.", ".layer.1.DenseReluDense.wi_1."),
    (".ffn.fc2.", ".layer.1.DenseReluDense.wo."),
    ("blocks.", "encoder.block."),
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(before)


def published(name: str) -> dict[str, Tensor]:
    """The tensors of a published file, at full size, without their values."""
    shapes = json.loads((MANIFESTS / f"{name}.json").read_text(encoding="utf-8"))["tensors"]
    return {
        key: torch.empty(shape, dtype=torch.bfloat16, device="meta")
        for key, shape in shapes.items()
    }


def tiny() -> dict[str, Tensor]:
    """A tiny encoder's tensors under Wan's names."""
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in UMT5(TINY).state_dict().items()}
    return {name: torch.from_numpy(fill(name, shape)) for name, shape in shapes.items()}


def as_hf(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same under Hugging Face's names."""
    result = {}
    for name, tensor in tensors.items():
        if name == "norm.weight":
            name = "encoder.final_layer_norm.weight"
        for ours, theirs in HF:
            name = name.replace(ours, theirs)
        result[name] = tensor
    return result


IDS = torch.tensor([[5, 17, 3, 90, 44, 1]])


@pytest.mark.parametrize("name", ["umt5_xxl_encoder", "umt5_xxl_encoder_hf"])
def test_the_published_files_load_strictly_at_full_size(name: str) -> None:
    tensors = published(name)
    assert umt5_config(umt5_tensors(tensors)) == UMT5Config()
    model = load_umt5(tensors)
    assert sum(p.numel() for p in model.parameters()) == 5_680_910_336
    for missing in list(tensors)[:: len(tensors) // 6]:
        without = {key: tensor for key, tensor in tensors.items() if key != missing}
        if not missing.endswith(("0.attn.q.weight", "block.0.layer.0.SelfAttention.q.weight")):
            with pytest.raises(WeightsError, match="it is missing"):
                load_umt5(without)
    with pytest.raises(WeightsError, match="no such tensor"):
        load_umt5(tensors | {"blocks.0.attn.q.bias": torch.empty(4096, device="meta")})


def test_both_layouts_of_one_model_give_the_same_rows(tmp_path: Path) -> None:
    wan = tiny()
    hf = as_hf(wan)
    assert set(hf) <= set(published("umt5_xxl_encoder_hf"))
    inside = torch.frombuffer(bytearray(spiece_model()), dtype=torch.uint8)
    shared = hf["shared.weight"]
    shards = {key: tensor for key, tensor in hf.items() if key != "shared.weight"}
    files = {
        "wan": wan,
        "comfy": hf | {"spiece_model": inside},
        "either": shards | {"encoder.embed_tokens.weight": shared},
        "both": hf | {"encoder.embed_tokens.weight": shared.clone()},
        "behind a prefix": {f"text_encoder.{key}": tensor for key, tensor in hf.items()},
    }
    wanted = load_umt5(wan)(IDS)
    for name, tensors in files.items():
        path = tmp_path / f"{name}.safetensors"
        save_file(tensors, path)
        model = load_umt5(read_tensors(path), file=str(path))
        assert model.config == TINY
        assert torch.equal(model(IDS), wanted), name


def test_the_type_of_the_weights_is_the_type_of_the_rows() -> None:
    wanted = load_umt5(tiny())(IDS)
    for dtype, near in ((torch.bfloat16, 0.05), (torch.float16, 0.01)):
        rows = load_umt5(tiny(), dtype=dtype)(IDS)
        assert rows.dtype == dtype
        assert (rows.float() - wanted).square().mean().sqrt() < near


def test_scales_of_8_bit_layers_go_with_their_layers() -> None:
    scaled = as_hf(tiny())
    name = "encoder.block.1.layer.1.DenseReluDense.wo"
    scaled |= {f"{name}.scale_weight": torch.ones(1), "scaled_fp8": torch.zeros(2)}
    named = umt5_tensors(scaled)
    assert "blocks.1.ffn.fc2.scale_weight" in named
    with pytest.raises(WeightsError, match="no such tensor"):
        load_umt5(scaled)  # as plain 8 bits it would be noise


def test_other_models_are_refused_by_name() -> None:
    with pytest.raises(WeightsError, match=r"x\.pth is no UMT5 text encoder"):
        load_umt5({"head.weight": torch.ones(2, 2)}, file="x.pth")
    t5 = as_hf(tiny())
    t5 = {k: t for k, t in t5.items() if "bias" not in k or "block.0." in k}
    with pytest.raises(WeightsError, match=r"x\.pth is a T5 encoder"):
        load_umt5(t5, file="x.pth")
    odd = tiny()
    odd["blocks.0.pos_embedding.embedding.weight"] = torch.ones(32, 3)
    with pytest.raises(WeightsError, match="3 heads cannot share"):
        load_umt5(odd)


def test_buckets_are_as_the_paper_has_them() -> None:
    buckets = distance_buckets(300, UMT5Config())
    for query, key in ((0, 0), (9, 2), (2, 9), (20, 12), (12, 20), (0, 16), (299, 0), (0, 299)):
        step = abs(key - query)
        wide = 8 + math.floor(math.log(step / 8) / math.log(16) * 8 + 1e-9) if step >= 8 else step
        assert buckets[query, key] == min(wide, 15) + (16 if key > query else 0)
    assert sorted(set(buckets.flatten().tolist())) == [*range(16), *range(17, 32)]


def test_padding_changes_nothing() -> None:
    model = load_umt5(tiny())
    padded = torch.cat([IDS, torch.zeros(1, 9, dtype=torch.int64)], dim=1)
    other = torch.cat([IDS, torch.full((1, 9), 33)], dim=1)
    mask = torch.arange(15)[None] < 6
    alone = model(IDS)
    assert torch.allclose(model(padded, mask)[:, :6], alone, atol=1e-5)
    assert torch.allclose(model(other, mask)[:, :6], alone, atol=1e-5)
    assert not torch.allclose(model(padded)[:, :6], alone, atol=1e-2)


def test_sums_that_leave_half_precision_stay_finite() -> None:
    tensors = tiny()
    tensors["blocks.0.ffn.fc2.weight"] = tensors["blocks.0.ffn.fc2.weight"] * 1e5
    rows = load_umt5(tensors, dtype=torch.float16)(IDS)
    assert rows.isfinite().all()


class Steps:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def step(self, stage: str, done: int, total: int) -> None:
        self.told.append((stage, done, total))

    def preview(self, label: str, picture: object) -> None:
        raise AssertionError


def test_every_layer_is_told() -> None:
    steps = Steps()
    load_umt5(tiny())(IDS, report=steps)
    assert steps.told == [("text", 1, 2), ("text", 2, 2)]
