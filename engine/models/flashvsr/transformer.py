"""FlashVSR's diffusion transformer: Wan 2.1's blocks, streamed over chunks of latent frames.

Zhuang et al. 2025 (arXiv 2510.12747). Chunks are even numbers of latent frames; self-attention
goes through blocks of 2 x 8 x 8 tokens and sees the slots (pairs of latent frames) that a ring
keeps of earlier chunks. Attributes are named as the published tensors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from engine.models.attention import attention, block_mask, block_sparse_attention, local_blocks
from engine.models.flashvsr.cache import SlotRing
from engine.models.flashvsr.config import WINDOW, Sparsity, TransformerConfig

TIMESTEP = 1000.0  # the one step that the model was trained for

TextCache = tuple[Tensor, Tensor]  # keys and values of the prompt in one block
Turns = tuple[Tensor, Tensor]  # cosines and sines of every token's angles, (L, D / 2) each


@dataclass(frozen=True)
class Condition:
    """What is the same for every chunk: time, and the prompt as each block sees it."""

    time: Tensor  # (1, dim)
    modulation: Tensor  # (1, 6, dim)
    text: tuple[TextCache, ...]


@dataclass(frozen=True)
class Grid:
    """Tokens of a chunk: frames, rows and columns; `start` is its first latent frame's number."""

    frames: int
    rows: int
    columns: int
    start: int = 0

    def __post_init__(self) -> None:
        """Whole windows only."""
        sizes = (self.frames, self.rows, self.columns)
        assert all(n > 0 and n % w == 0 for n, w in zip(sizes, WINDOW, strict=True)), sizes

    @property
    def blocks(self) -> tuple[int, int]:
        """Blocks down and across."""
        return self.rows // WINDOW[1], self.columns // WINDOW[2]


class RMSNorm(nn.Module):
    """Divided by the root mean square over all channels, in float32; times weight."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., dim)."""
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + self.eps)
        return (wide * scale).to(x.dtype) * self.weight


class Projections(nn.Module):
    """The linear layers and norms that both kinds of attention have."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.o = nn.Linear(dim, dim)
        self.norm_q = RMSNorm(dim, eps)
        self.norm_k = RMSNorm(dim, eps)


class SelfAttention(Projections):
    """Block-sparse attention over this chunk and the slots kept of earlier ones."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__(dim, eps)
        self.heads = heads

    def forward(
        self, x: Tensor, turns: Turns, grid: Grid, ring: SlotRing, sparsity: Sparsity
    ) -> Tensor:
        """x: (1, L, dim), frame by frame, row by row. Leaves this chunk's slots in the ring."""
        q = rotate(rearrange(self.norm_q(self.q(x)), "b l (n d) -> b l n d", n=self.heads), turns)
        k = rotate(rearrange(self.norm_k(self.k(x)), "b l (n d) -> b l n d", n=self.heads), turns)
        v = rearrange(self.v(x), "b l (n d) -> b l n d", n=self.heads)
        mixed = streamed_attention(q, k, v, grid, ring, sparsity)
        y: Tensor = self.o(rearrange(mixed, "b l n d -> b l (n d)"))
        return y


