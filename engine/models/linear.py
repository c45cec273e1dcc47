"""Linear layers in 8 bits: half the memory of bfloat16, and faster on cards that multiply so.

Weights are float8_e4m3fn with a scale for each output channel, activations are rounded with a scale
for each token. Where a card cannot multiply them, the weights are widened for each product.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.kernels import unavailable

EIGHT_BITS = torch.float8_e4m3fn
LARGEST = torch.finfo(EIGHT_BITS).max

Rows = tuple[Tensor, Tensor]  # (M, K) in 8 bits, and (M, 1), float32


class Fp8Linear(nn.Module):
    """As a linear layer, from one; in 8 bits."""

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight, scale = rows_to_eight_bits(linear.weight.detach())
        # As bytes, so that a change of the module's dtype leaves them alone.
        self.register_buffer("weight", weight.view(torch.uint8))
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., in_features)."""
        flat = x.reshape(-1, self.in_features)
        if multiplies(x.device, x.dtype) and self._is_aligned():
            y = self.product(_activations(flat), x.dtype)
        else:
            y = F.linear(flat, self.widened(x.dtype), self.bias)
        return y.reshape(*x.shape[:-1], self.out_features)

    def product(self, rows: Rows, dtype: torch.dtype) -> Tensor:
        """Of activations that are in 8 bits already, (M, out_features)."""
        y: Tensor = torch._scaled_mm(
            rows[0],
            self.weight.view(EIGHT_BITS).t(),
            scale_a=rows[1],
            scale_b=self.scale.float().t(),
            bias=self.bias,
            out_dtype=dtype,
            use_fast_accum=True,
        )
        return y

    def widened(self, dtype: torch.dtype) -> Tensor:
        """The weights, (out_features, in_features), in another dtype."""
        packed = self.weight.view(EIGHT_BITS)
        wide = torch.empty(packed.shape, dtype=dtype, device=packed.device)
        return torch.mul(packed.to(dtype), self.scale.float(), out=wide)

    def _is_aligned(self) -> bool:
        return self.in_features % 16 == 0 and self.out_features % 16 == 0


def to_fp8(module: nn.Module, *names: str) -> int:
    """Put linear layers whose path ends in one of the names into 8 bits; how many.

    To be called with the dtype that the module will run in: what stays, stays as it is.
    """
    found = [
        path
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and any(f".{path}".endswith(f".{name}") for name in names)
    ]
    for path in found:
        parent, _, name = path.rpartition(".")
        owner = module.get_submodule(parent)
        setattr(owner, name, Fp8Linear(module.get_submodule(path)))  # type: ignore[arg-type]
    return len(found)


def together(x: Tensor, layers: Sequence[nn.Module]) -> Iterator[Tensor]:
    """Each layer's result of the same x, (..., K): rounded to 8 bits once, where they are so.

    One is made when it is asked for, so no two need be there at once.
    """
    eight = [layer for layer in layers if isinstance(layer, Fp8Linear) and layer._is_aligned()]
    if len(eight) < len(layers) or not multiplies(x.device, x.dtype):
        yield from (layer(x) for layer in layers)
        return
    rows = _activations(x.reshape(-1, x.shape[-1]))
    yield from (layer.product(rows, x.dtype).reshape(*x.shape[:-1], -1) for layer in eight)


def rows_to_eight_bits(x: Tensor) -> Rows:
    """x: (M, K) in 8 bits, and each row's scale: their product is x."""
    scale = x.abs().amax(dim=1, keepdim=True).float().clamp_min(1e-12) / LARGEST
    return (x / scale).clamp(-LARGEST, LARGEST).to(EIGHT_BITS), scale


def multiplies(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether 8-bit matrices with a scale for each row are multiplied there, into bfloat16."""
    return device.type == "cuda" and dtype == torch.bfloat16 and _card_multiplies(device.index)


@cache
def _card_multiplies(index: int | None) -> bool:
    """Compute capability 8.9 (Ada) and later, if this build of torch knows how."""
    if torch.version.hip is not None or torch.cuda.get_device_capability(index) < (8, 9):
        return False
    device = torch.device("cuda", torch.cuda.current_device() if index is None else index)
    rows = torch.ones((16, 16), device=device).to(EIGHT_BITS)
    scale = torch.ones((16, 1), device=device)
    try:
        made = torch._scaled_mm(
            rows, rows.t(), scale_a=scale, scale_b=scale.t(), out_dtype=torch.bfloat16
        )
    except RuntimeError:  # what torch raises for a product that it has no kernel for
        return False
    return bool((made == 16).all())


def _activations(x: Tensor) -> Rows:
    if unavailable(x.device):
        return rows_to_eight_bits(x)
    from engine.models.kernels import quantise

    return quantise.rows_to_eight_bits(x)
