"""What lies before and after the blocks of Wan's transformer, all in float32.

Weights may be stored in fewer bits: they are widened where they are used.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.errors import EngineError
from engine.models.wan.config import TransformerConfig
from engine.models.wan.steps import norm, pieces


class WideLinear(nn.Linear):
    """A linear layer that is computed in float32, whatever its weights are stored in."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., in_features)."""
        return F.linear(x.float(), self.weight.float(), self.bias.float())


class WideNorm(nn.LayerNorm):
    """A layer norm that is computed in float32, whatever its weights are stored in."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., channels)."""
        weight, bias = self.weight.float(), self.bias.float()
        return F.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps)


class PatchEmbedding(nn.Conv3d):
    """Tokens of patches, in float32: a convolution without overlap, as a product of matrices."""

    def forward(self, latents: Tensor) -> Tensor:
        """latents: (B, C, T, H, W) -> (B, L, dim)."""
        t, h, w = self.kernel_size
        pattern = "b c (f u) (y p) (x q) -> b (f y x) (c u p q)"
        patches = rearrange(latents.float(), pattern, u=t, p=h, q=w)
        bias = None if self.bias is None else self.bias.float()
        return F.linear(patches, self.weight.float().flatten(1), bias)


class ImageEmbedding(nn.Module):
    """CLIP tokens to the transformer's width, in float32."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, count = config.image_dim, config.image_positions
        self.proj = nn.Sequential(
            WideNorm(width),
            WideLinear(width, width),
            nn.GELU(),
            WideLinear(width, config.dim),
            WideNorm(config.dim),
        )
        self.emb_pos = nn.Parameter(torch.zeros(1, count, width)) if count else None

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (B, K, image_dim), those of several pictures one after the other."""
        tokens = tokens.float()
        if self.emb_pos is not None:
            if tokens.shape[1] > self.emb_pos.shape[1]:
                raise EngineError(
                    f"The model knows places for {self.emb_pos.shape[1]} tokens of pictures, and "
                    f"these have {tokens.shape[1]}.",
                    "It takes a first and a last picture.",
                )
            tokens = tokens + self.emb_pos[:, : tokens.shape[1]].float()
        y: Tensor = self.proj(tokens)
        return y


class TimeEmbedding(nn.Module):
    """The time of a step as the head and the blocks see it, in float32."""

    def __init__(self, dim: int, freq_dim: int) -> None:
        super().__init__()
        self.freq_dim = freq_dim
        self.time_embedding = nn.Sequential(
            WideLinear(freq_dim, dim), nn.SiLU(), WideLinear(dim, dim)
        )
        self.time_projection = nn.Sequential(nn.SiLU(), WideLinear(dim, 6 * dim))

    def times(self, timestep: Tensor, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """The head's, (B, n, dim), and the blocks', (B, n, 6, dim).

        timestep: (B,) or, one for each of n runs of tokens, (B, n), on the scale of 0 to 1000.
        """
        runs = timestep[:, None] if timestep.dim() == 1 else timestep
        waves = sinusoid(runs, self.freq_dim).float()
        if torch.device(device).type == "cuda":  # from pinned memory nothing waits for the copy
            waves = waves.pin_memory()
        time: Tensor = self.time_embedding(waves.to(device, non_blocking=True))
        return time, self.time_projection(time).unflatten(-1, (6, -1))


class Head(nn.Module):
    """Tokens to patches of velocity, in float32."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        t, h, w = config.patch
        self.modulation = nn.Parameter(torch.zeros(1, 2, config.dim))
        self.norm = nn.LayerNorm(config.dim, config.eps, elementwise_affine=False)
        self.head = WideLinear(config.dim, config.out_dim * t * h * w)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x: (B, L, dim); time: (B or 1, n, dim), of n runs of tokens."""
        shift, scale = (self.modulation.float() + time[:, :, None]).unbind(2)
        scale = 1 + scale
        out = torch.empty(*x.shape[:2], self.head.out_features, device=x.device)
        for batch, tokens, part in pieces(x, scale.shape[1]):
            clips = slice(None) if len(scale) == 1 else batch
            times, plus = scale[clips, part], shift[clips, part]
            normed = norm(x[batch, tokens], times, plus, self.norm.eps, torch.float32)
            out[batch, tokens] = self.head(normed)
        return out


def sinusoid(timestep: Tensor, dim: int) -> Tensor:
    """(..., dim), float64, on the CPU: cosines, then sines, of timestep * 10000^(-i / half)."""
    half = dim // 2
    rates = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = timestep.to("cpu", torch.float64)[..., None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
