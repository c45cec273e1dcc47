"""The layers of Wan's causal VAE, one frame at a time, its channels last in memory.

A frame is (B, H, W, C). What convolutions in time see of the past lies beside the frame of now, as
more channels of one tensor, so that each is one convolution in two dimensions and nothing is
joined or copied for it. What follows a convolution up to the next is one pass where kernels run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.models.kernels import unavailable

Cache: TypeAlias = list[Tensor]  # emptied by the next chunk, so that old and new are never both

DEPTH = 3  # frames that a convolution in time sees
EVEN = 8  # tensor cores multiply so many channels of 16 bits at once


class Memory:
    """What the layers of a half keep from frame to frame; a cache holds it between chunks.

    A cache begins with a tensor without values. Its shape is the numbers that are kept: wherever
    the tensor lies, nobody has to wait for a device to know them.
    """

    def __init__(self, half: nn.Module, cache: Cache | None) -> None:
        self._layers = [m for m in half.modules() if isinstance(m, CausalConv | Downsample)]
        self.is_new = cache is None
        self.numbers: list[int] = []
        self._kept: dict[nn.Module, Tensor] = {}
        if cache:
            self.numbers = list(cache[0].shape[:-1])
            self._kept = dict(zip(self._layers, cache[1:], strict=True))
            cache.clear()

    def cache(self, like: Tensor) -> Cache:
        """All of it."""
        return [like.new_empty(*self.numbers, 0), *(self._kept[one] for one in self._layers)]

    def window(self, conv: "CausalConv", number: int, shape: Sequence[int]) -> "Window":
        """Frames `number` - 2 to `number` for a convolution, of shape (B, H, W, C), black at first.

        The newest is yet to be written.
        """
        if conv not in self._kept:
            self._kept[conv] = conv.weight.new_zeros(*shape[:3], DEPTH, _even(conv.in_channels))
        return Window(self._kept[conv], number % DEPTH, conv.in_channels, number == 0)

    def last(self, layer: "Downsample") -> Tensor:
        """The last frame that the layer has made."""
        return self._kept[layer]

    def keep(self, layer: "Downsample", frame: Tensor) -> None:
        """The frame is not to be changed any more."""
        self._kept[layer] = frame


@dataclass(frozen=True)
class Window:
    """Three frames (B, H, W, 3, C) in turn: a new one takes the place of the oldest."""

    frames: Tensor
    newest: int
    channels: int  # those beyond are there for evenness only, and black
    is_first: bool  # the newest is the first: all before is black

    @property
    def room(self) -> Tensor:
        """Where the newest frame is, or is to be written: (B, H, W, C)."""
        return self.frames[..., self.newest, : self.channels]

    def turned(self, kernel: Tensor) -> Tensor:
        """A kernel (O, ..., 3, C), the oldest frame's part first, as the frames now lie."""
        # One more than the newest is the oldest.
        shift = (self.newest + 1) % DEPTH
        return (kernel.roll(shift, -2) if shift else kernel).flatten(-2)


@dataclass
class Frame:
    """A frame (B, H, W, C) that may be yet to be added up: base + fresh + bias.

    What reads it adds it up in passing. `fresh` is nobody else's, so it takes the sum; a base stays
    as it is.
    """

    base: Tensor | None = None
    fresh: Tensor | None = None
    bias: Tensor | None = None

    @property
    def tensor(self) -> Tensor:
        """The sum."""
        self._pass(None, None, has_silu=False, keeps=True)
        assert self.base is not None
        return self.base

    @property
    def shape(self) -> torch.Size:
        """(B, H, W, C)."""
        part = self.base if self.fresh is None else self.fresh
        assert part is not None
        return part.shape

    def normed(self, gamma: Tensor, out: Tensor, has_silu: bool = True, keeps: bool = True) -> None:
        """Into `out` its norm, then SiLU. Unless it `keeps`, the frame is not asked for again.

        The norm divides each pixel's channels by their root mean square, times gamma: no mean, no
        bias. `out` may have its pixels apart.
        """
        self._pass(gamma.flatten(), out, has_silu, keeps)

    def _pass(self, gamma: Tensor | None, out: Tensor | None, has_silu: bool, keeps: bool) -> None:
        sums = self.fresh is not None and (self.base is not None or self.bias is not None)
        x = self.base if self.fresh is None else self.fresh
        assert x is not None
        if (sums and keeps) or out is not None:
            if unavailable(x.device):
                _add_norm_plainly(x, self.base if sums else None, self.bias, gamma, out, has_silu)
            else:
                from engine.models.kernels.frames import add_norm_

                other = self.base if sums else None
                add_norm_(x, other, self.bias, gamma, out, has_silu, sums and keeps)
        self.base, self.fresh, self.bias = x, None, None


