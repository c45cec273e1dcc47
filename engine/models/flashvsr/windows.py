"""The order of FlashVSR's tokens: frame by frame, or window by window; and how far they turn.

A window of 2 x 8 x 8 tokens is one block of self-attention. In the windows' order each block's
tokens lie together, so that attention needs no copies; nothing else in a transformer block
depends on the order.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from engine.models.flashvsr.config import WINDOW

Turns = tuple[Tensor, Tensor]  # cosines and sines of every token's angles, (L, D / 2) each


@dataclass(frozen=True)
class Grid:
    """Tokens of a chunk: frames, rows and columns; `start` is its first latent frame's number."""

    frames: int
    rows: int
    columns: int
    start: int = 0

    def __post_init__(self) -> None:
        """Whole windows only."""
        sizes = (self.frames, self.rows, self.columns)
        assert all(n > 0 and n % w == 0 for n, w in zip(sizes, WINDOW, strict=True)), sizes

    @property
    def slots(self) -> int:
        """Pairs of latent frames."""
        return self.frames // WINDOW[0]

    @property
    def blocks(self) -> tuple[int, int]:
        """Blocks down and across."""
        return self.rows // WINDOW[1], self.columns // WINDOW[2]

    @property
    def sizes(self) -> dict[str, int]:
        """The lengths that fix an einops pattern of slots, blocks and windows."""
        (t, h, w), (rows, columns) = WINDOW, self.blocks
        return {"t": t, "h": h, "w": w, "r": rows, "c": columns}


def to_windows(x: Tensor, grid: Grid) -> Tensor:
    """(1, L, C), frame by frame and row by row, in the order of windows; always a copy."""
    return rearrange(x, "b (s t r h c w) d -> b (s r c t h w) d", **grid.sizes)


def from_windows(x: Tensor, grid: Grid) -> Tensor:
    """The inverse of `to_windows`."""
    return rearrange(x, "b (s r c t h w) d -> b (s t r h c w) d", **grid.sizes)


def to_blocks(x: Tensor, grid: Grid) -> Tensor:
    """(1, L, N, D), frame by frame, -> (N, slots, n, 128, D): slots of windows, rows first."""
    return rearrange(x, "1 (s t r h c w) n d -> n s (r c) (t h w) d", **grid.sizes)


def from_blocks(x: Tensor, grid: Grid) -> Tensor:
    """The inverse of `to_blocks`."""
    return rearrange(x, "n s (r c) (t h w) d -> 1 (s t r h c w) n d", **grid.sizes)


def rotary_turns(
    grid: Grid, dim: int, device: torch.device | str = "cpu", is_windowed: bool = False
) -> Turns:
    """How far each token's channel pairs turn, for heads of `dim`: from float64 angles.

    Su et al. 2021 (arXiv 2104.09864), in three axes: a third of the channels for rows, a third for
    columns, the rest for time, where latent frames count on from the stream's beginning.
    Tokens are frame by frame, or, if `is_windowed`, window by window.
    """
    side = dim // 3
    axes = (
        (torch.arange(grid.start, grid.start + grid.frames), dim - 2 * side),
        (torch.arange(grid.rows), side),
        (torch.arange(grid.columns), side),
    )
    sizes = (grid.frames, grid.rows, grid.columns)
    cosines: list[Tensor] = []
    sines: list[Tensor] = []
    for axis, (positions, size) in enumerate(axes):
        rates = 10000.0 ** (-torch.arange(0, size - 1, 2, dtype=torch.float64) / size)
        angles = positions.double()[:, None] * rates
        shape = [1, 1, 1, rates.shape[0]]
        shape[axis] = positions.shape[0]
        for made, of in ((angles.cos(), cosines), (angles.sin(), sines)):
            of.append(made.float().to(device).reshape(shape).expand(*sizes, -1))
    cos, sin = (torch.cat(parts, dim=3).flatten(0, 2) for parts in (cosines, sines))
    return windowed_turns((cos, sin), grid) if is_windowed else (cos, sin)


def windowed_turns(turns: Turns, grid: Grid) -> Turns:
    """Turns that are frame by frame, in the order of windows."""
    cos, sin = (to_windows(x[None], grid)[0] for x in turns)
    return cos, sin


def rotate(x: Tensor, turns: Turns) -> Tensor:
    """x: (1, L, N, D) with its adjacent pairs turned, in float32."""
    cos, sin = turns[0][:, None], turns[1][:, None]
    a, b = rearrange(x.float(), "b l n (d two) -> two b l n d", two=2)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2).to(x.dtype)
