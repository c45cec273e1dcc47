"""FlashVSR's projection of low-quality frames to tokens, streamed in clips of four frames.

The first frame is a clip of its own: it fills the memory and gives no tokens. Each later clip gives
the tokens of one latent frame. Attributes are named as the published tensors. Channels lie last in
memory: on a card the convolutions are products of matrices, on a processor torch's own.
"""

from dataclasses import dataclass
from math import sqrt

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.models.flashvsr.config import ProjectorConfig
from engine.models.flashvsr.preparation import signal

CLIP = 4  # frames per clip
CLIPS_CARD, CLIPS_CPU = 2, 1  # that go through the layers at once: what is faster
KERNEL = (4, 3, 3)
STRIDE = (2, 1, 1)
PAST = 2  # frames that each convolution sees before its input
PATCHES = 1 << 26  # elements of patches gathered at once: 128 MiB in bfloat16


@dataclass(frozen=True)
class ProjectorState:
    """The last two inputs of each convolution, (1, C, 2, h, w). Rule v1 carries none."""

    conv1: Tensor | None = None
    conv2: Tensor | None = None
    is_started: bool = False

    @property
    def tensors(self) -> list[Tensor]:
        """All that there are."""
        return [x for x in (self.conv1, self.conv2) if x is not None]

    def of(self, tensors: list[Tensor]) -> "ProjectorState":
        """The same with other tensors, as `tensors` gives them."""
        conv1, conv2 = tensors or (None, None)
        return ProjectorState(conv1, conv2, self.is_started)


class ChannelNorm(nn.Module):
    """Each position's channels divided by their root mean square, times gamma; no bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, T, h, w), which is overwritten; the norm is taken in float32."""
        for frame in x.unbind(2):
            length: Tensor = torch.linalg.vector_norm(
                frame, dim=1, keepdim=True, dtype=torch.float32
            )
            scale = length.clamp_min(1e-12).reciprocal() * sqrt(x.shape[1])
            torch.mul((frame * scale).to(x.dtype), self.gamma[:, 0], out=frame)
        return x


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

        frames: (1, 3, T, H, W), -1..1 or uint8 levels; T = 1 + 4n at the start of a stream,
        afterwards 4n. Tokens are those of n latent frames, frame by frame, row by row.
        """
        if not state.is_started:
            state = self._prime(frames[:, :, :1])
            frames = frames[:, :, 1:]
        assert frames.shape[2] % CLIP == 0, f"{frames.shape[2]} frames are not clips of {CLIP}"
        if frames.shape[2] == 0:
            return [], state
        rows, columns = (
            n // side for n, side in zip(frames.shape[3:], self.config.patch, strict=True)
        )
        count, at = frames.shape[2] // CLIP * rows * columns, 0
        out = [
            self.conv1.weight.new_empty(1, count, self.config.out_dim) for _ in self.linear_layers
        ]
        step = CLIP * (CLIPS_CARD if frames.is_cuda else CLIPS_CPU)
        for clips in torch.split(frames, step, dim=2):
            y, state = self._convolve(self._unshuffle(clips), state)
            tokens = rearrange(y, "b c t h w -> b (t h w) c")
            for layer, room in zip(self.linear_layers, out, strict=True):
                room[:, at : at + tokens.shape[1]] = layer(tokens)
            at += tokens.shape[1]
        return out, state

    def _prime(self, frame: Tensor) -> ProjectorState:
        """The state after the first frame, which stands for a clip of four."""
        if self.config.rule == "v1":  # no memory crosses its clips
            return ProjectorState(is_started=True)
        x = self._unshuffle(frame).expand(-1, -1, CLIP, -1, -1)
        middle = self._layer(self.conv1, self.norm1, x, None)
        return ProjectorState(_kept(x), _kept(middle), True)

    def _convolve(self, x: Tensor, state: ProjectorState) -> tuple[Tensor, ProjectorState]:
        """Both layers on some clips. v1: a clip's own last frames lie before it, as in training."""
        if self.config.rule == "v1":
            x = rearrange(x, "1 c (b t) h w -> b c t h w", t=CLIP)
            middle = self._layer(self.conv1, self.norm1, x, x[:, :, -PAST:])
            y = self._layer(self.conv2, self.norm2, middle, middle[:, :, -PAST:])
            return rearrange(y, "b c 1 h w -> 1 c b h w"), state
        kept = _kept(x)
        x = self._layer(self.conv1, self.norm1, x, state.conv1)
        after = ProjectorState(kept, _kept(x), True)
        return self._layer(self.conv2, self.norm2, x, state.conv2), after

    def _layer(self, conv: nn.Conv3d, norm: ChannelNorm, x: Tensor, past: Tensor | None) -> Tensor:
        # Laid out at the first call: as torch's convolution and as the products want it.
        if not conv.weight.is_contiguous(memory_format=torch.channels_last_3d):
            weight = conv.weight.data
            conv.weight.data = weight.contiguous(memory_format=torch.channels_last_3d)
        x = _padded(x, past)
        convolved = conv_by_products(x, conv) if x.is_cuda else conv(x)
        return F.silu(norm(convolved), inplace=True)

    def _unshuffle(self, frames: Tensor) -> Tensor:
        """(1, 3, T, H, W) -> (1, colour * row * column, T, h, w)."""
        rows, columns = self.config.patch
        return rearrange(
            rearrange(
                signal(frames, self.conv1.weight.dtype),
                "b c t (h r) (w s) -> b t h w (c r s)",
                r=rows,
                s=columns,
            ),
            "b t h w c -> b c t h w",
        )


