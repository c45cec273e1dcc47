"""FlashVSR's diffusion transformer: Wan 2.1's blocks, streamed over chunks of latent frames.

Zhuang et al. 2025 (arXiv 2510.12747). Chunks are even numbers of latent frames; self-attention
goes through blocks of 2 x 8 x 8 tokens and sees the slots (pairs of latent frames) that a ring
keeps of earlier chunks. Attributes are named as the published tensors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.models.attention import attention, block_mask, block_sparse_attention, local_blocks
from engine.models.flashvsr.cache import SlotRing, block_means
from engine.models.flashvsr.config import WINDOW, Sparsity, TransformerConfig
from engine.models.flashvsr.steps import (
    add,
    add_norm,
    feed_forward,
    layer_norm,
    rms_norm,
    rms_rotate,
)
from engine.models.flashvsr.windows import (
    Grid,
    Turns,
    from_blocks,
    from_windows,
    rotary_turns,
    to_blocks,
    to_windows,
    windowed_turns,
)
from engine.models.kernels import unavailable
from engine.models.linear import together

TIMESTEP = 1000.0  # the one step that the model was trained for

# Where nearly all of the multiplications are, and what may be done in 8 bits.
LARGE_LINEARS = (
    *(f"self_attn.{name}" for name in "qkvo"),
    *(f"cross_attn.{name}" for name in "qo"),
    "ffn.0",
    "ffn.2",
)

TextCache = tuple[Tensor, Tensor]  # keys and values of the prompt in one block


@dataclass(frozen=True)
class Condition:
    """What is the same for every chunk: time, and the prompt as each block sees it."""

    time: Tensor  # (1, dim)
    modulation: Tensor  # (1, 6, dim)
    text: tuple[TextCache, ...]


class RMSNorm(nn.Module):
    """Divided by the root mean square over all channels, in float32; times weight."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., dim)."""
        return rms_norm(x, self.weight, self.eps)


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
        """x: (1, L, dim) and turns, window by window. Leaves this chunk's slots in the ring."""
        q, k, v = together(x, [self.q, self.k, self.v])
        shape = "1 (s k t) (n d) -> n s k t d"
        values = rearrange(v, shape, n=self.heads, s=grid.slots, t=prod(WINDOW))
        # Each slot goes straight to its place: the keys as they are turned, the values as they are.
        slots = zip(
            ring.fresh(values),
            k.chunk(grid.slots, dim=1),
            values.unbind(1),
            *(turn.chunk(grid.slots) for turn in turns),
            strict=True,
        )
        for (k_room, v_room), slot, value, cos, sin in slots:
            rms_rotate(slot, self.norm_k.weight, self.norm_k.eps, (cos, sin), k_room)
            v_room.copy_(value)
        queries = torch.empty(values.flatten(1, 2).shape, dtype=q.dtype, device=q.device)
        rms_rotate(q, self.norm_q.weight, self.norm_q.eps, turns, queries)
        mixed = _attended(queries, grid, ring, sparsity)
        y: Tensor = self.o(rearrange(mixed, "n k t d -> 1 (k t) (n d)"))
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
        is_windowed: bool = False,
    ) -> Tensor:
        """x: (1, L, dim); modulation: (1, 6, dim), of the time.

        Tokens, in x, turns and the result, are frame by frame, or, if `is_windowed`, window by
        window: then nothing is copied to be put in order.
        """
        if not is_windowed:
            windowed = to_windows(x, grid), modulation, text, windowed_turns(turns, grid)
            y = self.forward(*windowed, grid, ring, sparsity, is_windowed=True)
            return from_windows(y, grid)
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.modulation + modulation)[0].unbind()
        y = layer_norm(x, 1 + scale1, shift1, self.norm1.eps)
        y = self.self_attn(y, turns, grid, ring, sparsity)
        x, y = add_norm(x, y, gate1, self.norm3.weight, self.norm3.bias, self.norm3.eps)
        y = self.cross_attn(y, text)
        x, y = add_norm(x, y, None, 1 + scale2, shift2, self.norm2.eps)
        y = feed_forward(y, self.ffn)
        return add(x, y, gate2)


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
        shift, scale = (self.modulation + time[:, None])[0].unbind()
        y: Tensor = self.head(layer_norm(x, 1 + scale, shift, self.norm.eps))
        return y


