"""Attention with queries and keys in 8 bits: how far it is from attention, and where it is built.

The checks run in a child process, where Triton's interpreter was chosen before Triton is imported:
there they are the functions named check_*.
"""

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

from engine.models.attention import attention, modes, take_warnings  # noqa: E402
from tests.support.kernels import built, run_checks  # noqa: E402
from tests.unit.test_kernels_fused import pinned  # noqa: E402
from tests.unit.test_wan_transformer import drawn, latents, small  # noqa: E402

CPU = torch.device("cpu")
Parts = tuple[Tensor, Tensor, Tensor]


@pinned
def test_kernels_by_the_interpreter() -> None:
    run_checks(__file__)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_a_real_card() -> None:
    q, k, v = (x.cuda() for x in parts(4100, 5003, heads=3))
    (mode,) = (mode for mode in modes(q.device) if mode.name == "int8")
    assert mode.reason == ""
    cosine, away = errors(attention(q, k, v, "int8"), attention(q.float(), k.float(), v.float()))
    assert cosine > 0.9998
    assert away < 0.02


# A card, what its processors have of shared memory, and of which products there are some.
CARDS = {
    "80": (163, ("bytes", "wide")),
    "86": (99, ("bytes", "half")),
    "89": (99, ("bytes", "half")),
    "90": (227, ("hopper",)),
    "120": (99, ("bytes", "half")),
}


@pinned
def test_kernels_are_built_for_cards() -> None:
    made = built("tests.unit.built_int8", *CARDS)
    assert len(made) == 5 * len(CARDS)
    for card, name, shared, *counts, spilled in made:
        limit, products = CARDS[card]
        assert int(shared) <= limit * 1024, (card, name)
        assert spilled == "0", (card, name)
        if name == "attend":
            kinds = ("hopper", "bytes", "wide", "half")
            found = {kind for kind, count in zip(kinds, counts, strict=True) if int(count)}
            assert found == set(products), card


def parts(queries: int, keys: int, heads: int = 2, size: int = 128) -> Parts:
    """Normal values in bfloat16; of two clips."""
    draw = torch.Generator().manual_seed(3)
    shapes = ((2, queries, heads, size), (2, keys, heads, size), (2, keys, heads, size))
    q, k, v = (torch.randn(x, generator=draw).bfloat16() for x in shapes)
    return q, k, v


def softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.einsum("blnd,bsnd->bnls", q.float(), k.float()) / q.shape[3] ** 0.5
    return torch.einsum("bnls,bsnd->blnd", scores.softmax(-1), v.float())


def rounded(q: Tensor, k: Tensor, v: Tensor, tile: int) -> Tensor:
    """The same sums in plain PyTorch: float32 attention of what 8 bits keep of queries and keys."""
    from engine.models.kernels import int8

    size = q.shape[3]
    spread = int8._spread(max(32, 1 << (size - 1).bit_length()), q.device).float()[:size]
    turned = q.float() @ spread, (k.float() - k.float().mean(1, keepdim=True)) @ spread
    step = turned[0].abs().amax(3, keepdim=True) / 127
    small_q = (turned[0] / step).round() * step
    tiles = [
        (part / (step := part.abs().amax((1, 3), keepdim=True) / 127)).round() * step
        for part in turned[1].split(tile, 1)
    ]
    factor = (size * spread.shape[1]) ** -0.25
    return softmax(small_q * factor, torch.cat(tiles, 1) * factor, v)[..., :size]


def errors(found: Tensor, exact: Tensor) -> tuple[float, float]:
    """Cosine, and the mean absolute difference as a part of the mean absolute value."""
    found = found.float()
    cosine = F.cosine_similarity(found.flatten(), exact.flatten(), dim=0)
    return float(cosine), float((found - exact).abs().mean() / exact.abs().mean())


