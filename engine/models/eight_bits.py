"""Checkpoints in 8 bits to modules that stay so; wider ones are narrowed while they are read."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from engine.errors import WeightsError
from engine.models.linear import (
    FRACTION_BITS,
    Fp8Form,
    Fp8Linear,
    linears,
    put,
    weights_to_eight_bits,
)
from engine.models.loading import Place, Stored, places_of, transfer
from engine.models.lora import LoraUse, merge, merged
from engine.models.weights import load_strict

M = TypeVar("M", bound=nn.Module)

MARK = "scaled_fp8"  # with two elements, products of 8 bits are not meant
WEIGHT_SCALES = ("scale_weight", "weight_scale")
# Activations are measured anew for each token, which is finer than a scale for all of them.
INPUT_SCALES = ("scale_input", "input_scale")
NOTE = "comfy_quant"  # JSON, in bytes


@dataclass(frozen=True)
class Narrowing:
    """What is done to wider linear layers: `form`, but for weights that `stays` says yes to."""

    form: Fp8Form
    stays: Callable[[str], bool]


@dataclass(frozen=True)
class EightBits:
    """What a checkpoint says of its 8 bits: how many tensors have them, and of which kind.

    Without scales its values are meant as they are. `may_multiply`: products of 8 bits are meant.
    """

    kind: torch.dtype
    count: int
    is_scaled: bool
    may_multiply: bool


class _Given(Stored):
    """The tensors as they are put in order."""

    places: dict[str, Place]

    def forget(self, name: str) -> None:
        """Takes a tensor away, where it is there."""
        self.pop(name, None)
        self.places.pop(name, None)


def eight_bits(tensors: Mapping[str, Tensor]) -> EightBits | None:
    """The facts, or None where nothing is in 8 bits."""
    kinds = [
        tensor.dtype
        for name, tensor in tensors.items()
        if tensor.dtype in FRACTION_BITS and name != MARK  # which has no numbers, but a type
    ]
    if not kinds:
        return None
    is_scaled = any(name.rpartition(".")[2] in WEIGHT_SCALES for name in tensors)
    mark = tensors.get(MARK)
    may_multiply = mark is None or mark.numel() != 2
    return EightBits(max(set(kinds), key=kinds.count), len(kinds), is_scaled, may_multiply)


class Arranged(NamedTuple, Generic[M]):
    """For `load_strict`: what builds a module with layers in 8 bits, and its tensors.

    `merged`: weights that hold their LoRAs already.
    """

    build: Callable[[], M]
    tensors: Mapping[str, Tensor]
    merged: frozenset[str]


def load_eight_bits(
    build: Callable[[], M],
    tensors: Mapping[str, Tensor],
    file: str = "",
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    *,
    is_fast: bool = False,
    narrow: Narrowing | None = None,
    loras: Sequence[LoraUse] = (),
) -> M:
    """As `load_strict`, but what plain linear layers have in 8 bits stays so; the rest is widened.

    `is_fast`: they are multiplied so, where file and device allow it. `narrow`: what is done to
    wider layers, one at a time, so that beside the result only one tensor is held. LoRAs are merged
    before that, where rounding does not swallow them; into what is in 8 bits already, after it.
    """
    arranged = arrange(
        build, tensors, file, dtype, device, is_fast=is_fast, narrow=narrow, loras=loras
    )
    module = load_strict(arranged.build, arranged.tensors, file, dtype, device)
    merge(module, loras, without=arranged.merged)
    return module


def arrange(
    build: Callable[[], M],
    tensors: Mapping[str, Tensor],
    file: str = "",
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    *,
    is_fast: bool = False,
    narrow: Narrowing | None = None,
    loras: Sequence[LoraUse] = (),
) -> Arranged[M]:
    """What `load_eight_bits` loads, for loaders that place tensors in a way of their own.

    Only what is narrowed, and the little that is widened, is read here.
    """
    with torch.device("meta"):
        module = build()
    layers = linears(module)
    given = _Given(tensors, dict(places_of(tensors)))
    facts = eight_bits(tensors)
    given.forget(MARK)
    for name, tensor in tensors.items():
        if facts is None or tensor.dtype not in FRACTION_BITS or name == MARK:
            continue
        path = _path_of(name)
        if path in layers and layers[path].weight.shape == tensor.shape:
            is_meant = facts.may_multiply and not _is_for_widening(given, name, file)
            form = _take_stored(given, name, file, is_fast and is_meant)
            put(module, path, Fp8Linear(layers.pop(path), form))
        else:
            _widen(given, name, file, dtype or torch.bfloat16)
    narrowed = set[str]()
    if narrow is not None:
        for path, layer in layers.items():
            name = f"{path}.weight"
            wide = given.get(name)
            is_wide = wide is not None and wide.is_floating_point()
            if is_wide and given[name].shape == layer.weight.shape and not narrow.stays(name):
                _narrow(given, name, narrow.form, device, loras)
                put(module, path, Fp8Linear(layer, narrow.form))
                narrowed.add(name)
    return Arranged(lambda: module, given, frozenset(narrowed))


def _take_stored(given: _Given, name: str, file: str, is_fast: bool) -> Fp8Form:
    """Puts a weight and its scales as an Fp8Linear holds them; the bytes stay where they are."""
    weight = given[name]
    scale = _take_scale(given, name, len(weight), file)
    kind = weight.dtype
    given[name] = weight.view(torch.uint8)
    rows = torch.ones(len(weight), 1) if scale is None else scale.expand(len(weight), 1)
    given[_beside(name, "scale")] = rows.contiguous().view(torch.int32)
    if scale is None:
        return Fp8Form(kind, "none", is_fast)
    return Fp8Form(kind, "tensor" if len(scale) == 1 else "row", is_fast)


def _widen(given: _Given, name: str, file: str, dtype: torch.dtype) -> None:
    """For layers that are computed in the dtype of the run."""
    tensor = given[name]
    scale = _take_scale(given, name, tensor.shape[0] if tensor.dim() else 1, file)
    _take_note(given, name, file)
    wide = tensor.to(dtype)
    if scale is not None:
        wide = torch.mul(wide, scale.view(-1, *[1] * (tensor.dim() - 1)).to(wide.device), out=wide)
    given[name] = wide
    given.places.pop(name, None)


def _narrow(
    given: _Given,
    name: str,
    form: Fp8Form,
    device: torch.device | str | None,
    loras: Sequence[LoraUse],
) -> None:
    """One weight to 8 bits, on the device."""
    places = {name: given.places[name]} if name in given.places else {}
    wide = transfer(Stored({name: given[name]}, places), torch.device(device or "cpu"))[name]
    if any(use.changes(name) for use in loras):
        wide = merged(wide, name, loras)
    packed, scale = weights_to_eight_bits(wide, form)
    given.forget(name)
    given[name] = packed.view(torch.uint8)
    given[_beside(name, "scale")] = scale.view(torch.int32)


def _take_scale(given: _Given, name: str, rows: int, file: str) -> Tensor | None:
    """The scale of a weight, (1, 1) or (rows, 1), float32; what lies beside it goes."""
    for last in INPUT_SCALES:
        given.forget(_beside(name, last))
    for last in WEIGHT_SCALES:
        key = _beside(name, last)
        scale = given.get(key)
        if scale is not None:
            if scale.numel() not in (1, rows) or not scale.is_floating_point():
                raise WeightsError(
                    f"{file or 'The weights'}: tensor {key!r} has shape {list(scale.shape)}, "
                    f"expected one scale or one for each of {rows} rows.",
                    "The weights are packed in a way that is not known here. Get them in another.",
                )
            given.forget(key)
            return scale.float().reshape(-1, 1)
    return None


def _is_for_widening(given: _Given, name: str, file: str) -> bool:
    """Whether the note beside a weight says that it is not to be multiplied in 8 bits."""
    return bool(_take_note(given, name, file).get("full_precision_matrix_mult"))


def _take_note(given: _Given, name: str, file: str) -> dict[str, object]:
    """What the note beside a weight says; {} where there is none."""
    key = _beside(name, NOTE)
    tensor = given.get(key)
    if tensor is None:
        return {}
    given.forget(key)
    try:
        note = json.loads(bytes(tensor.view(torch.uint8).flatten().tolist()))
    except (ValueError, RuntimeError, RecursionError):
        note = None
    if not isinstance(note, dict) or not str(note.get("format")).startswith("float8_"):
        raise WeightsError(
            f"{file or 'The weights'}: {name!r} is packed in a way that is not known here.",
            "Get the weights in bfloat16 or in plain 8 bits.",
        )
    return note


def _path_of(name: str) -> str:
    return name.removesuffix(".weight") if name.endswith(".weight") else ""


def _beside(name: str, last: str) -> str:
    """Of "a.b.weight" the name of what lies beside it: "a.b.last"."""
    return ".".join([*name.split(".")[:-1], last])
