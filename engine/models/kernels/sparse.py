"""Block-sparse attention on NVIDIA cards: one fused kernel over lists of kept key blocks."""

from math import e, log2, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from engine.models.kernels.language import TensorDescriptor, Value, constexpr, tl, triton

# The scale of keys and of values in 8 bits, (N, K) float32 each.
Scales = tuple[Tensor, Tensor]


class Config(NamedTuple):
    """How one program works: on `queries` tokens of a query block, by `keys` of a key block.

    `stages`: how many key tiles are in shared memory or on their way. `registers`: at most so
    many per thread, so that two programs fit a processor; 0 leaves it open.
    """

    queries: int
    keys: int
    warps: int
    stages: int
    registers: int = 0


# By compute capability, best first. Shared memory per program is at most 163 KiB on sm_80, 227 KiB
# on sm_90 and sm_100, 99 KiB on the others. Computed from sizes and built for each; the order
# within a row is an estimate until `tests.benchmarks` has run on that card.
_LARGE = (
    Config(128, 128, 8, 3),
    Config(128, 64, 8, 4),
    Config(128, 64, 8, 2, 128),
    Config(128, 64, 4, 2),
)
_SMALL = (Config(128, 64, 8, 3), Config(128, 32, 8, 3), Config(64, 32, 4, 3))
CONFIGS = {
    (8, 0): (Config(128, 64, 8, 3), Config(128, 128, 8, 2), Config(64, 64, 4, 3)),
    (8, 6): _SMALL,
    (8, 9): _SMALL,
    (9, 0): _LARGE,
    (10, 0): _LARGE,
    (12, 0): _SMALL,
}
# Full float32 products leave the tensor cores alone, and tiles are twice the size.
FULL_PRECISION = (Config(64, 32, 4, 2), Config(32, 16, 4, 1))

_proven: dict[tuple[torch.device, torch.dtype, torch.dtype, torch.Size], Config] = {}


def configs(q: Tensor) -> tuple[Config, ...]:
    """What may be tried for these queries on their device, best first; whole tiles of a block."""
    if q.dtype == torch.float32 or q.device.type != "cuda":
        found: tuple[Config, ...] = FULL_PRECISION
    else:
        capability = torch.cuda.get_device_capability(q.device)
        found = CONFIGS[max(x for x in CONFIGS if x <= capability)]
    tokens = q.shape[2]
    return tuple(x._replace(queries=min(x.queries, tokens)) for x in found)


def fits(q: Tensor, k: Tensor) -> bool:
    """Whether the kernel takes these sizes: powers of two from 16, at most 256 channels."""
    sizes = (q.shape[2], q.shape[3], k.shape[2])
    return all(x >= 16 and x & (x - 1) == 0 for x in sizes) and q.shape[3] <= 256


def block_sparse(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    counts: Tensor,
    lists: Tensor,
    order: Tensor,
    scales: Scales | None = None,
    config: Config | None = None,
    tma: bool | None = None,
) -> Tensor:
    """Softmax attention of each query block over its listed key blocks: (N, Q, T, D).

    q: (N, Q, T, D); k, v: (N, K, T, D), heads may lie apart; counts: (N, Q), lists: (N, Q, any) and
    order: (N * Q,), all int32. k and v may be in 8 bits, times `scales`. Without `config` the
    first that fits the card is taken and kept; `tma` is for trials.
    """
    q, k, v = _blocks(q), _blocks(k), _blocks(v)
    if config is not None:
        return _run(q, k, v, counts, lists, order, scales, config, tma)
    key = (q.device, q.dtype, k.dtype, q.shape[2:])
    tried = [_proven[key]] if key in _proven else configs(q)
    for each in tried[:-1]:
        try:
            out = _run(q, k, v, counts, lists, order, scales, each, tma)
        except triton.OutOfResources:
            continue  # a card with less shared memory than its kind
        _proven[key] = each
        return out
    return _run(q, k, v, counts, lists, order, scales, tried[-1], tma)


def _blocks(x: Tensor) -> Tensor:
    """The same, laid out so that a head's blocks follow each other; heads may lie apart."""
    tokens, features = x.shape[2:]
    whole = x.stride()[1:] == (tokens * features, features, 1) and x.stride(0) % features == 0
    return x if whole else x.contiguous()


