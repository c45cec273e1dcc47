"""Triton kernels, and whether they can run; where they cannot, plain paths do the same work."""

import os
from functools import cache
from importlib.util import find_spec

import torch

OLDEST = (8, 0)


def unavailable(device: torch.device) -> str:
    """Why Triton kernels cannot run on `device`, to be read on; empty if they can.

    What a trial found is kept for the life of the process. In code that torch compiles they are
    left out: it makes kernels of the plain paths.
    """
    if torch.compiler.is_compiling():
        return "the code is compiled by torch"
    index = device.index
    if index is None and device.type == "cuda":
        index = torch.cuda.current_device()
    return _reason(device.type, index or 0, is_interpreted())


def is_interpreted() -> bool:
    """Whether Triton is to run kernels step by step in Python, as tests on a processor do."""
    return os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "yes", "on")


@cache
def _reason(kind: str, index: int, interpreted: bool) -> str:
    if find_spec("triton") is None:
        return "Triton is not installed"
    if not interpreted:
        if kind == "cpu":
            return "the model runs on the processor"
        if kind != "cuda" or torch.version.hip:
            return "the kernels are for NVIDIA cards"
        found = torch.cuda.get_device_capability(index)
        if found < OLDEST:
            return f"this card is older than sm_80: it is sm_{found[0]}{found[1]}"
    # Only here: a broken Triton is found by importing it.
    from engine.models.kernels.trial import failure

    return failure(torch.device(kind, index) if kind == "cuda" else torch.device(kind))
