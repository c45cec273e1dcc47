"""Enhance-A-Video: self-attention made stronger by how much latent frames attend to each other.

Luo et al. 2025 (arXiv 2502.07508), sec. 3. Frames are compared at one place of the picture.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

HEADS_AT_ONCE = 8  # bounds what is held in float32


@dataclass(frozen=True, kw_only=True)
class Enhance:
    """`start` and `end`: the part of the steps in which it works, both ends included."""

    weight: float = 2.0
    start: float = 0.0
    end: float = 1.0

    def at(self, step: int, steps: int) -> float | None:
        """The weight in a step, counted from 0; None where it does not work."""
        return self.weight if self.start <= step / steps <= self.end else None


def enhance_factor(q: Tensor, k: Tensor, frames: int, weight: float) -> Tensor:
    """What the result of self-attention is multiplied by: (B,), float32, at least 1.

    q, k: (B, L, N, D), normed and not turned, frame by frame. One frame alone gives 1.
    """
    if frames == 1:
        return torch.ones(q.shape[0], device=q.device)
    own = torch.zeros(q.shape[0], device=q.device)
    for queries, keys in zip(*(torch.split(x, HEADS_AT_ONCE, 2) for x in (q, k)), strict=True):
        a = rearrange(queries.float(), "b (f p) n d -> b n p f d", f=frames)
        b = rearrange(keys.float(), "b (f p) n d -> b n p d f", f=frames)
        shares = ((a @ b) * q.shape[3] ** -0.5).softmax(dim=-1)
        own += shares.diagonal(dim1=-2, dim2=-1).mean(dim=(2, 3)).sum(dim=1)
    # A frame's shares add up to one: what does not stay is spread over the others.
    others = (1 - own / q.shape[2]) / (frames - 1)
    return (others * (frames + weight)).clamp_min(1)
