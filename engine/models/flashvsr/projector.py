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
CLIPS = 1  # that go through the layers at once: more would take more memory
KERNEL = (4, 3, 3)
STRIDE = (2, 1, 1)
PAST = 2  # frames that each convolution sees before its input
PATCHES = 1 << 26  # elements of patches gathered at once: 128 MiB in bfloat16


@dataclass
class ProjectorState:
    """The last two inputs of each convolution, (1, C, 2, h, w). Rule v1 carries none.

    It is changed in place, so that old and new are never both there.
    """

    conv1: Tensor | None = None
    conv2: Tensor | None = None
    is_started: bool = False

    @property
    def tensors(self) -> list[Tensor]:
        """All that there are."""
        return [x for x in (self.conv1, self.conv2) if x is not None]

    def put(self, tensors: list[Tensor]) -> None:
        """Others in their stead, as `tensors` gives them; or none."""
        self.conv1, self.conv2 = tensors or (None, None)


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
        """Tokens per block, (1, L, dim) each, and the state, which is changed.

        frames: (1, 3, T, H, W), -1..1 or uint8 levels; T = 1 + 4n at the start of a stream,
        afterwards 4n. Tokens are those of n latent frames, frame by frame, row by row.
        """
        if not state.is_started:
            self._prime(frames[:, :, :1], state)
            frames = frames[:, :, 1:]
        assert frames.shape[2] % CLIP == 0, f"{frames.shape[2]} frames are not clips of {CLIP}"
        parts: list[list[Tensor]] = []
        for clips in torch.split(frames, CLIP * CLIPS, dim=2) if frames.shape[2] else ():
            y = self._convolve(self._unshuffle(clips), state)
            tokens = rearrange(y, "b c t h w -> b (t h w) c")
            parts.append([layer(tokens) for layer in self.linear_layers])
            del y, tokens
        return [torch.cat(of_layer, dim=1) for of_layer in zip(*parts, strict=True)], state

    def arrange(self) -> None:
        """Lay the weights out as torch's convolution and the products want them."""
        for conv in (self.conv1, self.conv2):
            weight = conv.weight.data
            conv.weight.data = weight.contiguous(memory_format=torch.channels_last_3d)

    def _prime(self, frame: Tensor, state: ProjectorState) -> None:
        """The first frame stands for a clip of four."""
        state.is_started = True
        if self.config.rule == "v1":  # no memory crosses its clips
            return
        x = self._unshuffle(frame).expand(-1, -1, CLIP, -1, -1)
        state.conv1 = _kept(x)
        state.conv2 = _kept(self._layer(self.conv1, self.norm1, [_padded(x, None)]))

    def _convolve(self, x: Tensor, state: ProjectorState) -> Tensor:
        """Both layers on some clips. v1: a clip's own last frames lie before it, as in training."""
        if self.config.rule == "v1":
            x = rearrange(x, "1 c (b t) h w -> b c t h w", t=CLIP)
            x = self._layer(self.conv1, self.norm1, [_padded(x, x[:, :, -PAST:])])
            x = self._layer(self.conv2, self.norm2, [_padded(x, x[:, :, -PAST:])])
            return rearrange(x, "b c 1 h w -> 1 c b h w")
        wide, state.conv1 = [_padded(x, state.conv1)], _kept(x)
        x = self._layer(self.conv1, self.norm1, wide)
        wide, state.conv2 = [_padded(x, state.conv2)], _kept(x)
        del x
        return self._layer(self.conv2, self.norm2, wide)

    def _layer(self, conv: nn.Conv3d, norm: ChannelNorm, wide: list[Tensor]) -> Tensor:
        """Of padded clips, which are taken out of their list: only the product needs them."""
        if not conv.weight.is_contiguous(memory_format=torch.channels_last_3d):
            self.arrange()
        x = wide.pop()
        x = conv_by_products(x, conv) if x.is_cuda else conv(x)
        return F.silu(norm(x), inplace=True)

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
            del some, matrices, made  # before the next are there
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
