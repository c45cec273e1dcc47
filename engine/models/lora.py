"""LoRAs: small changes to weights, merged into them or computed beside them.

A weight W becomes W + strength * scale * up @ down, with scale = alpha / rank where the file has an
alpha, else 1 (Hu et al. 2021, arXiv 2106.09685); rank-stabilised files without alpha (Kalajdzievski
2023, arXiv 2312.03732) take floor(rank^1.5) for it. Differences ("diff") are added as they are.
"""

import re
import zlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.errors import EffectError, WeightsError
from engine.models.linear import Fp8Linear, LoraLinear, put, put_tensor
from engine.models.lora_keys import IMAGE, Reason, Spellings, split

STABILISED = "base_model.model."
# Files that have this key are rank-stabilised; it is how the programs that load them tell.
STABILISED_MARK = "base_model.model.blocks.0.cross_attn.k.lora_A.weight"
THIN = ("down", "up", "alpha")  # the roles that make up factors
EXAMPLES = 3
_BLOCK = re.compile(r"blocks\.(\d+)\.")


@dataclass(frozen=True)
class Factors:
    """A change of low rank: scale * up @ down. down: (R, …), up: (M, R, …), as stored."""

    down: Tensor
    up: Tensor
    scale: float

    def added_to(self, weight: Tensor, strength: float) -> None:
        """Adds strength times the change to weight, float32, of any shape (M, …)."""
        down, up = (x.to(weight.device, torch.float32).flatten(1) for x in (self.down, self.up))
        weight.view(len(weight), -1).addmm_(up, down, alpha=strength * self.scale)


@dataclass(frozen=True)
class Matching:
    """What of a file fits a model: parameters that change, and keys left out, by reason."""

    file: str
    used: int  # tensors of the file
    changed: tuple[str, ...]
    left_out: Mapping[Reason, tuple[str, ...]]

    def sentences(self) -> list[str]:
        """For a person; of many keys only the first few."""
        told = [f"{self.file}: {_tensors(self.used)} change {len(self.changed)} of the model's."]
        for reason, keys in self.left_out.items():
            text = f"Left out: {reason.value.format(_tensors(len(keys)))}"
            if reason is not Reason.IMAGE:
                more = ", …" if len(keys) > EXAMPLES else ""
                text += f" ({', '.join(keys[:EXAMPLES])}{more})"
            told.append(f"{text}.")
        return told


@dataclass(frozen=True)
class Lora:
    """Changes by the parameter they change, and what of the file they are."""

    factors: Mapping[str, Factors]
    differences: Mapping[str, Tensor]
    matching: Matching


@dataclass(frozen=True)
class LoraUse:
    """A LoRA with its strength, in all blocks or some.

    Several strengths are one for each step, the last one for all that follow.
    """

    lora: Lora
    strength: float | tuple[float, ...] = 1.0
    blocks: frozenset[int] | None = None

    def at(self, step: int) -> float:
        """The strength in a step, from 0."""
        if isinstance(self.strength, tuple):
            return self.strength[min(step, len(self.strength) - 1)]
        return self.strength

    def changes(self, name: str) -> bool:
        """Whether the parameter is changed; what is in no block always may be."""
        block = _BLOCK.match(name)
        is_chosen = self.blocks is None or block is None or int(block[1]) in self.blocks
        return is_chosen and (name in self.lora.factors or name in self.lora.differences)


def read_lora(tensors: Mapping[str, Tensor], model: Mapping[str, torch.Size], file: str) -> Lora:
    """The LoRA for a model, from a file's tensors and the shapes of the model's parameters.

    Raises WeightsError where nothing fits, or only what happens to be as large in models of another
    size. `file` is its name, for messages.
    """
    sorting = _Sorting(tensors, model)
    changed = tuple(n for n in model if n in sorting.factors or n in sorting.differences)
    left_out = {r: tuple(sorting.left_out[r]) for r in Reason if r in sorting.left_out}
    used = len(tensors) - sum(map(len, left_out.values()))
    matching = Matching(file, used, changed, left_out)
    if not changed or len(left_out.get(Reason.SIZE, ())) > used:
        counts = {reason: len(keys) for reason, keys in left_out.items()}
        main = max(counts, key=lambda reason: counts[reason], default=Reason.UNKNOWN)
        why = main.value.format(_tensors(counts.get(main, 0)))
        raise WeightsError(
            f"{file} does not fit this model: it has {why}.",
            "Choose a LoRA that was made for this model and its size.",
            "\n".join(matching.sentences()),
        )
    return Lora(sorting.factors, sorting.differences, matching)


