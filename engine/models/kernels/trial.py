"""One tiny kernel, to see whether Triton builds and runs anything at all."""

import subprocess
from importlib import import_module
from typing import Any

import torch

# No C compiler, no Python.h, no driver library, a Triton for another Python, an assembler that
# does not know the card: each fails in its own way.
TROUBLES = (ImportError, OSError, RuntimeError, AssertionError, subprocess.SubprocessError)


def failure(device: torch.device) -> str:
    """Why a kernel cannot be built or run on `device`; empty if one did, and rightly."""
    try:
        triton: Any = import_module("triton")
        kernel: Any = import_module("engine.models.kernels.doubling").kernel
    except TROUBLES as error:
        return f"Triton does not load: {_first_line(error)}"
    numbers = torch.arange(16, dtype=torch.float32, device=device)
    try:
        with torch.cuda.device(numbers.get_device()):
            kernel[(1,)](numbers, 16)
        right = torch.equal(numbers.cpu(), torch.arange(16) * 2.0)
    except (*TROUBLES, triton.TritonError) as error:
        return f"Triton cannot build kernels here: {_first_line(error)}"
    return "" if right else "Triton's kernels give wrong numbers on this card"


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
