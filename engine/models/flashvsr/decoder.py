"""FlashVSR's tiny decoder: latents and low-quality frames to frames, one latent at a time.

Every layer is two-dimensional; time is mixed by blocks that remember their previous input, and by
layers that turn one frame into two. Attributes are named as the published tensors. Channels lie
last in memory, where convolutions are faster on cards and on processors alike.

Each frame goes as far as it can before the next is begun, and where frames are large they go in
bands of rows with what lies around them, so little of full size is there at once.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.models.flashvsr.config import DecoderConfig
from engine.models.flashvsr.preparation import signal
from engine.models.kernels import unavailable

FRAMES = 4  # per latent
CELL = 8  # pixels along a latent's side
WARM_UP = 3  # frames at the start of a stream that are not part of it

BAND = 1 << 25  # numbers at once of a tensor in bands: 64 MiB in bfloat16
REACH = 3  # rows that a MemBlock sees around its own
TAIL_REACH = 2  # small rows that the last growth and what follows see: of them 4, they need 3

# The previous input of each MemBlock, (1, C, h, w); empty before the first. It is changed in place,
# block by block, so that old and new are never all there together.
DecoderState = list[Tensor]


class Clamp(nn.Module):
    """3 tanh(x / 3): a soft limit."""

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape."""
        return (x / 3).tanh_().mul_(3)


