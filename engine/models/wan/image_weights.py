"""CLIP ViT-H's published files to a model, strictly; its sizes are read from its shapes."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.errors import WeightsError
from engine.models.loading import Stored, places_of
from engine.models.wan.image_encoder import ImageEncoder, ImageEncoderConfig
from engine.models.weights import load_strict, part, renamed

PUBLISHED = ImageEncoderConfig()
HEAD = 80  # channels of a head, where nothing tells how many heads there are

# What the files hold beside the tower, or behind the blocks that Wan looks at.
_UNUSED = re.compile(
    r"(visual\.)?(head|post_norm\.(weight|bias))|textual\..*|log_scale|logit_scale"
    r"|visual_projection\.weight|text_projection\.weight|text_model\..*"
    r"|vision_model\.(post_layernorm\.(weight|bias)|embeddings\.position_ids)"
)
# Hugging Face's names, after "vision_model.", -> Wan's, after "visual.".
_HF = (
    (r"embeddings\.class_embedding", "cls_embedding"),
    (r"embeddings\.position_embedding\.weight", "pos_embedding"),
    (r"embeddings\.patch_embedding\.weight", "patch_embedding.weight"),
    (r"pre_layrnorm\.(weight|bias)", r"pre_norm.\1"),
    (r"encoder\.layers\.(\d+)\.layer_norm([12])\.(weight|bias)", r"transformer.\1.norm\2.\3"),
    (r"encoder\.layers\.(\d+)\.self_attn\.out_proj\.(weight|bias)", r"transformer.\1.attn.proj.\2"),
    (
        r"encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.(weight|bias)",
        r"transformer.\1.attn.\2_proj.\3",
    ),
    (r"encoder\.layers\.(\d+)\.mlp\.fc1\.(weight|bias)", r"transformer.\1.mlp.0.\2"),
    (r"encoder\.layers\.(\d+)\.mlp\.fc2\.(weight|bias)", r"transformer.\1.mlp.2.\2"),
)
_RULES = [(re.compile(old), new) for old, new in _HF]
_TELLS = ("cls_embedding", "vision_model.embeddings.class_embedding")  # of Wan's, and of the other


def image_encoder_tensors(tensors: Mapping[str, Tensor], file: str = "") -> Mapping[str, Tensor]:
    """The tower's tensors under Wan's names, out of either layout, behind any prefix."""
    file = file or "The weights"
    for name in tensors:
        for tell in _TELLS:
            prefix = name.removesuffix(tell)
            if name.endswith(tell) and (not prefix or prefix.endswith(".")):
                prefix = prefix.removesuffix("visual.")
                used = _used(tensors, prefix)
                names = {old: _wan_name(old.removeprefix(prefix)) for old in used}
                return _fused(renamed(part(tensors, used), names, file))
    raise WeightsError(
        f"{file} is no CLIP image encoder: it has neither {' nor '.join(_TELLS)}.",
        "Wan needs CLIP ViT-H, for one clip_vision_h.safetensors.",
    )


def image_encoder_config(
    tensors: Mapping[str, Tensor], about: Mapping[str, Any] | None = None
) -> ImageEncoderConfig:
    """Sizes by the shapes of tensors under Wan's names; heads by `about`, else of 80 channels each.

    `about`: a config.json beside the weights. A size whose tensor is missing is the published one:
    the strict loader tells what is missing.
    """
    usual, about = PUBLISHED, about or {}
    kernel = _shape(tensors, "patch_embedding.weight", (usual.dim, 3, usual.patch, usual.patch))
    dim, patch = kernel[0], kernel[3]
    tokens = _shape(tensors, "pos_embedding", (1, usual.tokens, dim))[1]
    side = round((max(tokens, 1) - 1) ** 0.5)
    numbers = {int(m[1]) for name in tensors if (m := re.match(r"transformer\.(\d{1,3})\.", name))}
    told = about.get("vision_config", about)
    told = told if isinstance(told, Mapping) else {}
    heads = told.get("num_attention_heads", told.get("num_heads", max(1, dim // HEAD)))
    if not isinstance(heads, int) or heads < 1 or dim % heads:
        raise WeightsError(
            f"{heads} heads cannot share the image encoder's {dim} channels.",
            "The config.json beside the weights may be of another model.",
        )
    return ImageEncoderConfig(
        image=side * patch,
        patch=patch,
        dim=dim,
        dim_mlp=_shape(tensors, "transformer.0.mlp.0.weight", (usual.dim_mlp, dim))[0],
        heads=heads,
        layers=max(numbers, default=usual.layers - 1) + 1,
    )


def load_image_encoder(
    tensors: Mapping[str, Tensor],
    config: ImageEncoderConfig | None = None,
    file: str = "",
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> ImageEncoder:
    """The encoder out of what its file holds, in either layout; sized by its shapes by default."""
    named = image_encoder_tensors(tensors, file)
    sizes = config or image_encoder_config(named)
    return load_strict(lambda: ImageEncoder(sizes), named, file, dtype, device)


def _used(tensors: Mapping[str, Tensor], prefix: str) -> list[str]:
    """Names in the file of what the encoder needs."""
    names = [name for name in tensors if name.startswith(prefix)]
    return [name for name in names if not _UNUSED.fullmatch(name.removeprefix(prefix))]


def _fused(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Queries, keys and values become one layer, and the embeddings get all axes; else as it is."""
    places = dict(places_of(tensors))
    result = dict(tensors)
    for q in [name for name in result if name.endswith((".q_proj.weight", ".q_proj.bias"))]:
        names = [q.replace(".q_proj.", f".{third}_proj.") for third in "qkv"]
        if all(name in result for name in names):
            fused = torch.cat([result.pop(name) for name in names])
            result[q.replace(".q_proj.", ".to_qkv.")] = fused
    if "cls_embedding" in result and result["cls_embedding"].dim() == 1:
        result["cls_embedding"] = result["cls_embedding"].reshape(1, 1, -1)
    if "pos_embedding" in result and result["pos_embedding"].dim() == 2:
        result["pos_embedding"] = result["pos_embedding"][None]
    return Stored(result, {name: place for name, place in places.items() if name in result})


def _wan_name(name: str) -> str:
    name = name.removeprefix("visual.").removeprefix("vision_model.")
    for pattern, new in _RULES:
        if pattern.fullmatch(name):
            return pattern.sub(new, name)
    return name


def _shape(tensors: Mapping[str, Tensor], name: str, usual: tuple[int, ...]) -> tuple[int, ...]:
    tensor = tensors.get(name)
    if tensor is None or tensor.dim() != len(usual) or not tensor.numel():
        return usual
    return tuple(tensor.shape)