def _add_norm_plainly(
    x: Tensor,
    other: Tensor | None,
    bias: Tensor | None,
    gamma: Tensor | None,
    out: Tensor | None,
    has_silu: bool,
) -> None:
    for part in (other, bias):
        if part is not None:
            x += part
    if out is None or gamma is None:
        return
    wide = torch.promote_types(x.dtype, torch.float32)
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide).clamp_min(1e-12)
    torch.mul(x, x.shape[-1] ** 0.5 / length, out=out)
    out *= gamma
    if has_silu:
        F.silu(out, inplace=True)


class CausalConv(nn.Conv3d):
    """A convolution whose padding in time is the past alone: zeros before the first frame."""

    def __init__(self, dim_in: int, dim_out: int, size: int = 3) -> None:
        """size: along height and width."""
        super().__init__(dim_in, dim_out, (DEPTH, size, size))

    def forward(self, window: Window) -> Frame:  # type: ignore[override]
        """The frame of the newest of the window."""
        missing = -self.out_channels % EVEN
        kernel, size = self._kernel(missing), self.kernel_size[1] // 2
        if window.is_first:  # a third of the work
            x, kernel = window.frames[:, :, :, window.newest].contiguous(), kernel[..., -1, :]
        else:
            x, kernel = window.frames.flatten(3), window.turned(kernel)
        weight = kernel.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        assert self.bias is not None
        if missing:
            y = _convolved(x, weight, F.pad(self.bias, (0, missing)), padding=size)
            return Frame(fresh=y[..., : self.out_channels].contiguous())
        if unavailable(x.device):
            return Frame(fresh=_convolved(x, weight, self.bias, padding=size))
        # The sum that follows adds it: a convolution on a card would need a pass of its own.
        return Frame(fresh=_convolved(x, weight, None, padding=size), bias=self.bias)

    def at_once(self, frame: Tensor, memory: Memory, number: int) -> Frame:
        """Of a frame as it is, (B, H, W, C)."""
        window = memory.window(self, number, frame.shape)
        window.room.copy_(frame)
        made: Frame = self(window)
        return made

    def _kernel(self, missing: int) -> Tensor:
        """(O, 3, 3, T, C) without gaps; O and C are filled up with zeros to be even."""
        kernel = _laid(self, (0, 3, 4, 2, 1))
        lacking = -self.in_channels % EVEN
        if missing or lacking:
            kernel = F.pad(kernel, (0, lacking, 0, 0, 0, 0, 0, 0, 0, missing))
        return kernel


class ChannelNorm(nn.Module):
    """The gamma of a norm; see `Frame.normed`."""

    def __init__(self, dim: int, axes: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim, *[1] * axes))


class ResidualBlock(nn.Module):
    """Twice norm, SiLU, causal convolution, beside a shortcut."""

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.residual = nn.ModuleDict(
            {
                "0": ChannelNorm(dim_in, 3),
                "2": CausalConv(dim_in, dim_out),
                "3": ChannelNorm(dim_out, 3),
                "6": CausalConv(dim_out, dim_out),
            }
        )
        self.shortcut = nn.Conv3d(dim_in, dim_out, 1) if dim_in != dim_out else None

    def forward(self, frame: Frame, memory: Memory, number: int) -> Frame:
        """The frame of this number."""
        inner = normed_conv(self.residual["0"], self.residual["2"], frame, memory, number)
        outer = normed_conv(
            self.residual["3"], self.residual["6"], inner, memory, number, keeps=False
        )
        outer.base = frame.tensor if self.shortcut is None else mixed(frame.tensor, self.shortcut)
        return outer


def normed_conv(
    norm: nn.Module,
    conv: nn.Module,
    frame: Frame,
    memory: Memory,
    number: int,
    keeps: bool = True,
) -> Frame:
    """Norm, SiLU and convolution; `keeps`: whether the frame is asked for again."""
    assert isinstance(norm, ChannelNorm)
    assert isinstance(conv, CausalConv)
    window = memory.window(conv, number, frame.shape)
    frame.normed(norm.gamma, window.room, keeps=keeps)
    if not keeps:
        frame.base = None
    made: Frame = conv(window)
    return made


