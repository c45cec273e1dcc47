"""Kernels in Triton, each beside a plain path that gives the same and runs everywhere."""

import os
from functools import cache
from importlib.util import find_spec

import torch


def unavailable(device: torch.device | str) -> str:
    """Why Triton's kernels cannot run on this device; empty if they can."""
    place = torch.device(device)
    return _reason(place.type, place.index)


@cache
def _reason(kind: str, index: int | None) -> str:
    if find_spec("triton") is None:
        return "Triton is not installed"
    if kind == "cpu":
        wanted = os.environ.get("TRITON_INTERPRET") == "1"
        return "" if wanted else "Triton does not run on the CPU"
    if kind != "cuda" or torch.version.hip is not None:
        return "the kernels are for NVIDIA's cards"
    if torch.cuda.get_device_capability(index) < (8, 0):
        return "the card is older than compute capability 8.0"
    return ""
