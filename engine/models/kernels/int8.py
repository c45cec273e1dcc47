"""Attention with queries and keys in 8 bits on NVIDIA cards.

After SageAttention (Zhang et al. 2024, arXiv 2410.02367): keys lose their mean over tokens, which
changes no share and takes most of their outliers; queries are rounded with a scale for each token,
keys with one for each tile; shares and values are multiplied in float16. Before that a Hadamard
matrix spreads what single channels have over all (Shah et al. 2024, arXiv 2407.08608, sec. 3.3):
it changes no product of a query and a key.
"""

from functools import cache
from math import ceil, e, log2, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from engine.models.kernels.language import Value, constexpr, tl, triton

AT_ONCE = 1 << 26  # numbers of queries, or keys, that are held in 8 bits: bounds what is beside
COUNTED = 512  # tokens of which one program finds the sum of keys and the largest values
LEAST = 1e-12  # nothing smaller is divided by

# Shares are at most 2 ** 8 and values at most 1, so that no sum over a tile leaves float16's range,
# and small shares keep their bits.
PEAK: constexpr = tl.constexpr(8.0)


class Config(NamedTuple):
    """How one program works: on `queries` by `keys`; `stages` tiles of keys are on their way.

    `sums_in_half`: a tile's products are summed in float16, and tiles in float32; twice as fast on
    cards for games. Elsewhere all sums are in float32.
    """

    queries: int
    keys: int
    warps: int
    stages: int
    sums_in_half: bool


# By compute capability. Computed from sizes and built for each; an estimate until it has run there.
_GAMES = Config(128, 64, 8, 3, True)
_LARGE = Config(128, 128, 8, 3, False)
CONFIGS = {
    (8, 0): Config(128, 64, 8, 3, False),
    (8, 6): _GAMES,
    (8, 9): _GAMES,
    (9, 0): _LARGE,
    (10, 0): _LARGE,
    (12, 0): _GAMES,
}


def config_of(device: torch.device) -> Config:
    """What is used on a device."""
    if device.type != "cuda":
        return _GAMES
    capability = torch.cuda.get_device_capability(device)
    return CONFIGS[max(x for x in CONFIGS if x <= capability)]


def fits(q: Tensor) -> bool:
    """Whether the kernel takes heads of this size: wider ones leave no room for a tile."""
    return q.shape[3] <= 128


def attention(q: Tensor, k: Tensor, v: Tensor, config: Config | None = None) -> Tensor:
    """Softmax attention, scale 1 / sqrt(D). q: (B, L, N, D); k, v: (B, S, N, D) -> (B, L, N, D)."""
    q, k, v = (x if x.stride(3) == 1 else x.contiguous() for x in (q, k, v))
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    chosen = config or config_of(q.device)
    tokens = max(q.shape[1], k.shape[1])
    groups = max(1, ceil(tokens * q.shape[2] * q.shape[3] / AT_ONCE))
    heads = ceil(q.shape[2] / groups)
    with torch.cuda.device(q.get_device()):  # where Triton launches
        for clip in range(len(q)):
            for first in range(0, q.shape[2], heads):
                some = clip, slice(None), slice(first, first + heads)
                _attend_to(q[some], k[some], v[some], out[some], chosen)
    return out


