"""Norms fused with what lies around them: modulation, gate and shortcut. float32 inside."""

import torch
from torch import Tensor

from engine.models.kernels.language import Value, constexpr, tl, triton


def layer_norm(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    """Layer norm over the last axis, times scale plus shift. x: (..., dim); both (dim,)."""
    x = x.contiguous()
    out = torch.empty_like(x)
    _launch(x, None, None, scale, shift, None, out, eps)
    return out


def add_(x: Tensor, y: Tensor, gate: Tensor | None) -> None:
    """x becomes x + gate * y. x, y: (..., dim), x contiguous; gate: (dim,), or None for one."""
    assert x.is_contiguous(), x.stride()
    _launch(x, y.contiguous(), gate, None, None, x, None, 0.0)


def add_norm_(
    x: Tensor, y: Tensor, gate: Tensor | None, scale: Tensor, shift: Tensor, eps: float
) -> Tensor:
    """x becomes x + gate * y, as by `add_`; its layer norm times scale plus shift."""
    assert x.is_contiguous(), x.stride()
    out = torch.empty_like(x)
    _launch(x, y.contiguous(), gate, scale, shift, x, out, eps)
    return out


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Divided by the root mean square over the last axis, times weight. x: (..., dim)."""
    x = x.contiguous()
    out = torch.empty_like(x)
    dim = x.shape[-1]
    width = triton.next_power_of_2(dim)
    with torch.cuda.device(x.get_device()):
        _rms_kernel[(x.numel() // dim,)](
            x, weight.contiguous(), out, dim, eps, WIDTH=width, num_warps=8
        )
    return out


def _launch(
    x: Tensor,
    y: Tensor | None,
    gate: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    total: Tensor | None,
    out: Tensor | None,
    eps: float,
) -> None:
    dim = x.shape[-1]
    vectors = [x if t is None else t.contiguous() for t in (gate, scale, shift)]
    rows = [x if t is None else t for t in (y, total, out)]
    with torch.cuda.device(x.get_device()):  # where Triton launches
        _add_norm_kernel[(x.numel() // dim,)](
            x,
            rows[0],
            *vectors,
            rows[1],
            rows[2],
            dim,
            eps,
            WIDTH=triton.next_power_of_2(dim),
            HAS_Y=y is not None,
            HAS_GATE=gate is not None,
            HAS_NORM=out is not None,
            num_warps=8,
        )


def _add_norm(
    x_at: Value,
    y_at: Value,
    gate_at: Value,
    scale_at: Value,
    shift_at: Value,
    sum_at: Value,
    out_at: Value,
    dim: Value,
    eps: Value,
    WIDTH: constexpr,
    HAS_Y: constexpr,
    HAS_GATE: constexpr,
    HAS_NORM: constexpr,
) -> None:
    """One token a program: x + gate * y, and its layer norm times scale plus shift.

    A program has read its token before it writes, so the sum may lie where x lay.
    """
    row = tl.program_id(0).to(tl.int64) * dim
    column = tl.arange(0, WIDTH)
    inside = column < dim
    x = tl.load(x_at + row + column, mask=inside, other=0.0).to(tl.float32)
    if HAS_Y:
        y = tl.load(y_at + row + column, mask=inside, other=0.0).to(tl.float32)
        if HAS_GATE:
            y *= tl.load(gate_at + column, mask=inside, other=0.0).to(tl.float32)
        x += y
        tl.store(sum_at + row + column, x.to(sum_at.dtype.element_ty), mask=inside)
    if HAS_NORM:
        mean = tl.sum(x, axis=0) / dim
        centred = tl.where(inside, x - mean, 0.0)
        variance = tl.sum(centred * centred, axis=0) / dim
        scale = tl.load(scale_at + column, mask=inside, other=0.0).to(tl.float32)
        shift = tl.load(shift_at + column, mask=inside, other=0.0).to(tl.float32)
        normed = centred * tl.rsqrt(variance + eps) * scale + shift
        tl.store(out_at + row + column, normed.to(out_at.dtype.element_ty), mask=inside)


def _rms(
    x_at: Value, weight_at: Value, out_at: Value, dim: Value, eps: Value, WIDTH: constexpr
) -> None:
    """One token a program."""
    row = tl.program_id(0).to(tl.int64) * dim
    column = tl.arange(0, WIDTH)
    inside = column < dim
    x = tl.load(x_at + row + column, mask=inside, other=0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(x * x, axis=0) / dim + eps)
    weight = tl.load(weight_at + column, mask=inside, other=0.0).to(tl.float32)
    tl.store(out_at + row + column, (x * scale * weight).to(out_at.dtype.element_ty), mask=inside)


_add_norm_kernel = triton.jit(_add_norm)
_rms_kernel = triton.jit(_rms)
