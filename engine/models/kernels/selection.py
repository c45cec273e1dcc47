"""Choosing the strongest block pairs in a few Triton kernels; the plain form is in `mask`."""

from math import sqrt

import torch
from torch import Tensor

from engine.models.kernels.language import Value, constexpr, tl, triton
from engine.models.kernels.mask import HEADS_AT_ONCE

ROWS, COLUMNS, CHUNK = 16, 64, 2048


def shares(q: Tensor, k: Tensor, local: Tensor) -> Tensor:
    """Softmax of q k^T / sqrt(D) over the local key blocks, float32: (N, Q, K).

    q: (N, Q, D), k: (N, K, D); local: (n, n) bool, for every pair of slots of n blocks.
    """
    q, k = q.float().contiguous(), k.float().contiguous()
    heads, queries, features = q.shape
    keys = k.shape[1]
    out = q.new_empty(heads, queries, keys)
    _shares_kernel[(heads, triton.cdiv(queries, ROWS))](
        q,
        k,
        local.contiguous().view(torch.uint8),
        out,
        sqrt(features),
        queries,
        keys,
        local.shape[0],
        features,
        max(16, triton.next_power_of_2(features)),
        ROWS,
        COLUMNS,
    )
    return out


def next_largest(values: Tensor, budget: int) -> Tensor:
    """As `mask.next_largest`: (R, M) -> (R, 1)."""
    bits = values.contiguous().view(torch.int32)
    found = bits.new_empty(bits.shape[0], 1)
    _next_largest_kernel[(bits.shape[0],)](bits, found, bits.shape[1], budget, CHUNK)
    return found.view(torch.float32)


def kept(mask: Tensor) -> tuple[Tensor, Tensor]:
    """As `mask.kept`: (N, Q) and (N, Q, K), int32."""
    heads, rows, columns = mask.shape
    counts = torch.empty(heads, rows, dtype=torch.int32, device=mask.device)
    lists = torch.empty(heads, rows, columns, dtype=torch.int32, device=mask.device)
    block = triton.next_power_of_2(columns)
    _kept_kernel[(heads * rows,)](
        mask.contiguous().view(torch.uint8), counts, lists, columns, block
    )
    return counts, lists


def running_order(counts: Tensor, columns: int) -> Tensor:
    """As `mask.running_order`: (N * Q,) int32."""
    total, rows = counts.numel(), counts.shape[1]
    order = torch.empty(total, dtype=torch.int32, device=counts.device)
    block = min(1024, triton.next_power_of_2(total))
    _order_kernel[(total,)](counts.contiguous(), order, total, rows * HEADS_AT_ONCE, columns, block)
    return order


def _shares(
    q: Value,
    k: Value,
    local: Value,
    out: Value,
    root: Value,
    queries: Value,
    keys: Value,
    n: Value,
    features: Value,
    D: constexpr,
    BM: constexpr,
    BN: constexpr,
) -> None:
    head = tl.program_id(0).to(tl.int64)
    rows = tl.program_id(1) * BM + tl.arange(0, BM)
    at_d = tl.arange(0, D)
    is_row, is_feature = rows < queries, at_d < features
    query = tl.load(
        q + (head * queries + rows)[:, None] * features + at_d[None, :],
        mask=is_row[:, None] & is_feature[None, :],
        other=0.0,
    )
    top = tl.full((BM,), float("-inf"), tl.float32)
    total = tl.zeros((BM,), tl.float32)
    # The first turn finds each row's largest score and sum, the second writes the shares.
    for turn in tl.static_range(2):
        for start in range(0, keys, BN):
            columns = start + tl.arange(0, BN)
            is_column = columns < keys
            key = tl.load(
                k + (head * keys + columns)[:, None] * features + at_d[None, :],
                mask=is_column[:, None] & is_feature[None, :],
                other=0.0,
            )
            scores = tl.dot(query, tl.trans(key), input_precision="ieee") / root
            allowed = tl.load(
                local + (rows % n)[:, None] * n + (columns % n)[None, :],
                mask=is_row[:, None] & is_column[None, :],
                other=0,
            )
            scores = tl.where(allowed != 0, scores, float("-inf"))
            if turn == 0:
                higher = tl.maximum(top, tl.max(scores, 1))
                shift = tl.where(higher == float("-inf"), 0.0, higher)
                total = total * tl.exp(top - shift) + tl.sum(tl.exp(scores - shift[:, None]), 1)
                top = higher
            else:
                # Rows beyond the last have no score at all, and are not written.
                shift = tl.where(is_row, top, 0.0)
                tl.store(
                    out + (head * queries + rows)[:, None] * keys + columns[None, :],
                    tl.exp(scores - shift[:, None]) / tl.where(is_row, total, 1.0)[:, None],
                    mask=is_row[:, None] & is_column[None, :],
                )


def _next_largest(bits: Value, found: Value, total: Value, budget: Value, BLOCK: constexpr) -> None:
    row = tl.program_id(0).to(tl.int64)
    digits = tl.arange(0, 256)
    rank = budget
    prefix = 0
    for turn in tl.static_range(4):
        shift = 24 - 8 * turn
        counts = tl.zeros((256,), tl.int32)
        for start in range(0, total, BLOCK):
            at = start + tl.arange(0, BLOCK)
            value = tl.load(bits + row * total + at, mask=at < total, other=0)
            agrees = at < total
            if turn > 0:
                agrees = agrees & ((value >> (shift + 8)) == (prefix >> (shift + 8)))
            counts += tl.histogram((value >> shift) & 255, 256, mask=agrees)
        above = tl.sum(counts, 0) - tl.cumsum(counts, 0)
        is_it = (above <= rank) & (rank < above + counts)
        prefix |= tl.sum(tl.where(is_it, digits, 0), 0) << shift
        rank -= tl.sum(tl.where(is_it, above, 0), 0)
    tl.store(found + row, prefix)


def _kept(mask: Value, counts: Value, lists: Value, columns: Value, BLOCK: constexpr) -> None:
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    keeps = tl.load(mask + row * columns + at, mask=at < columns, other=0).to(tl.int32)
    reached = tl.cumsum(keeps, 0)
    count = tl.sum(keeps, 0)
    # Each place is written once: a kept block's by its number, those after the last by zero.
    tl.store(lists + row * columns + reached - 1, at, mask=keeps != 0)
    tl.store(lists + row * columns + at, tl.zeros_like(at), mask=(at >= count) & (at < columns))
    tl.store(counts + row, count)


def _order(
    counts: Value, order: Value, total: Value, group: Value, columns: Value, BLOCK: constexpr
) -> None:
    row = tl.program_id(0)
    own = (row // group) * (columns + 1) + columns - tl.load(counts + row)
    earlier = 0
    for start in range(0, total, BLOCK):
        at = start + tl.arange(0, BLOCK)
        count = tl.load(counts + at, mask=at < total, other=0)
        key = (at // group) * (columns + 1) + columns - count
        is_earlier = (at < total) & ((key < own) | ((key == own) & (at < row)))
        earlier += tl.sum(is_earlier.to(tl.int32), 0)
    tl.store(order + earlier, row)


_shares_kernel = triton.jit(_shares)
_next_largest_kernel = triton.jit(_next_largest)
_kept_kernel = triton.jit(_kept)
_order_kernel = triton.jit(_order)