def _run(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    counts: Tensor,
    lists: Tensor,
    order: Tensor,
    scales: Scales | None,
    config: Config,
    tma: bool | None,
) -> Tensor:
    heads, blocks, tokens, features = q.shape
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    keys = min(config.keys, k.shape[2])
    by_descriptor = _takes_descriptors(q, k, v) if tma is None else tma
    sources = [q, k, v]
    if by_descriptor:
        tiles = (config.queries, keys, keys)
        sources = [
            TensorDescriptor(x, [_rows(x), features], [features, 1], [tile, features])
            for x, tile in zip(sources, tiles, strict=True)
        ]
    limits = {"maxnreg": config.registers} if config.registers else {}
    kernel[(heads * blocks * (tokens // config.queries),)](
        *sources,
        out,
        *(x.contiguous() for x in scales or (counts, counts)),
        counts,
        lists,
        order,
        log2(e) / sqrt(features),
        blocks,
        lists.shape[2],
        k.shape[1],
        *(x.stride(0) // features for x in (q, k, v)),
        TQ=tokens,
        TK=k.shape[2],
        D=features,
        BM=config.queries,
        BN=keys,
        STAGES=config.stages,
        TMA=by_descriptor,
        SCALED=scales is not None,
        PRECISION="ieee" if q.dtype == torch.float32 else "tf32",
        num_warps=config.warps,
        num_stages=config.stages,
        **limits,
    )
    return out


def _rows(x: Tensor) -> int:
    """Rows of D features from the first head's first to the last head's last."""
    return (x.shape[0] - 1) * (x.stride(0) // x.shape[3]) + x.shape[1] * x.shape[2]


def _takes_descriptors(*tensors: Tensor) -> bool:
    """Whether the card copies tiles by itself, and these begin where it can: at 16 bytes."""
    first = tensors[0]
    if first.device.type != "cuda" or torch.cuda.get_device_capability(first.device) < (9, 0):
        return False
    return all(x.data_ptr() % 16 == 0 and x.shape[3] * x.element_size() % 16 == 0 for x in tensors)


def _attend(
    q: Value,
    k: Value,
    v: Value,
    out: Value,
    k_scale: Value,
    v_scale: Value,
    counts: Value,
    lists: Value,
    order: Value,
    scale: Value,
    blocks: Value,
    columns: Value,
    keys: Value,
    q_rows: Value,
    k_rows: Value,
    v_rows: Value,
    TQ: constexpr,
    TK: constexpr,
    D: constexpr,
    BM: constexpr,
    BN: constexpr,
    STAGES: constexpr,
    TMA: constexpr,
    SCALED: constexpr,
    PRECISION: constexpr,
) -> None:
    """Online softmax in base 2 (Milakov and Gimelshein 2018, arXiv 1805.02867), float32 sums.

    q, k, v: pointers, or descriptors over rows of D; `*_rows`: rows from one head to the next;
    keys: blocks of a head; scale: log2(e) / sqrt(D).
    """
    parts = TK // BN
    at_m, at_n, at_d = tl.arange(0, BM), tl.arange(0, BN), tl.arange(0, D)
    row = tl.load(order + tl.program_id(0) // (TQ // BM))
    first = (tl.program_id(0) % (TQ // BM)) * BM
    head, block = row // blocks, row % blocks
    steps = tl.load(counts + row) * parts
    chosen_at = lists + row.to(tl.int64) * columns
    q_row = head * q_rows + block * TQ + first
    if TMA:
        query = q.load([q_row, 0])
    else:
        query = tl.load(q + (q_row + at_m).to(tl.int64)[:, None] * D + at_d[None, :])
    top = tl.full((BM,), float("-inf"), tl.float32)
    total = tl.zeros((BM,), tl.float32)
    mixed = tl.zeros((BM, D), tl.float32)
    chosen = tl.load(chosen_at, mask=steps > 0, other=0)
    for step in tl.range(0, steps, num_stages=STAGES):
        # The next block's number is fetched a step ahead: no copy waits for it.
        following = tl.load(chosen_at + (step + 1) // parts, mask=step + 1 < steps, other=0)
        at = chosen * TK + (step % parts) * BN
        k_row, v_row = head * k_rows + at, head * v_rows + at
        if TMA:
            key = k.load([k_row, 0])
        else:
            key = tl.load(k + (k_row + at_n).to(tl.int64)[:, None] * D + at_d[None, :])
        scores = tl.dot(query, tl.trans(key.to(query.dtype)), input_precision=PRECISION)
        if SCALED:
            scores *= scale * tl.load(k_scale + head * keys + chosen)
        else:
            scores *= scale
        higher = tl.maximum(top, tl.max(scores, 1))
        share = tl.exp2(scores - higher[:, None])
        fade = tl.exp2(top - higher)
        total = total * fade + tl.sum(share, 1)
        mixed *= fade[:, None]
        if TMA:
            value = v.load([v_row, 0])
        else:
            value = tl.load(v + (v_row + at_n).to(tl.int64)[:, None] * D + at_d[None, :])
        if SCALED:
            share *= tl.load(v_scale + head * keys + chosen)
        share = share.to(query.dtype)
        mixed = tl.dot(share, value.to(query.dtype), mixed, input_precision=PRECISION)
        top = higher
        chosen = following
    mixed = mixed / tl.where(total == 0, 1.0, total)[:, None]
    o_row = ((head * blocks + block) * TQ + first + at_m).to(tl.int64)
    tl.store(out + o_row[:, None] * D + at_d[None, :], mixed.to(out.dtype.element_ty))


kernel = triton.jit(_attend)