class CrossAttention(Projections):
    """Attention to the prompt, whose keys and values are computed once."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__(dim, eps)
        self.heads = heads

    def cache(self, context: Tensor) -> TextCache:
        """Keys and values of context (1, S, dim): (1, S, N, D) each."""
        k = rearrange(self.norm_k(self.k(context)), "b s (n d) -> b s n d", n=self.heads)
        v = rearrange(self.v(context), "b s (n d) -> b s n d", n=self.heads)
        return k, v

    def forward(self, x: Tensor, text: TextCache) -> Tensor:
        """x: (1, L, dim)."""
        q = rearrange(self.norm_q(self.q(x)), "b l (n d) -> b l n d", n=self.heads)
        mixed = attention(q, *text)
        y: Tensor = self.o(rearrange(mixed, "b l n d -> b l (n d)"))
        return y


class Block(nn.Module):
    """Self-attention, cross-attention and a feed-forward part, each beside a shortcut."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        dim, eps = config.dim, config.eps
        self.modulation = nn.Parameter(torch.zeros(1, 6, dim))
        self.norm1 = nn.LayerNorm(dim, eps, elementwise_affine=False)
        self.self_attn = SelfAttention(dim, config.heads, eps)
        self.norm3 = nn.LayerNorm(dim, eps)
        self.cross_attn = CrossAttention(dim, config.heads, eps)
        self.norm2 = nn.LayerNorm(dim, eps, elementwise_affine=False)
        self.ffn = nn.Sequential(
            nn.Linear(dim, config.ffn_dim),
            nn.GELU(approximate="tanh"),
            nn.Linear(config.ffn_dim, dim),
        )

    def forward(
        self,
        x: Tensor,
        modulation: Tensor,
        text: TextCache,
        turns: Turns,
        grid: Grid,
        ring: SlotRing,
        sparsity: Sparsity,
    ) -> Tensor:
        """x: (1, L, dim); modulation: (1, 6, dim), of the time."""
        m = (self.modulation + modulation).chunk(6, dim=1)
        shift1, scale1, gate1, shift2, scale2, gate2 = m
        y = self.norm1(x) * (1 + scale1) + shift1
        x = x + gate1 * self.self_attn(y, turns, grid, ring, sparsity)
        x = x + self.cross_attn(self.norm3(x), text)
        y = self.norm2(x) * (1 + scale2) + shift2
        x = x + gate2 * self.ffn(y)
        return x  # noqa: RET504 - typed, unlike what a layer returns


class Head(nn.Module):
    """Tokens to patches of velocity."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        t, h, w = config.patch
        self.modulation = nn.Parameter(torch.zeros(1, 2, config.dim))
        self.norm = nn.LayerNorm(config.dim, config.eps, elementwise_affine=False)
        self.head = nn.Linear(config.dim, config.out_dim * t * h * w)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x: (1, L, dim); time: (1, dim)."""
        shift, scale = (self.modulation + time[:, None]).chunk(2, dim=1)
        y: Tensor = self.head(self.norm(x) * (1 + scale) + shift)
        return y


