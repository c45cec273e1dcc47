"""FlashVSR's tiny decoder: latents and low-quality frames to frames, one latent at a time.

Every layer is two-dimensional; time is mixed by blocks that remember their previous input, and by
layers that turn one frame into two. Attributes are named as the published tensors. Channels lie
last in memory, where convolutions are faster on cards and on processors alike.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.models.flashvsr.config import DecoderConfig
from engine.models.kernels import unavailable

FRAMES = 4  # per latent
CELL = 8  # pixels along a latent's side
WARM_UP = 3  # frames at the start of a stream that are not part of it

DecoderState = tuple[Tensor, ...]  # the previous input of each MemBlock; empty before the first


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

    def forward(self, frames: Tensor, before: Tensor) -> Tensor:
        """frames: (T, C, h, w); before: (1, C, h, w), the frame ahead of them."""
        past = torch.cat([before, frames[:-1]])
        x = torch.cat([frames, past], dim=1)
        last = len(self.conv) - 1
        for i in range(0, len(self.conv), 2):
            conv = self.conv[i]
            assert isinstance(conv, nn.Conv2d)
            x = convolved(x, conv, has_relu=True, shortcut=frames if i == last else None)
        return x


class Grow(nn.Module):
    """Each frame becomes `times` frames, the earlier in the lower channels."""

    def __init__(self, width: int, times: int) -> None:
        super().__init__()
        self.times = times
        self.conv = nn.Conv2d(width, width * times, 1, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        """frames: (T, C, h, w) -> (T * times, C, h, w)."""
        grown: Tensor = self.conv(frames)
        return rearrange(grown, "t (s c) h w -> (t s) c h w", s=self.times)


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

    def forward(self, frames: Tensor) -> Tensor:
        """frames: (T, C, h, w) -> (T * times, O, 2h, 2w)."""
        count, _, h, w = frames.shape
        width = self.kernels.shape[2] // self.times
        shape = (count, self.times, width, h, 2, w, 2)
        order = (0, 1, 3, 4, 5, 6, 2)  # channels last
        out = frames.new_empty([shape[i] for i in order]).permute(0, 1, 6, 2, 3, 4, 5)
        for p in (0, 1):
            for q in (0, 1):
                cells = F.conv2d(frames, self.kernels[p, q], padding=1)
                cells = cells[:, :, p : p + h, q : q + w]
                out[..., p, :, q] = rearrange(cells, "b (t c) h w -> b t c h w", t=self.times)
        return out.flatten(5, 6).flatten(3, 4).flatten(0, 1)


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
        self, latents: Tensor, condition: Tensor, state: DecoderState = ()
    ) -> tuple[Tensor, DecoderState]:
        """Frames (1, 3, F, 8h, 8w), about 0..1, and the state after them.

        latents: (1, C, T, h, w) as the transformer gives them; condition: (1, 3, F, 8h, 8w), the
        low-quality frames of the same times. F is 4T - 3 at the start of a stream, afterwards 4T.
        """
        missing = FRAMES * latents.shape[2] - condition.shape[2]
        assert missing == (0 if state else WARM_UP), f"{condition.shape[2]} frames of condition"
        if missing:
            first = condition[:, :, :1].expand(-1, -1, missing, -1, -1)
            condition = torch.cat([first, condition], dim=2)
        out = latents.new_empty(condition.shape)
        split = torch.split(condition, FRAMES, dim=2), torch.split(out[0], FRAMES, dim=1)
        for latent, frames, room in zip(latents.unbind(2), *split, strict=True):
            cells = rearrange(
                frames.to(latent), "b c t (h y) (w x) -> b h w (c t y x)", y=CELL, x=CELL
            )
            x = torch.cat([cells, latent.permute(0, 2, 3, 1)], dim=3).permute(0, 3, 1, 2)
            state = self._step(x, state, room)
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

    def _step(self, x: Tensor, state: DecoderState, room: Tensor) -> DecoderState:
        """One latent, (1, C, h, w), to four frames, written into room (3, 4, 8h, 8w)."""
        before = iter(state)
        after: list[Tensor] = []
        end = max(i for i, layer in enumerate(self.decoder) if isinstance(layer, MemBlock)) + 1
        for i in range(end):
            layer = self.decoder[i]
            if isinstance(layer, MemBlock):
                previous = next(before) if state else torch.zeros_like(x[:1])
                after.append(x[-1:].clone())
                x = layer(x, previous)
            else:
                x = self._apply_layer(i, x)
        # Time is mixed no more: the largest tensors are made for one frame at a time.
        made = FRAMES // x.shape[0]
        for frame in range(x.shape[0]):
            y = x[frame : frame + 1]
            for i in range(end, len(self.decoder)):
                y = self._apply_layer(i, y)
            room[:, frame * made : (frame + 1) * made] = y.transpose(0, 1)
        return tuple(after)

    def _apply_layer(self, i: int, x: Tensor) -> Tensor:
        """A layer that mixes no time; a ReLU goes with the convolution that it follows."""
        layer = self.decoder[i]
        if isinstance(layer, nn.Conv2d):
            following = self.decoder[i + 1] if i + 1 < len(self.decoder) else None
            return convolved(x, layer, isinstance(following, nn.ReLU))
        if isinstance(layer, nn.ReLU):
            return x if isinstance(self.decoder[i - 1], nn.Conv2d) else x.relu_()
        if isinstance(layer, nn.Upsample):
            # A 1x1 convolution of repeated pixels is the repeated result: grow the small ones.
            x = self.decoder[i + 1](x)
        elif isinstance(layer, Grow):
            return x  # by the line above
        y: Tensor = layer(x)
        return y


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


def _stage(width: int, narrower: int, times: int) -> list[nn.Module]:
    """Three MemBlocks, then twice the size and `times` the frames, at the next width."""
    return [
        *(MemBlock(width) for _ in range(3)),
        nn.Upsample(scale_factor=2),
        Grow(width, times),
        nn.Conv2d(width, narrower, 3, padding=1, bias=False),
    ]
