"""Linear layers in 8 bits and linear layers with live LoRAs.

8 bits are half the memory of bfloat16, and faster on cards that multiply so. Weights have a scale
for each output channel, one for all, or none; activations are rounded with a scale for each token.
Where a card cannot multiply them, the weights are widened for each product.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.kernels import unavailable

EIGHT_BITS = torch.float8_e4m3fn
LARGEST = torch.finfo(EIGHT_BITS).max
FRACTION_BITS = {torch.float8_e4m3fn: 3, torch.float8_e5m2: 2}  # and what 8 bits may be
_SMALLEST_EXPONENT = {torch.float8_e4m3fn: -6, torch.float8_e5m2: -14}

Rows = tuple[Tensor, Tensor]  # (M, K) in 8 bits, and (M, 1), float32


@dataclass(frozen=True)
class Fp8Form:
    """How weights are kept in 8 bits.

    A value is what is stored times its scale. `is_fast`: multiplied in 8 bits, where the device
    does that; else widened for each product.
    """

    kind: torch.dtype = EIGHT_BITS
    scales: Literal["row", "tensor", "none"] = "row"
    is_fast: bool = True


class Fp8Linear(nn.Module):
    """As a linear layer, from one (on `meta` too); in 8 bits."""

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear, form: Fp8Form | None = None) -> None:
        super().__init__()
        self.form = form or Fp8Form()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight, scale = weights_to_eight_bits(linear.weight.detach(), self.form)
        # As bytes and whole numbers, so that a change of the module's dtype leaves them alone.
        self.register_buffer("weight", weight.view(torch.uint8))
        self.register_buffer("scale", scale.view(torch.int32))
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., in_features)."""
        flat = x.reshape(-1, self.in_features)
        if self.multiplies(x):
            y = self.product(_activations(flat), x.dtype)
        else:
            y = F.linear(flat, self.widened(x.dtype), self._bias(x.dtype))
        return y.reshape(*x.shape[:-1], self.out_features)

    def product(self, rows: Rows, dtype: torch.dtype) -> Tensor:
        """Of activations that are in 8 bits already, (M, out_features)."""
        y: Tensor = torch._scaled_mm(
            rows[0],
            self.weight.view(self.form.kind).t(),
            scale_a=rows[1],
            scale_b=self.scale.view(torch.float32).t(),
            bias=self._bias(dtype),
            out_dtype=dtype,
            use_fast_accum=True,
        )
        return y

    def widened(self, dtype: torch.dtype) -> Tensor:
        """The weights, (out_features, in_features), in another dtype."""
        packed = self.weight.view(self.form.kind)
        if self.form.scales == "none":
            return packed.to(dtype)
        wide = torch.empty(packed.shape, dtype=dtype, device=packed.device)
        return torch.mul(packed.to(dtype), self.scale.view(torch.float32), out=wide)

    def replace(self, weight: Tensor, seed: int | None = None) -> None:
        """Takes new weights, (out_features, in_features); with a seed as they are rounded by it."""
        packed, scale = weights_to_eight_bits(weight, self.form, seed)
        self.weight.copy_(packed.view(torch.uint8))
        self.scale.copy_(scale.view(torch.int32))

    def multiplies(self, x: Tensor) -> bool:
        """Whether the product with x is one of 8 bits."""
        is_aligned = self.in_features % 16 == 0 and self.out_features % 16 == 0
        return self.form.is_fast and is_aligned and multiplies(x.device, x.dtype, self.form.kind)

    def _bias(self, dtype: torch.dtype) -> Tensor | None:
        return None if self.bias is None else self.bias.to(dtype)


class LoraLinear(nn.Module):
    """A linear layer and, beside it, products of two thin matrices: y + strength * up(down(x)).

    down: (R, in_features); up: (out_features, R), both in the dtype of the run; `strengths` has one
    number for each of the R rows, and may be written between products.
    """

    down: Tensor
    up: Tensor
    strengths: Tensor

    def __init__(self, inner: nn.Linear | Fp8Linear, down: Tensor, up: Tensor) -> None:
        super().__init__()
        self.inner = inner
        self.in_features, self.out_features = inner.in_features, inner.out_features
        self.register_buffer("down", down)
        self.register_buffer("up", up)
        ones = torch.ones(len(down), dtype=torch.float32, device=down.device)
        self.register_buffer("strengths", ones)

    @property
    def bias(self) -> Tensor | None:
        """The inner layer's."""
        return self.inner.bias

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., in_features)."""
        return self.added(self.inner(x), x)

    def added(self, y: Tensor, x: Tensor) -> Tensor:
        """The inner layer's result y of x, with the thin products; y is used up."""
        thin = F.linear(x.reshape(-1, self.in_features).to(y.dtype), self.down.to(y.dtype))
        flat = y.reshape(-1, self.out_features)
        flat.addmm_(thin * self.strengths.to(y.dtype), self.up.to(y.dtype).t())
        return flat.view(y.shape)


def to_fp8(module: nn.Module, *names: str, form: Fp8Form | None = None) -> int:
    """Put linear layers whose path ends in one of the names into 8 bits; how many.

    To be called with the dtype that the module will run in: what stays, stays as it is.
    """
    found = [
        path for path in linears(module) if any(f".{path}".endswith(f".{name}") for name in names)
    ]
    for path in found:
        put(module, path, Fp8Linear(module.get_submodule(path), form))  # type: ignore[arg-type]
    return len(found)


def linears(module: nn.Module) -> dict[str, nn.Linear]:
    """The plain linear layers by path; what is derived from them computes its own way."""
    return {path: layer for path, layer in module.named_modules() if type(layer) is nn.Linear}


