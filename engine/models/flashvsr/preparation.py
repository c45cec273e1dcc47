"""Pictures to what FlashVSR reads, and its frames back to pictures of the wanted size."""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Literal

import torch
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
    return signal(fitted(picture, place))


def fitted(picture: Tensor, place: Placement) -> Tensor:
    """As `prepared`, but in levels as uint8: a quarter of the memory while it waits."""
    scaled = bicubic(picture, place.scaled_width, place.scaled_height).permute(2, 0, 1)
    rows = _within(place.top, place.height, place.scaled_height, picture.device)
    columns = _within(place.left, place.width, place.scaled_width, picture.device)
    return scaled.index_select(1, rows).index_select(2, columns)


def signal(levels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 levels as -1..1, computed in float32; what is floating already is only converted."""
    if levels.is_floating_point():
        return levels.to(dtype)
    return levels.float().div_(127.5).sub_(1).to(dtype)


def sent(x: Tensor, device: torch.device) -> Tensor:
    """x on a device; to a CUDA device without waiting for what that has to do before."""
    if device.type == "cuda" and x.device.type == "cpu":
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)


def to_picture(frame: Tensor) -> Tensor:
    """A frame (3, H, W) in -1..1 as a picture (H, W, 3), uint8, rounded."""
    levels = ((frame.float() + 1) * 127.5).round().clamp(0, 255)
    return levels.byte().permute(1, 2, 0).contiguous()


def bicubic(picture: Tensor, width: int, height: int) -> Tensor:
    """(h, w, C) uint8 resized exactly as Pillow's BICUBIC: across, to 8 bits, then down."""
    across = _resized(picture, width, axis=1)
    return _resized(across, height, axis=0)


def _resized(picture: Tensor, size: int, axis: int) -> Tensor:
    old = picture.shape[axis]
    if size == old:
        return picture
    places, weights = _taps(old, size, picture.device)
    shape = [1, 1, 1]
    shape[axis] = size
    wide = picture.int()
    total = torch.full((), 1 << (PRECISION - 1), dtype=torch.int32, device=picture.device)
    for place, weight in zip(places.unbind(1), weights.unbind(1), strict=True):
        total = total + wide.index_select(axis, place) * weight.reshape(shape)
    return (total >> PRECISION).clamp(0, 255).byte()


def _within(start: int, count: int, size: int, device: torch.device) -> Tensor:
    """Places start, start + 1, ... of an axis of `size`; those beyond it are its ends."""
    return (torch.arange(count, device=device) + start).clamp(0, size - 1)


@lru_cache(maxsize=8)
def _taps(old: int, new: int, device: torch.device) -> tuple[Tensor, Tensor]:
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
    return places.clamp_max(old - 1).to(device), rounded.int().to(device)


def _cubic(x: Tensor) -> Tensor:
    """Keys' kernel with a = -0.5."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
