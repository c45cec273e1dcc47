"""Wan's image encoder: both layouts at full size and tiny, and how pictures are prepared."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor  # noqa: E402

from engine.errors import EffectError, WeightsError  # noqa: E402
from engine.models.wan.image_encoder import (  # noqa: E402
    MEAN,
    STD,
    ImageEncoder,
    ImageEncoderConfig,
    encode_images,
    prepared,
)
from engine.models.wan.image_weights import (  # noqa: E402
    image_encoder_config,
    image_encoder_tensors,
    load_image_encoder,
)
from engine.models.weights import read_tensors  # noqa: E402
from tests.golden.case import fill  # noqa: E402

MANIFESTS = Path(__file__).parents[1] / "golden" / "manifests"
TINY = ImageEncoderConfig(image=28, dim=48, dim_mlp=192, heads=3, layers=3)
ABOUT = {"num_attention_heads": 3}
PARTS = ("norm1", "norm2", "proj", "mlp.0", "mlp.2")
HF_PARTS = ("layer_norm1", "layer_norm2", "self_attn.out_proj", "mlp.fc1", "mlp.fc2")


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
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def tiny() -> dict[str, Tensor]:
    """A tiny tower's tensors under Wan's names, with what Wan does not use."""
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in ImageEncoder(TINY).state_dict().items()}
    made = {f"visual.{name}": torch.from_numpy(fill(name, s)) for name, s in shapes.items()}
    unused = {
        "visual.head": (48, 20),
        "visual.post_norm.weight": (48,),
        "visual.post_norm.bias": (48,),
    }
    return made | {name: torch.from_numpy(fill(name, shape)) for name, shape in unused.items()}


def as_hf(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tower under Hugging Face's names."""
    model = "vision_model"
    result = {
        f"{model}.embeddings.class_embedding": tensors["visual.cls_embedding"].flatten(),
        f"{model}.embeddings.position_embedding.weight": tensors["visual.pos_embedding"][0],
        f"{model}.embeddings.patch_embedding.weight": tensors["visual.patch_embedding.weight"],
        "visual_projection.weight": tensors["visual.head"].T.contiguous(),
    }
    for end in ("weight", "bias"):
        result[f"{model}.pre_layrnorm.{end}"] = tensors[f"visual.pre_norm.{end}"]
        result[f"{model}.post_layernorm.{end}"] = tensors[f"visual.post_norm.{end}"]
        for layer in range(TINY.layers):
            ours, theirs = f"visual.transformer.{layer}", f"{model}.encoder.layers.{layer}"
            for a, b in zip(PARTS, HF_PARTS, strict=True):
                a = "attn.proj" if a == "proj" else a
                result[f"{theirs}.{b}.{end}"] = tensors[f"{ours}.{a}.{end}"]
            thirds = tensors[f"{ours}.attn.to_qkv.{end}"].chunk(3)
            for part, third in zip("qkv", thirds, strict=True):
                result[f"{theirs}.self_attn.{part}_proj.{end}"] = third
    return {name: tensor.clone() for name, tensor in result.items()}


