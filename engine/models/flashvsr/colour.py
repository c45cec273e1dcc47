"""What decoded frames take back of their source: its colours, and a part of what was changed."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 5
EPS = 1e-5

Colour = Literal["none", "adain", "wavelet"]
Band = Literal["whole", "high"]


def recoloured(frames: Tensor, source: Tensor, colour: Colour) -> Tensor:
    """Frames with the colours of their source, both (1, 3, T, H, W)."""
    if colour == "adain":
        return adain(frames, source)
    if colour == "wavelet":
        return wavelet(frames, source)
    return frames


def strengthened(frames: Tensor, source: Tensor, strength: float, band: Band) -> Tensor:
    """The source with a part of what changed in the frames, both (1, 3, T, H, W) in -1..1.

    Full strength in the whole band gives the frames, none the source. In the high band the colours
    stay the source's, as only what lies above the low band changes.
    """
    if strength == 1 and band == "whole":
        return frames
    change = frames.float() - source.float()
    if band == "high":
        low = [low_band(part) for part in change.unbind(2)]
        change = change - torch.stack(low, dim=2)
    return source.float() + strength * change


def adain(frames: Tensor, source: Tensor, eps: float = EPS) -> Tensor:
    """Each channel with the mean and deviation of the source's; clamped to -1..1.

    Huang and Belongie 2017 (arXiv 1703.06868), eq. 8. Both (1, 3, T, H, W); statistics are per
    frame, in float32.
    """
    wide, like = frames.float(), source.float()
    variance, mean = torch.var_mean(wide, dim=(3, 4), correction=0, keepdim=True)
    wanted_variance, wanted_mean = torch.var_mean(like, dim=(3, 4), correction=0, keepdim=True)
    gain = ((wanted_variance + eps) / (variance + eps)).sqrt()
    return ((wide - mean) * gain + wanted_mean).clamp(-1, 1).to(frames.dtype)


def wavelet(frames: Tensor, source: Tensor, levels: int = LEVELS) -> Tensor:
    """The details of the frames on the low band of the source; clamped to -1..1.

    Both (1, 3, T, H, W). Bands are parted by `levels` blurs of radius 1, 2, 4, ... (à trous).
    """
    parts = []
    for frame, like in zip(frames.unbind(2), source.unbind(2), strict=True):
        wide = frame.float()
        high = wide - low_band(wide, levels)
        parts.append((high + low_band(like.float(), levels)).clamp(-1, 1))
    return torch.stack(parts, dim=2).to(frames.dtype)


def low_band(picture: Tensor, levels: int = LEVELS) -> Tensor:
    """What is left of (1, 3, H, W) after all blurs; the high band is the rest."""
    weights = torch.tensor([0.25, 0.5, 0.25], dtype=picture.dtype, device=picture.device)
    kernel = (weights[:, None] * weights).expand(picture.shape[1], 1, 3, 3)
    for level in range(levels):
        radius = 2**level
        padded = F.pad(picture, (radius,) * 4, mode="replicate")
        picture = F.conv2d(padded, kernel, dilation=radius, groups=picture.shape[1])
    return picture