class MemBlock(nn.Module):
    """Three convolutions of a frame and the one before it, beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(2 * width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, frame: Tensor, before: Tensor | None) -> Tensor:
        """frame and the one before it, black at the start of a stream: (1, C, h, w)."""

        def banded(rows: slice) -> Tensor:
            x = frame[:, :, rows]
            past = torch.zeros_like(x) if before is None else before[:, :, rows]
            return self._convolve(torch.cat([x, past], dim=1), x)

        size = 2 * frame.numel()
        if size <= BAND:
            return banded(slice(None))
        out = torch.empty_like(frame, memory_format=torch.channels_last)
        for rows, around in bands(frame.shape[2], size, REACH):
            skipped = rows.start - around.start
            out[:, :, rows] = banded(around)[:, :, skipped:][:, :, : rows.stop - rows.start]
        return out

    def _convolve(self, x: Tensor, shortcut: Tensor) -> Tensor:
        last = len(self.conv) - 1
        for i in range(0, len(self.conv), 2):
            conv = self.conv[i]
            assert isinstance(conv, nn.Conv2d)
            x = convolved(x, conv, has_relu=True, shortcut=shortcut if i == last else None)
        return x


class Grow(nn.Module):
    """Each frame becomes `times` frames, the earlier in the lower channels."""

    def __init__(self, width: int, times: int) -> None:
        super().__init__()
        self.times = times
        self.conv = nn.Conv2d(width, width * times, 1, bias=False)

    def forward(self, frame: Tensor, time: int) -> Tensor:
        """frame: (1, C, h, w) -> the frame of number `time` that it becomes, (1, C, h, w)."""
        return F.conv2d(frame, self.conv.weight.chunk(self.times)[time])


class Rise(nn.Module):
    """Growth, doubling of the size and the convolution after it, as one step at the small size.

    Nothing non-linear lies between them, so each pixel of a 2 x 2 cell is a 2 x 2 convolution of
    the small frame: 4/9 of the work of the three, exact but for rounding.
    """

    def __init__(self, grow: Grow, conv: nn.Conv2d) -> None:
        super().__init__()
        self.times = grow.times
        # Which small rows (or columns) the three of a kernel fall on, for both halves of a cell.
        falls = torch.tensor([[[1.0, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
        mix = rearrange(grow.conv.weight.float(), "(t c) i 1 1 -> t c i", t=grow.times)
        wide = conv.weight.float()
        falls = falls.to(wide.device)
        kernels = torch.einsum("ochw,tci,pah,qbw->pqtoiab", wide, mix, falls, falls)
        kernels = kernels.flatten(2, 3).to(conv.weight)
        # Each phase's kernel with channels last.
        kernels = rearrange(kernels, "p q o i a b -> p q o a b i").contiguous()
        kernels = rearrange(kernels, "p q o a b i -> p q o i a b")
        self.kernels = nn.Parameter(kernels, requires_grad=False)

    def forward(self, frame: Tensor, time: int) -> Tensor:
        """frame: (1, C, h, w) -> the frame of number `time` that it becomes, (1, O, 2h, 2w)."""
        h, w = frame.shape[2:]
        width = self.kernels.shape[2] // self.times
        kernels = self.kernels[:, :, time * width : (time + 1) * width]
        out = frame.new_empty(1, h, 2, w, 2, width)  # channels last
        for p in (0, 1):
            for q in (0, 1):
                cells = F.conv2d(frame, kernels[p, q], padding=1)
                out[:, :, p, :, q] = cells[:, :, p : p + h, q : q + w].permute(0, 2, 3, 1)
        return out.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


class TinyDecoder(nn.Module):
    """The decoder; its state is an argument and a result."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        a, b, c, d = config.channels
        self.decoder = nn.Sequential(
            Clamp(),
            nn.Conv2d(config.condition_channels + config.latent_channels, a, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(a, a, 3, padding=1, bias=False),
            nn.ReLU(),
            *_stage(a, b, times=1),
            *_stage(b, c, times=2),
            *_stage(c, d, times=2),
            nn.ReLU(),
            nn.Conv2d(d, d, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(d, 3, 3, padding=1),
        )

    def forward(
        self, latents: Tensor, condition: Tensor, state: DecoderState | None = None
    ) -> tuple[Tensor, DecoderState]:
        """Frames (1, 3, F, 8h, 8w), about 0..1, and the state after them; a given one is changed.

        latents: (1, C, T, h, w) as the transformer gives them; condition: (1, 3, F, 8h, 8w), the
        low-quality frames of the same times, -1..1 or uint8 levels. F is 4T - 3 at the start of a
        stream, afterwards 4T.
        """
        missing = FRAMES * latents.shape[2] - condition.shape[2]
        assert missing == (0 if state else WARM_UP), f"{condition.shape[2]} frames of condition"
        if missing:
            first = condition[:, :, :1].expand(-1, -1, missing, -1, -1)
            condition = torch.cat([first, condition], dim=2)
        out = latents.new_empty(condition.shape)
        state = state or []
        split = torch.split(condition, FRAMES, dim=2), torch.split(out[0], FRAMES, dim=1)
        for latent, frames, room in zip(latents.unbind(2), *split, strict=True):
            self._step(_beside(frames, latent), 0, state, iter(room.unbind(1)))
        return out[:, :, missing:], state

    def merge(self) -> None:
        """Make one layer of each growth, doubling and convolution: faster; nothing is loaded after.

        To be called with the weights as stored, before they are rounded to fewer bits.
        """
        for i, layer in enumerate(self.decoder):
            if isinstance(layer, nn.Upsample):
                grow, conv = self.decoder[i + 1], self.decoder[i + 2]
                assert isinstance(grow, Grow)
                assert isinstance(conv, nn.Conv2d)
                self.decoder[i] = Rise(grow, conv)
                self.decoder[i + 1] = self.decoder[i + 2] = nn.Identity()
        for parameter in self.parameters():
            if parameter.dim() == 4:
                weight = parameter.data.contiguous(memory_format=torch.channels_last)
                parameter.data = weight

    def _step(self, x: Tensor, i: int, state: DecoderState, rooms: Iterator[Tensor]) -> None:
        """One frame, (1, C, h, w), from layer i on, to frames written into rooms (3, 8h, 8w)."""
        block = sum(isinstance(self.decoder[at], MemBlock) for at in range(i))
        while not _rises(self.decoder[i]):
            layer = self.decoder[i]
            if isinstance(layer, MemBlock):
                previous = x
                x = layer(x, state[block] if block < len(state) else None)
                state[block : block + 1] = [previous]
                block += 1
            else:
                x = self._apply_layer(i, x)
            i += 1
        times = self._times(i)
        for time in range(times):
            if any(_rises(self.decoder[at]) for at in range(i + 3, len(self.decoder))):
                risen = self._risen(x, i, time)
                if time == times - 1:
                    del x
                self._step(risen, i + 3, state, rooms)
            else:
                self._end(x, i, time, next(rooms))

    def _end(self, x: Tensor, i: int, time: int, room: Tensor) -> None:
        """The last growth, at i, and what follows: time is mixed no more. room: (3, H, W)."""
        size = 4 * x[:, 0].numel() * self.config.channels[3]
        for rows, around in bands(x.shape[2], size, TAIL_REACH):
            y = self._risen(x[:, :, around], i, time)
            for at in range(i + 3, len(self.decoder)):
                y = self._apply_layer(at, y)
            skipped, count = rows.start - around.start, rows.stop - rows.start
            room[:, 2 * rows.start : 2 * rows.stop] = y[0, :, 2 * skipped : 2 * (skipped + count)]

    def _times(self, i: int) -> int:
        """How many frames the growth at layer i makes of one."""
        grow = self.decoder[i] if isinstance(self.decoder[i], Rise) else self.decoder[i + 1]
        assert isinstance(grow, Rise | Grow)
        return grow.times

    def _risen(self, x: Tensor, i: int, time: int) -> Tensor:
        """One frame of those that the three layers from i on make of x, at twice its size."""
        layer, grow = self.decoder[i], self.decoder[i + 1]
        if isinstance(layer, Rise):
            return layer.forward(x, time)
        # A 1x1 convolution of repeated pixels is the repeated result: grow the small ones.
        return self._apply_layer(i + 2, layer(grow(x, time)))

    def _apply_layer(self, i: int, x: Tensor) -> Tensor:
        """A layer that mixes no time; a ReLU goes with the convolution that it follows."""
        layer = self.decoder[i]
        if isinstance(layer, nn.Conv2d):
            following = self.decoder[i + 1] if i + 1 < len(self.decoder) else None
            return convolved(x, layer, isinstance(following, nn.ReLU))
        if isinstance(layer, nn.ReLU):
            return x if isinstance(self.decoder[i - 1], nn.Conv2d) else x.relu_()
        y: Tensor = layer(x)
        return y


def bands(height: int, size: int, reach: int) -> Iterator[tuple[slice, slice]]:
    """Bands of rows that hold at most about BAND of `size` numbers; each with `reach` rows around.

    Those around end at the picture, where a convolution finds its usual zeros.
    """
    step = -(-height // min(height, -(-size // BAND)))
    for start in range(0, height, step):
        stop = min(start + step, height)
        yield slice(start, stop), slice(max(0, start - reach), min(height, stop + reach))


def convolved(x: Tensor, conv: nn.Conv2d, has_relu: bool, shortcut: Tensor | None = None) -> Tensor:
    """conv(x), plus a shortcut, then ReLU: where kernels run, all after the product in one pass."""
    if has_relu and not unavailable(x.device):
        from engine.models.kernels import pointwise

        y = F.conv2d(x, conv.weight, None, padding=conv.padding)
        y = y.contiguous(memory_format=torch.channels_last)
        return pointwise.bias_relu_(y, conv.bias, shortcut)
    y = F.conv2d(x, conv.weight, conv.bias, padding=conv.padding)
    if shortcut is not None:
        y += shortcut
    return y.relu_() if has_relu else y


def _beside(frames: Tensor, latent: Tensor) -> Tensor:
    """Frames (1, 3, T, 8h, 8w) with a cell's pixels as channels, then the latent (1, C, h, w)."""
    cells = rearrange(frames, "b c t (h y) (w x) -> b h w (c t y x)", y=CELL, x=CELL)
    return torch.cat([signal(cells, latent.dtype), latent.permute(0, 2, 3, 1)], dim=3).permute(
        0, 3, 1, 2
    )


def _rises(layer: nn.Module) -> bool:
    """Whether this and the two layers after it make a frame twice as large."""
    return isinstance(layer, Rise | nn.Upsample)


def _stage(width: int, narrower: int, times: int) -> list[nn.Module]:
    """Three MemBlocks, then twice the size and `times` the frames, at the next width."""
    return [
        *(MemBlock(width) for _ in range(3)),
        nn.Upsample(scale_factor=2),
        Grow(width, times),
        nn.Conv2d(width, narrower, 3, padding=1, bias=False),
    ]
