"""Rotary positions of tokens in time, height and width.

Su et al. 2021 (arXiv 2104.09864), one part of a head's channels for each axis. Angles are in
float64, as published; their cosines and sines, and the turning, are in float32.
"""

from functools import lru_cache
from math import pi
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

Turns = tuple[Tensor, Tensor]  # cosines and sines, (L, D / 2), float32


class Grid(NamedTuple):
    """Tokens of a clip; they follow each other frame by frame, row by row."""

    frames: int
    rows: int
    columns: int

    @property
    def tokens(self) -> int:
        """Of the whole clip."""
        return self.frames * self.rows * self.columns


class Riflex(NamedTuple):
    """One slow frequency of time made slower still, for clips longer than those of the training.

    Zhao et al. 2025 (arXiv 2502.15894). `number`: which one, from 1; `frames`: latent frames of the
    whole clip.
    """

    number: int
    frames: int


def axis_sizes(head_dim: int) -> tuple[int, int, int]:
    """Channels of a head for time, height and width."""
    side = 2 * (head_dim // 6)
    return head_dim - 2 * side, side, side


def rotary_turns(
    grid: Grid,
    head_dim: int,
    device: torch.device | str = "cpu",
    theta: float = 10000.0,
    riflex: Riflex | None = None,
) -> Turns:
    """How far the pairs of channels of each token turn."""
    cosines: list[Tensor] = []
    sines: list[Tensor] = []
    for axis, (count, size) in enumerate(zip(grid, axis_sizes(head_dim), strict=True)):
        slowed = riflex if axis == 0 else None
        made = _turns_along(count, size, torch.device(device), theta, slowed)
        shape = [1, 1, 1, size // 2]
        shape[axis] = count
        for turns, of in zip(made, (cosines, sines), strict=True):
            of.append(turns.reshape(shape).expand(*grid, -1))
    cos, sin = (torch.cat(parts, dim=3).flatten(0, 2) for parts in (cosines, sines))
    return cos, sin


@lru_cache(24)  # some kilobytes each; a copy to a card would wait for what it still has to do
def _turns_along(
    count: int, size: int, device: torch.device, theta: float, riflex: Riflex | None
) -> Turns:
    """Of places along one axis, (count, size / 2)."""
    rates = theta ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    if riflex is not None:
        assert 1 <= riflex.number <= len(rates), riflex
        rates[riflex.number - 1] = 0.9 * 2 * pi / riflex.frames
    angles = torch.arange(count, dtype=torch.float64)[:, None] * rates
    return angles.cos().float().to(device), angles.sin().float().to(device)


def rotate(x: Tensor, turns: Turns) -> Tensor:
    """x: (B, L, N, D) with its adjacent pairs of channels turned, in float32."""
    cos, sin = turns[0][:, None], turns[1][:, None]
    a, b = rearrange(x.float(), "b l n (d two) -> two b l n d", two=2)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2).to(x.dtype)
