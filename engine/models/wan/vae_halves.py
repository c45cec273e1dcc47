"""The two halves of Wan's causal VAE, from one latent frame to the next."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engine.models.wan.config import VaeConfig
from engine.models.wan.vae_layers import (
    DEPTH,
    CausalConv,
    ChannelNorm,
    Downsample,
    Frame,
    FrameAttention,
    Memory,
    ResidualBlock,
    Upsample,
    normed_conv,
)


class Encoder(nn.Module):
    """Pixels to twice z_dim channels of a cell.

    Where a clip stands still, what its first stages make becomes the same again and again: it is
    made once, which is most of the work for a picture before grey.
    """

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.dim * m for m in config.dim_mult]
        self.conv1 = CausalConv(3, config.dim)
        layers: list[nn.Module] = []
        # Those up to the next halving; the first time that is halved ends the first ones.
        self._stages: list[list[nn.Module]] = []
        self._first = [*config.temporal_downsample[:-1], True].index(True) + 1
        dim = config.dim
        for stage, width in enumerate(widths):
            made: list[nn.Module] = []
            for _ in range(config.num_res_blocks):
                made.append(ResidualBlock(dim, width))
                dim = width
            if stage < len(config.temporal_downsample):
                made.append(Downsample(dim, config.temporal_downsample[stage]))
            layers += made
            self._stages.append(made)
        self._period = config.period
        self.downsamples = nn.ModuleList(layers)
        self.middle = _middle(dim)
        self.head = _head(dim, 2 * config.z_dim)

    def forward(self, frames: list[Tensor], repeats: list[bool], memory: Memory) -> Tensor:
        """The next cells (B, h, w, 2 Z), of the frames of one latent frame; the list is emptied.

        frames: each (B, H, W, 3); repeats: as the method of that name tells. What is remembered in
        numbers is how many latent frames there were, and for the first stages how many of the last
        frames were repeated.
        """
        seen, *runs = memory.numbers or [0] * (1 + self._first)
        number = self._number(memory)
        for i, stage in enumerate(self._stages[:-1]):
            down = stage[-1]
            assert isinstance(down, Downsample)
            reach = 2 * _convolutions(stage) + (2 if i == 0 else 0)
            before = memory.last(down) if number and down.time_conv is not None else None
            made: list[Tensor] = []
            for at in range(len(frames)):
                frame = frames.pop(0)
                if i < len(runs):
                    runs[i] = min(runs[i] + 1, reach + 1) if repeats[at] else 0
                    repeats[at] = runs[i] > reach
                if i >= len(runs) or not repeats[at]:
                    memory.keep(down, self._halved(i, frame, memory, number + at))
                made.append(memory.last(down))
            frames = made
            if before is not None:
                frames = down.in_pairs(made, before)
            if down.time_conv is not None:
                number = (number + 1) // 2
        memory.numbers = [_counted(seen + 1), *runs]
        x = Frame(frames.pop())
        for layer in [*self._stages[-1], *self.middle]:
            x = layer(x, memory, number)
        return normed_conv(self.head["0"], self.head["2"], x, memory, number, False).tensor

    def repeats(self, frames: list[Tensor], memory: Memory) -> list[bool]:
        """Whether each of the next frames (B, H, W, 3) is the one before it."""
        before: Tensor | None = None
        if not memory.is_new:
            before = memory.window(self.conv1, self._number(memory) - 1, frames[0].shape).room
        flags = []
        for frame in frames:
            flags.append(frame.new_zeros(()) if before is None else (frame == before).all())
            before = frame
        # All together, as a device has to be awaited.
        return [bool(flag) for flag in torch.stack([flag.bool() for flag in flags]).tolist()]

    def _number(self, memory: Memory) -> int:
        """Of the next frame of the clip."""
        seen = memory.numbers[0] if memory.numbers else 0
        return self._period * (seen - 1) + 1 if seen else 0

    def _halved(self, stage: int, frame: Tensor, memory: Memory, number: int) -> Tensor:
        """A frame of this number after a stage, before time is halved."""
        x = Frame(frame) if stage else self.conv1.at_once(frame, memory, number)
        *blocks, down = self._stages[stage]
        for block in blocks:
            x = block(x, memory, number)
        made: Tensor = down(x)
        return made


class Decoder(nn.Module):
    """z_dim channels of a cell to pixels.

    Where time doubles, each of the frames goes to its end before the next is begun: time only looks
    back, so the result is the same, and little of full size is there at once.
    """

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.dim * m for m in reversed(config.dim_mult)]
        temporal = config.temporal_downsample[::-1]
        layers: list[nn.Module] = []
        dim = widths[0]
        self.conv1 = CausalConv(config.z_dim, dim)
        self.middle = _middle(dim)
        for stage, width in enumerate(widths):
            for _ in range(config.num_res_blocks + 1):
                layers.append(ResidualBlock(dim, width))
                dim = width
            if stage < len(temporal):
                layers.append(Upsample(dim, temporal[stage]))
                dim //= 2
        self.upsamples = nn.ModuleList(layers)
        self.head = _head(dim, 3)

    def forward(self, cells: Tensor, memory: Memory) -> Iterator[Tensor]:
        """The next frames (B, H, W, 3) of one latent frame, each as it is made.

        cells: (B, h, w, Z).
        """
        memory.numbers = memory.numbers or [0]
        seen = memory.numbers[0]
        yield from self._from(0, self.conv1.at_once(cells, memory, seen), memory, seen)
        memory.numbers = [_counted(seen + 1)]

    def _from(self, start: int, frame: Frame, memory: Memory, number: int) -> Iterator[Tensor]:
        """All layers from one on, those of the middle counted first."""
        layers = [*self.middle, *self.upsamples]
        for i in range(start, len(layers)):
            layer = layers[i]
            if not isinstance(layer, Upsample):
                frame = layer(frame, memory, number)
                continue
            x = frame.tensor
            del frame
            if layer.time_conv is None:
                frame = Frame(layer(x))
                del x
                continue
            # The first frame stays one, and what follows does not see it: 0, and not the number 0.
            window = memory.window(layer.time_conv, number + DEPTH - 1, x.shape)
            if number == 0:
                yield from self._from(i + 1, Frame(layer(x)), memory, 0)
                return
            window.room.copy_(x)
            del x
            for half in (0, 1):
                at = 2 * number - 1 + half
                yield from self._from(i + 1, Frame(layer(layer.in_time(window, half))), memory, at)
            return
        yield normed_conv(self.head["0"], self.head["2"], frame, memory, number, False).tensor


def _middle(dim: int) -> nn.ModuleList:
    return nn.ModuleList([ResidualBlock(dim, dim), FrameAttention(dim), ResidualBlock(dim, dim)])


def _head(dim_in: int, dim_out: int) -> nn.ModuleDict:
    return nn.ModuleDict({"0": ChannelNorm(dim_in, 3), "2": CausalConv(dim_in, dim_out)})


def _convolutions(layers: list[nn.Module]) -> int:
    """How many convolutions in time lie one after another."""
    return sum(isinstance(m, CausalConv) for layer in layers for m in layer.modules())


def _counted(number: int) -> int:
    """A count of latent frames that stays small: the same after the first, and in turns of 3."""
    return (number - 1) % DEPTH + 1