def put(module: nn.Module, path: str, layer: nn.Module) -> None:
    """Sets `layer` in the place of what `path` leads to."""
    parent, _, name = path.rpartition(".")
    setattr(module.get_submodule(parent), name, layer)


def put_tensor(owner: nn.Module, name: str, tensor: Tensor) -> None:
    """Sets a parameter or buffer anew; who holds the tensor that was there keeps it as it is."""
    if name in owner._parameters:
        with torch.inference_mode(False):  # else it could not be written to outside of that mode
            owner._parameters[name] = nn.Parameter(tensor, requires_grad=False)
    else:
        owner._buffers[name] = tensor


def together(x: Tensor, layers: Sequence[nn.Module]) -> Iterator[Tensor]:
    """Each layer's result of the same x, (..., K): rounded to 8 bits once, where they are so.

    One is made when it is asked for, so no two need be there at once.
    """
    inner = [layer.inner if isinstance(layer, LoraLinear) else layer for layer in layers]
    eight = [layer for layer in inner if isinstance(layer, Fp8Linear) and layer.multiplies(x)]
    if len(eight) < len(layers):
        yield from (layer(x) for layer in layers)
        return
    rows = _activations(x.reshape(-1, x.shape[-1]))
    for layer, narrow in zip(layers, eight, strict=True):
        y = narrow.product(rows, x.dtype).reshape(*x.shape[:-1], -1)
        yield layer.added(y, x) if isinstance(layer, LoraLinear) else y


def after_gelu(x: Tensor, layer: nn.Module) -> Tensor:
    """The layer's result of GELU by tanh of x, (..., K), which is used up.

    Where the layer multiplies in 8 bits, kernels take GELU and rounding in one pass.
    """
    if isinstance(layer, Fp8Linear) and layer.multiplies(x) and not unavailable(x.device):
        from engine.models.kernels import quantise

        rows = quantise.rows_to_eight_bits(x.reshape(-1, x.shape[-1]), gelu=True)
        return layer.product(rows, x.dtype).reshape(*x.shape[:-1], -1)
    y: Tensor = layer(torch.ops.aten.gelu_(x, approximate="tanh"))
    return y


def rows_to_eight_bits(x: Tensor) -> Rows:
    """x: (M, K) in 8 bits, and each row's scale: their product is x."""
    scale = x.abs().amax(dim=1, keepdim=True).float().clamp_min(1e-12) / LARGEST
    return (x / scale).clamp(-LARGEST, LARGEST).to(EIGHT_BITS), scale


def weights_to_eight_bits(weight: Tensor, form: Fp8Form, seed: int | None = None) -> Rows:
    """weight: (M, K) in 8 bits, to the nearest, and the scale of each row, whatever the form.

    With a seed a value goes up or down by chance, so that on average it is kept: what is smaller
    than a step is not lost in a sum.
    """
    largest = torch.finfo(form.kind).max
    scale = torch.ones((len(weight), 1), device=weight.device)
    if form.scales == "row":
        scale = weight.abs().amax(dim=1, keepdim=True).float().clamp_min(1e-12) / largest
    elif form.scales == "tensor":
        scale = scale * (weight.abs().amax().float().clamp_min(1e-12) / largest)
    scaled = (weight / scale).clamp_(-largest, largest)  # the cast makes NaN above it
    if seed is not None:
        scaled = _by_chance(scaled, form.kind, seed).clamp_(-largest, largest)
    return scaled.to(form.kind), scale


def _by_chance(x: Tensor, kind: torch.dtype, seed: int) -> Tensor:
    """One of the two neighbours that 8 bits have, the nearer the likelier. x: float32."""
    exponent = (torch.frexp(x).exponent - 1).clamp_min_(_SMALLEST_EXPONENT[kind])
    # The power of two by its bits, which is exact everywhere.
    step = (exponent - FRACTION_BITS[kind] + 127).to(torch.int32).mul_(1 << 23).view(torch.float32)
    draw = torch.Generator(x.device).manual_seed(seed)
    chance = torch.rand(x.shape, generator=draw, device=x.device)
    return (x / step).add_(chance).floor_().mul_(step)


def multiplies(device: torch.device, dtype: torch.dtype, kind: torch.dtype = EIGHT_BITS) -> bool:
    """Whether 8-bit matrices with a scale for each row are multiplied there, into bfloat16.

    `kind`: of the weights; activations are always e4m3fn.
    """
    if device.type != "cuda" or dtype != torch.bfloat16:
        return False
    if (device.index, kind) not in _cards:
        _cards[device.index, kind] = _card_multiplies(device.index, kind)
    return _cards[device.index, kind]


# What was found out. Not a cached function: torch would compile the trial into a block.
_cards: dict[tuple[int | None, torch.dtype], bool] = {}


def _card_multiplies(index: int | None, kind: torch.dtype) -> bool:
    """Compute capability 8.9 (Ada) and later, if this build of torch knows how."""
    if torch.version.hip is not None or torch.cuda.get_device_capability(index) < (8, 9):
        return False
    device = torch.device("cuda", torch.cuda.current_device() if index is None else index)
    rows = torch.ones((16, 16), device=device)
    scale = torch.ones((16, 1), device=device)
    try:
        made = torch._scaled_mm(
            rows.to(EIGHT_BITS),
            rows.to(kind).t(),
            scale_a=scale,
            scale_b=scale.t(),
            out_dtype=torch.bfloat16,
        )
    except (RuntimeError, ValueError):  # what torch raises for a product that it has no kernel for
        return False
    return bool((made == 16).all())


def _activations(x: Tensor) -> Rows:
    if unavailable(x.device):
        return rows_to_eight_bits(x)
    from engine.models.kernels import quantise

    return quantise.rows_to_eight_bits(x)
