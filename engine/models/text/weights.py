"""UMT5's published files to a model, strictly; its sizes are read from its shapes."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from engine.errors import WeightsError
from engine.models.text.umt5 import UMT5, UMT5Config
from engine.models.weights import load_strict, part, renamed

TOKENIZER = "spiece_model"  # a tokenizer inside an encoder's file, as bytes
PUBLISHED = UMT5Config()

# Hugging Face's names -> Wan's. What follows a layer's name ("weight", a scale) stays.
_HF = (
    (r"shared|encoder\.embed_tokens", "token_embedding"),
    (r"encoder\.final_layer_norm", "norm"),
    (r"encoder\.block\.(\d+)\.layer\.0\.layer_norm", r"blocks.\1.norm1"),
    (r"encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.([qkvo])", r"blocks.\1.attn.\2"),
    (
        r"encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.relative_attention_bias",
        r"blocks.\1.pos_embedding.embedding",
    ),
    (r"encoder\.block\.(\d+)\.layer\.1\.layer_norm", r"blocks.\1.norm2"),
    (r"encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_0", r"blocks.\1.ffn.gate.0"),
    (r"encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_1", r"blocks.\1.ffn.fc1"),
    (r"encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wo", r"blocks.\1.ffn.fc2"),
)
_RULES = [(re.compile(rf"(?:{old})\.([^.]+)"), rf"{new}.\{old.count('(') + 1}") for old, new in _HF]
_SHARED, _ALIAS = "shared.weight", "encoder.embed_tokens.weight"  # one tensor; either or both
_TELLS = {"wan": "blocks.0.attn.q.weight", "hf": "encoder.block.0.layer.0.SelfAttention.q.weight"}


def umt5_tensors(tensors: Mapping[str, Tensor], file: str = "") -> Mapping[str, Tensor]:
    """The encoder's tensors under Wan's names, out of either layout, behind any prefix.

    The tokenizer inside is left out. Scales of 8-bit layers stay beside their layers' weights.
    """
    file = file or "The weights"
    layout, prefix = _layout(tensors, file)
    names = {
        name.removeprefix(prefix): name
        for name in tensors
        if name.startswith(prefix) and name.removeprefix(prefix) != TOKENIZER
    }
    if layout == "hf":
        if _SHARED in names:
            names.pop(_ALIAS, None)
        names = {_wan_name(name): old for name, old in names.items()}
        if "blocks.1.norm1.weight" in names and not any(
            re.match(r"blocks\.[1-9]\d*\.pos_embedding\.", name) for name in names
        ):
            raise WeightsError(
                f"{file} is a T5 encoder: only its first layer has a table of positions.",
                "Wan needs UMT5-XXL, for one umt5_xxl_fp16.safetensors.",
            )
    old = {name: new for new, name in names.items()}
    return renamed(part(tensors, old), old, file)


def umt5_config(tensors: Mapping[str, Tensor]) -> UMT5Config:
    """Sizes by the shapes of tensors under Wan's names.

    A size whose tensor is missing is the published one: the strict loader tells what is missing.
    """
    usual = PUBLISHED

    def shape(name: str, otherwise: tuple[int, int]) -> tuple[int, int]:
        tensor = tensors.get(name)
        if tensor is None or tensor.dim() != 2:
            return otherwise
        return tensor.shape[0], tensor.shape[1]

    vocab, dim = shape("token_embedding.weight", (usual.vocab, usual.dim))
    buckets, heads = shape("blocks.0.pos_embedding.embedding.weight", (usual.buckets, usual.heads))
    numbers = {int(m[1]) for name in tensors if (m := re.match(r"blocks\.(\d{1,3})\.", name))}
    config = UMT5Config(
        vocab=vocab,
        dim=dim,
        dim_attn=shape("blocks.0.attn.q.weight", (usual.dim_attn, dim))[0],
        dim_ffn=shape("blocks.0.ffn.fc1.weight", (usual.dim_ffn, dim))[0],
        heads=heads,
        layers=max(numbers, default=usual.layers - 1) + 1,
        buckets=buckets,
    )
    if heads < 1 or config.dim_attn % heads:
        raise WeightsError(
            f"{heads} heads cannot share the text encoder's {config.dim_attn} channels.",
            "The file is damaged, or of another model.",
        )
    return config


def load_umt5(
    tensors: Mapping[str, Tensor],
    config: UMT5Config | None = None,
    file: str = "",
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> UMT5:
    """The encoder out of what its file holds, in either layout; sized by its shapes by default."""
    named = umt5_tensors(tensors, file)
    sizes = config or umt5_config(named)
    return load_strict(lambda: UMT5(sizes), named, file, dtype, device)


def _layout(tensors: Mapping[str, Tensor], file: str) -> tuple[str, str]:
    """How the tensors are named, and what stands before every name."""
    for layout, tell in _TELLS.items():
        for name in tensors:
            if name == tell or name.endswith(f".{tell}"):
                return layout, name.removesuffix(tell)
    raise WeightsError(
        f"{file} is no UMT5 text encoder: it has neither {' nor '.join(_TELLS.values())}.",
        "Wan needs UMT5-XXL, for one umt5_xxl_fp16.safetensors.",
    )


def _wan_name(name: str) -> str:
    for pattern, new in _RULES:
        if pattern.fullmatch(name):
            return pattern.sub(new, name)
    return name
