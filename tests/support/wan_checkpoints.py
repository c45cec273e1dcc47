"""Wan's checkpoints in the published file formats with random weights and small widths."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.models.text.umt5 import UMT5, UMT5Config
from engine.models.wan.config import TransformerConfig, VaeConfig
from engine.models.wan.image_encoder import ImageEncoder, ImageEncoderConfig
from engine.models.wan.names import diffusers_name
from engine.models.wan.transformer import Transformer
from engine.models.wan.vae import Vae
from tests.support.diffusers_names import vae_in_diffusers
from tests.support.text import spiece_model

TRANSFORMER = "diffusion_pytorch_model.safetensors"
INDEX = f"{TRANSFORMER}.index.json"
TEXT = "models_t5_umt5-xxl-enc-bf16.pth"
IMAGE = "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"
VAE = "Wan2.1_VAE.pth"
VOCAB = 200
EXPERTS = ("high", "low")

_DIM, _TEXT_DIM, _IMAGE_DIM = 128, 64, 80
_EYES = ImageEncoderConfig(image=28, dim=_IMAGE_DIM, dim_mlp=96, heads=1, layers=8)


def transformer_config(kind: str = "t2v") -> TransformerConfig:
    """Of a tiny model of a kind: "t2v", "i2v", "flf2v", and an expert of Wan 2.2 for pictures."""
    plain = TransformerConfig(
        dim=_DIM, heads=1, ffn_dim=192, layers=8, text_dim=_TEXT_DIM, freq_dim=32
    )
    if kind == "t2v":
        return plain
    if kind == "i2v_expert":
        return replace(plain, in_dim=36)
    places = 2 * _EYES.tokens if kind == "flf2v" else 0
    return TransformerConfig(
        dim=_DIM,
        heads=1,
        ffn_dim=192,
        layers=8,
        text_dim=_TEXT_DIM,
        freq_dim=32,
        in_dim=36,
        image_dim=_IMAGE_DIM,
        image_positions=places,
    )


def write_wan(folder: Path, kind: str = "t2v", seed: int = 0) -> Path:
    """A folder as Wan-AI publishes it: safetensors, .pth beside it, the tokenizer below it."""
    folder.mkdir(parents=True, exist_ok=True)
    model = weights(Transformer(transformer_config(kind)), seed)
    save_file(model, folder / TRANSFORMER)
    torch.save(weights(_text(), seed + 1), folder / TEXT)
    torch.save(weights(Vae(VaeConfig(dim=8)), seed + 2), folder / VAE)
    place = folder / "google" / "umt5-xxl"
    place.mkdir(parents=True)
    (place / "spiece.model").write_bytes(spiece_model(VOCAB))
    if kind != "t2v":
        torch.save(_published_eyes(seed + 3), folder / IMAGE)
    return folder


def write_repackaged(folder: Path, kind: str = "t2v", seed: int = 0) -> Path:
    """The same weights as Comfy-Org packs them: all safetensors, the tokenizer in the encoder."""
    parts = {name: folder / name for name in ("diffusion_models", "text_encoders", "vae")}
    for place in parts.values():
        place.mkdir(parents=True, exist_ok=True)
    model = weights(Transformer(transformer_config(kind)), seed)
    prefixed = {f"model.diffusion_model.{name}": tensor for name, tensor in model.items()}
    save_file(prefixed, parts["diffusion_models"] / f"wan2.1_{kind}_1.3B_fp32.safetensors")
    text = {_hf_name(name): tensor for name, tensor in weights(_text(), seed + 1).items()}
    text["spiece_model"] = torch.frombuffer(bytearray(spiece_model(VOCAB)), dtype=torch.uint8)
    save_file(text, parts["text_encoders"] / "umt5_xxl_fp32.safetensors")
    vae = weights(Vae(VaeConfig(dim=8)), seed + 2)
    save_file(vae, parts["vae"] / "wan_2.1_vae.safetensors")
    return folder


def write_diffusers(folder: Path, kind: str = "t2v", seed: int = 0) -> Path:
    """The same weights as a folder of diffusers: a folder for each part, the encoder in shards."""
    parts = ("transformer", "text_encoder", "vae", "tokenizer")
    places = {name: folder / name for name in parts}
    for place in places.values():
        place.mkdir(parents=True)
    model = weights(Transformer(transformer_config(kind)), seed)
    save_file(diffusers_transformer(model), places["transformer"] / TRANSFORMER)
    text = {_hf_name(name): tensor for name, tensor in weights(_text(), seed + 1).items()}
    _save_shards(text, places["text_encoder"], "model")
    vae = vae_in_diffusers(weights(Vae(VaeConfig(dim=8)), seed + 2))
    save_file(vae, places["vae"] / TRANSFORMER)
    (places["tokenizer"] / "spiece.model").write_bytes(spiece_model(VOCAB))
    return folder


def write_kijai(folder: Path, kind: str = "t2v", seed: int = 0) -> Path:
    """The same weights as Kijai packs them: large matrices in 8 bits, each with its scale."""
    parts = {name: folder / name for name in ("diffusion_models", "text_encoders", "vae")}
    for place in parts.values():
        place.mkdir(parents=True)
    narrow: dict[str, Tensor] = {"scaled_fp8": torch.zeros(0, dtype=torch.float8_e4m3fn)}
    for name, tensor in weights(Transformer(transformer_config(kind)), seed).items():
        layer = name.removesuffix(".weight")
        if tensor.dim() == 2 and name.startswith("blocks.") and layer != name:
            scale = tensor.abs().max() / torch.finfo(torch.float8_e4m3fn).max
            narrow[name] = (tensor / scale).to(torch.float8_e4m3fn)
            narrow[f"{layer}.scale_weight"] = scale.reshape(1)
        else:
            narrow[name] = tensor
    file = f"Wan2_1-{kind.upper()}-1_3B_fp8_e4m3fn_scaled_KJ.safetensors"
    save_file(narrow, parts["diffusion_models"] / file)
    text = weights(_text(), seed + 1)
    text["spiece_model"] = torch.frombuffer(bytearray(spiece_model(VOCAB)), dtype=torch.uint8)
    save_file(text, parts["text_encoders"] / "umt5-xxl-enc-fp32.safetensors")
    vae = weights(Vae(VaeConfig(dim=8)), seed + 2)
    save_file(vae, parts["vae"] / "Wan2_1_VAE_fp32.safetensors")
    return folder


def write_experts(folder: Path, kind: str = "t2v", seed: int = 0) -> Path:
    """Wan 2.2 A14B as Wan-AI publishes it: two folders of shards, the rest as in 2.1."""
    write_wan(folder, "t2v", seed)
    (folder / TRANSFORMER).unlink()
    for number, name in enumerate(EXPERTS):
        place = folder / f"{name}_noise_model"
        place.mkdir()
        _save_shards(_expert(kind, seed, number), place, "diffusion_pytorch_model")
    return folder


def _save_shards(tensors: Mapping[str, Tensor], folder: Path, name: str) -> None:
    """In two files, and the index that names them."""
    pairs = list(tensors.items())
    half = len(pairs) // 2
    weight_map = {}
    for shard, some in enumerate((pairs[:half], pairs[half:]), 1):
        file = f"{name}-{shard:05}-of-00002.safetensors"
        save_file(dict(some), folder / file)
        weight_map |= dict.fromkeys(dict(some), file)
    index = folder / f"{name}.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def write_repackaged_experts(folder: Path, kind: str = "t2v", seed: int = 0) -> Path:
    """The same weights as Comfy-Org packs them."""
    write_repackaged(folder, "t2v", seed)
    place = folder / "diffusion_models"
    for old in place.iterdir():
        old.unlink()
    for number, name in enumerate(EXPERTS):
        file = f"wan2.2_{kind[:3]}_{name}_noise_14B_fp32.safetensors"
        save_file(_expert(kind, seed, number), place / file)
    return folder


def _expert(kind: str, seed: int, number: int) -> dict[str, Tensor]:
    """The first one, of high noise, is numbered 0."""
    config = transformer_config("i2v_expert" if kind == "i2v" else kind)
    return weights(Transformer(config), seed + 100 * number)


def diffusers_transformer(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A transformer's tensors as diffusers names them."""
    return {diffusers_name(name) or name: tensor for name, tensor in tensors.items()}