@pytest.mark.parametrize("name", ["wan_clip_vit_h_visual", "clip_vision_h_hf"])
def test_the_published_files_load_strictly_at_full_size(name: str) -> None:
    tensors = published(name)
    assert image_encoder_config(image_encoder_tensors(tensors)) == ImageEncoderConfig()
    model = load_image_encoder(tensors)
    unused = 1280 * 1024 + 2 * 1280  # the head, and the norm before it
    assert sum(p.numel() for p in model.parameters()) == 632_076_800 - unused
    used = [key for key in tensors if "post_" not in key and "head" not in key]
    for missing in used[3 :: len(used) // 6]:
        without = {key: tensor for key, tensor in tensors.items() if key != missing}
        with pytest.raises(WeightsError, match="it is missing"):
            load_image_encoder(without)
    extra = tensors[used[0]]
    with pytest.raises(WeightsError, match="no such tensor"):
        load_image_encoder(tensors | {"visual.extra": extra})
    with pytest.raises(WeightsError, match="extra is there already"):
        load_image_encoder(tensors | {"visual.extra": extra, "extra": extra})


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Random colours, (3, H, W) in -1..1."""
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_both_layouts_of_one_model_give_the_same_tokens(tmp_path: Path) -> None:
    wan, hf = tiny(), as_hf(tiny())
    assert set(hf) <= set(published("clip_vision_h_hf"))
    whole = wan | {
        "textual.token_embedding.weight": torch.ones(4, 4),
        "log_scale": torch.tensor(1.0),
    }
    bare = {name.removeprefix("visual."): tensor for name, tensor in wan.items()}
    numbers = {"vision_model.embeddings.position_ids": torch.arange(5)[None]}
    lean = {name: tensor for name, tensor in hf.items() if name != "visual_projection.weight"}
    image = picture(20, 33)
    wanted = encode_images(load_image_encoder(wan, TINY), [image])
    files = {
        "wan": wan,
        "the whole of CLIP": whole,
        "bare": bare,
        "comfy": hf,
        "older": hf | numbers,
        "diffusers": lean,
        "behind a prefix": {f"image_encoder.{name}": tensor for name, tensor in hf.items()},
    }
    for name, tensors in files.items():
        path = tmp_path / f"{name}.safetensors"
        save_file(tensors, path)
        read = read_tensors(path)
        config = image_encoder_config(image_encoder_tensors(read), ABOUT)
        assert config == TINY, name
        model = load_image_encoder(read, config, str(path))
        assert torch.equal(encode_images(model, [image]), wanted), name


def test_heads_are_told_by_the_config_beside() -> None:
    named = image_encoder_tensors(tiny())
    assert image_encoder_config(named).heads == 1
    assert image_encoder_config(named, {"vision_config": ABOUT}).heads == 3
    with pytest.raises(WeightsError, match="5 heads cannot share"):
        image_encoder_config(named, {"num_heads": 5})


def test_another_model_is_refused_by_name() -> None:
    with pytest.raises(WeightsError, match=r"x\.pth is no CLIP image encoder"):
        load_image_encoder({"head.weight": torch.ones(2, 2)}, file="x.pth")


def test_the_last_block_is_left_out() -> None:
    model = load_image_encoder(tiny(), TINY)
    pixels = prepared(picture(28, 28)[None], 28)
    tokens = model(pixels)
    assert tokens.shape == (1, 5, 48)
    assert torch.equal(model(pixels, blocks=2), tokens)
    assert torch.equal(model(pixels, blocks=3), model.transformer[2](tokens))
    assert not torch.equal(model(pixels, blocks=3), tokens)


def test_pictures_of_several_sizes_go_in_one_batch_with_their_strengths() -> None:
    model = load_image_encoder(tiny(), TINY)
    first, last = picture(20, 33), picture(40, 24, 1)
    alone = [encode_images(model, [image]) for image in (first, last)]
    both = encode_images(model, [first, last], strengths=(0.5, 2.0))
    assert torch.allclose(both[0], 0.5 * alone[0][0], atol=1e-5)
    assert torch.allclose(both[1], 2.0 * alone[1][0], atol=1e-5)
    with pytest.raises(EffectError, match="2 pictures and 1 strengths"):
        encode_images(model, [first, last], strengths=(1.0,))
    half = load_image_encoder(tiny(), TINY, dtype=torch.bfloat16)
    rounded = encode_images(half, [first])
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - alone[0]).square().mean().sqrt() < 0.05


def plain(pixels: Tensor) -> Tensor:
    """Prepared pixels back to -1..1."""
    mean, std = (torch.tensor(value)[:, None, None] for value in (MEAN, STD))
    return (pixels * std + mean) * 2 - 1


def test_none_squashes_and_center_keeps_the_proportions() -> None:
    """Columns of red, as wide as the picture is, and a square in the middle."""
    wide = torch.full((1, 3, 56, 112), -1.0)
    wide[:, 0] = torch.linspace(-1, 1, 112)
    wide[:, 1, :, 28:84] = 1
    squashed, centred = (plain(prepared(wide, 28, crop)) for crop in ("none", "center"))
    assert squashed.shape == centred.shape == (1, 3, 28, 28)
    assert squashed[0, 0, 14, 0] < -0.95
    assert squashed[0, 0, 14, -1] > 0.95
    assert torch.allclose(squashed[0, 1, 14, 9:19], torch.ones(10), atol=1e-5)
    assert squashed[0, 1, 14, :5].max() < -0.9
    assert torch.allclose(centred[0, 1, :, 1:-1], torch.ones(28, 26), atol=1e-5)
    assert centred[0, 0, 14, 0] == pytest.approx(-0.5, abs=0.03)
    assert centred[0, 0, 14, -1] == pytest.approx(0.5, abs=0.03)
    assert centred.abs().max() <= 1 + 1e-5
    tall = plain(prepared(wide.transpose(2, 3), 28, "center"))
    assert torch.allclose(tall, centred.transpose(2, 3), atol=1e-5)


def test_a_picture_of_the_size_is_taken_as_it_is() -> None:
    image = picture(28, 28)[None]
    for crop in ("none", "center"):
        assert torch.allclose(plain(prepared(image, 28, crop)), image, atol=1e-5)
    with pytest.raises(EffectError, match="no crop 'left'"):
        prepared(image, 28, "left")
