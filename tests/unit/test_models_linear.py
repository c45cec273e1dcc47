"""Linear layers in 8 bits: their error, their size, and what leaves them alone."""

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from engine.models.linear import (  # noqa: E402
    EIGHT_BITS,
    Fp8Form,
    Fp8Linear,
    multiplies,
    rows_to_eight_bits,
    to_fp8,
    together,
)

TORCH = tuple(int(n) for n in torch.__version__.split("+")[0].split(".")[:2])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def linear() -> nn.Linear:
    """Large enough for an average."""
    torch.manual_seed(1)
    return nn.Linear(512, 64).requires_grad_(False)


def error(made: Tensor, exact: Tensor) -> float:
    """Root mean square of the difference, as a part of that of the exact result."""
    return ((made - exact).norm() / exact.norm()).item()


def test_weights_in_eight_bits_cost_three_percent(linear: nn.Linear) -> None:
    x = torch.randn(3, 50, 512)
    eight = Fp8Linear(linear)
    assert 0.01 < error(eight(x), linear(x)) < 0.03
    assert eight(x).shape == (3, 50, 64)


@pytest.mark.skipif(TORCH < (2, 13), reason="older torch has no such product on a processor")
def test_activations_in_eight_bits_cost_another(linear: nn.Linear) -> None:
    # Tokens of very different size, each with a scale of its own.
    x = torch.randn(50, 512) * torch.logspace(-4, 4, 50)[:, None]
    eight = Fp8Linear(linear)
    made = eight.product(rows_to_eight_bits(x), torch.float32)
    for row, exact in zip(made, linear(x), strict=True):
        assert error(row, exact) < 0.06
    packed, scale = rows_to_eight_bits(x)
    widened = nn.functional.linear(packed.float() * scale, eight.widened(x.dtype), linear.bias)
    torch.testing.assert_close(made, widened, rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(TORCH < (2, 13), reason="older torch has no such product on a processor")
@pytest.mark.parametrize("scales", ["row", "tensor", "none"])
def test_products_know_every_way_of_scaling(linear: nn.Linear, scales: str) -> None:
    x = torch.randn(50, 512)
    eight = Fp8Linear(linear, Fp8Form(scales=scales))  # type: ignore[arg-type]
    packed, scale = rows_to_eight_bits(x)
    made = eight.product((packed, scale), torch.float32)
    widened = nn.functional.linear(packed.float() * scale, eight.widened(x.dtype), linear.bias)
    torch.testing.assert_close(made, widened, rtol=1e-3, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")
@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("scales", ["row", "tensor", "none"])
def test_a_card_computes_what_the_widened_weights_do(
    linear: nn.Linear, kind: torch.dtype, scales: str
) -> None:
    x = torch.randn(50, 512).cuda().bfloat16()
    fast, plain = (
        Fp8Linear(linear, Fp8Form(kind, scales, is_fast)).cuda()  # type: ignore[arg-type]
        for is_fast in (True, False)
    )
    assert not plain.multiplies(x)
    assert error(fast(x).float(), plain(x).float()) < (0.06 if fast.multiplies(x) else 1e-6)


def test_rows_keep_each_value_within_a_sixteenth() -> None:
    x = torch.randn(20, 64) * torch.logspace(-6, 6, 20)[:, None]
    x[3] = 0
    packed, scale = rows_to_eight_bits(x)
    assert packed.dtype == EIGHT_BITS
    bound = x.abs() / 16 + x.abs().amax(dim=1, keepdim=True) / 448 / 512 * 1.01
    assert ((packed.float() * scale - x).abs() <= bound).all()


def test_only_named_layers_change() -> None:
    block = nn.ModuleDict({"a": nn.ModuleDict({"q": nn.Linear(16, 16), "k": nn.Linear(16, 16)})})
    block["seq"] = nn.ModuleDict({"q": nn.Linear(16, 16)})
    assert to_fp8(block, "a.q", "nothing") == 1
    assert isinstance(block["a"]["q"], Fp8Linear)
    assert type(block["a"]["k"]) is type(block["seq"]["q"]) is nn.Linear


def test_the_memory_is_half_of_bfloat16(linear: nn.Linear) -> None:
    eight = Fp8Linear(linear.bfloat16())
    held = sum(b.numel() * b.element_size() for b in eight.buffers())
    plain = sum(p.numel() * p.element_size() for p in linear.parameters())
    assert held < 0.52 * plain


def test_a_change_of_dtype_leaves_the_weights_alone(linear: nn.Linear) -> None:
    eight = Fp8Linear(linear)
    before = eight.weight.clone()
    eight.bfloat16()
    assert torch.equal(eight.weight, before)
    x = torch.randn(5, 512).bfloat16()
    assert eight(x).dtype == torch.bfloat16
    assert error(eight(x).float(), linear(x.float())) < 0.04


def test_layers_of_the_same_input(linear: nn.Linear) -> None:
    x = torch.randn(2, 7, 512)
    eight = Fp8Linear(linear)
    for made, layer in zip(together(x, [eight, linear]), (eight, linear), strict=True):
        assert torch.equal(made, layer(x))


def test_a_processor_widens_them() -> None:
    assert not multiplies(torch.device("cpu"), torch.bfloat16)
