"""FlashVSR's noise: the same on every machine, for every length, wherever a stream begins."""

from collections.abc import Callable
from math import tau

import numpy as np
import torch
from torch import Tensor

Noise = Callable[[int, int], Tensor]  # (first latent frame, how many) -> (1, C, T, h, w)


def seeded_noise(seed: int, channels: int, height: int, width: int) -> Noise:
    """Standard normal latents, each frame drawn by (seed, its number) alone.

    The numbers are Philox's raw ones (Salmon et al. 2011) through Box and Muller, so they are the
    same on every machine, for every length, and wherever a stream begins.
    """
    size = channels * height * width
    half = (size + 1) // 2

    def one(frame: int) -> Tensor:
        key = np.array([seed % 2**64, frame], dtype=np.uint64)
        raw = np.random.Philox(key=key).random_raw(2 * half)
        a, b = ((raw >> np.uint64(11)) + np.uint64(1)).astype(np.float64).reshape(2, half) / 2**53
        radius = np.sqrt(-2 * np.log(a))
        values = np.concatenate([radius * np.cos(tau * b), radius * np.sin(tau * b)])[:size]
        return torch.from_numpy(values.astype(np.float32)).reshape(channels, height, width)

    return lambda first, count: torch.stack([one(first + i) for i in range(count)], dim=1)[None]
