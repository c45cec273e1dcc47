"""The element-wise steps of a transformer block, in Triton where that runs, else in torch.

Tokens x are (B, L, C). A modulation is (B, n, C), float32, for n runs of tokens of equal length:
one run, a run for each latent frame, or one for each token. Norms are taken in float32.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.models.kernels import unavailable
from engine.models.wan.rope import Turns, rotate

TOKENS_AT_ONCE = 16384  # of which a 14B model's wide middle takes 453 MB in bfloat16


class Piece(NamedTuple):
    """Some of the tokens: which clips of the batch, which tokens, and which runs hold them."""

    batch: slice
    tokens: slice
    runs: slice


def pieces(x: Tensor, runs: int) -> Iterator[Piece]:
    """All tokens in pieces that lie together in memory, and in whole runs or in the only one."""
    batch, tokens = x.shape[:2]
    assert tokens % runs == 0, (tokens, runs)
    if batch * tokens <= TOKENS_AT_ONCE:
        yield Piece(slice(0, batch), slice(0, tokens), slice(0, runs))
        return
    length = tokens // runs
    at_once = TOKENS_AT_ONCE if runs == 1 else max(1, TOKENS_AT_ONCE // length) * length
    for clip in range(batch):
        for start in range(0, tokens, at_once):
            end = min(start + at_once, tokens)
            held = slice(0, 1) if runs == 1 else slice(start // length, end // length)
            yield Piece(slice(clip, clip + 1), slice(start, end), held)


def norm(x: Tensor, scale: Tensor, shift: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """Layer norm of x over its channels, times scale plus shift, as `dtype`."""
    out = torch.empty(x.shape, dtype=dtype, device=x.device)
    for piece in pieces(x, scale.shape[1]):
        out[piece.batch, piece.tokens] = norm_piece(x, scale, shift, eps, dtype, piece)
    return out


def norm_piece(
    x: Tensor, scale: Tensor, shift: Tensor, eps: float, dtype: torch.dtype, piece: Piece
) -> Tensor:
    """The same of one piece of x, alone."""
    some = x[piece.batch, piece.tokens].float()
    normed = F.layer_norm(some, some.shape[-1:], eps=eps)
    runs = scale[piece.batch, piece.runs, None], shift[piece.batch, piece.runs, None]
    apart = rearrange(normed, "b (n l) c -> b n l c", n=runs[0].shape[1])
    return torch.addcmul(runs[1], apart, runs[0]).flatten(1, 2).to(dtype)


def norm_affine(x: Tensor, layer: nn.LayerNorm, dtype: torch.dtype) -> Tensor:
    """Layer norm with the weights of a layer, in float32 whatever they are stored in."""
    batch = x.shape[0]
    scale, shift = (w.float().expand(batch, 1, -1) for w in (layer.weight, layer.bias))
    return norm(x, scale, shift, layer.eps, dtype)


def add_(x: Tensor, y: Tensor, gate: Tensor | None = None) -> None:
    """Put x + gate * y in the place of x; without a gate it is one."""
    if gate is None:
        x.add_(y)
        return
    for piece in pieces(x, gate.shape[1]):
        add_piece_(x, y[piece.batch, piece.tokens], gate, piece)


def add_piece_(x: Tensor, y: Tensor, gate: Tensor, piece: Piece) -> None:
    """The same for one piece of x, of which y is alone."""
    runs = gate[piece.batch, piece.runs, None]
    some = x[piece.batch, piece.tokens]
    apart = rearrange(y.float(), "b (n l) c -> b n l c", n=runs.shape[1])
    some.add_((apart * runs).flatten(1, 2))


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