def shapes_of(module: nn.Module) -> dict[str, torch.Size]:
    """The shapes of the parameters that a LoRA can change, by name."""
    return {name: getattr(owner, last).shape for name, (owner, last) in _owners(module).items()}


def merged(weight: Tensor, name: str, uses: Sequence[LoraUse]) -> Tensor:
    """The parameter with every change, in float32; a strength for each step is an EffectError."""
    if any(isinstance(use.strength, tuple) for use in uses):
        raise EffectError(
            "A LoRA whose strength changes by step cannot be merged.", "Choose to apply it live."
        )
    return _changed(weight, name, uses, [use.at(0) for use in uses])


def merge(module: nn.Module, uses: Sequence[LoraUse], without: Collection[str] = ()) -> int:
    """Merges into a module's parameters, but for those in `without`; how many were changed.

    Weights in 8 bits are widened, changed, and rounded again, up or down by a chance that is the
    same each time: to the nearest, most of a small change would be lost.
    """
    count = 0
    for name, (owner, last) in _owners(module).items():
        if name not in without and any(use.changes(name) for use in uses):
            value = merged(_value(owner, last), name, uses)
            _make_own(owner, last)
            _set(owner, last, name, value)
            count += 1
    return count


class LiveLoras:
    """LoRAs beside the weights of a module, whose strengths may change between two runs.

    Thin products are computed at run time, in `dtype`; all else is merged, and each parameter as it
    was is kept on the CPU. To be put on before the module is compiled or its blocks are swapped.
    """

    def __init__(self, module: nn.Module, uses: Sequence[LoraUse], dtype: torch.dtype) -> None:
        self._module, self._uses = module, tuple(uses)
        self._layers: dict[str, tuple[LoraLinear, list[_Span]]] = {}
        self._kept: list[_Kept] = []
        self._strengths: list[float] = []
        assert not any(isinstance(layer, LoraLinear) for layer in module.modules())
        for name, (owner, last) in _owners(module).items():
            users = [use for use in self._uses if use.changes(name)]
            is_live = isinstance(owner, nn.Linear | Fp8Linear) and last == "weight"
            if is_live and any(name in use.lora.factors for use in users):
                assert isinstance(owner, nn.Linear | Fp8Linear)
                layer, spans = _beside(owner, name, self._uses, dtype)
                self._layers[name.removesuffix(".weight")] = layer, spans
            if any(not is_live or name in use.lora.differences for use in users):
                self._kept.append(_Kept(owner, last, name, not is_live))
        for path, (layer, _) in self._layers.items():
            put(module, path, layer)
        self.set_step(0)

    @property
    def count(self) -> int:
        """Layers with thin products."""
        return len(self._layers)

    def set_step(self, step: int) -> None:
        """The strengths of a step, from 0."""
        self.set_strengths([use.at(step) for use in self._uses])

    def renew(self, uses: Sequence[LoraUse]) -> None:
        """The same LoRAs by other strengths, which are written whatever was written before."""
        self._uses, self._strengths = tuple(uses), []

    def set_strengths(self, strengths: Sequence[float]) -> None:
        """One for each LoRA, in their order."""
        if list(strengths) == self._strengths:
            return
        self._strengths = list(strengths)
        for layer, spans in self._layers.values():
            for span in spans:
                layer.strengths[span.begin : span.end].fill_(strengths[span.use])
        for kept in self._kept:
            kept.restore()
            if any(strengths):
                value = _value(kept.owner, kept.last)
                value = _changed(value, kept.name, self._uses, strengths, kept.with_factors)
                _set(kept.owner, kept.last, kept.name, value)

    def remove(self) -> None:
        """The module as it was."""
        for path, (layer, _) in self._layers.items():
            put(self._module, path, layer.inner)
        for kept in self._kept:
            kept.restore()
        self._layers, self._kept = {}, []


