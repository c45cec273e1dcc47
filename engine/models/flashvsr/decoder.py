"""FlashVSR's tiny decoder: latents and low-quality frames to frames, one latent at a time.

Every layer is two-dimensional; time is mixed by blocks that remember their previous input, and by
layers that turn one frame into two. Attributes are named as the published tensors.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.models.flashvsr.config import DecoderConfig

FRAMES = 4  # per latent
CELL = 8  # pixels along a latent's side
WARM_UP = 3  # frames at the start of a stream that are not part of it

DecoderState = tuple[Tensor, ...]  # the previous input of each MemBlock; empty before the first


class Clamp(nn.Module):
    """3 tanh(x / 3): a soft limit."""

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape."""
        return torch.tanh(x / 3) * 3


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
        return F.relu(self.conv(torch.cat([frames, past], dim=1)) + frames)


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
        self.kernels = nn.Parameter(kernels.flatten(2, 3).to(conv.weight), requires_grad=False)

    def forward(self, frames: Tensor) -> Tensor:
        """frames: (T, C, h, w) -> (T * times, O, 2h, 2w)."""
        h, w = frames.shape[2:]
        padded = F.pad(frames, (1, 1, 1, 1))
        cells = [
            F.conv2d(padded[:, :, p : p + h + 1, q : q + w + 1], self.kernels[p, q])
            for p in (0, 1)
            for q in (0, 1)
        ]
        return rearrange(cells, "(p q) n (t o) h w -> (n t) o (h p) (w q)", p=2, t=self.times)


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
        parts = []
        for latent, frames in zip(
            latents.unbind(2), torch.split(condition, FRAMES, dim=2), strict=True
        ):
            cells = rearrange(
                frames.to(latent), "b c t (h y) (w x) -> b (c t y x) h w", y=CELL, x=CELL
            )
            decoded, state = self._step(torch.cat([cells, latent], dim=1), state)
            parts.append(decoded)
        return rearrange(torch.cat(parts)[missing:], "t c h w -> 1 c t h w"), state

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

    def _step(self, x: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """One latent, (1, C, h, w), to four frames (4, 3, 8h, 8w)."""
        before = iter(state)
        after: list[Tensor] = []
        layers = iter(self.decoder)
        for layer in layers:
            if isinstance(layer, MemBlock):
                previous = next(before) if state else torch.zeros_like(x[:1])
                after.append(x[-1:].clone())
                x = layer(x, previous)
            elif isinstance(layer, nn.Upsample):
                # A 1x1 convolution of repeated pixels is the repeated result: grow the small ones.
                x = layer(next(layers)(x))
            else:
                x = layer(x)
        return x, tuple(after)


def _stage(width: int, narrower: int, times: int) -> list[nn.Module]:
    """Three MemBlocks, then twice the size and `times` the frames, at the next width."""
    return [
        *(MemBlock(width) for _ in range(3)),
        nn.Upsample(scale_factor=2),
        Grow(width, times),
        nn.Conv2d(width, narrower, 3, padding=1, bias=False),
    ]
