"""What follows a convolution, in one pass over its result."""

# mypy: disable-error-code="import-untyped, import-not-found, untyped-decorator, no-untyped-def"

import torch
import triton
import triton.language as tl
from torch import Tensor

SPAN = 1024  # values of one program


def bias_relu_(x: Tensor, bias: Tensor | None, shortcut: Tensor | None = None) -> Tensor:
    """max(0, x + bias + shortcut), in place.

    x and shortcut: (B, C, H, W), channels last in memory; bias: (C,).
    """
    assert x.is_contiguous(memory_format=torch.channels_last), x.stride()
    if shortcut is not None:
        shortcut = shortcut.contiguous(memory_format=torch.channels_last)
    _bias_relu[(triton.cdiv(x.numel(), SPAN),)](
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


@triton.jit
def _bias_relu(
    x_at, bias_at, shortcut_at, count, channels,
    SPAN: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_SHORTCUT: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * SPAN + tl.arange(0, SPAN)
    inside = at < count
    x = tl.load(x_at + at, mask=inside, other=0.0).to(tl.float32)
    if HAS_BIAS:
        x += tl.load(bias_at + at % channels, mask=inside, other=0.0).to(tl.float32)
    if HAS_SHORTCUT:
        x += tl.load(shortcut_at + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(x_at + at, tl.maximum(x, 0.0).to(x_at.dtype.element_ty), mask=inside)
