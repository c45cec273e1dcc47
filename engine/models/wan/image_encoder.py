"""CLIP's ViT-H/14 as Wan sees pictures with it: tokens before the last block, not the embedding.

Radford et al. 2021 (arXiv 2103.00020), Dosovitskiy et al. 2020 (arXiv 2010.11929). The modules are
named as in Wan's published file, without "visual.".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.errors import EffectError
from engine.models.attention import attention

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training pictures, RGB in 0..1
STD = (0.26862954, 0.26130258, 0.27577711)

Crop = Literal["none", "center"]  # none: squashed to a square, as Wan's own code does


@dataclass(frozen=True, kw_only=True)
class ImageEncoderConfig:
    """Sizes of the encoder; as they stand here, those of ViT-H/14."""

    image: int = 224  # pixels along a side
    patch: int = 14
    dim: int = 1280
    dim_mlp: int = 5120
    heads: int = 16
    layers: int = 32

    @property
    def tokens(self) -> int:
        """Of a picture: one for the whole, then one for each patch."""
        return 1 + (self.image // self.patch) ** 2


class Attention(nn.Module):
    """Self-attention; queries, keys and values come of one layer."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, L, C)."""
        q, k, v = rearrange(self.to_qkv(x), "b l (m n d) -> m b l n d", m=3, n=self.heads)
        out: Tensor = self.proj(attention(q, k, v).flatten(2))
        return out


class Block(nn.Module):
    """Attention, then two linear layers, each after a norm and beside a shortcut."""

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim)
        self.attn = Attention(config.dim, config.heads)
        self.norm2 = nn.LayerNorm(config.dim)
        self.mlp = nn.Sequential(
            nn.Linear(config.dim, config.dim_mlp),
            nn.GELU(),
            nn.Linear(config.dim_mlp, config.dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, L, C)."""
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class ImageEncoder(nn.Module):
    """Prepared pictures to tokens."""

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        self.config = config
        dim, patch = config.dim, config.patch
        self.patch_embedding = nn.Conv2d(3, dim, patch, stride=patch, bias=False)
        self.cls_embedding = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embedding = nn.Parameter(torch.zeros(1, config.tokens, dim))
        self.pre_norm = nn.LayerNorm(dim)
        self.transformer = nn.ModuleList(Block(config) for _ in range(config.layers))

    def forward(self, pixels: Tensor, blocks: int | None = None) -> Tensor:
        """pixels: (B, 3, S, S) from `prepared` -> (B, tokens, C), the picture's own token first.

        `blocks`: how many run; all but the last one, if it is not said.
        """
        patches = self.patch_embedding(pixels.to(self.cls_embedding.dtype))
        x: Tensor = rearrange(patches, "b c h w -> b (h w) c")
        x = torch.cat([self.cls_embedding.expand(x.shape[0], -1, -1), x], dim=1)
        x = self.pre_norm(x + self.pos_embedding)
        for block in self.transformer[: self.config.layers - 1 if blocks is None else blocks]:
            x = block(x)
        return x


def encode_images(
    encoder: ImageEncoder,
    images: Sequence[Tensor],
    crop: str = "none",
    strengths: Sequence[float] = (),
) -> Tensor:
    """Tokens of pictures of any sizes, (count, tokens, C), times the strength of each.

    images: (3, H, W) RGB in -1..1. They go through in one batch: first and last frame, for one.
    """
    strengths = strengths or [1.0] * len(images)
    if len(strengths) != len(images):
        raise EffectError(f"There are {len(images)} pictures and {len(strengths)} strengths.")
    weight = encoder.cls_embedding
    size = encoder.config.image
    pixels = torch.cat([prepared(image.to(weight.device)[None], size, crop) for image in images])
    tokens: Tensor = encoder(pixels)
    return tokens * torch.tensor(strengths, device=tokens.device, dtype=tokens.dtype)[:, None, None]


def prepared(images: Tensor, size: int = 224, crop: str = "none") -> Tensor:
    """(B, 3, H, W) RGB in -1..1 -> (B, 3, size, size) as CLIP takes them, float32.

    "none" squashes to a square, bicubic without antialiasing, exactly as Wan's own code; "center"
    keeps the proportions and cuts what is too long evenly at both ends, with antialiasing.
    """
    if crop not in get_args(Crop):
        raise EffectError(f"There is no crop {crop!r}.", f"Known: {', '.join(get_args(Crop))}.")
    images = images.float()
    if crop == "none":
        images = F.interpolate(images, (size, size), mode="bicubic", align_corners=False)
    else:
        images = _centred(images, size)
    mean, std = (images.new_tensor(value)[:, None, None] for value in (MEAN, STD))
    return (images * 0.5 + 0.5 - mean) / std


def _centred(images: Tensor, size: int) -> Tensor:
    """The middle square, its sides `size`; what the filter made too bright or dark is cut off."""
    height, width = images.shape[2:]
    gain = size / min(height, width)
    grid = round(gain * height), round(gain * width)
    if grid != (height, width):
        images = F.interpolate(images, grid, mode="bicubic", align_corners=False, antialias=True)
    top, left = (grid[0] - size) // 2, (grid[1] - size) // 2
    return images[:, :, top : top + size, left : left + size].clamp(-1, 1)
