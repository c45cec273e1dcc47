"""Wan's published files to models, strictly; sizes are read from shapes."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.errors import WeightsError
from engine.models.loading import Stored, places_of, transfer
from engine.models.wan.config import (
    TRANSFORMER_VARIANTS,
    VAE_VARIANTS,
    TransformerConfig,
    VaeConfig,
)
from engine.models.wan.names import published, refuse_others
from engine.models.wan.transformer import Transformer
from engine.models.wan.vae import DECODER_TENSORS, VaeDecoder
from engine.models.weights import count_of, load_strict, part, read_tensors, shape_of

Dtype = torch.dtype | None

_ENLARGES = re.compile(r"decoder\.upsamples\.(\d{1,3})\.resample\.")  # after a stage's blocks

HEAD = 128  # channels of a head, where nothing tells how many heads there are

# Few values, and what is computed of them is in float32: they stay as they are stored.
EXACT_PARTS = ("time_embedding.", "time_projection.", "patch_embedding.", "img_emb.", "head.")


def vae_config(tensors: Mapping[str, Tensor]) -> VaeConfig:
    """Its narrowest width and its residual blocks; all else is Wan 2.1's.

    What does not fit, the strict loader tells.
    """
    usual = VAE_VARIANTS["wan2.1_vae"]
    head = tensors.get("decoder.head.2.weight")
    numbers = [int(found[1]) for name in tensors if (found := _ENLARGES.match(name))]
    return replace(
        usual,
        dim=usual.dim if head is None or head.dim() != 5 else head.shape[1],
        num_res_blocks=max(1, min(numbers, default=usual.num_res_blocks + 1) - 1),
    )


def load_vae_decoder(
    tensors: Mapping[str, Tensor], config: VaeConfig, file: str = "", dtype: Dtype = None
) -> VaeDecoder:
    """Wan2.1_VAE.pth, the half that decodes. The other half may be there or not."""
    return load_strict(lambda: VaeDecoder(config), part(tensors, DECODER_TENSORS), file, dtype)


def read_transformer(path: Path, dtype: Dtype = None, device: str = "cpu") -> Transformer:
    """The transformer of a file or an index of several, in any of the layouts that people have."""
    tensors = read_tensors(path)
    refuse_others(tensors, str(path))
    tensors = published(tensors, str(path))
    config = transformer_config(tensors, about(path))
    return load_transformer(tensors, config, str(path), dtype, device)


def transformer_config(
    tensors: Mapping[str, Tensor], about: Mapping[str, Any] | None = None
) -> TransformerConfig:
    """Sizes by the shapes, of published names; heads by `about`, else of 128 channels each.

    `about` is a config.json, Wan-AI's or diffusers'. A size whose tensor is missing is that of T2V
    1.3B: the strict loader tells what is missing.
    """
    usual, about = TransformerConfig(), about or {}
    embedding = shape_of(tensors, "patch_embedding.weight", (usual.dim, usual.in_dim, *usual.patch))
    dim, in_dim, t, h, w = embedding
    out = shape_of(tensors, "head.head.weight", (usual.out_dim * t * h * w, dim))[0]
    heads = about.get("num_heads", about.get("num_attention_heads", max(1, dim // HEAD)))
    if not isinstance(heads, int) or heads < 1 or dim % heads or (dim // heads) % 2:
        raise WeightsError(
            f"{heads} heads cannot share the transformer's {dim} channels.",
            "The config.json beside the weights may be of another model.",
        )
    has_image = "blocks.0.cross_attn.k_img.weight" in tensors or "img_emb.proj.0.weight" in tensors
    image_dim = shape_of(tensors, "img_emb.proj.0.weight", (1280,))[0] if has_image else 0
    places = shape_of(tensors, "img_emb.emb_pos", (1, 0, image_dim))[1] if has_image else 0
    length = about.get("text_len", usual.text_len)
    return TransformerConfig(
        dim=dim,
        heads=heads,
        ffn_dim=shape_of(tensors, "blocks.0.ffn.0.weight", (usual.ffn_dim, dim))[0],
        layers=count_of(tensors, "blocks.", usual.layers),
        in_dim=in_dim,
        out_dim=out // (t * h * w),
        text_dim=shape_of(tensors, "text_embedding.0.weight", (dim, usual.text_dim))[1],
        text_len=length if isinstance(length, int) and length > 0 else usual.text_len,
        freq_dim=shape_of(tensors, "time_embedding.0.weight", (dim, usual.freq_dim))[1],
        image_dim=image_dim,
        image_positions=places,
        patch=(t, h, w),
    )


def variants(config: TransformerConfig) -> list[str]:
    """The published models of these sizes: none, one, or some that only their training tells."""
    return [name for name, known in TRANSFORMER_VARIANTS.items() if known == config]


def load_transformer(
    tensors: Mapping[str, Tensor],
    config: TransformerConfig | None = None,
    file: str = "",
    dtype: Dtype = None,
    device: torch.device | str | None = None,
) -> Transformer:
    """The transformer of tensors under their published names (see `published`).

    `dtype` is what it runs in; without it, what the first block is stored in. Weights that are
    computed in float32 stay as stored, but for those of 8 bits. What 8-bit weights are to be
    multiplied by is no part of the model: tensors with scales are refused here.
    """
    config = config or transformer_config(tensors)
    model = load_strict(lambda: Transformer(config), tensors, file)
    dtype = dtype or _running(model.state_dict()["blocks.0.self_attn.q.weight"].dtype)
    model.load_state_dict(_placed(tensors, dtype, device), strict=True, assign=True)
    model.dtype = dtype
    return model


def is_exact(name: str) -> bool:
    """Whether a tensor, by its published name, belongs to what is computed in float32."""
    last = name.rpartition(".")[0].rpartition(".")[2]
    return name.startswith(EXACT_PARTS) or name.endswith("modulation") or last.startswith("norm")


def about(path: Path) -> dict[str, Any]:
    """The config.json beside a file of weights; empty where there is none."""
    beside = path.with_name("config.json")
    if not beside.is_file():
        return {}
    try:
        found = json.loads(beside.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{beside} cannot be read: {error}.", "Get it again.") from error
    return found if isinstance(found, dict) else {}


def _running(stored: torch.dtype) -> torch.dtype:
    """What weights of a stored dtype run in, when nobody chose."""
    return stored if stored.itemsize in (2, 4) else torch.bfloat16


def _placed(
    tensors: Mapping[str, Tensor], dtype: torch.dtype, device: torch.device | str | None
) -> dict[str, Tensor]:
    """The tensors where and as the model takes them; what is right as it is stays as it is."""
    result: dict[str, Tensor] = {}
    places = places_of(tensors)
    moving: dict[torch.dtype, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        wanted = tensor.dtype if is_exact(name) and tensor.dtype.itemsize > 1 else dtype
        there = torch.device(device) if device is not None else tensor.device
        if (tensor.device, tensor.dtype) == (there, wanted):
            result[name] = tensor
        elif tensor.is_cpu and (there.type == "cuda" or (there.type == "cpu" and name in places)):
            moving.setdefault(wanted, {})[name] = tensor
        else:
            result[name] = tensor.to(there, wanted)
    for wanted, group in moving.items():
        known = {name: places[name] for name in group if name in places}
        there = torch.device(device or "cpu")
        result.update(transfer(Stored(group, known), there, wanted))
    return result
