"""Attention for every model: one dense function with a choice of modes, one block-sparse."""

from collections.abc import Iterator
from math import sqrt

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from engine.models.dense import (
    Mode,
    attention,
    default_mode,
    exact_mode,
    mended,
    modes,
    take_warnings,
)
from engine.models.kernels import mask as plain_choice
from engine.models.kernels import unavailable

__all__ = [
    "Mode",
    "attention",
    "block_mask",
    "block_sparse_attention",
    "default_mode",
    "exact_mode",
    "local_blocks",
    "mended",
    "modes",
    "plain_block_mask",
    "plain_block_sparse_attention",
    "take_warnings",
    "unavailable",
]

# Elements of keys gathered at once, and of values likewise: what stays near a processor's caches,
# and what keeps a card busy (128 MiB in bfloat16).
GATHER_LIMIT_CPU, GATHER_LIMIT_CARD = 1 << 22, 1 << 26

# What 8-bit keys and values are to be multiplied by: (N, K) float32 each.
Scales = tuple[Tensor, Tensor]


def block_sparse_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor,
    scales: Scales | None = None,
    blocks: Tensor | None = None,
) -> Tensor:
    """Softmax attention over the blocks that `mask` keeps, scale 1 / sqrt(D), exact.

    q: (N, Q, T, D) blocks of T tokens; k, v: (N, K, T, D); mask: (N, Q, K) bool -> (N, Q, T, D).
    A query block that keeps no key block gives zeros. k and v may be float8 with their `scales`.
    blocks: (M,) int32, where k and v hold more than the mask's M columns: which of theirs each is.
    One kernel where Triton runs, else keys gathered in parts; never a mask over tokens.
    """
    if not unavailable(q.device):
        from engine.models.kernels import selection, sparse

        if sparse.fits(q, k):
            with torch.cuda.device(q.get_device()):  # where Triton launches
                counts, lists = selection.kept(mask)
                order = selection.running_order(counts, mask.shape[2])
                lists = _placed(lists, blocks)
                return sparse.block_sparse(q, k, v, counts, lists, order, scales)
    return plain_block_sparse_attention(q, k, v, mask, scales, blocks)


def plain_block_sparse_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor,
    scales: Scales | None = None,
    blocks: Tensor | None = None,
) -> Tensor:
    """The same in plain PyTorch, on any device; memory stays bounded on any grid."""
    out = torch.zeros_like(q, memory_format=torch.contiguous_format)
    counts, lists = plain_choice.kept(mask)
    lists = _placed(lists, blocks)
    limit = GATHER_LIMIT_CPU if q.device.type == "cpu" else GATHER_LIMIT_CARD
    for rows, width, least in _groups(counts.flatten(), limit // (k.shape[2] * k.shape[3])):
        head, block = rows // q.shape[1], rows % q.shape[1]
        chosen = lists[head, block, :width].long()
        keys, values = (
            _gathered(x, head[:, None], chosen, q.dtype, None if scales is None else scales[i])
            for i, x in enumerate((k, v))
        )
        wanted = None
        if least < width:
            columns = torch.arange(width, device=q.device)
            is_kept = columns < counts[head, block][:, None]
            wanted = is_kept.repeat_interleave(k.shape[2], dim=1)[:, None, None]
        mixed = F.scaled_dot_product_attention(
            q[head, block, None], keys[:, None], values[:, None], attn_mask=wanted
        )
        out[head, block] = mixed[:, 0]
    return out


def _placed(lists: Tensor, blocks: Tensor | None) -> Tensor:
    """Columns of a mask as the blocks that they stand for."""
    return lists if blocks is None else blocks.index_select(0, lists.flatten()).view_as(lists)


def _gathered(
    x: Tensor, head: Tensor, chosen: Tensor, dtype: torch.dtype, scale: Tensor | None
) -> Tensor:
    """Tokens of the chosen blocks, (rows, width * T, D)."""
    blocks = x[head, chosen]
    if scale is not None:
        wide = torch.empty(blocks.shape, dtype=dtype, device=x.device)
        blocks = torch.mul(blocks.to(dtype), scale[head, chosen][..., None, None], out=wide)
    return blocks.flatten(1, 2)


def local_blocks(rows: int, columns: int, reach: int, device: torch.device | str) -> Tensor:
    """Which blocks of a rows x columns grid see each other: (n, n) bool, n = rows * columns.

    Block r sees r - reach // 2 .. r - reach // 2 + reach - 1, down and across; an even reach sees
    one more before than after, and at the border the window is cut, not shifted.
    """

    def near(count: int) -> Tensor:
        at = torch.arange(count, device=device)
        step = at[None, :] - at[:, None] + reach // 2
        return (step >= 0) & (step < reach)

    down, across = near(rows), near(columns)
    both = down[:, None, :, None] & across[None, :, None, :]
    return both.reshape(rows * columns, rows * columns)


def block_mask(q: Tensor, k: Tensor, local: Tensor, pairs: int) -> Tensor:
    """Which key blocks each query block attends to: (N, Q, K) bool.

    FlashVSR (arXiv 2510.12747), locality-constrained sparse attention. q: (N, Q, D) and
    k: (N, K, D) are blocks' means; Q and K are whole slots of n blocks, local: (n, n) bool.
    Every query slot keeps the `pairs` strongest of all its block pairs: those above the next one,
    so ties at that value, and pairs that are not local, are never kept. Scores are in float32.
    """
    if unavailable(q.device):
        return plain_block_mask(q, k, local, pairs)
    from engine.models.kernels import selection

    with torch.cuda.device(q.get_device()):
        flat = _by_slots(selection.shares(q, k, local), local.shape[0])
        return _above(flat, selection.next_largest(flat, _budget(flat, pairs)), q, k)


def plain_block_mask(q: Tensor, k: Tensor, local: Tensor, pairs: int) -> Tensor:
    """The same in plain PyTorch, on any device."""
    n = local.shape[0]
    scores = q.float() @ k.float().transpose(1, 2) / sqrt(q.shape[2])
    repeats = scores.shape[1] // n, scores.shape[2] // n
    shares = scores.masked_fill(~local.repeat(repeats), -torch.inf).softmax(dim=2)
    flat = _by_slots(shares, n)
    return _above(flat, plain_choice.next_largest(flat, _budget(flat, pairs)), q, k)


def _by_slots(shares: Tensor, n: int) -> Tensor:
    """A row for each head's query slot, of all its block pairs."""
    return rearrange(shares, "h (s n) k -> (h s) (n k)", n=n)


def _budget(flat: Tensor, pairs: int) -> int:
    return min(max(pairs, 0), flat.shape[1] - 1)


def _above(flat: Tensor, threshold: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return (flat > threshold).reshape(q.shape[0], q.shape[1], k.shape[1])


def _groups(counts: Tensor, limit: int) -> Iterator[tuple[Tensor, int, int]]:
    """Rows of alike count, largest first, and the group's largest and least count.

    Rows without any are left out. A group's rows times its largest count stay within `limit`, or
    it is a single row.
    """
    order = counts.argsort(descending=True)
    sizes = counts[order].tolist()
    start = 0
    while start < len(sizes) and sizes[start] > 0:
        width = sizes[start]
        end, furthest = start + 1, min(start + max(1, limit // width), len(sizes))
        # Padding a row to the group's width is wasted work: at most an eighth.
        while end < furthest and sizes[end] * 8 >= width * 7:
            end += 1
        yield order[start:end], width, sizes[end - 1]
        start = end
