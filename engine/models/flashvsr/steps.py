"""The element-wise steps of a transformer block, in Triton where that runs, else in torch.

Both give the same but for rounding; the kernels round once, at the end.
"""

from functools import cache

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.models.flashvsr.windows import Turns, rotate
from engine.models.kernels import unavailable


def layer_norm(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    """Layer norm over the last axis, times scale plus shift. x: (..., dim); both (dim,)."""
    if not unavailable(x.device):
        from engine.models.kernels import norm

        return norm.layer_norm(x, scale, shift, eps)
    return F.layer_norm(x, scale.shape, scale, shift, eps)


def add_(x: Tensor, y: Tensor, gate: Tensor | None = None) -> None:
    """x becomes x + gate * y. x, y: (..., dim), x contiguous; gate: (dim,), or None for one."""
    if not unavailable(x.device):
        from engine.models.kernels import norm

        norm.add_(x, y, gate)
    elif gate is None:
        x.add_(y)
    else:
        x.addcmul_(gate, y)


def add_norm_(
    x: Tensor, y: Tensor, gate: Tensor | None, scale: Tensor, shift: Tensor, eps: float
) -> Tensor:
    """x becomes x + gate * y, as by `add_`; its layer norm times scale plus shift."""
    if not unavailable(x.device):
        from engine.models.kernels import norm

        return norm.add_norm_(x, y, gate, scale, shift, eps)
    add_(x, y, gate)
    return layer_norm(x, scale, shift, eps)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Divided by the root mean square over all channels, in float32; times weight."""
    if not unavailable(x.device):
        from engine.models.kernels import norm

        return norm.rms_norm(x, weight, eps)
    wide = x.float()
    scale = torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + eps)
    return (wide * scale).to(x.dtype) * weight


def rms_rotate(x: Tensor, weight: Tensor, eps: float, turns: Turns, out: Tensor) -> None:
    """Norm, turn and put into blocks: x (1, L, N * D), of windows, into out (N, K, T, D)."""
    if not unavailable(x.device):
        from engine.models.kernels import rope

        rope.rms_rotate(x[0], weight, eps, turns, out)
        return
    normed = rearrange(rms_norm(x, weight, eps), "b l (n d) -> b l n d", n=out.shape[0])
    out.copy_(rearrange(rotate(normed, turns), "1 (k t) n d -> n k t d", k=out.shape[1]))


def feed_forward(x: Tensor, ffn: nn.Sequential) -> Tensor:
    """Linear, GELU by tanh, linear. x: (1, L, dim)."""
    first, last = ffn[0], ffn[2]
    if isinstance(first, nn.Linear) and x.is_cuda and _has_gelu_epilogue(x.device, x.dtype):
        wide = torch._addmm_activation(first.bias, x[0], first.weight.t(), use_gelu=True)[None]
    else:
        # In place: nothing else holds what a linear layer gives.
        wide = torch.ops.aten.gelu_(first(x), approximate="tanh")
    y: Tensor = last(wide)
    return y


@cache
def _has_gelu_epilogue(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a product with activation means GELU by tanh there, not by the error function."""
    x = torch.linspace(-3.5, -2, 64 * 64, device=device).reshape(64, 64).to(dtype)
    made = torch._addmm_activation(
        torch.zeros(64, device=device, dtype=dtype),
        x,
        torch.eye(64, device=device, dtype=dtype),
        use_gelu=True,
    ).float()
    by_tanh, by_erf = (F.gelu(x.float(), approximate=a) for a in ("tanh", "none"))
    # They lie up to 5e-4 apart here: far more than what bfloat16 rounds away.
    return bool((made - by_tanh).abs().max() * 2 < (made - by_erf).abs().max())
