"""The element-wise steps of a transformer block, in Triton where that runs, else in torch.

Tokens x are (B, L, C). A modulation (gate, scale, shift) is (B or 1, n, C), for n runs of tokens of
equal length: one run, a run for each latent frame, or one for each token. All in float32.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.models.kernels import unavailable
from engine.models.linear import after_gelu
from engine.models.wan.rope import Turns, rotate

TOKENS_AT_ONCE = 16384  # of which a 14B model's wide middle takes 453 MB in bfloat16


class Piece(NamedTuple):
    """Some of the tokens: which clips of the batch, which tokens, and which runs hold them."""

    batch: slice
    tokens: slice
    runs: slice


def pieces(x: Tensor, runs: int, is_wide: bool = False) -> Iterator[Piece]:
    """All tokens in pieces that lie together in memory, and in whole runs or in the only one.

    In compiled code they are one piece, as it holds nothing between its steps; but for `is_wide`,
    of products of matrices.
    """
    batch, tokens = x.shape[:2]
    is_one = batch * tokens <= TOKENS_AT_ONCE
    if is_one or (torch.compiler.is_compiling() and not is_wide):
        # No numbers: what is compiled for one size would hold them.
        yield Piece(slice(None), slice(None), slice(0, runs))
        return
    assert tokens % runs == 0, (tokens, runs)
    length = tokens // runs
    at_once = TOKENS_AT_ONCE if runs == 1 else max(1, TOKENS_AT_ONCE // length) * length
    for clip in range(batch):
        for start in range(0, tokens, at_once):
            end = min(start + at_once, tokens)
            held = slice(0, 1) if runs == 1 else slice(start // length, end // length)
            yield Piece(slice(clip, clip + 1), slice(start, end), held)


def norm(x: Tensor, scale: Tensor, shift: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """Layer norm of x over its channels, times scale plus shift, as `dtype`."""
    if not unavailable(x.device):
        from engine.models.kernels import modulation

        return modulation.norm(x, scale, shift, eps, dtype)
    out = torch.empty(x.shape, dtype=dtype, device=x.device)
    for batch, tokens, runs in pieces(x, scale.shape[1]):
        some = x[batch, tokens].float()
        normed = _by_runs(F.layer_norm(some, some.shape[-1:], eps=eps), runs)
        times, plus = (_of_piece(of, batch, runs) for of in (scale, shift))
        out[batch, tokens] = torch.addcmul(plus, normed, times).flatten(1, 2).to(dtype)
    return out


def add_(x: Tensor, y: Tensor, gate: Tensor | None = None) -> None:
    """Put x + gate * y in the place of x; without a gate it is one."""
    if not unavailable(x.device):
        from engine.models.kernels import modulation

        modulation.add_(x, y, gate)
    elif gate is None:
        x.add_(y)
    else:
        for batch, tokens, runs in pieces(x, gate.shape[1]):
            gated = _by_runs(y[batch, tokens].float(), runs) * _of_piece(gate, batch, runs)
            x[batch, tokens].add_(gated.flatten(1, 2))


def add_norm_(
    x: Tensor,
    y: Tensor,
    gate: Tensor | None,
    scale: Tensor,
    shift: Tensor,
    eps: float,
    dtype: torch.dtype,
) -> Tensor:
    """Put x + gate * y in the place of x, and give the layer norm of that."""
    if not unavailable(x.device):
        from engine.models.kernels import modulation

        return modulation.add_norm_(x, y, gate, scale, shift, eps, dtype)
    add_(x, y, gate)
    return norm(x, scale, shift, eps, dtype)


def feed_forward(x: Tensor, ffn: nn.Sequential) -> Tensor:
    """Linear, GELU by tanh in the same memory, linear."""
    first, second = ffn[0], ffn[2]
    if type(first) is not nn.Linear or first.bias is None or not _multiplies_with_gelu(x):
        return after_gelu(first(x), second)
    flat = x.reshape(-1, x.shape[-1])
    wide = torch._addmm_activation(first.bias, flat, first.weight.t(), use_gelu=True)
    y: Tensor = second(wide.view(*x.shape[:-1], -1))
    return y


def _multiplies_with_gelu(x: Tensor) -> bool:
    """Whether torch's product with GELU is one kernel: on CUDA cards, by tanh, rounded once.

    Elsewhere its GELU is the exact one. In float32 the plain steps are nearer to what is published.
    """
    return x.is_cuda and torch.version.hip is None and x.dtype != torch.float32


def _by_runs(x: Tensor, runs: slice) -> Tensor:
    return rearrange(x, "b (n l) c -> b n l c", n=runs.stop - runs.start)


def _of_piece(modulation: Tensor, batch: slice, runs: slice) -> Tensor:
    """A modulation, of each clip or of all alike, for the tokens of a piece."""
    alike = len(modulation) == 1
    return modulation[slice(0, 1) if alike else batch, runs, None].float()


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Divided by the root mean square over all channels, times weight, in float32; as x."""
    if not unavailable(x.device):
        from engine.models.kernels import norm as kernels

        return kernels.rms_norm(x, weight, eps)
    out = torch.empty_like(x)
    for batch, tokens, _ in pieces(x, 1):
        out[batch, tokens] = _rms_normed(x[batch, tokens], weight, eps)
    return out


def rms_rotate(x: Tensor, weight: Tensor, eps: float, turns: Turns, heads: int) -> Tensor:
    """Normed over all channels, and each head turned: (B, L, C) -> (B, L, N, D)."""
    out = torch.empty_like(x).view(*x.shape[:2], heads, -1)
    if not unavailable(x.device):
        from engine.models.kernels import rope

        for one, room in zip(x, out, strict=True):
            rope.rms_rotate(one, weight, eps, turns, room.transpose(0, 1)[:, None])
        return out
    for batch, tokens, _ in pieces(x, 1):
        normed = _rms_normed(x[batch, tokens], weight, eps)
        apart = rearrange(normed, "b l (n d) -> b l n d", n=heads)
        out[batch, tokens] = rotate(apart, (turns[0][tokens], turns[1][tokens]))
    return out


def _rms_normed(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """In float32."""
    wide = x.float()
    return wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + eps) * weight.float()
