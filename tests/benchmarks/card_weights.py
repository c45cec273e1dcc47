"""Random weights made on the device itself, and how they are computed with."""

import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar
from unittest.mock import patch

import torch
from torch import Tensor, nn

from engine.models import kernels

M = TypeVar("M", bound=nn.Module)

WITHOUT_KERNELS = "the plain paths are measured"
AROUND_ONE = ("norm_q.weight", "norm_k.weight", "norm_k_img.weight", "norm3.weight", "gamma")


@contextmanager
def computing(dtype: torch.dtype, is_plain: bool = False) -> Iterator[None]:
    """Kernels of our own are left alone where it is plain; float32 is multiplied as float32."""
    with ExitStack() as stack:
        if dtype == torch.float32:
            stack.enter_context(_without_tf32())
        if is_plain:
            stack.enter_context(patch.object(kernels, "_reason", lambda *_: WITHOUT_KERNELS))
        yield


@contextmanager
def _without_tf32() -> Iterator[None]:
    conv, product = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = conv, product


def random_module(
    build: Callable[[], M], device: torch.device, dtype: torch.dtype = torch.bfloat16
) -> M:
    """Random weights by the tensors' names and shapes, rounded to bfloat16, in `dtype`."""
    with torch.device("meta"):
        module = build()
    module = module.to(dtype).to_empty(device=device).requires_grad_(False).eval()
    for name, tensor in module.state_dict().items():
        fan_in = max(1, math.prod(tensor.shape[1:])) if tensor.dim() > 1 else 16
        values = drawn(name, tuple(tensor.shape), device).div_(math.sqrt(fan_in))
        if name.endswith(AROUND_ONE):
            values = 1 + 0.1 * values
        tensor.copy_(values.bfloat16())
    return module


def drawn(name: str, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Normal values by a name, float32, the same in every run on the same kind of device."""
    draw = torch.Generator(device).manual_seed(zlib.crc32(name.encode()))
    return torch.randn(shape, generator=draw, device=device)
