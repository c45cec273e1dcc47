"""What lies between the convolutions of a video VAE, in one pass over a frame with channels last.

A frame is (B, H, W, C) without gaps. Sums and norms are in float32.
"""

import torch
from torch import Tensor

from engine.models.kernels.language import Value, constexpr, tl, triton

SPAN = 4096  # values of one program
LEAST = 1e-12  # length of a pixel's channels


def add_norm_(
    x: Tensor,
    other: Tensor | None,
    bias: Tensor | None,
    gamma: Tensor | None,
    out: Tensor | None,
    has_silu: bool,
    keeps: bool,
) -> None:
    """x becomes x + other + bias, if it `keeps`; `out` its norm over C times gamma, then SiLU.

    out: as x, but its pixels may lie apart, at equal distances; None: only the sum.
    """
    dim = x.shape[-1]
    width = triton.next_power_of_2(dim)
    rows = x.numel() // dim
    block = max(1, SPAN // width)
    assert x.is_contiguous(), x.stride()
    assert out is None or out.stride(1) == out.shape[2] * out.stride(2), out.stride()
    with torch.cuda.device(x.get_device()):  # where Triton launches
        _add_norm_kernel[(triton.cdiv(rows, block),)](
            x,
            x if other is None else other.contiguous(),
            x if bias is None else bias,
            x if gamma is None else gamma,
            x if out is None else out,
            rows,
            dim,
            dim if out is None else out.stride(2),
            dim**0.5,
            LEAST,
            ROWS=block,
            WIDTH=width,
            HAS_OTHER=other is not None,
            HAS_BIAS=bias is not None,
            HAS_NORM=out is not None,
            HAS_SILU=has_silu,
            KEEPS=keeps,
        )


def interleave(phases: Tensor, bias: Tensor) -> Tensor:
    """A frame (B, 2H, 2W, C) of its four phases (B, H + 1, W + 1, 4C), plus the bias.

    Pixel (2h + p, 2w + q) is number 2p + q of the four at (h + p, w + q).
    """
    batch, height, width, four = phases.shape
    height, width, dim = 2 * (height - 1), 2 * (width - 1), four // 4
    out = phases.new_empty(batch, height, width, dim)
    lanes = triton.next_power_of_2(dim)
    block = max(1, SPAN // lanes)
    with torch.cuda.device(phases.get_device()):
        _interleave_kernel[(triton.cdiv(width, block), batch * height)](
            phases.contiguous(), bias, out, height, width, dim, COLUMNS=block, WIDTH=lanes
        )
    return out


def _add_norm(
    x_at: Value,
    other_at: Value,
    bias_at: Value,
    gamma_at: Value,
    out_at: Value,
    rows: Value,
    dim: Value,
    out_stride: Value,
    root: Value,
    least: Value,
    ROWS: constexpr,
    WIDTH: constexpr,
    HAS_OTHER: constexpr,
    HAS_BIAS: constexpr,
    HAS_NORM: constexpr,
    HAS_SILU: constexpr,
    KEEPS: constexpr,
) -> None:
    """Some pixels a program."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    within = column < dim
    inside = (row < rows)[:, None] & within[None, :]
    at = row[:, None] * dim + column[None, :]
    x = tl.load(x_at + at, mask=inside, other=0.0).to(tl.float32)
    if HAS_OTHER:
        x += tl.load(other_at + at, mask=inside, other=0.0).to(tl.float32)
    if HAS_BIAS:
        x += tl.load(bias_at + column, mask=within, other=0.0).to(tl.float32)[None, :]
    if KEEPS:
        tl.store(x_at + at, x.to(x_at.dtype.element_ty), mask=inside)
    if HAS_NORM:
        length = tl.maximum(tl.sqrt(tl.sum(x * x, axis=1)), least)
        gamma = tl.load(gamma_at + column, mask=within, other=0.0).to(tl.float32)
        y = x * (root / length)[:, None] * gamma[None, :]
        if HAS_SILU:
            y = y / (1.0 + tl.exp(-y))
        place = row[:, None] * out_stride + column[None, :]
        tl.store(out_at + place, y.to(out_at.dtype.element_ty), mask=inside)


def _interleave(
    phases_at: Value,
    bias_at: Value,
    out_at: Value,
    height: Value,
    width: Value,
    dim: Value,
    COLUMNS: constexpr,
    WIDTH: constexpr,
) -> None:
    """Some pixels of one row of the result a program."""
    line = tl.program_id(1)  # of all frames
    y = line % height
    x = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    column = tl.arange(0, WIDTH)
    within = column < dim
    inside = (x < width)[:, None] & within[None, :]
    p, q = y % 2, x % 2
    source = ((line // height) * (height // 2 + 1) + y // 2 + p).to(tl.int64) * (width // 2 + 1)
    source = (source + x // 2 + q) * 4 + 2 * p + q
    value = tl.load(phases_at + source[:, None] * dim + column[None, :], mask=inside, other=0.0)
    value = value.to(tl.float32)
    value += tl.load(bias_at + column, mask=within, other=0.0).to(tl.float32)[None, :]
    place = line.to(tl.int64) * width + x
    out = out_at + place[:, None] * dim + column[None, :]
    tl.store(out, value.to(out_at.dtype.element_ty), mask=inside)


_add_norm_kernel = triton.jit(_add_norm)
_interleave_kernel = triton.jit(_interleave)
