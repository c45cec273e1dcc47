"""FlashVSR's diffusion transformer: Wan 2.1's blocks, streamed over chunks of latent frames.

Zhuang et al. 2025 (arXiv 2510.12747). Chunks are even numbers of latent frames; self-attention
goes through blocks of 2 x 8 x 8 tokens and sees the slots (pairs of latent frames) that a ring
keeps of earlier chunks. Attributes are named as the published tensors.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.models.attention import attention, block_mask, block_sparse_attention, local_blocks
from engine.models.flashvsr.cache import SlotRing, block_means, new_rings
from engine.models.flashvsr.config import WINDOW, Sparsity, TransformerConfig
from engine.models.flashvsr.steps import (
    add_,
    add_norm_,
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

TOKENS = 16384  # at once, where they are on their own: a wide middle of 294 MB in bfloat16

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
        self, slots: Iterator[Tensor], turns: Turns, grid: Grid, ring: SlotRing, sparsity: Sparsity
    ) -> Iterator[Tensor]:
        """slots: (1, L / slots, dim) each, and turns, window by window; the result is alike.

        All slots are read, one after the other, before the first result is there. They stay in the
        ring.
        """
        queries = self._read(slots, turns, grid, ring)
        while queries:
            mixed = _attended(queries.pop(0), grid, ring, sparsity)
            if not queries:
                ring.trim()
            mixed = rearrange(mixed, "n k t d -> 1 (k t) (n d)")
            yield self.o(mixed)

    def _read(
        self, slots: Iterator[Tensor], turns: Turns, grid: Grid, ring: SlotRing
    ) -> list[Tensor]:
        """Each slot's queries, (N, n, T, D); keys and values go straight to their places."""
        count = grid.blocks[0] * grid.blocks[1]
        queries: list[Tensor] = []
        for turn in zip(*(turn.chunk(grid.slots) for turn in turns), strict=True):
            made = together(next(slots), [self.k, self.v, self.q])
            k = next(made)
            room = k.new_empty(self.heads, count, prod(WINDOW), k.shape[2] // self.heads)
            k_room, v_room = ring.fresh(room)
            rms_rotate(k, self.norm_k.weight, self.norm_k.eps, turn, k_room)
            del k
            v_room.copy_(rearrange(next(made), "1 (k t) (n d) -> n k t d", n=self.heads, k=count))
            rms_rotate(next(made), self.norm_q.weight, self.norm_q.eps, turn, room)
            queries.append(room)
        return queries


class CrossAttention(Projections):
    """Attention to the prompt, whose keys and values are computed once."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__(dim, eps)
        self.heads = heads
        self.mode = "sdpa"

    def cache(self, context: Tensor) -> TextCache:
        """Keys and values of context (1, S, dim): (1, S, N, D) each."""
        k = rearrange(self.norm_k(self.k(context)), "b s (n d) -> b s n d", n=self.heads)
        v = rearrange(self.v(context), "b s (n d) -> b s n d", n=self.heads)
        return k, v

    def forward(self, x: Tensor, text: TextCache) -> Tensor:
        """x: (1, L, dim)."""
        q = rearrange(self.norm_q(self.q(x)), "b l (n d) -> b l n d", n=self.heads)
        mixed = attention(q, *text, mode=self.mode)
        del q
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
        """x: (1, L, dim), which is overwritten; modulation: (1, 6, dim), of the time.

        Tokens, in x, turns and the result, are frame by frame, or, if `is_windowed`, window by
        window: then x itself is the result, and no second one of its size is made.
        """
        if not is_windowed:
            y = to_windows(x, grid).clone()
            self.forward(
                y, modulation, text, windowed_turns(turns, grid), grid, ring, sparsity, True
            )
            return from_windows(y, grid)
        made = (self.modulation + modulation)[0]
        slots = _pieces(x, x.shape[1] // grid.slots)
        normed = (layer_norm(slot, 1 + made[1], made[0], self.norm1.eps) for slot in slots)
        mixed = self.self_attn(normed, turns, grid, ring, sparsity)
        for slot in slots:
            self._finish(slot, next(mixed), made, text)
        return x

    def _finish(self, x: Tensor, mixed: Tensor, modulation: Tensor, text: TextCache) -> None:
        """x, (1, L, dim), after self-attention: from here each token is on its own."""
        _, _, gate1, shift2, scale2, gate2 = modulation.unbind()
        step = -(-x.shape[1] // -(-x.shape[1] // TOKENS))
        waiting = _pieces(mixed, step)
        del mixed
        for part in _pieces(x, step):
            y = add_norm_(
                part, waiting.pop(0), gate1, self.norm3.weight, self.norm3.bias, self.norm3.eps
            )
            y = self.cross_attn(y, text)
            y = add_norm_(part, y, None, 1 + scale2, shift2, self.norm2.eps)
            y = feed_forward(y, self.ffn)
            add_(part, y, gate2)


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
        self.time_embedding: nn.Module = nn.Sequential(
            nn.Linear(config.freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim)
        )
        self.time_projection: nn.Module = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = Head(config)

    def condition(self, context: Tensor, timestep: float = TIMESTEP) -> Condition:
        """What every chunk of a run shares. context: (1, S, text_dim), the prompt's states.

        Not after `forget_text`.
        """
        assert not isinstance(self.text_embedding, nn.Identity), "the text's layers are gone"
        weight = next(self.text_embedding.parameters())
        wave = sinusoid(timestep, self.config.freq_dim).to(weight)
        time: Tensor = self.time_embedding(wave)
        modulation = self.time_projection(time).unflatten(1, (6, self.config.dim))
        text = self.text_embedding(context.to(weight))
        caches = [_block(b).cross_attn.cache(text) for b in self.blocks]
        return Condition(time, modulation, tuple(caches))

    @torch.no_grad()
    def settle(self, context: Tensor, device: torch.device | str) -> Condition:
        """The condition of every later run, on a device; the layers that make it are freed.

        Only they go to the device here, so that they leave no gaps among what stays there.
        """
        for part in self._conditional():
            part.to(device)
        made = self.condition(context.to(device))
        self.forget_text()
        return made

    def attend_by(self, mode: str) -> None:
        """Attention to the prompt goes by this mode of engine.models.attention."""
        for block in self.blocks:
            _block(block).cross_attn.mode = mode

    def forget_text(self) -> None:
        """Free the layers that only `condition` needs, of text and time: one serves all streams."""
        for name in ("text_embedding", "time_embedding", "time_projection"):
            setattr(self, name, nn.Identity())
        for block in self.blocks:
            for name in ("k", "v", "norm_k"):
                setattr(_block(block).cross_attn, name, nn.Identity())

    def _conditional(self) -> list[nn.Module]:
        cross = [_block(block).cross_attn for block in self.blocks]
        parts = [part for one in cross for part in (one.k, one.v, one.norm_k)]
        return [self.text_embedding, self.time_embedding, self.time_projection, *parts]

    def rings(self, sparsity: Sparsity, dtype: torch.dtype | None = None) -> list[SlotRing]:
        """Empty rings, one per block, for a new stream; dtype as a ring's."""
        return new_rings(len(self.blocks), sparsity.kv_slots, dtype)

    def forward(
        self,
        latents: Tensor,
        low_quality: Iterable[Tensor],
        condition: Condition,
        rings: Sequence[SlotRing],
        start: int,
        sparsity: Sparsity,
        on_block: Callable[[], None] | None = None,
    ) -> Tensor:
        """Velocity of one chunk; the rings move on by it.

        latents: (1, C, T, H, W), T even; low_quality: tokens (1, L, dim), the l-th added before
        block l, and asked for then; start: number of the first latent frame in the stream.
        `on_block` is called after each block, and may raise.
        """
        t, h, w = self.config.patch
        frames, rows, columns = (n // p for n, p in zip(latents.shape[2:], (t, h, w), strict=True))
        grid = Grid(frames, rows, columns, start)
        head_dim = self.config.dim // self.config.heads
        turns = rotary_turns(grid, head_dim, latents.device, is_windowed=True)
        x = self._embedded(latents, grid)
        tokens = iter(low_quality)
        time, modulation = condition.time, condition.modulation
        for i, block in enumerate(self.blocks):
            given = next(tokens, None)
            if given is not None:
                _add_windowed(x, given, grid)
                del given  # it is as large as x
            text, ring = condition.text[i], rings[i]
            block(x, modulation, text, turns, grid, ring, sparsity, is_windowed=True)
            if on_block is not None:
                on_block()
        pattern = "1 (s r c t h w) (u p q d) -> 1 d (s t u) (r h p) (c w q)"
        slots = _pieces(x, x.shape[1] // grid.slots)
        patches = torch.cat([self.head(slot, time) for slot in slots], dim=1)
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
    queries = to_blocks(q, grid)
    ring.append(to_blocks(k, grid), to_blocks(v, grid))
    mixed = [_attended(slot, grid, ring, sparsity) for slot in queries.unbind(1)]
    ring.trim()
    return from_blocks(torch.stack(mixed, dim=1), grid)


def _attended(queries: Tensor, grid: Grid, ring: SlotRing, sparsity: Sparsity) -> Tensor:
    """One slot's queries, (N, n, T, D), on all that the ring holds."""
    local = _local_blocks(*grid.blocks, sparsity.reach, queries.device)
    mask = block_mask(block_means(queries), ring.means(), local, sparsity.pairs)
    if ring.dtype is not None and not _reads_eight_bits(queries.device):
        return block_sparse_attention(queries, *ring.held(), mask)
    # 8 bits are widened where they are used.
    keys, values, scales = ring.memory()
    return block_sparse_attention(queries, keys, values, mask, scales, ring.blocks())


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


def _pieces(x: Tensor, step: int) -> list[Tensor]:
    """Views of (1, L, C), `step` tokens each, the last perhaps fewer; each is contiguous."""
    return [x[:, start : start + step] for start in range(0, x.shape[1], step)]


def _add_windowed(x: Tensor, given: Tensor, grid: Grid) -> None:
    """x, window by window, becomes x + given, which is frame by frame; both (1, L, dim)."""
    size = x.shape[1] // grid.slots
    one = replace(grid, frames=WINDOW[0])
    for slot, part in zip(_pieces(x, size), _pieces(given, size), strict=True):
        add_(slot, to_windows(part, one))


def _block(module: nn.Module) -> Block:
    assert isinstance(module, Block)
    return module
