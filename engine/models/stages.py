"""One model on the card at a time: the others wait where they were loaded."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from engine.models.linear import put_tensor
from engine.models.memory import empty_cache

M = TypeVar("M", bound=nn.Module)
Places = Collection[tuple[nn.Module, str]]  # whose each tensor is, and its name there


@contextmanager
def on_device(module: M, device: torch.device | str, without: Places = ()) -> Iterator[M]:
    """The module, its weights on `device` until the end; then they are where they were.

    Weights never change, so nothing is copied back: the copies on the device are let go. Those in
    `without` are left alone.
    """
    device = torch.device(device)
    away = _away(module, device, without)
    try:
        for owner, name, tensor in away:
            _put(owner, name, tensor, device)
        yield module
    finally:
        for owner, name, tensor in away:
            if isinstance(tensor, nn.Parameter):
                owner._parameters[name] = tensor
            else:
                owner._buffers[name] = tensor
        if away and device.type != "cpu":
            empty_cache()


def keep_on_device(module: nn.Module, device: torch.device | str, without: Places = ()) -> None:
    """Brings the module's weights to `device` for good, but for those in `without`."""
    device = torch.device(device)
    for owner, name, tensor in _away(module, device, without):
        _put(owner, name, tensor, device)


def places_of(module: nn.Module) -> frozenset[tuple[nn.Module, str]]:
    """All of a module's weights, as `on_device` leaves them alone."""
    return frozenset((owner, name) for owner, name, _ in _tensors(module))


def _away(
    module: nn.Module, device: torch.device, without: Places
) -> list[tuple[nn.Module, str, Tensor]]:
    """Weights that are elsewhere."""
    return [
        (owner, name, tensor)
        for owner, name, tensor in _tensors(module)
        if not _is_there(tensor, device) and (owner, name) not in without
    ]


def _is_there(tensor: Tensor, device: torch.device) -> bool:
    same = tensor.device.type == device.type
    return same and (device.index is None or tensor.device.index == device.index)


def _tensors(module: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    """Whose each tensor of the module is, its name there, and itself."""
    return [
        (owner, name, tensor)
        for owner in module.modules()
        for name, tensor in (*owner._parameters.items(), *owner._buffers.items())
        if tensor is not None
    ]


def _put(owner: nn.Module, name: str, tensor: Tensor, device: torch.device) -> None:
    with torch.inference_mode(False):  # as all weights are, so that one compiled block serves all
        put_tensor(owner, name, tensor.detach().to(device, non_blocking=tensor.is_pinned()))
