"""How far a result is from the wanted one, in figures."""

from math import log10, sqrt

import torch
from torch import Tensor

COLUMNS = ("What", "Shape", "Largest", "Mean", "Relative", "PSNR dB")
NOTE = "Relative: ‖found - wanted‖ / ‖wanted‖. PSNR: the peak is the range of the wanted."

Row = tuple[str | float | int, ...]


def compared(name: str, found: Tensor, wanted: Tensor, peak: float = 0.0) -> Row:
    """The errors of a result. Raises AssertionError where it is not finite."""
    assert found.shape == wanted.shape, (name, found.shape, wanted.shape)
    difference = found.float() - wanted.float()
    assert bool(difference.isfinite().all()), f"{name}: not all numbers are finite"
    mean_square = float(difference.square().mean(dtype=torch.float64))
    size = float(wanted.float().square().mean(dtype=torch.float64))
    peak = peak or float(wanted.max() - wanted.min())
    shape = " x ".join(str(n) for n in found.shape)
    largest, mean = float(difference.abs().max()), float(difference.abs().mean())
    return (name, shape, largest, mean, sqrt(mean_square / size), psnr(mean_square, peak))


def psnr(mean_square: float, peak: float) -> float:
    """In dB; 200 for equal ones."""
    return 200.0 if mean_square == 0 else 10 * log10(peak**2 / mean_square)
