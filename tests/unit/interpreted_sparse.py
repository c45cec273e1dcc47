"""The sparse kernels by Triton's interpreter, in a process of `test_kernels_sparse`."""

import pytest
import torch

from engine.models.attention import (
    block_mask,
    block_sparse_attention,
    local_blocks,
    plain_block_mask,
    plain_block_sparse_attention,
    unavailable,
)
from engine.models.kernels import mask as plain
from engine.models.kernels import selection, sparse

TOLERANCE = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(6)


def drawn_mask() -> torch.Tensor:
    """Two heads, three query blocks, five key blocks: an empty row, a full one, and others."""
    mask = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(1)) < 0.5
    mask[0, 1], mask[1, 2] = False, True
    return mask


def lists_of(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    counts, lists = plain.kept(mask)
    return counts, lists, plain.running_order(counts, mask.shape[2])


def test_the_interpreter_counts_as_a_card() -> None:
    assert unavailable(torch.device("cpu")) == ""


@pytest.mark.parametrize("tma", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("config", [sparse.Config(32, 32, 4, 2), sparse.Config(16, 16, 4, 1)])
def test_sparse_is_the_plain_path(dtype: torch.dtype, tma: bool, config: sparse.Config) -> None:
    draw = torch.Generator().manual_seed(6)
    q = torch.randn(2, 3, 32, 16, generator=draw).to(dtype)
    memory = torch.randn(2, 2, 9, 32, 16, generator=draw).to(dtype)
    k, v = memory[:, :, 3:8]
    mask = drawn_mask()
    got = sparse.block_sparse(q, k, v, *lists_of(mask), config=config, tma=tma)
    wanted = plain_block_sparse_attention(q.float(), k.float(), v.float(), mask)
    assert got.dtype == dtype
    assert (got.float() - wanted).abs().max() < TOLERANCE[dtype]
    assert (got[0, 1] == 0).all()


def test_queries_and_keys_may_lie_anyhow() -> None:
    q = torch.randn(3, 2, 16, 32).transpose(0, 1)
    k, v = torch.randn(2, 5, 2, 32, 16).transpose(3, 4).transpose(1, 2)
    mask = drawn_mask()
    got = block_sparse_attention(q, k, v, mask)
    wanted = plain_block_sparse_attention(q, k, v, mask)
    torch.testing.assert_close(got, wanted, rtol=0, atol=5e-6)


def test_scores_beyond_what_exp_can_hold() -> None:
    q, (k, v) = torch.randn(2, 3, 16, 16) * 100, torch.randn(2, 2, 5, 16, 16)
    mask = drawn_mask()
    got = block_sparse_attention(q, k, v, mask)
    wanted = plain_block_sparse_attention(q, k, v, mask)
    assert (got - wanted).abs().max() < 2e-3  # scores of some hundred, rounded to 24 bits


@pytest.mark.parametrize("tma", [False, True])
def test_eight_bit_keys_and_values(tma: bool) -> None:
    q, (k, v) = torch.randn(2, 3, 32, 16).bfloat16(), torch.randn(2, 2, 5, 32, 16)
    scales = k.abs().amax((2, 3)) / 448, v.abs().amax((2, 3)) / 448
    small = [
        (x / scale[..., None, None]).to(torch.float8_e4m3fn)
        for x, scale in zip((k, v), scales, strict=True)
    ]
    mask = drawn_mask()
    got = sparse.block_sparse(q, *small, *lists_of(mask), scales=scales, tma=tma)
    wanted = plain_block_sparse_attention(q.float(), small[0], small[1], mask, scales)
    assert (got.float() - wanted).abs().max() < 2e-2


@pytest.mark.parametrize("is_packed", [False, True])
def test_keys_may_lie_among_others(is_packed: bool) -> None:
    q, memory = torch.randn(2, 3, 16, 16), torch.randn(2, 2, 9, 16, 16)
    blocks = torch.tensor([7, 0, 3, 8, 1], dtype=torch.int32)
    k, v = memory
    scales = None
    if is_packed:
        scales = k.abs().amax((2, 3)) / 448, v.abs().amax((2, 3)) / 448
        k, v = (memory / torch.stack(scales)[..., None, None]).to(torch.float8_e4m3fn)
    mask = drawn_mask()
    got = block_sparse_attention(q, k, v, mask, scales, blocks)
    own = None if scales is None else (scales[0][:, blocks], scales[1][:, blocks])
    wanted = plain_block_sparse_attention(q, k[:, blocks], v[:, blocks], mask, own)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    assert torch.equal(plain_block_sparse_attention(q, k, v, mask, scales, blocks), wanted)


def test_sizes_that_the_kernel_does_not_take_go_the_plain_way() -> None:
    q, (k, v) = torch.randn(2, 3, 4, 6), torch.randn(2, 2, 5, 4, 6)
    mask = drawn_mask()
    wanted = plain_block_sparse_attention(q, k, v, mask)
    assert torch.equal(block_sparse_attention(q, k, v, mask), wanted)


@pytest.mark.parametrize("features", [16, 24])
def test_the_mask_is_the_plain_one(features: int) -> None:
    draw = torch.Generator().manual_seed(6)
    q = torch.randn(2, 18, features, generator=draw)
    k = torch.randn(2, 72, features, generator=draw)
    local = local_blocks(3, 6, 4, "cpu")
    for pairs in (0, 1, 200, 5000):
        wanted = plain_block_mask(q, k, local, pairs)
        assert torch.equal(block_mask(q, k, local, pairs), wanted)


def test_shares_of_a_row_add_up_to_one() -> None:
    shares = selection.shares(
        torch.randn(2, 18, 16), torch.randn(2, 72, 16), local_blocks(3, 6, 4, "cpu")
    )
    torch.testing.assert_close(shares.sum(2), torch.ones(2, 18))
    assert (shares[:, 0, 17] == 0).all()


@pytest.mark.parametrize("budget", [0, 1, 4095, 4999])
def test_the_radix_search_is_the_plain_one(budget: int) -> None:
    shares = torch.rand(2, 5000, generator=torch.Generator().manual_seed(2))
    shares[:, 100:3000] = 0
    shares[:, 3000:3100] = 0.5
    shares[:, 3100:3200] *= 1e-42
    wanted = shares.sort(dim=1, descending=True).values[:, budget : budget + 1]
    assert torch.equal(selection.next_largest(shares, budget), wanted)


def test_lists_and_order_are_the_plain_ones() -> None:
    mask = torch.rand(6, 7, 40, generator=torch.Generator().manual_seed(2)) < 0.4
    mask[3, 2] = False
    counts, lists, order = lists_of(mask)
    found_counts, found_lists = selection.kept(mask)
    assert torch.equal(found_counts, counts)
    assert torch.equal(found_lists, lists)
    assert torch.equal(selection.running_order(found_counts, 40), order)