class Transformer(nn.Module):
    """Velocity of noisy latents, chunk by chunk."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.patch_embedding = nn.Conv3d(config.in_dim, dim, config.patch, stride=config.patch)
        self.text_embedding = nn.Sequential(
            nn.Linear(config.text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim)
        )
        self.time_embedding = nn.Sequential(
            nn.Linear(config.freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim)
        )
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = Head(config)

    def condition(self, context: Tensor, timestep: float = TIMESTEP) -> Condition:
        """What every chunk of a run shares. context: (1, S, text_dim), the prompt's states."""
        weight = self.patch_embedding.weight
        wave = sinusoid(timestep, self.config.freq_dim).to(weight)
        time: Tensor = self.time_embedding(wave)
        modulation = self.time_projection(time).unflatten(1, (6, self.config.dim))
        text = self.text_embedding(context.to(weight))
        caches = [_block(b).cross_attn.cache(text) for b in self.blocks]
        return Condition(time, modulation, tuple(caches))

    def rings(self, sparsity: Sparsity) -> list[SlotRing]:
        """Empty rings, one per block, for a new stream."""
        return [SlotRing(sparsity.kv_slots) for _ in self.blocks]

    def forward(
        self,
        latents: Tensor,
        low_quality: Sequence[Tensor],
        condition: Condition,
        rings: Sequence[SlotRing],
        start: int,
        sparsity: Sparsity,
        on_block: Callable[[], None] | None = None,
    ) -> Tensor:
        """Velocity of one chunk; the rings move on by it.

        latents: (1, C, T, H, W), T even; low_quality: tokens (1, L, dim), the l-th added before
        block l; start: number of the first latent frame in the stream. `on_block` is called after
        each block, and may raise.
        """
        x = self.patch_embedding(latents)
        grid = Grid(x.shape[2], x.shape[3], x.shape[4], start)
        turns = rotary_turns(grid, self.config.dim // self.config.heads, x.device)
        x = rearrange(x, "b c t h w -> b (t h w) c")
        for i, block in enumerate(self.blocks):
            if i < len(low_quality):
                x = x + low_quality[i]
            x = block(x, condition.modulation, condition.text[i], turns, grid, rings[i], sparsity)
            if on_block is not None:
                on_block()
        t, h, w = self.config.patch
        patches: Tensor = self.head(x, condition.time)
        return rearrange(
            patches,
            "b (f r s) (t h w c) -> b c (f t) (r h) (s w)",
            f=grid.frames,
            r=grid.rows,
            t=t,
            h=h,
            w=w,
        )


def streamed_attention(
    q: Tensor, k: Tensor, v: Tensor, grid: Grid, ring: SlotRing, sparsity: Sparsity
) -> Tensor:
    """This chunk's queries on the ring's slots and its own; its slots stay in the ring.

    q, k, v: (1, L, N, D), frame by frame, row by row; the same shape comes back.
    """
    blocks = to_blocks(q, grid)
    ring.append(to_blocks(k, grid), to_blocks(v, grid))
    keys, values = ring.held()
    queries = blocks.flatten(1, 2)
    local = local_blocks(*grid.blocks, sparsity.reach, q.device)
    mask = block_mask(block_means(queries), block_means(keys), local, sparsity.pairs)
    mixed = block_sparse_attention(queries, keys, values, mask)
    ring.trim()
    return from_blocks(mixed.reshape(blocks.shape), grid)


def block_means(x: Tensor) -> Tensor:
    """Mean over the tokens of each block, (N, K, T, D) -> (N, K, D), in float32."""
    return x.mean(dim=2, dtype=torch.float32)


def to_blocks(x: Tensor, grid: Grid) -> Tensor:
    """(1, L, N, D) -> (N, slots, n, 128, D): slots of windows, rows first."""
    t, h, w = WINDOW
    rows, columns = grid.blocks
    return rearrange(
        x,
        "1 (s t r h c w) n d -> n s (r c) (t h w) d",
        t=t,
        r=rows,
        h=h,
        c=columns,
        w=w,
    )


def from_blocks(x: Tensor, grid: Grid) -> Tensor:
    """The inverse of `to_blocks`."""
    t, h, w = WINDOW
    return rearrange(
        x,
        "n s (r c) (t h w) d -> 1 (s t r h c w) n d",
        r=grid.blocks[0],
        t=t,
        h=h,
        w=w,
    )


def sinusoid(timestep: float, dim: int) -> Tensor:
    """(1, dim), float64: cosines, then sines, of timestep * 10000^(-i / half)."""
    half = dim // 2
    rates = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = timestep * rates
    return torch.cat([angles.cos(), angles.sin()])[None]


def rotary_turns(grid: Grid, dim: int, device: torch.device | str = "cpu") -> Turns:
    """How far each token's channel pairs turn, for heads of `dim`: from float64 angles.

    Su et al. 2021 (arXiv 2104.09864), in three axes: a third of the channels for rows, a third for
    columns, the rest for time, where latent frames count on from the stream's beginning.
    """
    side = dim // 3
    axes = (
        (torch.arange(grid.start, grid.start + grid.frames), dim - 2 * side),
        (torch.arange(grid.rows), side),
        (torch.arange(grid.columns), side),
    )
    parts = []
    for axis, (positions, size) in enumerate(axes):
        rates = 10000.0 ** (-torch.arange(0, size - 1, 2, dtype=torch.float64) / size)
        angles = positions.double()[:, None] * rates
        shape = [1, 1, 1, rates.shape[0]]
        shape[axis] = positions.shape[0]
        parts.append(
            angles.reshape(shape).expand(grid.frames, grid.rows, grid.columns, rates.shape[0])
        )
    angles = torch.cat(parts, dim=3).flatten(0, 2)
    return angles.cos().float().to(device), angles.sin().float().to(device)


def rotate(x: Tensor, turns: Turns) -> Tensor:
    """x: (1, L, N, D) with its adjacent pairs turned, in float32."""
    cos, sin = turns[0][:, None], turns[1][:, None]
    a, b = rearrange(x.float(), "b l n (d two) -> two b l n d", two=2)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2).to(x.dtype)


def _block(module: nn.Module) -> Block:
    assert isinstance(module, Block)
    return module
