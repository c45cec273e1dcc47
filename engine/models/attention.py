"""Attention for every model: one dense function with a choice of modes, one block-sparse."""

from collections.abc import Iterator
from importlib.util import find_spec
from math import sqrt

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from engine.errors import EngineError

# Elements of keys gathered at once, and of values likewise: what stays near a processor's caches,
# and what keeps a card busy (128 MiB in bfloat16).
GATHER_LIMIT_CPU, GATHER_LIMIT_CARD = 1 << 22, 1 << 26

# Each mode and the package it needs; sdpa is torch's own.
MODES = {
    "sdpa": "",
    "flash_attn_2": "flash_attn",
    "flash_attn_3": "flash_attn_interface",
    "sageattn": "sageattention",
    "xformers": "xformers",
}


def missing(mode: str) -> str:
    """Why `mode` cannot be used; empty if it can. Raises EngineError for an unknown one."""
    if mode not in MODES:
        raise EngineError(f"There is no attention mode {mode!r}.", f"Known: {', '.join(MODES)}.")
    package = MODES[mode]
    if package and find_spec(package) is None:
        return f"{package} is not installed"
    return f"{package} is installed, but not used by this version" if package else ""


def attention(q: Tensor, k: Tensor, v: Tensor, mode: str = "sdpa") -> Tensor:
    """Softmax attention, scale 1 / sqrt(D). q: (B, L, N, D); k, v: (B, S, N, D) -> (B, L, N, D).

    Raises EngineError for a mode that is not available, with the reason.
    """
    if reason := missing(mode):
        raise EngineError(f"Attention mode {mode} cannot be used: {reason}.", "Choose sdpa.")
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)


def block_sparse_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Softmax attention over the blocks that `mask` keeps, scale 1 / sqrt(D), exact.

    q: (N, Q, T, D) blocks of T tokens; k, v: (N, K, T, D); mask: (N, Q, K) bool -> (N, Q, T, D).
    A query block that keeps no key block gives zeros. Keys are gathered per query block, never
    as a mask over tokens, so memory stays bounded on any grid.
    """
    out = torch.zeros_like(q, memory_format=torch.contiguous_format)
    # Kept blocks first, in their order: the first `count` columns of each row are its keys.
    columns = mask.byte().argsort(dim=2, descending=True, stable=True)
    limit = GATHER_LIMIT_CPU if q.device.type == "cpu" else GATHER_LIMIT_CARD
    for rows, width in _groups(mask.sum(2).flatten(), limit // (k.shape[2] * k.shape[3])):
        head, block = rows // q.shape[1], rows % q.shape[1]
        chosen = columns[head, block, :width]
        keys, values = (x[head[:, None], chosen].flatten(1, 2) for x in (k, v))
        is_kept = mask[head, block].gather(1, chosen).repeat_interleave(k.shape[2], dim=1)
        wanted = None if bool(is_kept.all()) else is_kept[:, None, None]
        mixed = F.scaled_dot_product_attention(
            q[head, block, None], keys[:, None], values[:, None], attn_mask=wanted
        )
        out[head, block] = mixed[:, 0]
    return out


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
    n = local.shape[0]
    scores = q.float() @ k.float().transpose(1, 2) / sqrt(q.shape[2])
    slots_q, slots_k = scores.shape[1] // n, scores.shape[2] // n
    scores = scores.masked_fill(~local.repeat(slots_q, slots_k), -torch.inf)
    share = rearrange(scores.softmax(dim=2), "h (s n) k -> h s (n k)", s=slots_q)
    total = share.shape[2]
    budget = min(max(pairs, 0), total - 1)
    threshold = share.kthvalue(total - budget, dim=2, keepdim=True).values  # one more than budget
    return rearrange(share > threshold, "h s (n k) -> h (s n) k", n=n)


def _groups(counts: Tensor, limit: int) -> Iterator[tuple[Tensor, int]]:
    """Rows of alike count, largest first, and the group's largest; rows without any are left out.

    A group's rows times its largest count stay within `limit`, or it is a single row.
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
        yield order[start:end], width
        start = end
