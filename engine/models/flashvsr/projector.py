"""FlashVSR's projection of low-quality frames to tokens, streamed in clips of four frames.

The first frame is a clip of its own: it fills the memory and gives no tokens. Each later clip gives
the tokens of one latent frame. Attributes are named as the published tensors.
"""

from dataclasses import dataclass
from math import sqrt

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.models.flashvsr.config import ProjectorConfig

CLIP = 4  # frames per clip
KERNEL = (4, 3, 3)
STRIDE = (2, 1, 1)
PAST = 2  # frames that each convolution sees before its input


@dataclass(frozen=True)
class ProjectorState:
    """The last two inputs of each convolution, (1, C, 2, h, w). Rule v1 carries none."""

    conv1: Tensor | None = None
    conv2: Tensor | None = None
    is_started: bool = False


class ChannelNorm(nn.Module):
    """Each position's channels divided by their root mean square, times gamma; no bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x: (1, C, T, h, w); the norm is taken in float32."""
        length: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float32)
        scale = length.clamp_min(1e-12).reciprocal() * sqrt(x.shape[1])
        return (x * scale).to(x.dtype) * self.gamma


class Projector(nn.Module):
    """Pixels to tokens, for as many transformer blocks as there are linear layers."""

    def __init__(self, config: ProjectorConfig) -> None:
        super().__init__()
        self.config = config
        pixels = config.channels * config.patch[0] * config.patch[1]
        self.conv1 = nn.Conv3d(pixels, config.hidden1, KERNEL, STRIDE)
        self.norm1 = ChannelNorm(config.hidden1)
        self.conv2 = nn.Conv3d(config.hidden1, config.hidden2, KERNEL, STRIDE)
        self.norm2 = ChannelNorm(config.hidden2)
        self.linear_layers = nn.ModuleList(
            nn.Linear(config.hidden2, config.out_dim) for _ in range(config.layers)
        )

    def forward(self, frames: Tensor, state: ProjectorState) -> tuple[list[Tensor], ProjectorState]:
        """Tokens per block, (1, L, dim) each, and the state after these frames.

        frames: (1, 3, T, H, W); T = 1 + 4n at the start of a stream, afterwards 4n. Tokens are
        those of n latent frames, frame by frame, row by row.
        """
        clips: list[list[Tensor]] = []
        if not state.is_started:
            state = self._prime(frames[:, :, :1])
            frames = frames[:, :, 1:]
        assert frames.shape[2] % CLIP == 0, f"{frames.shape[2]} frames are not clips of {CLIP}"
        for clip in torch.split(frames, CLIP, dim=2):
            if clip.shape[2] == 0:
                break
            x, state = self._convolve(self._unshuffle(clip), state)
            tokens = rearrange(x, "b c t h w -> b (t h w) c")
            clips.append([layer(tokens) for layer in self.linear_layers])
        return [torch.cat(parts, dim=1) for parts in zip(*clips, strict=True)], state

    def _prime(self, frame: Tensor) -> ProjectorState:
        """The state after the first frame, which stands for a clip of four."""
        if self.config.rule == "v1":  # no memory crosses its clips
            return ProjectorState(is_started=True)
        x = self._unshuffle(frame).expand(-1, -1, CLIP, -1, -1)
        middle = self._first_layer(x, None)
        return ProjectorState(x[:, :, -PAST:].clone(), middle[:, :, -PAST:].clone(), True)

    def _convolve(self, x: Tensor, state: ProjectorState) -> tuple[Tensor, ProjectorState]:
        """Both layers on one clip. v1: a clip's own last frames lie before it, as in training."""
        if self.config.rule == "v1":
            middle = self._first_layer(x, x[:, :, -PAST:])
            return self._second_layer(middle, middle[:, :, -PAST:]), state
        middle = self._first_layer(x, state.conv1)
        y = self._second_layer(middle, state.conv2)
        return y, ProjectorState(x[:, :, -PAST:].clone(), middle[:, :, -PAST:].clone(), True)

    def _first_layer(self, x: Tensor, past: Tensor | None) -> Tensor:
        return F.silu(self.norm1(self.conv1(_padded(x, past))))

    def _second_layer(self, x: Tensor, past: Tensor | None) -> Tensor:
        return F.silu(self.norm2(self.conv2(_padded(x, past))))

    def _unshuffle(self, frames: Tensor) -> Tensor:
        """(1, 3, T, H, W) -> (1, colour * row * column, T, h, w)."""
        rows, columns = self.config.patch
        return rearrange(
            frames.to(self.conv1.weight),
            "b c t (h r) (w s) -> b (c r s) t h w",
            r=rows,
            s=columns,
        )


def _padded(x: Tensor, past: Tensor | None) -> Tensor:
    """Two frames in front, the first one's copies if there is no past; edges repeated."""
    if past is None:
        past = x[:, :, :1].expand(-1, -1, PAST, -1, -1)
    return F.pad(torch.cat([past, x], dim=2), (1, 1, 1, 1, 0, 0), mode="replicate")
