"""Pictures to what FlashVSR reads, and its frames back to pictures of the wanted size."""

from dataclasses import dataclass
from math import ceil
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Fit = Literal["pad", "crop"]

UNIT = 128  # both sides of the model's picture are multiples of it
SUPPORT = 2.0  # of the cubic kernel, in pixels
PRECISION = 22  # fraction bits of Pillow's 8-bit weights


@dataclass(frozen=True)
class Placement:
    """A picture scaled to scaled_width x scaled_height, centred in the model's width x height.

    A model's side that is longer repeats the picture's edge; one that is shorter cuts it.
    """

    scaled_width: int
    scaled_height: int
    width: int
    height: int

    @property
    def left(self) -> int:
        """Where the model's picture begins in the scaled one; negative where it is padded."""
        return (self.scaled_width - self.width) // 2

    @property
    def top(self) -> int:
        """As `left`, downwards."""
        return (self.scaled_height - self.height) // 2

    def restored(self, frames: Tensor) -> Tensor:
        """frames (..., height, width) without what was padded."""
        top, left = max(0, -self.top), max(0, -self.left)
        return frames[..., top : top + self.scaled_height, left : left + self.scaled_width]


def scaled_size(width: int, height: int, scale: float) -> tuple[int, int]:
    """Width and height after scaling, as published."""
    return round(width * scale), round(height * scale)


def placement(scaled_width: int, scaled_height: int, fit: Fit = "pad") -> Placement:
    """ "pad" keeps every pixel; "crop", as published, cuts to whole units, at least one."""

    def side(length: int) -> int:
        units = ceil(length / UNIT) if fit == "pad" else length // UNIT
        return UNIT * max(1, units)

    return Placement(scaled_width, scaled_height, side(scaled_width), side(scaled_height))


def prepared(picture: Tensor, place: Placement) -> Tensor:
    """A picture (h, w, 3), uint8, as the model reads it: (3, height, width), float32 in -1..1."""
    scaled = bicubic(picture, place.scaled_width, place.scaled_height)
    x = scaled.permute(2, 0, 1).float() / 127.5 - 1
    right = place.width - place.scaled_width + place.left
    bottom = place.height - place.scaled_height + place.top
    # A negative pad cuts; replicate needs a batch axis.
    cut = (min(0, -place.left), min(0, right), min(0, -place.top), min(0, bottom))
    edge = (max(0, -place.left), max(0, right), max(0, -place.top), max(0, bottom))
    return F.pad(F.pad(x, cut)[None], edge, mode="replicate")[0]


def to_picture(frame: Tensor) -> Tensor:
    """A frame (3, H, W) in -1..1 as a picture (H, W, 3), uint8, rounded."""
    levels = ((frame.float() + 1) * 127.5).round().clamp(0, 255)
    return levels.byte().permute(1, 2, 0)


def bicubic(picture: Tensor, width: int, height: int) -> Tensor:
    """(h, w, C) uint8 resized exactly as Pillow's BICUBIC: across, to 8 bits, then down."""
    across = _resized(picture, width, axis=1)
    return _resized(across, height, axis=0)


def _resized(picture: Tensor, size: int, axis: int) -> Tensor:
    old = picture.shape[axis]
    if size == old:
        return picture
    places, weights = (x.to(picture.device) for x in _taps(old, size))
    shape = [1, 1, 1]
    shape[axis] = size
    wide = picture.int()
    total = torch.full((), 1 << (PRECISION - 1), dtype=torch.int32, device=picture.device)
    for place, weight in zip(places.unbind(1), weights.unbind(1), strict=True):
        total = total + wide.index_select(axis, place) * weight.reshape(shape)
    return (total >> PRECISION).clamp(0, 255).byte()


def _taps(old: int, new: int) -> tuple[Tensor, Tensor]:
    """Which pixels each new one is made of, and their weights in fixed point: (new, taps) each."""
    scale = old / new
    spread = max(scale, 1.0)  # a smaller picture averages over more
    centre = (torch.arange(new, dtype=torch.float64) + 0.5) * scale
    first = (centre - SUPPORT * spread + 0.5).clamp_min(0).long()
    last = (centre + SUPPORT * spread + 0.5).long().clamp_max(old)
    places = first[:, None] + torch.arange(int((last - first).max()))
    weights = _cubic((places - centre[:, None] + 0.5) / spread) * (places < last[:, None])
    weights = weights / weights.sum(dim=1, keepdim=True) * (1 << PRECISION)
    rounded = (weights.abs() + 0.5).floor() * weights.sign()
    return places.clamp_max(old - 1), rounded.int()


def _cubic(x: Tensor) -> Tensor:
    """Keys' kernel with a = -0.5."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
