"""Noise drawn on the CPU, so that a seed gives one result on every machine."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def seeded(seed: int) -> torch.Generator:
    """The CPU's generator, begun at `seed`; any whole number."""
    return torch.Generator("cpu").manual_seed(seed % 2**63)


def drawn(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Standard normal float32 of `shape`, on the CPU."""
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32)


def noise_of_steps(seed: int, like: Tensor) -> Callable[[int], Tensor]:
    """Fresh noise for each step of a run, by the seed and the step's number alone.

    A resumed run so draws what an unbroken one would. Shape, type and device of `like`.
    """

    def of(step: int) -> Tensor:
        stream = seeded(seed * 1_000_003 + step + 1)
        return drawn(like.shape, stream).to(like.device, like.dtype)

    return of


def noised(clean: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """Latents at the level `sigma`: where a run begins that keeps something of `clean`."""
    return sigma * noise + (1 - sigma) * clean
