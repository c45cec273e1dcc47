"""Attention: the block-sparse path equals a dense mask, and the mask keeps its published rules."""

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor  # noqa: E402

from engine.models import attention as subject  # noqa: E402
from engine.models.attention import (  # noqa: E402
    block_mask,
    block_sparse_attention,
    local_blocks,
    plain_block_sparse_attention,
)
from engine.models.kernels.mask import kept, next_largest, running_order  # noqa: E402


def dense(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Attention under the mask over tokens, empty rows zero; spelled out."""
    tokens = mask.repeat_interleave(q.shape[2], 1).repeat_interleave(k.shape[2], 2)
    scores = q.flatten(1, 2) @ k.flatten(1, 2).transpose(1, 2) / q.shape[3] ** 0.5
    shares = scores.masked_fill(~tokens, -torch.inf).softmax(dim=2)
    shares = shares.masked_fill(~tokens, 0.0)
    return (shares @ v.flatten(1, 2)).reshape(q.shape)


@settings(max_examples=25, deadline=None)
@given(
    heads=st.integers(1, 3),
    queries=st.integers(1, 5),
    keys=st.integers(1, 6),
    density=st.floats(0, 1),
    limit=st.sampled_from([1, 64, 1 << 20]),
    seed=st.integers(0, 1000),
)
def test_sparse_is_the_dense_mask(
    heads: int, queries: int, keys: int, density: float, limit: int, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    q = torch.randn(heads, queries, 4, 6, generator=draw)
    k, v = torch.randn(2, heads, keys, 4, 6, generator=draw)
    mask = torch.rand(heads, queries, keys, generator=draw) < density
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "GATHER_LIMIT_CPU", limit)
        got = block_sparse_attention(q, k, v, mask)
    torch.testing.assert_close(got, dense(q, k, v, mask))
    assert (got[~mask.any(dim=2)] == 0).all()


def test_keys_may_lie_in_the_midst_of_a_larger_memory() -> None:
    q, memory = torch.randn(2, 3, 4, 6), torch.randn(2, 2, 9, 4, 6)
    k, v = memory[:, :, 2:7]
    mask = torch.rand(2, 3, 5) < 0.6
    torch.testing.assert_close(block_sparse_attention(q, k, v, mask), dense(q, k, v, mask))


def test_the_whole_slot_shares_one_budget() -> None:
    q, k = torch.randn(2, 12, 8), torch.randn(2, 24, 8)
    mask = block_mask(q, k, local_blocks(2, 3, 11, "cpu"), 17)
    assert (mask.reshape(2, 2, 6 * 24).sum(dim=2) == 17).all()


def test_a_budget_beyond_the_grid_leaves_one_pair_out() -> None:
    q, k = torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    mask = block_mask(q, k, local_blocks(1, 1, 11, "cpu"), 119)
    assert (mask.sum(dim=2) == 2).all()


def test_ties_at_the_threshold_all_go() -> None:
    mask = block_mask(torch.zeros(1, 4, 8), torch.zeros(1, 4, 8), local_blocks(2, 2, 3, "cpu"), 3)
    assert not mask.any()


def test_forbidden_pairs_are_never_kept() -> None:
    local = local_blocks(4, 3, 2, "cpu")
    mask = block_mask(torch.randn(2, 12, 8), torch.randn(2, 48, 8), local, 1000)
    assert not (mask & ~local.repeat(1, 4)).any()
    assert (mask.sum(dim=(1, 2)) == 4 * local.sum()).all()


def test_an_even_reach_sees_one_more_before() -> None:
    seen = local_blocks(1, 5, 2, "cpu")
    assert seen.int().tolist()[2] == [0, 1, 1, 0, 0]
    assert local_blocks(1, 5, 3, "cpu").int().tolist()[0] == [1, 1, 0, 0, 0]


# Ties, zeros, the least denormal, the least normal number, one, and the greatest.
ODD = [0.0, 1e-45, 1.1754944e-38, 0.25, 0.25000003, 1.0, 3.4028235e38]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.sampled_from(ODD) | st.floats(0, 1, width=32), min_size=9, max_size=9),
        min_size=1,
        max_size=3,
    ),
    budget=st.integers(0, 8),
)
def test_the_radix_search_finds_what_sorting_finds(rows: list[list[float]], budget: int) -> None:
    shares = torch.tensor(rows)
    wanted = shares.sort(dim=1, descending=True).values[:, budget : budget + 1]
    assert torch.equal(next_largest(shares, budget), wanted)


def test_the_radix_search_agrees_at_a_real_size() -> None:
    shares = torch.randn(12, 66, 264).mul(3).softmax(dim=2).reshape(12, -1)
    wanted = shares.kthvalue(shares.shape[1] - 7919, dim=1, keepdim=True).values
    assert torch.equal(next_largest(shares, 7919), wanted)


def test_lists_name_the_kept_blocks_in_their_order() -> None:
    mask = torch.tensor([[[0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]]], dtype=torch.bool)
    counts, lists = kept(mask)
    assert counts.tolist() == [[2, 0, 4]]
    assert lists.tolist() == [[[1, 3, 0, 0], [0, 0, 0, 0], [0, 1, 2, 3]]]


def test_long_rows_run_first_among_four_heads() -> None:
    counts = torch.tensor([[1, 5], [9, 0], [2, 2], [3, 4], [8, 7]])
    assert running_order(counts, 9).tolist() == [2, 1, 7, 6, 4, 5, 0, 3, 8, 9]


def test_eight_bit_keys_are_their_numbers_times_their_scale() -> None:
    q, (k, v) = torch.randn(2, 3, 4, 16), torch.randn(2, 2, 5, 4, 16)
    scales = k.abs().amax((2, 3)) / 448, v.abs().amax((2, 3)) / 448
    small = [
        (x / scale[..., None, None]).to(torch.float8_e4m3fn)
        for x, scale in zip((k, v), scales, strict=True)
    ]
    mask = torch.rand(2, 3, 5) < 0.6
    got = plain_block_sparse_attention(q, small[0], small[1], mask, scales)
    wide = [x.float() * scale[..., None, None] for x, scale in zip(small, scales, strict=True)]
    torch.testing.assert_close(got, dense(q, wide[0], wide[1], mask))