class Transformer(nn.Module):
    """Velocity of noisy latents, chunk by chunk."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.patch_embedding = nn.Conv3d(config.in_dim, dim, config.patch, stride=config.patch)
        self.text_embedding: nn.Module = nn.Sequential(
            nn.Linear(config.text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim)
        )
        self.time_embedding = nn.Sequential(
            nn.Linear(config.freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim)
        )
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = Head(config)

    def condition(self, context: Tensor, timestep: float = TIMESTEP) -> Condition:
        """What every chunk of a run shares. context: (1, S, text_dim), the prompt's states.

        Not after `forget_text`.
        """
        assert not isinstance(self.text_embedding, nn.Identity), "the text's layers are gone"
        weight = self.patch_embedding.weight
        wave = sinusoid(timestep, self.config.freq_dim).to(weight)
        time: Tensor = self.time_embedding(wave)
        modulation = self.time_projection(time).unflatten(1, (6, self.config.dim))
        text = self.text_embedding(context.to(weight))
        caches = [_block(b).cross_attn.cache(text) for b in self.blocks]
        return Condition(time, modulation, tuple(caches))

    def forget_text(self) -> None:
        """Free the layers that only `condition` needs: one condition serves every later stream."""
        self.text_embedding = nn.Identity()
        for block in self.blocks:
            cross = _block(block).cross_attn
            for name in ("k", "v", "norm_k"):
                setattr(cross, name, nn.Identity())

    def rings(self, sparsity: Sparsity, dtype: torch.dtype | None = None) -> list[SlotRing]:
        """Empty rings, one per block, for a new stream; dtype as a ring's."""
        return [SlotRing(sparsity.kv_slots, dtype) for _ in self.blocks]

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
        t, h, w = self.config.patch
        frames, rows, columns = (n // p for n, p in zip(latents.shape[2:], (t, h, w), strict=True))
        grid = Grid(frames, rows, columns, start)
        head_dim = self.config.dim // self.config.heads
        turns = rotary_turns(grid, head_dim, latents.device, is_windowed=True)
        x = self._embedded(latents, grid)
        time, modulation = condition.time, condition.modulation
        for i, block in enumerate(self.blocks):
            if i < len(low_quality):
                x = add(x, to_windows(low_quality[i], grid))
            text, ring = condition.text[i], rings[i]
            x = block(x, modulation, text, turns, grid, ring, sparsity, is_windowed=True)
            if on_block is not None:
                on_block()
        pattern = "1 (s r c t h w) (u p q d) -> 1 d (s t u) (r h p) (c w q)"
        patches: Tensor = self.head(x, time)
        return rearrange(patches, pattern, u=t, p=h, q=w, **grid.sizes)

    def _embedded(self, latents: Tensor, grid: Grid) -> Tensor:
        """Tokens of patches, window by window: the convolution as a product of matrices."""
        t, h, w = self.config.patch
        pattern = "1 d (s t u) (r h p) (c w q) -> 1 (s r c t h w) (d u p q)"
        patches = rearrange(latents, pattern, u=t, p=h, q=w, **grid.sizes)
        layer = self.patch_embedding
        return F.linear(patches, layer.weight.flatten(1), layer.bias)


def streamed_attention(
    q: Tensor, k: Tensor, v: Tensor, grid: Grid, ring: SlotRing, sparsity: Sparsity
) -> Tensor:
    """This chunk's queries on the ring's slots and its own; its slots stay in the ring.

    q, k, v: (1, L, N, D), frame by frame, row by row; the same shape comes back.
    """
    blocks = to_blocks(q, grid)
    ring.append(to_blocks(k, grid), to_blocks(v, grid))
    mixed = _attended(blocks.flatten(1, 2), grid, ring, sparsity)
    return from_blocks(mixed.reshape(blocks.shape), grid)


def _attended(queries: Tensor, grid: Grid, ring: SlotRing, sparsity: Sparsity) -> Tensor:
    """Queries (N, K, T, D) on all that the ring holds; its oldest slot may leave after that."""
    local = _local_blocks(*grid.blocks, sparsity.reach, queries.device)
    mask = block_mask(block_means(queries), ring.means(), local, sparsity.pairs)
    if ring.dtype is None or not _reads_eight_bits(queries.device):
        mixed = block_sparse_attention(queries, *ring.held(), mask)
    else:  # 8 bits are widened where they are used
        keys, values, *scales = ring.packed()
        mixed = block_sparse_attention(queries, keys, values, mask, (scales[0], scales[1]))
    ring.trim()
    return mixed


def _reads_eight_bits(device: torch.device) -> bool:
    """Whether attention takes keys in 8 bits there: kernels know the format from sm_89 on."""
    if device.type != "cuda" or unavailable(device):
        return True
    return torch.cuda.get_device_capability(device) >= (8, 9)


@lru_cache(maxsize=4)
def _local_blocks(rows: int, columns: int, reach: int, device: torch.device) -> Tensor:
    return local_blocks(rows, columns, reach, device)


def sinusoid(timestep: float, dim: int) -> Tensor:
    """(1, dim), float64: cosines, then sines, of timestep * 10000^(-i / half)."""
    half = dim // 2
    rates = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = timestep * rates
    return torch.cat([angles.cos(), angles.sin()])[None]


def _block(module: nn.Module) -> Block:
    assert isinstance(module, Block)
    return module