def conv_by_products(x: Tensor, conv: nn.Conv3d, limit: int = PATCHES) -> Tensor:
    """conv(x), without padding, as products of matrices: no library's choice of algorithm.

    x: (B, C, T, h + 2, w + 2), channels last. The patches of every frame are gathered once, some
    rows at a time, at most `limit` elements of them; those of four frames lie beside each other,
    which is one row of a product, so frames are shared by products that overlap in time.
    """
    weight = conv.weight.permute(0, 2, 3, 4, 1).flatten(1)  # a view if channels are last there too
    batch, channels, frames, height, width = x.shape
    height, width = height - KERNEL[1] + 1, width - KERNEL[2] + 1
    times = (frames - KERNEL[0]) // STRIDE[0] + 1
    out = x.new_empty((batch, times, height, width, weight.shape[0]))
    bias, weights = conv.bias, weight.t().expand(times, -1, -1)
    assert bias is not None
    patches = rearrange(x, "b c t h w -> b h w t c").unfold(1, KERNEL[1], 1).unfold(2, KERNEL[2], 1)
    patches = rearrange(patches, "b h w t c p q -> b h w t p q c")
    rows = max(1, limit // (width * frames * KERNEL[1] * KERNEL[2] * channels))
    rows = -(-height // -(-height // rows))  # as even as they can be
    for i in range(batch):
        for start in range(0, height, rows):
            some = patches[i, start : start + rows].flatten(3).flatten(0, 1)
            # Views of four frames each, that overlap: one product of all of them.
            matrices = some.unfold(1, KERNEL[0], STRIDE[0]).permute(1, 0, 3, 2).flatten(2)
            made = torch.baddbmm(bias, matrices, weights)
            out[i, :, start : start + rows] = made.reshape(times, -1, width, made.shape[2])
    return rearrange(out, "b t h w c -> b c t h w")


def _padded(x: Tensor, past: Tensor | None) -> Tensor:
    """Two frames in front, the first one's copies if there is no past; edges repeated."""
    batch, channels, frames, height, width = x.shape
    shape = (batch, PAST + frames, height + 2, width + 2, channels)
    out = rearrange(x.new_empty(shape), "b t h w c -> b c t h w")
    out[:, :, PAST:, 1:-1, 1:-1] = x
    out[:, :, :PAST, 1:-1, 1:-1] = x[:, :, :1] if past is None else past
    for edge, inner in ((0, 1), (-1, -2)):
        out[:, :, :, edge] = out[:, :, :, inner]
    for edge, inner in ((0, 1), (-1, -2)):
        out[..., edge] = out[..., inner]
    return out


def _kept(x: Tensor) -> Tensor:
    """The last two frames, without holding the others."""
    return x[:, :, -PAST:].clone()
