"""Sums and norms in float32, with a modulation for each run of tokens, in one pass.

Tokens x are (B, L, C) in any dtype; gate, scale and shift are (B or 1, n, C), for n runs of tokens
of equal length. What is normed may leave in another dtype than the sum.
"""

import torch
from torch import Tensor

from engine.models.kernels.language import Value, constexpr, tl, triton

TOGETHER = 4


def norm(x: Tensor, scale: Tensor, shift: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """Layer norm over the channels, times scale plus shift, as `dtype`."""
    out = torch.empty(x.shape, dtype=dtype, device=x.device)
    _launch(x, None, None, scale, shift, out, eps)
    return out


def add_(x: Tensor, y: Tensor, gate: Tensor | None) -> None:
    """Put x + gate * y in the place of x; without a gate it is one."""
    _launch(x, y, gate, None, None, None, 0.0)


def add_norm_(
    x: Tensor,
    y: Tensor,
    gate: Tensor | None,
    scale: Tensor,
    shift: Tensor,
    eps: float,
    dtype: torch.dtype,
) -> Tensor:
    """The same, and the norm of the sum."""
    out = torch.empty(x.shape, dtype=dtype, device=x.device)
    _launch(x, y, gate, scale, shift, out, eps)
    return out


def _launch(
    x: Tensor,
    y: Tensor | None,
    gate: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    out: Tensor | None,
    eps: float,
) -> None:
    assert x.is_contiguous()  # it is written to
    dim = x.shape[-1]
    rows = x.numel() // dim
    width = triton.next_power_of_2(dim)
    vectors: list[Tensor] = []
    counts: list[int] = []
    for runs in (gate, scale, shift):
        kept = x if runs is None else _rows_of_runs(runs, len(x))
        vectors.append(kept)
        # How many tokens share a row, and how far it is to the next row.
        counts += [1, 0] if runs is None else [rows // len(kept), kept.stride(0)]
    # Some tokens a program, so that it reads the modulation once for all of them.
    together = TOGETHER if all(count % TOGETHER == 0 for count in (rows, *counts[::2])) else 1
    with torch.cuda.device(x.get_device()):  # where Triton launches
        _modulate_kernel[(rows // together,)](
            x,
            x if y is None else y.contiguous(),
            *vectors,
            x if out is None else out,
            *counts,
            dim,
            eps,
            WIDTH=width,
            TOGETHER=together,
            HAS_Y=y is not None,
            HAS_GATE=gate is not None,
            HAS_NORM=out is not None,
            num_warps=8 if width <= 4096 else 16,
        )


def _rows_of_runs(runs: Tensor, batch: int) -> Tensor:
    """(B or 1, n, C) as rows at equal distances, without a copy where they lie so."""
    if runs.shape[1] == 1 and (len(runs) == 1 or runs.stride(0) == 0):
        return runs[0] if runs.stride(2) == 1 else runs[0].contiguous()
    even = runs.expand(batch, -1, -1)
    is_even = even.stride(2) == 1 and (
        batch == 1 or even.stride(0) == len(even[0]) * even.stride(1)
    )
    return even.flatten(0, 1) if is_even else even.contiguous().flatten(0, 1)


def _modulate(
    x_at: Value,
    y_at: Value,
    gate_at: Value,
    scale_at: Value,
    shift_at: Value,
    out_at: Value,
    gate_tokens: Value,
    gate_stride: Value,
    scale_tokens: Value,
    scale_stride: Value,
    shift_tokens: Value,
    shift_stride: Value,
    dim: Value,
    eps: Value,
    WIDTH: constexpr,
    TOGETHER: constexpr,
    HAS_Y: constexpr,
    HAS_GATE: constexpr,
    HAS_NORM: constexpr,
) -> None:
    """TOGETHER tokens of one run a program, one by one.

    x + gate * y in the place of x, and its norm times scale plus shift.
    """
    first = tl.program_id(0).to(tl.int64) * TOGETHER
    column = tl.arange(0, WIDTH)
    inside = column < dim
    if HAS_GATE:
        gate_row = gate_at + first // gate_tokens * gate_stride
        gate = tl.load(gate_row + column, mask=inside, other=0.0).to(tl.float32)
    if HAS_NORM:
        scale_row = scale_at + first // scale_tokens * scale_stride
        shift_row = shift_at + first // shift_tokens * shift_stride
        scale = tl.load(scale_row + column, mask=inside, other=0.0).to(tl.float32)
        shift = tl.load(shift_row + column, mask=inside, other=0.0).to(tl.float32)
    for token in tl.static_range(TOGETHER):
        row = (first + token) * dim
        x = tl.load(x_at + row + column, mask=inside, other=0.0).to(tl.float32)
        if HAS_Y:
            y = tl.load(y_at + row + column, mask=inside, other=0.0).to(tl.float32)
            if HAS_GATE:
                y *= gate
            x += y
            tl.store(x_at + row + column, x.to(x_at.dtype.element_ty), mask=inside)
        if HAS_NORM:
            mean = tl.sum(x, axis=0) / dim
            centred = tl.where(inside, x - mean, 0.0)
            variance = tl.sum(centred * centred, axis=0) / dim
            normed = centred * tl.rsqrt(variance + eps) * scale + shift
            tl.store(out_at + row + column, normed.to(out_at.dtype.element_ty), mask=inside)


_modulate_kernel = triton.jit(_modulate)