class _Sorting:
    """A file's tensors, each in its place or left out with the reason."""

    def __init__(self, tensors: Mapping[str, Tensor], model: Mapping[str, torch.Size]) -> None:
        self.factors: dict[str, Factors] = {}
        self.differences: dict[str, Tensor] = {}
        self.left_out: dict[Reason, list[str]] = defaultdict(list)
        self._tensors, self._model = tensors, model
        self._spellings = Spellings(model)
        self._is_stabilised = STABILISED_MARK in tensors
        groups: dict[str, dict[str, str]] = defaultdict(dict)  # by layer: the key of each role
        for key in tensors:
            layer, role = split(key)
            if not role or role in groups[layer]:
                self.left_out[Reason.TWICE if role else _unknown(key)].append(key)
            else:
                groups[layer][role] = key
        for layer, keys in groups.items():
            self._sort(layer, keys)

    def _sort(self, layer: str, keys: dict[str, str]) -> None:
        if "other" in keys:  # half of another method would be another change
            self.left_out[Reason.METHOD] += keys.values()
            return
        thin: dict[str, str] = {role: keys.pop(role) for role in THIN if role in keys}
        if thin:
            name = self._spellings.parameter(layer, "weight")
            reason = self._unfit(layer, name, thin)
            if reason is None and name is not None:
                self.factors[name] = self._read(layer, thin)
            else:
                self.left_out[reason or Reason.UNKNOWN] += thin.values()
        for role, key in keys.items():
            name = self._spellings.parameter(layer, role)
            if name is None:
                self.left_out[_unknown(layer)].append(key)
            elif name in self.differences:
                self.left_out[Reason.TWICE].append(key)
            elif _squeezed(self._tensors[key].shape) != _squeezed(self._model[name]):
                self.left_out[_of_size(name)].append(key)
            else:
                self.differences[name] = self._tensors[key]

    def _unfit(self, layer: str, name: str | None, keys: dict[str, str]) -> Reason | None:
        """Why factors cannot be used; None where they can."""
        if name is None:
            return _unknown(layer)
        if name in self.factors:
            return Reason.TWICE
        if "down" not in keys or "up" not in keys:
            return Reason.HALF
        down, up = self._tensors[keys["down"]], self._tensors[keys["up"]]
        shape = self._model[name]
        if min(down.dim(), up.dim(), len(shape)) < 2 or not down.numel():
            return Reason.SIZE
        wide = (up.shape[0], up.shape[1:].numel(), down.shape[0], down.shape[1:].numel())
        rank = down.shape[0]
        return None if wide == (shape[0], rank, rank, shape[1:].numel()) else _of_size(name)

    def _read(self, layer: str, keys: dict[str, str]) -> Factors:
        down, up = self._tensors[keys["down"]], self._tensors[keys["up"]]
        rank = len(down)
        if "alpha" in keys:
            alpha = float(self._tensors[keys["alpha"]].float().flatten()[0])
        elif self._is_stabilised and layer.startswith(STABILISED):
            alpha = float(int(rank**1.5))
        else:
            alpha = float(rank)
        return Factors(down, up, alpha / rank)


class _Span(NamedTuple):
    """The rows of a layer's thin matrices that belong to one use, by its number."""

    use: int
    begin: int
    end: int


class _Kept:
    """A parameter as it was, on the CPU."""

    def __init__(self, owner: nn.Module, last: str, name: str, with_factors: bool) -> None:
        self.owner, self.last, self.name, self.with_factors = owner, last, name, with_factors
        _make_own(owner, last)
        self._tensors = {part: getattr(owner, part).cpu().clone() for part in _parts(owner, last)}

    def restore(self) -> None:
        """Writes it back."""
        with torch.no_grad():
            for part, tensor in self._tensors.items():
                getattr(self.owner, part).copy_(tensor)


