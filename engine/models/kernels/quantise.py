"""Rows of activations in 8 bits, each with its scale, in one pass."""

import torch
from torch import Tensor

from engine.models.kernels.language import Value, constexpr, tl, triton


def rows_to_eight_bits(x: Tensor, gelu: bool = False) -> tuple[Tensor, Tensor]:
    """x: (M, K) in float8_e4m3fn, and each row's scale, (M, 1), float32: their product is x.

    Or it is GELU by tanh of x.
    """
    x = x.contiguous()
    rows, columns = x.shape
    packed = torch.empty_like(x, dtype=torch.float8_e4m3fn)
    scale = torch.empty((rows, 1), dtype=torch.float32, device=x.device)
    width = triton.next_power_of_2(columns)
    warps = 8 if width <= 4096 else 16
    largest = torch.finfo(torch.float8_e4m3fn).max
    with torch.cuda.device(x.get_device()):  # where Triton launches
        _rows_kernel[(rows,)](
            x, packed, scale, columns, largest, WIDTH=width, GELU=gelu, num_warps=warps
        )
    return packed, scale


def _rows(
    x_at: Value,
    packed_at: Value,
    scale_at: Value,
    columns: Value,
    largest: Value,
    WIDTH: constexpr,
    GELU: constexpr,
) -> None:
    """One row a program."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, WIDTH)
    inside = column < columns
    x = tl.load(x_at + row * columns + column, mask=inside, other=0.0).to(tl.float32)
    if GELU:  # (1 + tanh(u)) / 2 is 1 / (1 + exp(-2 u))
        power = -2 * 0.7978845608028654 * (x + 0.044715 * x * x * x)
        x = x / (1 + tl.exp(tl.minimum(power, 80.0)))
    scale = tl.maximum(tl.max(tl.abs(x), axis=0), 1e-12) / largest
    packed = x / scale
    # Not by minimum and maximum: what is not a number stays so, and is found at the end.
    packed = tl.where(packed > largest, largest, tl.where(packed < -largest, -largest, packed))
    tl.store(packed_at + row * columns + column, packed.to(packed_at.dtype.element_ty), mask=inside)
    tl.store(scale_at + row, scale)


_rows_kernel = triton.jit(_rows)
