"""Queries and keys normed over all channels, turned, and put into blocks, in one pass."""

import torch
from torch import Tensor

from engine.models.kernels.language import Value, constexpr, tl, triton


def rms_rotate(
    x: Tensor, weight: Tensor, eps: float, turns: tuple[Tensor, Tensor], out: Tensor
) -> None:
    """Write x, divided by its root mean square, times weight, turned, into blocks.

    x: (L, N * D); weight: (N * D,); turns: cosines and sines, (L, D / 2), float32; out:
    (N, K, T, D) with K * T = L, of any strides but that of D, which is one. float32 inside.
    """
    heads, _, tokens, dim = out.shape
    assert out.stride(3) == 1, out.stride()
    x = x.contiguous()
    half = heads * dim // 2
    with torch.cuda.device(x.get_device()):  # where Triton launches
        _rms_rotate_kernel[(x.shape[0],)](
            x,
            weight.contiguous(),
            turns[0].contiguous(),
            turns[1].contiguous(),
            out,
            *out.stride()[:3],
            half,
            dim // 2,
            tokens,
            eps,
            HALF=triton.next_power_of_2(half),
            num_warps=8,
        )


def _rms_rotate(
    x_at: Value,
    weight_at: Value,
    cos_at: Value,
    sin_at: Value,
    out_at: Value,
    head_stride: Value,
    block_stride: Value,
    token_stride: Value,
    half: Value,
    head_half: Value,
    tokens: Value,
    eps: Value,
    HALF: constexpr,
) -> None:
    """One token a program, all its heads; pairs are adjacent channels."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, 2 * HALF)
    inside = column < 2 * half
    x = tl.load(x_at + row * 2 * half + column, mask=inside, other=0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(x * x, axis=0) / (2 * half) + eps)
    x *= scale * tl.load(weight_at + column, mask=inside, other=0.0).to(tl.float32)
    a, b = tl.split(tl.reshape(x, (HALF, 2)))
    pair = tl.arange(0, HALF)
    angle = row * head_half + pair % head_half
    cos = tl.load(cos_at + angle, mask=pair < half, other=0.0)
    sin = tl.load(sin_at + angle, mask=pair < half, other=0.0)
    turned = tl.interleave(a * cos - b * sin, a * sin + b * cos)
    head = (column // (2 * head_half)).to(tl.int64)
    token = row // tokens * block_stride + row % tokens * token_stride
    place = out_at + head * head_stride + token + column % (2 * head_half)
    tl.store(place, turned.to(out_at.dtype.element_ty), mask=inside)


_rms_rotate_kernel = triton.jit(_rms_rotate)
