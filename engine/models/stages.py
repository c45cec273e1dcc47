"""One model on the card at a time: the others wait where they were loaded."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from engine.models.memory import empty_cache

M = TypeVar("M", bound=nn.Module)


@contextmanager
def on_device(
    module: M, device: torch.device | str, without: Collection[nn.Module] = ()
) -> Iterator[M]:
    """The module, its weights on `device` until the end; then they are where they were.

    Weights never change, so nothing is copied back: the copies on the device are let go. Modules in
    `without`, and all inside them, are left alone.
    """
    device = torch.device(device)
    away = [place for place in _places(module, without) if not _is_there(place[2], device)]
    try:
        for owner, name, tensor in away:
            _put(owner, name, tensor.to(device, non_blocking=tensor.is_pinned()))
        yield module
    finally:
        for owner, name, tensor in away:
            _put(owner, name, tensor)
        if away and device.type != "cpu":
            empty_cache()


def _is_there(tensor: Tensor, device: torch.device) -> bool:
    same = tensor.device.type == device.type
    return same and (device.index is None or tensor.device.index == device.index)


def _places(
    module: nn.Module, without: Collection[nn.Module]
) -> list[tuple[nn.Module, str, Tensor]]:
    """Whose each tensor of the module is, its name there, and itself."""
    left_alone = {id(inner) for outer in without for inner in outer.modules()}
    return [
        (owner, name, tensor)
        for owner in module.modules()
        if id(owner) not in left_alone
        for name, tensor in [
            *owner.named_parameters(recurse=False),
            *owner.named_buffers(recurse=False),
        ]
    ]


def _put(owner: nn.Module, name: str, tensor: Tensor) -> None:
    is_plain = name in owner._buffers or isinstance(tensor, nn.Parameter)
    setattr(owner, name, tensor if is_plain else nn.Parameter(tensor, requires_grad=False))
