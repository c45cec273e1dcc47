"""What follows a convolution, in one pass over its result."""

import torch
from torch import Tensor

from engine.models.kernels.language import Value, constexpr, tl, triton

SPAN = 1024  # values of one program


def bias_relu_(x: Tensor, bias: Tensor | None, shortcut: Tensor | None = None) -> Tensor:
    """max(0, x + bias + shortcut), in place.

    x and shortcut: (B, C, H, W), channels last in memory; bias: (C,).
    """
    assert x.is_contiguous(memory_format=torch.channels_last), x.stride()
    if shortcut is not None:
        shortcut = shortcut.contiguous(memory_format=torch.channels_last)
    with torch.cuda.device(x.get_device()):  # where Triton launches
        _bias_relu_kernel[(triton.cdiv(x.numel(), SPAN),)](
            x,
            x if bias is None else bias,
            x if shortcut is None else shortcut,
            x.numel(),
            x.shape[1],
            SPAN=SPAN,
            HAS_BIAS=bias is not None,
            HAS_SHORTCUT=shortcut is not None,
        )
    return x


def _bias_relu(
    x_at: Value,
    bias_at: Value,
    shortcut_at: Value,
    count: Value,
    channels: Value,
    SPAN: constexpr,
    HAS_BIAS: constexpr,
    HAS_SHORTCUT: constexpr,
) -> None:
    at = tl.program_id(0).to(tl.int64) * SPAN + tl.arange(0, SPAN)
    inside = at < count
    x = tl.load(x_at + at, mask=inside, other=0.0).to(tl.float32)
    if HAS_BIAS:
        x += tl.load(bias_at + at % channels, mask=inside, other=0.0).to(tl.float32)
    if HAS_SHORTCUT:
        x += tl.load(shortcut_at + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(x_at + at, tl.maximum(x, 0.0).to(x_at.dtype.element_ty), mask=inside)


_bias_relu_kernel = triton.jit(_bias_relu)
