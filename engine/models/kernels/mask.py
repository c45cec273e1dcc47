"""Choosing the strongest block pairs in plain PyTorch, exact and without waiting for the card."""

import torch
from torch import Tensor

# How many heads' rows are mixed in one order: those that run at once mostly read the same keys,
# which then stay in the card's cache, and the last ones are enough to end evenly.
HEADS_AT_ONCE = 4


def next_largest(shares: Tensor, budget: int) -> Tensor:
    """The (budget + 1)-th largest of each row: (R, M) -> (R, 1), M > budget >= 0.

    `shares`: float32, none negative: ordered as their bits are. Four passes find eight bits each:
    a histogram of the next eight among the values that agree so far, summed from above.
    """
    bits = shares.contiguous().view(torch.int32)
    rank = bits.new_full((bits.shape[0], 1), budget)
    found = torch.zeros_like(rank)
    agreeing = torch.ones_like(bits)
    for shift in (24, 16, 8, 0):
        digits = (bits >> shift) & 255
        counts = bits.new_zeros(bits.shape[0], 256).scatter_add_(1, digits.long(), agreeing)
        reached = counts.flip(1).cumsum(1, dtype=torch.int32).flip(1)
        digit = (reached > rank).sum(1, keepdim=True) - 1
        rank = rank - (reached - counts).gather(1, digit)
        found = found | (digit.int() << shift)
        agreeing = ((bits >> shift) == (found >> shift)).int()
    return found.view(torch.float32)


def kept(mask: Tensor) -> tuple[Tensor, Tensor]:
    """How many key blocks each row keeps, and which: (N, Q) and (N, Q, K), int32.

    mask: (N, Q, K) bool. The first `count` columns of a row are its key blocks in their order;
    what follows is zero.
    """
    columns = mask.shape[2]
    places = mask.cumsum(2)
    slots = torch.where(mask, places - 1, columns)
    blocks = torch.arange(columns, dtype=torch.int32, device=mask.device)
    lists = torch.zeros(*mask.shape[:2], columns + 1, dtype=torch.int32, device=mask.device)
    lists.scatter_(2, slots, blocks.expand(mask.shape))
    lists[..., columns] = 0
    return places[..., -1].int(), lists[..., :columns].contiguous()


def running_order(counts: Tensor, columns: int) -> Tensor:
    """The rows of all heads, (N * Q,) int32: some heads at a time, the longest rows first.

    counts: (N, Q), at most `columns` each. A card takes rows in order; long ones at the end would
    leave it idle.
    """
    groups = torch.arange(counts.shape[0], device=counts.device) // HEADS_AT_ONCE
    keys = groups[:, None] * (columns + 1) + columns - counts
    return keys.flatten().argsort(stable=True).int()
