"""Wan's transformer with its large matrices in 8 bits: stored so, or narrowed while it is read."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from engine.models.eight_bits import Narrowing, arrange
from engine.models.loading import Stored, places_of
from engine.models.lora import LoraUse, merge
from engine.models.wan.config import TransformerConfig
from engine.models.wan.precision import FP8_FORMS, stays_wide
from engine.models.wan.transformer import Transformer
from engine.models.wan.weights import is_exact, transformer_config
from engine.models.weights import load_strict, placed


def load_quantised(
    tensors: Mapping[str, Tensor],
    config: TransformerConfig | None = None,
    file: str = "",
    dtype: torch.dtype = torch.bfloat16,
    device: torch.device | str | None = None,
    *,
    quantization: str = "disabled",
    loras: Sequence[LoraUse] = (),
) -> Transformer:
    """The transformer of tensors under their published names, running in `dtype`.

    `quantization`: a name in FP8_FORMS, or "disabled". What the file has in 8 bits stays as it is
    in the file, whatever the name says, but for its "_fast". LoRAs are merged. The rest is as
    `load_transformer` loads it.
    """
    form = FP8_FORMS.get(quantization)
    assert form is not None or quantization == "disabled", quantization
    sizes = config or transformer_config(tensors)
    build, arranged, done = arrange(
        lambda: Transformer(sizes),
        tensors,
        file,
        dtype,
        device,
        is_fast=form is not None and form.is_fast,
        narrow=None if form is None else Narrowing(form, stays_wide),
        loras=loras,
    )
    model = load_strict(build, arranged, file)
    exact, large = (_some(arranged, [n for n in arranged if is_exact(n) == e]) for e in (1, 0))
    state = {**placed(exact, None, device), **placed(large, dtype, device)}
    model.load_state_dict(state, strict=True, assign=True)
    model.dtype = dtype
    merge(model, loras, without=done)
    return model


def _some(tensors: Mapping[str, Tensor], names: Iterable[str]) -> Stored:
    places = places_of(tensors)
    chosen = list(names)
    return Stored(
        {name: tensors[name] for name in chosen},
        {name: places[name] for name in chosen if name in places},
    )