def weights(module: nn.Module, seed: int) -> dict[str, Tensor]:
    """Random weights under the module's names, small enough for its results to stay in range."""
    draw = torch.Generator().manual_seed(seed)
    made = {}
    for name, tensor in module.state_dict().items():
        fan_in = max(1, tensor[0].numel()) if tensor.dim() > 1 else 16
        made[name] = torch.randn(tensor.shape, generator=draw) / fan_in**0.5
        if name.endswith(("norm.weight", "norm1.weight", "norm2.weight", "norm3.weight", "gamma")):
            made[name] = 1 + 0.1 * made[name]
        if name.endswith(("norm_q.weight", "norm_k.weight", "norm_k_img.weight")):
            made[name] = 1 + 0.1 * made[name]
    return made


def _text() -> UMT5:
    return UMT5(
        UMT5Config(vocab=VOCAB, dim=_TEXT_DIM, dim_attn=_TEXT_DIM, dim_ffn=96, heads=64, layers=8)
    )


def _published_eyes(seed: int) -> dict[str, Tensor]:
    """The image encoder's tower with what its file holds beside it."""
    tower = weights(ImageEncoder(_EYES), seed)
    made = {f"visual.{name}": tensor for name, tensor in tower.items()}
    made["visual.post_norm.weight"] = torch.ones(_IMAGE_DIM)
    made["visual.post_norm.bias"] = torch.zeros(_IMAGE_DIM)
    made["visual.head"] = torch.zeros(_IMAGE_DIM, 64)
    return made


def _hf_name(name: str) -> str:
    """A text encoder's name as Hugging Face's libraries have it."""
    if name == "token_embedding.weight":
        return "shared.weight"
    if name == "norm.weight":
        return "encoder.final_layer_norm.weight"
    _, number, rest = name.split(".", 2)
    layer = f"encoder.block.{number}.layer"
    inner = {
        "norm1.weight": "0.layer_norm.weight",
        "norm2.weight": "1.layer_norm.weight",
        "pos_embedding.embedding.weight": "0.SelfAttention.relative_attention_bias.weight",
        "ffn.gate.0.weight": "1.DenseReluDense.wi_0.weight",
        "ffn.fc1.weight": "1.DenseReluDense.wi_1.weight",
        "ffn.fc2.weight": "1.DenseReluDense.wo.weight",
    }
    return f"{layer}.{inner.get(rest) or rest.replace('attn', '0.SelfAttention')}"