class FrameAttention(nn.Module):
    """One head over all pixels of a frame."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(dim, 2)
        self.to_qkv = nn.Conv2d(dim, 3 * dim, 1)
        self.proj = nn.Conv2d(dim, dim, 1)

    def forward(self, frame: Frame, memory: Memory, number: int) -> Frame:
        """Each frame by itself."""
        normed = torch.empty_like(frame.tensor)
        frame.normed(self.norm.gamma, normed, has_silu=False)
        qkv = rearrange(mixed(normed, self.to_qkv), "b h w (n c) -> n b 1 (h w) c", n=3)
        # Of 384 channels: too wide for the flash kernels; on cards torch takes the efficient one.
        found = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        return Frame(frame.base, mixed(found.view(frame.shape), self.proj))


class Downsample(nn.Module):
    """Halves height and width, then time where `temporal`."""

    def __init__(self, dim: int, temporal: bool) -> None:
        super().__init__()
        self.resample = nn.ModuleDict({"1": nn.Conv2d(dim, dim, 3, stride=2)})
        self.time_conv = nn.Conv3d(dim, dim, (DEPTH, 1, 1)) if temporal else None

    def forward(self, frame: Frame) -> Tensor:
        """One frame, smaller: (B, H / 2, W / 2, C)."""
        conv = self.resample["1"]
        assert isinstance(conv, nn.Conv2d)
        kernel = _laid(conv, (0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = F.pad(frame.tensor, (0, 0, 0, 1, 0, 1))  # right and bottom only
        return _convolved(x, kernel, conv.bias, stride=2)

    def in_pairs(self, frames: Sequence[Tensor], last: Tensor) -> list[Tensor]:
        """Frames of half the time: each pair as seen with the one before; `last` was before all."""
        assert self.time_conv is not None
        conv, made = self.time_conv, []
        kernel = _laid(conv, (0, 2, 1, 3, 4)).flatten(1)
        for first, second in zip(frames[::2], frames[1::2], strict=True):
            made.append(F.linear(torch.cat([last, first, second], dim=-1), kernel, conv.bias))
            last = second
        return made


class Upsample(nn.Module):
    """Doubles time where `temporal`, then height and width, and halves the channels.

    Repeating each pixel and the convolution after it are one convolution at the small size: each
    pixel of a 2 x 2 cell sees but 2 x 2 small ones. 4/9 of the work, exact but for rounding.
    """

    def __init__(self, dim: int, temporal: bool) -> None:
        super().__init__()
        self.resample = nn.ModuleDict({"1": nn.Conv2d(dim, dim // 2, 3, padding=1)})
        self.time_conv = CausalConv(dim, 2 * dim, 1) if temporal else None
        self._merged: tuple[Tensor, Tensor] | None = None  # made of the first, which tells its age

    def in_time(self, window: Window, half: int) -> Tensor:
        """The earlier or the later of the two frames that one becomes: (B, H, W, C)."""
        assert self.time_conv is not None
        assert self.time_conv.bias is not None
        kernel = self.time_conv._kernel(0)[:, 0, 0].chunk(2)[half]
        x = window.frames.flatten(3)
        return F.linear(x, window.turned(kernel), self.time_conv.bias.chunk(2)[half])

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, H, W, C) -> (B, 2H, 2W, C / 2)."""
        phases = _convolved(x, self._kernel(), None, padding=1)
        bias = self.resample["1"].bias
        assert isinstance(bias, Tensor)
        if not unavailable(x.device):
            from engine.models.kernels.frames import interleave

            return interleave(phases, bias)
        height, width = x.shape[1:3]
        out = x.new_empty(len(x), height, 2, width, 2, len(bias))
        for number, phase in enumerate(phases.chunk(4, dim=-1)):
            p, q = divmod(number, 2)
            part = phase[:, p : p + height, q : q + width]
            torch.add(part, bias, out=out[:, :, p, :, q])
        return out.flatten(3, 4).flatten(1, 2)

    def _kernel(self) -> Tensor:
        """(4 O, C, 2, 2), channels last: the kernels of the four pixels of a cell."""
        weight = self.resample["1"].weight
        assert isinstance(weight, Tensor)
        if self._merged is None or self._merged[0].data_ptr() != weight.data_ptr():
            # Which small rows (or columns) the three of a kernel fall on, for both halves of a cell
            falls = torch.tensor([[[1.0, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
            falls = falls.to(weight.device)
            merged = torch.einsum("ochw,pah,qbw->pqoabc", weight.float(), falls, falls)
            merged = merged.to(weight.dtype).flatten(0, 2).contiguous()
            self._merged = weight.detach(), merged
        return self._merged[1].permute(0, 3, 1, 2)


def mixed(x: Tensor, conv: nn.Conv2d | nn.Conv3d) -> Tensor:
    """A convolution of single pixels. x: (B, H, W, C)."""
    return F.linear(x, conv.weight.flatten(1), conv.bias)


def _convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 1, padding: int = 0
) -> Tensor:
    y = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, stride, padding)
    return y.permute(0, 2, 3, 1).contiguous()  # as it lies already


def _laid(conv: nn.Conv2d | nn.Conv3d, order: tuple[int, ...]) -> Tensor:
    """The weight with its axes in this order and no gaps.

    The first call gives it memory in that order, so there is one copy, of published name and shape.
    """
    laid = conv.weight.detach().permute(order)
    if not laid.is_contiguous():
        laid = laid.contiguous()
        named = laid.permute([order.index(axis) for axis in range(len(order))])
        conv.weight = nn.Parameter(named, requires_grad=False)
    return laid


def _even(channels: int) -> int:
    return -(-channels // EVEN) * EVEN