@pytest.mark.parametrize("in_half", [True, False])
@pytest.mark.parametrize("size", [16, 80, 128])
def check_it_is_the_plain_sum(size: int, in_half: bool) -> None:
    from engine.models.kernels import int8

    q, k, v = parts(150, 133, size=size)
    found = int8.attention(q, k, v, int8.Config(64, 32, 4, 2, in_half))
    assert found.dtype == torch.bfloat16
    assert found.is_contiguous()
    wanted = rounded(q, k, v, 32)
    # Beside the rounding of shares, values and result some values fall to the other side of a step.
    assert errors(found, wanted)[1] < 4e-3


def check_random_inputs_lose_a_hundredth() -> None:
    q, k, v = parts(200, 333)
    cosine, away = errors(attention(q, k, v, "int8"), softmax(q, k, v))
    assert cosine > 0.9999
    assert away < 0.015


def check_outliers_cost_little_more() -> None:
    q, k, v = parts(200, 333)
    k[..., 3] += 10  # a channel that is large in all tokens
    k[..., 7] *= 6  # and some that are large in any
    q[..., 11] *= 6
    q[..., 90] += 5
    v[..., 5] *= 100
    exact = softmax(q, k, v)
    cosine, away = errors(attention(q, k, v, "int8"), exact)
    assert cosine > 0.9995
    assert away < 0.02
    # Rounded as they are, they lose far more.
    steps = q.float().abs().amax(3, keepdim=True) / 127, k.float().abs().amax((1, 3), True) / 127
    plain = ((x / step).round() * step for x, step in zip((q, k), steps, strict=True))
    assert errors(softmax(*plain, v), exact)[1] > 3 * away


@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (5, 3), (128, 64), (129, 65), (40, 200)])
def check_any_length(queries: int, keys: int) -> None:
    q, k, v = parts(queries, keys)
    assert errors(attention(q, k, v, "int8"), softmax(q, k, v))[1] < 0.02


def check_parts_of_a_larger_tensor() -> None:
    q, k, v = parts(70, 90)
    both = torch.cat([k, v], 3)
    heads_first = q.transpose(1, 2).contiguous().transpose(1, 2)
    found = attention(heads_first, both[..., :128], both[..., 128:], "int8")
    assert torch.equal(found, attention(q, k, v, "int8"))
    backwards = k.transpose(2, 3).contiguous().transpose(2, 3)
    assert torch.equal(attention(q, backwards, v, "int8"), found)


def check_heads_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.models.kernels import int8

    q, k, v = parts(70, 90, heads=5, size=32)
    whole = attention(q, k, v, "int8")
    monkeypatch.setattr(int8, "AT_ONCE", 90 * 2 * 32)
    assert torch.equal(attention(q, k, v, "int8"), whole)


def check_large_scores_and_values() -> None:
    q, k, v = parts(40, 90)
    found = attention(q * 30, k * 30, v * 1e30, "int8")  # scores of some thousand
    assert found.isfinite().all()
    assert errors(found / 1e30, softmax(q * 30, k * 30, v))[1] < 0.1
    nothing = attention(q * 0, k * 0, v * 0, "int8")
    assert torch.equal(nothing, torch.zeros_like(q))
    assert take_warnings() == ()


def check_types() -> None:
    q, k, v = parts(40, 90)
    for dtype in (torch.float16, torch.float32):
        found = attention(q.to(dtype), k.to(dtype), v.to(dtype), "int8")
        assert found.dtype == dtype
        assert errors(found, softmax(q, k, v))[1] < 0.02


def check_the_mode_is_offered_and_heads_too_wide_are_exact() -> None:
    (mode,) = (mode for mode in modes(CPU) if mode.name == "int8")
    assert mode.reason == ""
    assert "8 bits" in mode.label
    q, k, v = parts(20, 30, size=160)
    assert torch.equal(attention(q, k, v, "int8"), attention(q, k, v))


def check_a_transformer() -> None:
    model = small()
    time, x = torch.tensor([637.0]), latents()
    with torch.inference_mode():
        condition = model.condition([drawn(5, 12)])
        exact = model(x, time, condition)
        model.attention_mode = "int8"
        found = model(x, time, condition)
    assert 0 < errors(found, exact)[1] < 0.02
