"""Rotary positions of tokens in time, height and width.

Su et al. 2021 (arXiv 2104.09864), one part of a head's channels for each axis. Angles are in
float64, as published; their cosines and sines, and the turning, are in float32.
"""

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
        rates = theta ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
        if riflex is not None and axis == 0:
            assert 1 <= riflex.number <= len(rates), riflex
            rates[riflex.number - 1] = 0.9 * 2 * pi / riflex.frames
        angles = torch.arange(count, dtype=torch.float64)[:, None] * rates
        shape = [1, 1, 1, len(rates)]
        shape[axis] = count
        for made, of in ((angles.cos(), cosines), (angles.sin(), sines)):
            of.append(made.float().to(device).reshape(shape).expand(*grid, -1))
    cos, sin = (torch.cat(parts, dim=3).flatten(0, 2) for parts in (cosines, sines))
    return cos, sin


def rotate(x: Tensor, turns: Turns) -> Tensor:
    """x: (B, L, N, D) with its adjacent pairs of channels turned, in float32."""
    cos, sin = turns[0][:, None], turns[1][:, None]
    a, b = rearrange(x.float(), "b l n (d two) -> two b l n d", two=2)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2).to(x.dtype)
