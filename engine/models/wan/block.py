"""A block of Wan's transformer: attention to the clip, to prompt and pictures, and a wide part.

Attributes are named as the published tensors. Norms, modulation and the sum that runs beside are in
float32, as published; what multiplies large matrices, and attention, is in the dtype of the pass.
"""

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from engine.models.attention import attention
from engine.models.linear import together
from engine.models.wan.config import TransformerConfig
from engine.models.wan.enhance import enhance_factor
from engine.models.wan.rope import Turns
from engine.models.wan.steps import (
    add_,
    add_norm_,
    feed_forward,
    norm,
    pieces,
    rms_norm,
    rms_rotate,
)

# Where nearly all of the multiplications are, and what may be done in 8 bits.
LARGE_LINEARS = (
    *(f"self_attn.{name}" for name in "qkvo"),
    *(f"cross_attn.{name}" for name in ("q", "k", "v", "o", "k_img", "v_img")),
    "ffn.0",
    "ffn.2",
)


class Keys(NamedTuple):
    """What a block attends to beside the clip: (B, S, N, D) each, of the prompt and of pictures."""

    text: tuple[Tensor, Tensor]
    image: tuple[Tensor, Tensor] | None


class Pass(NamedTuple):
    """What every block of one pass shares. modulation: (B or 1, n, 6, dim), of n runs of tokens.

    mode: of attention to the clip.
    """

    modulation: Tensor
    turns: Turns
    frames: int
    dtype: torch.dtype
    mode: str
    enhance: float | None


class RMSNorm(nn.Module):
    """Divided by the root mean square over all channels, in float32; times weight."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., dim)."""
        return rms_norm(x, self.weight, self.eps)


class SelfAttention(nn.Module):
    """Attention of all tokens to all others, with rotary positions."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.o = nn.Linear(dim, dim)
        self.norm_q = RMSNorm(dim, eps)
        self.norm_k = RMSNorm(dim, eps)

    def forward(self, x: Tensor, shared: Pass) -> Tensor:
        """x: (B, L, dim)."""
        q, k, v = together(x, [self.q, self.k, self.v])
        factor = None
        if shared.enhance is not None and shared.frames > 1:
            normed = _heads(self.norm_q(q), self.heads), _heads(self.norm_k(k), self.heads)
            factor = enhance_factor(*normed, shared.frames, shared.enhance)
        q = rms_rotate(q, self.norm_q.weight, self.norm_q.eps, shared.turns, self.heads)
        k = rms_rotate(k, self.norm_k.weight, self.norm_k.eps, shared.turns, self.heads)
        # Whether 8 bits gave numbers at all is asked at the end of the pass.
        mixed = attention(q, k, _heads(v, self.heads), shared.mode, mends=False)
        if factor is not None:
            mixed = mixed * factor.to(mixed.dtype)[:, None, None, None]
        y: Tensor = self.o(mixed.flatten(2))
        return y


class CrossAttention(nn.Module):
    """Attention to the prompt, and in models that take pictures to those beside it."""

    def __init__(self, dim: int, heads: int, eps: float, has_image: bool) -> None:
        super().__init__()
        self.heads = heads
        self.has_image = has_image
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.o = nn.Linear(dim, dim)
        self.norm_q = RMSNorm(dim, eps)
        self.norm_k = RMSNorm(dim, eps)
        if has_image:
            self.k_img = nn.Linear(dim, dim)
            self.v_img = nn.Linear(dim, dim)
            self.norm_k_img = RMSNorm(dim, eps)

    def keys(self, text: Tensor, image: Tensor | None) -> Keys:
        """text: (B, S, dim); image: (B, K, dim), or None for no picture."""
        k, v = together(text, [self.k, self.v])
        of_text = _heads(self.norm_k(k), self.heads), _heads(v, self.heads)
        if image is None or not self.has_image:
            return Keys(of_text, None)
        k, v = together(image, [self.k_img, self.v_img])
        return Keys(of_text, (_heads(self.norm_k_img(k), self.heads), _heads(v, self.heads)))

    def forward(self, x: Tensor, keys: Keys) -> Tensor:
        """x: (B, L, dim). So few keys are soon attended to: in no mode but torch's own."""
        q = _heads(self.norm_q(self.q(x)), self.heads)
        mixed = attention(q, *keys.text)
        if keys.image is not None:
            mixed = mixed + attention(q, *keys.image)
        y: Tensor = self.o(mixed.flatten(2))
        return y


class Block(nn.Module):
    """Self-attention, cross-attention and a feed-forward part, each beside a shortcut."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        dim, heads, eps = config.dim, config.heads, config.eps
        self.modulation = nn.Parameter(torch.zeros(1, 6, dim))
        self.norm1 = nn.LayerNorm(dim, eps, elementwise_affine=False)
        self.self_attn = SelfAttention(dim, heads, eps)
        self.norm3 = nn.LayerNorm(dim, eps)
        self.cross_attn = CrossAttention(dim, heads, eps, config.image_dim > 0)
        self.norm2 = nn.LayerNorm(dim, eps, elementwise_affine=False)
        self.ffn = nn.Sequential(
            nn.Linear(dim, config.ffn_dim),
            nn.GELU(approximate="tanh"),
            nn.Linear(config.ffn_dim, dim),
        )

    def forward(self, x: Tensor, shared: Pass, keys: Keys) -> Tensor:
        """x: (B, L, dim), which is written over, and given back."""
        dtype = shared.dtype
        runs = self.modulation.float() + shared.modulation
        shift1, scale1, gate1, shift2, scale2, gate2 = runs.unbind(2)
        y = norm(x, 1 + scale1, shift1, self.norm1.eps, dtype)
        y = self.self_attn(y, shared)
        weight, bias = self.norm3.weight[None, None], self.norm3.bias[None, None]
        y = add_norm_(x, y, gate1, weight, bias, self.norm3.eps, dtype)
        y = self.cross_attn(y, keys)
        scale2 = 1 + scale2
        for batch, tokens, part in pieces(x, runs.shape[1], is_wide=True):
            clips = slice(None) if len(runs) == 1 else batch
            times, plus, gate = (of[clips, part] for of in (scale2, shift2, gate2))
            some = x[batch, tokens]
            normed = add_norm_(some, y[batch, tokens], None, times, plus, self.norm2.eps, dtype)
            add_(some, feed_forward(normed, self.ffn), gate)
        return x


def _heads(x: Tensor, heads: int) -> Tensor:
    return rearrange(x, "b l (n d) -> b l n d", n=heads)