def _attend_to(q: Tensor, k: Tensor, v: Tensor, out: Tensor, config: Config) -> None:
    """Of one clip and some heads: (L, n, D), (S, n, D) twice, and the result's (L, n, D)."""
    queries, heads, features = q.shape
    keys = len(k)
    width = max(32, triton.next_power_of_2(features))
    spread = _spread(width, q.device)
    mean, largest = _measured(k, v, width)
    # The matrix is not normed: products are `width` times as large.
    root = log2(e) / sqrt(features) / width
    small_q, q_scale = _packed(q, spread, None, config.queries, True, root)
    small_k, k_scale = _packed(k, spread, mean @ spread.float(), config.keys, False, 1.0)
    halves = torch.empty(small_k.shape, dtype=torch.float16, device=v.device)
    _halve_kernel[(small_k.shape[1] // config.keys, heads)](
        v,
        *v.stride()[:2],
        largest,
        halves,
        keys,
        features,
        GROUP=config.keys,
        WIDTH=width,
    )
    _attend_kernel[(small_q.shape[1] // config.queries, heads)](
        small_q,
        q_scale,
        small_k,
        k_scale,
        halves,
        largest,
        out,
        *out.stride()[:2],
        queries,
        keys,
        features,
        BM=config.queries,
        BN=config.keys,
        WIDTH=width,
        STAGES=config.stages,
        SUMS_IN_HALF=config.sums_in_half,
        num_warps=config.warps,
        num_stages=config.stages,
    )


def _measured(k: Tensor, v: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The mean of keys and the largest of values over tokens, (n, width), float32."""
    keys, heads, features = k.shape
    counts = triton.cdiv(keys, COUNTED)
    sums, tops = torch.empty((2, heads, counts, width), dtype=torch.float32, device=k.device)
    _measure_kernel[(counts, heads)](
        k,
        *k.stride()[:2],
        v,
        *v.stride()[:2],
        sums,
        tops,
        keys,
        features,
        COUNTED=COUNTED,
        STEP=32,
        WIDTH=width,
    )
    return sums.sum(dim=1) / keys, tops.amax(dim=1).clamp_min(LEAST)


@cache
def _spread(width: int, device: torch.device) -> Tensor:
    """A Hadamard matrix of ones, its rows with signs of chance, (width, width), bfloat16.

    The signs keep a constant from being gathered in one channel.
    """
    made = torch.ones(1, 1)
    while len(made) < width:
        made = torch.cat([torch.cat([made, made], 1), torch.cat([made, -made], 1)])
    signs = torch.randint(2, (width, 1), generator=torch.Generator().manual_seed(0)) * 2 - 1
    return (made * signs).to(device, torch.bfloat16)


def _packed(
    x: Tensor, spread: Tensor, mean: Tensor | None, group: int, per_token: bool, factor: float
) -> tuple[Tensor, Tensor]:
    """x: (L, n, D), spread, less `mean`, in 8 bits, and scales times `factor`.

    (n, L filled up, width) and (n, L filled up), or one for each group: (n, L / group).
    """
    tokens, heads, features = x.shape
    width = len(spread)
    groups = triton.cdiv(tokens, group)
    packed = torch.empty((heads, groups * group, width), dtype=torch.int8, device=x.device)
    scale = torch.empty(
        (heads, groups * (group if per_token else 1)), dtype=torch.float32, device=x.device
    )
    _pack_kernel[(groups, heads)](
        x,
        *x.stride()[:2],
        spread,
        scale if mean is None else mean,
        packed,
        scale,
        tokens,
        features,
        factor,
        GROUP=group,
        WIDTH=width,
        PER_TOKEN=per_token,
        HAS_MEAN=mean is not None,
        num_warps=8,
    )
    return packed, scale


def _measure(
    k_at: Value,
    k_token: Value,
    k_head: Value,
    v_at: Value,
    v_token: Value,
    v_head: Value,
    sums_at: Value,
    tops_at: Value,
    tokens: Value,
    features: Value,
    COUNTED: constexpr,
    STEP: constexpr,
    WIDTH: constexpr,
) -> None:
    """Some tokens of a head a program: the sum of keys and the largest of values by channel."""
    part, head = tl.program_id(0), tl.program_id(1).to(tl.int64)
    at_d = tl.arange(0, WIDTH)
    total = tl.zeros((WIDTH,), tl.float32)
    top = tl.zeros((WIDTH,), tl.float32)
    for step in range(0, COUNTED, STEP):
        token = (part * COUNTED + step + tl.arange(0, STEP)).to(tl.int64)
        inside = (token < tokens)[:, None] & (at_d < features)[None, :]
        k = tl.load(
            k_at + head * k_head + token[:, None] * k_token + at_d[None, :], mask=inside, other=0.0
        )
        v = tl.load(
            v_at + head * v_head + token[:, None] * v_token + at_d[None, :], mask=inside, other=0.0
        )
        total += tl.sum(k.to(tl.float32), axis=0)
        top = tl.maximum(top, tl.max(tl.abs(v.to(tl.float32)), axis=0))
    place = (head * tl.num_programs(0) + part) * WIDTH + at_d
    tl.store(sums_at + place, total)
    tl.store(tops_at + place, top)


def _pack(
    x_at: Value,
    token_stride: Value,
    head_stride: Value,
    spread_at: Value,
    mean_at: Value,
    packed_at: Value,
    scale_at: Value,
    tokens: Value,
    features: Value,
    factor: Value,
    GROUP: constexpr,
    WIDTH: constexpr,
    PER_TOKEN: constexpr,
    HAS_MEAN: constexpr,
) -> None:
    """A group of a head's tokens a program; what fills the last one up is zero."""
    group, head = tl.program_id(0), tl.program_id(1).to(tl.int64)
    at_d = tl.arange(0, WIDTH)
    token = (group * GROUP + tl.arange(0, GROUP)).to(tl.int64)
    inside = (token < tokens)[:, None] & (at_d < features)[None, :]
    place = x_at + head * head_stride + token[:, None] * token_stride + at_d[None, :]
    x = tl.load(place, mask=inside, other=0.0).to(tl.bfloat16)
    spread = tl.load(spread_at + at_d[:, None] * WIDTH + at_d[None, :])
    x = tl.dot(x, spread)
    if HAS_MEAN:
        x -= tl.load(mean_at + head * WIDTH + at_d)[None, :]
        x = tl.where((token < tokens)[:, None], x, 0.0)
    first = head * tl.num_programs(0) * GROUP
    if PER_TOKEN:
        scale = tl.maximum(tl.max(tl.abs(x), axis=1), 1e-12) / 127
        tl.store(scale_at + first + token, scale * factor)
        x = x / scale[:, None]
    else:
        scale = tl.maximum(tl.max(tl.abs(x)), 1e-12) / 127
        tl.store(scale_at + head * tl.num_programs(0) + group, scale * factor)
        x = x / scale
    to = packed_at + (first + token)[:, None] * WIDTH + at_d[None, :]
    tl.store(to, tl.floor(x + 0.5).to(tl.int8))


def _halve(
    v_at: Value,
    token_stride: Value,
    head_stride: Value,
    largest_at: Value,
    halves_at: Value,
    tokens: Value,
    features: Value,
    GROUP: constexpr,
    WIDTH: constexpr,
) -> None:
    """Values over the largest of their channel, in float16."""
    group, head = tl.program_id(0), tl.program_id(1).to(tl.int64)
    at_d = tl.arange(0, WIDTH)
    token = (group * GROUP + tl.arange(0, GROUP)).to(tl.int64)
    inside = (token < tokens)[:, None] & (at_d < features)[None, :]
    place = v_at + head * head_stride + token[:, None] * token_stride + at_d[None, :]
    v = tl.load(place, mask=inside, other=0.0).to(tl.float32)
    v = v / tl.load(largest_at + head * WIDTH + at_d)[None, :]
    first = head * tl.num_programs(0) * GROUP
    tl.store(halves_at + (first + token)[:, None] * WIDTH + at_d[None, :], v.to(tl.float16))


def _mix(
    query: Value,
    row_scale: Value,
    k_at: Value,
    k_scale_at: Value,
    v_at: Value,
    start: Value,
    keys: Value,
    top: Value,
    total: Value,
    mixed: Value,
    BN: constexpr,
    WIDTH: constexpr,
    SUMS_IN_HALF: constexpr,
    IS_LAST: constexpr,
) -> tuple[Value, Value, Value]:
    """One tile of keys more: the largest score of each row so far, its shares' sum, the mixture."""
    at_n, at_d = tl.arange(0, BN), tl.arange(0, WIDTH)
    place = (start + at_n)[:, None] * WIDTH + at_d[None, :]
    scores = tl.dot(query, tl.trans(tl.load(k_at + place))).to(tl.float32)
    if IS_LAST:
        scores = tl.where((start + at_n < keys)[None, :], scores, float("-inf"))
    # Scales are above zero, so the largest stays the largest.
    scale = row_scale * tl.load(k_scale_at + start // BN)
    higher = tl.maximum(top, tl.max(scores, 1) * scale)
    share = tl.exp2(scores * scale[:, None] - (higher - PEAK)[:, None])
    fade = tl.exp2(top - higher)
    total = total * fade + tl.sum(share, 1)
    value = tl.load(v_at + place)
    if SUMS_IN_HALF:
        part = tl.dot(share.to(tl.float16), value, out_dtype=tl.float16)
        mixed = mixed * fade[:, None] + part.to(tl.float32)
    else:
        mixed = tl.dot(share.to(tl.float16), value, mixed * fade[:, None])
    return higher, total, mixed


def _attend(
    q_at: Value,
    q_scale_at: Value,
    k_at: Value,
    k_scale_at: Value,
    v_at: Value,
    v_scale_at: Value,
    out_at: Value,
    token_stride: Value,
    head_stride: Value,
    queries: Value,
    keys: Value,
    features: Value,
    BM: constexpr,
    BN: constexpr,
    WIDTH: constexpr,
    STAGES: constexpr,
    SUMS_IN_HALF: constexpr,
) -> None:
    """Online softmax in base 2 (Milakov and Gimelshein 2018, arXiv 1805.02867).

    q, k, v: heads after each other, tokens filled up to whole tiles, WIDTH channels each.
    """
    head = tl.program_id(1).to(tl.int64)
    tiles = tl.cdiv(keys, BN)
    at_d = tl.arange(0, WIDTH)
    row = tl.program_id(0) * BM + tl.arange(0, BM)
    first = head * tl.num_programs(0) * BM
    query = tl.load(q_at + (first + row)[:, None] * WIDTH + at_d[None, :])
    row_scale = tl.load(q_scale_at + first + row)
    k_at += head * tiles * BN * WIDTH
    v_at += head * tiles * BN * WIDTH
    k_scale_at += head * tiles
    top = tl.full((BM,), float("-inf"), tl.float32)
    total = tl.zeros((BM,), tl.float32)
    mixed = tl.zeros((BM, WIDTH), tl.float32)
    whole = keys // BN * BN
    for start in tl.range(0, whole, BN, num_stages=STAGES):
        top, total, mixed = _mix_tile(
            query,
            row_scale,
            k_at,
            k_scale_at,
            v_at,
            start,
            keys,
            top,
            total,
            mixed,
            BN,
            WIDTH,
            SUMS_IN_HALF,
            False,
        )
    if whole < keys:
        top, total, mixed = _mix_tile(
            query,
            row_scale,
            k_at,
            k_scale_at,
            v_at,
            whole,
            keys,
            top,
            total,
            mixed,
            BN,
            WIDTH,
            SUMS_IN_HALF,
            True,
        )
    largest = tl.load(v_scale_at + head * WIDTH + at_d)
    mixed = mixed / total[:, None] * largest[None, :]
    place = out_at + head * head_stride + row.to(tl.int64)[:, None] * token_stride + at_d[None, :]
    inside = (row < queries)[:, None] & (at_d < features)[None, :]
    tl.store(place, mixed.to(out_at.dtype.element_ty), mask=inside)


# One build for every length.
_measure_kernel = triton.jit(_measure, do_not_specialize=["tokens"])
_pack_kernel = triton.jit(_pack, do_not_specialize=["tokens"])
_halve_kernel = triton.jit(_halve, do_not_specialize=["tokens"])
_mix_tile = triton.jit(_mix)
_attend_kernel = triton.jit(_attend, do_not_specialize=["queries", "keys"])