def _beside(
    inner: nn.Linear | Fp8Linear, name: str, uses: Sequence[LoraUse], dtype: torch.dtype
) -> tuple[LoraLinear, list[_Span]]:
    """The layer with all LoRAs' factors below each other, and whose rows are where."""
    downs, ups, spans, rank = [], [], list[_Span](), 0
    device = inner.weight.device
    with torch.inference_mode(False), torch.no_grad():
        for number, use in enumerate(uses):
            factors = use.lora.factors.get(name)
            if factors is not None and use.changes(name):
                down, up = (x.to(device).flatten(1) for x in (factors.down, factors.up))
                downs.append(down.to(dtype))
                ups.append((up.float() * factors.scale).to(dtype))
                spans.append(_Span(number, rank, rank := rank + len(down)))
        return LoraLinear(inner, torch.cat(downs), torch.cat(ups, dim=1)), spans


def _changed(
    weight: Tensor,
    name: str,
    uses: Sequence[LoraUse],
    strengths: Sequence[float],
    with_factors: bool = True,
) -> Tensor:
    """The parameter with every change, in float32, never the one that was given."""
    wide = weight.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    for use, strength in zip(uses, strengths, strict=True):
        if not use.changes(name) or not strength:
            continue
        if with_factors and name in use.lora.factors:
            use.lora.factors[name].added_to(wide, strength)
        if name in use.lora.differences:
            difference = use.lora.differences[name].to(wide.device, torch.float32)
            wide.add_(difference.reshape(wide.shape), alpha=strength)
    return wide


def _owners(module: nn.Module) -> dict[str, tuple[nn.Module, str]]:
    """Each parameter by name: the module that has it, and its name there."""
    found = {}
    inner = {f"{path}.inner" for path, m in module.named_modules() if isinstance(m, LoraLinear)}
    for path, owner in module.named_modules():
        lasts = [last for last, _ in owner.named_parameters(recurse=False)]
        if isinstance(owner, Fp8Linear):
            lasts = ["weight"] if owner.bias is None else ["weight", "bias"]
        shown = path.removesuffix(".inner") if path in inner else path
        found.update({f"{shown}.{last}".lstrip("."): (owner, last) for last in lasts})
    return found


def _value(owner: nn.Module, last: str) -> Tensor:
    if isinstance(owner, Fp8Linear) and last == "weight":
        return owner.widened(torch.float32)
    value: Tensor = getattr(owner, last)
    return value


def _parts(owner: nn.Module, last: str) -> tuple[str, ...]:
    """The tensors that make up a parameter."""
    is_eight = isinstance(owner, Fp8Linear) and last == "weight"
    return (last, "scale") if is_eight else (last,)


def _make_own(owner: nn.Module, last: str) -> None:
    """Before a parameter is written to: until now it may be shared with who read the file."""
    with torch.inference_mode(False), torch.no_grad():
        for part in _parts(owner, last):
            put_tensor(owner, part, getattr(owner, part).detach().clone())


def _set(owner: nn.Module, last: str, name: str, value: Tensor) -> None:
    with torch.no_grad():
        if isinstance(owner, Fp8Linear) and last == "weight":
            owner.replace(value, zlib.crc32(name.encode()))
        else:
            getattr(owner, last).copy_(value)


def _unknown(layer: str) -> Reason:
    return Reason.IMAGE if IMAGE.search(layer) else Reason.UNKNOWN


def _of_size(name: str) -> Reason:
    return Reason.CHANNELS if name.startswith("patch_embedding.") else Reason.SIZE


def _squeezed(shape: Sequence[int]) -> list[int]:
    return [size for size in shape if size != 1]


def _tensors(count: int) -> str:
    return f"{count} tensor{'s' * (count != 1)}"
