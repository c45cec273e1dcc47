"""The UMT5 encoder: a text's pieces to the rows that a transformer attends to.

Chung et al. 2023 (UniMax, arXiv 2304.09151), on T5's encoder (arXiv 1910.10683), with a table of
relative positions in every layer and no scale in the attention. The modules are named as Wan's
published file names them.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.progress import Report, Silent

EPS = 1e-6


@dataclass(frozen=True, kw_only=True)
class UMT5Config:
    """Sizes of an encoder; as they stand here, those of UMT5-XXL."""

    vocab: int = 256384
    dim: int = 4096
    dim_attn: int = 4096
    dim_ffn: int = 10240
    heads: int = 64
    layers: int = 24
    buckets: int = 32
    max_distance: int = 128  # from here on all distances share a bucket


class Norm(nn.Module):
    """Each row divided by its root mean square, in float32, times a weight."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        gain = torch.rsqrt(x.float().square().mean(-1, keepdim=True) + EPS)
        return (x * gain).to(self.weight.dtype) * self.weight


class Attention(nn.Module):
    """Softmax attention with a bias and without scale; no layer has a bias of its own."""

    def __init__(self, config: UMT5Config) -> None:
        super().__init__()
        dim, inner = config.dim, config.dim_attn
        self.heads = config.heads
        self.q = nn.Linear(dim, inner, bias=False)
        self.k = nn.Linear(dim, inner, bias=False)
        self.v = nn.Linear(dim, inner, bias=False)
        self.o = nn.Linear(inner, dim, bias=False)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x: (B, L, C); bias: (1 or B, N, L, L), for each query what is added to its scores."""
        q, k, v = (
            rearrange(y, "b l (n d) -> b n l d", n=self.heads)
            for y in (self.q(x), self.k(x), self.v(x))
        )
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), scale=1.0)
        out: Tensor = self.o(rearrange(y, "b n l d -> b l (n d)"))
        return out


class FeedForward(nn.Module):
    """A linear layer gated by another one's GELU."""

    def __init__(self, config: UMT5Config) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(config.dim, config.dim_ffn, bias=False), nn.GELU(approximate="tanh")
        )
        self.fc1 = nn.Linear(config.dim, config.dim_ffn, bias=False)
        self.fc2 = nn.Linear(config.dim_ffn, config.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.fc1(x) * self.gate(x))
        return out


class Positions(nn.Module):
    """A layer's own table: what each head adds to the scores at a distance."""

    def __init__(self, config: UMT5Config) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.buckets, config.heads)

    def forward(self, buckets: Tensor) -> Tensor:
        """buckets: (L, L) -> (1, N, L, L)."""
        added: Tensor = self.embedding(buckets)
        return rearrange(added, "q k n -> 1 n q k").contiguous()  # as kernels on cards read it


class Block(nn.Module):
    """Attention, then the feed-forward layer, each after a norm and beside a shortcut."""

    def __init__(self, config: UMT5Config) -> None:
        super().__init__()
        self.norm1 = Norm(config.dim)
        self.attn = Attention(config)
        self.norm2 = Norm(config.dim)
        self.ffn = FeedForward(config)
        self.pos_embedding = Positions(config)

    def forward(self, x: Tensor, buckets: Tensor, mask: Tensor | None) -> Tensor:
        """x: (B, L, C); buckets: (L, L); mask: (B, 1, 1, L) bool, true where a key is read."""
        bias = self.pos_embedding(buckets)
        if mask is not None:
            bias = bias.masked_fill(~mask, torch.finfo(bias.dtype).min)
        x = _finite(x + self.attn(self.norm1(x), bias))
        return _finite(x + self.ffn(self.norm2(x)))


class UMT5(nn.Module):
    """The encoder alone, for any length."""

    def __init__(self, config: UMT5Config) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = Norm(config.dim)

    def forward(
        self, ids: Tensor, mask: Tensor | None = None, report: Report | None = None
    ) -> Tensor:
        """ids: (B, L) integers -> (B, L, C); mask: (B, L), true where there is text, else padding.

        Without a mask all of it is text. `report` is told after every layer, stage "text".
        """
        report = report or Silent()
        x = self.token_embedding(ids)
        buckets = distance_buckets(ids.shape[1], self.config).to(ids.device)
        keys = None if mask is None else mask.bool()[:, None, None, :]
        for done, block in enumerate(self.blocks, 1):
            x = block(x, buckets, keys)
            report.step("text", done, len(self.blocks))
        out: Tensor = self.norm(x)
        return out


def distance_buckets(length: int, config: UMT5Config) -> Tensor:
    """The bucket of each pair of places, (query, key) of `length` each, on the CPU.

    Half of the buckets are for keys after the query. A half gives its first half to single
    distances; the rest widen by the logarithm (T5, arXiv 1910.10683, sec. 2.1). In float32.
    """
    half = config.buckets // 2
    exact = half // 2
    distance = torch.arange(1 - length, length, device="cpu")
    far = distance.abs().clamp_min(1).float() / exact
    steps = torch.log(far) / math.log(config.max_distance / exact) * (half - exact)
    wide = (exact + steps.long()).clamp_max(half - 1)
    bucket = torch.where(distance.abs() < exact, distance.abs(), wide) + half * (distance > 0)
    at = torch.arange(length, device="cpu")
    return bucket[at[None, :] - at[:, None] + length - 1]


def _finite(x: Tensor) -> Tensor:
    """In float16 the sum may leave the range; it stays a little inside, as in the published code.

    Without asking first whether it does: a card would have to be waited for.
    """
    if x.dtype != torch.float16:
        return x
    most = torch.finfo(torch.float16).max - 1000
    return x.clamp(-most, most)
