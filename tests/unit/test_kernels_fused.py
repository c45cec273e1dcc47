"""The fused kernels give what the plain path gives: in Triton's interpreter, so without a card.

The interpreter has to be chosen before Triton is imported, so the checks run in a child process:
there they are the functions named check_*.
"""

import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

from engine.models import linear  # noqa: E402
from engine.models.flashvsr import steps  # noqa: E402
from engine.models.flashvsr.config import Sparsity, TransformerConfig  # noqa: E402
from engine.models.flashvsr.transformer import Transformer  # noqa: E402
from engine.models.kernels import unavailable  # noqa: E402
from engine.models.linear import rows_to_eight_bits  # noqa: E402
from tests.support.kernels import built, run_checks  # noqa: E402
from tests.unit.test_models_flashvsr import filled  # noqa: E402

PINNED = "3.6"


def triton_version() -> str:
    """Of Triton here; empty without it."""
    try:
        return version("triton")
    except PackageNotFoundError:
        return ""


pinned = pytest.mark.skipif(
    not triton_version().startswith(f"{PINNED}."),
    reason=f"kernels are pinned to Triton {PINNED}; here: {triton_version() or 'none'}",
)


@pinned
def test_kernels_give_what_the_plain_path_gives() -> None:
    run_checks(__file__)


@pinned
def test_kernels_are_built_for_cards() -> None:
    made = built("tests.unit.built_fused", "80", "90")
    assert len(made) == 4 + 5
    for card, name, vectors, moves, spilled in made:
        # All in 16 bytes, but a row's scale.
        assert int(vectors) == int(moves) - (name == "rows"), (card, name)
        assert spilled == "0", (card, name)


def test_a_processor_has_no_kernels() -> None:
    if "TRITON_INTERPRET" not in os.environ:
        assert unavailable(torch.device("cpu"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


TYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


def drawn(*shape: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    """Normal values around one half."""
    return (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + 0.5).to(dtype)


def close(made: Tensor, exact: Tensor) -> None:
    """Equal to float32's result but for the rounding of one value, which the interpreter cuts."""
    assert made.is_contiguous()
    rtol = 2**-7 if made.dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(made.float(), exact, rtol=rtol, atol=rtol / 10)


@TYPES
def check_norms(dtype: torch.dtype) -> None:
    from engine.models.kernels import norm

    x, y = drawn(1, 3, 48, dtype=dtype), drawn(1, 3, 48, dtype=dtype, seed=1)
    gate, scale, shift = drawn(3, 48, dtype=dtype, seed=2)
    wide = [t.float() for t in (x, y, gate, scale, shift)]
    normed = F.layer_norm(wide[0], (48,), wide[3], wide[4], 1e-6)
    close(norm.layer_norm(x, scale, shift, 1e-6), normed)
    for used in (gate, None):
        total = wide[0] + wide[1] * (wide[2] if used is not None else 1)
        changed = x.clone()
        norm.add_(changed, y, used)
        close(changed, total)
        changed = x.clone()
        made = norm.add_norm_(changed, y, used, scale, shift, 1e-6)
        close(changed, total)
        close(made, F.layer_norm(total, (48,), wide[3], wide[4], 1e-6))
    close(norm.rms_norm(x, scale, 1e-6), F.rms_norm(wide[0], (48,), wide[3], 1e-6))


@TYPES
def check_turned_keys(dtype: torch.dtype) -> None:
    from engine.models.kernels import rope

    heads, blocks, tokens, dim = 3, 2, 4, 20
    x = drawn(1, blocks * tokens, heads * dim, dtype=dtype)
    weight = drawn(heads * dim, dtype=dtype, seed=1)
    angles = drawn(blocks * tokens, dim // 2, dtype=torch.float32, seed=2)
    turns = angles.cos(), angles.sin()
    exact = torch.empty(heads, blocks, tokens, dim)
    plain_rms_rotate(x.float(), weight.float(), turns, exact)
    memory = torch.zeros(2, heads, 5, blocks, tokens, dim, dtype=dtype)  # as a ring's
    rope.rms_rotate(x[0], weight, 1e-6, turns, memory[0, :, 3])
    close(memory[0, :, 3].contiguous(), exact)
    memory[0, :, 3] = 0
    assert not memory.any()


def plain_rms_rotate(x: Tensor, weight: Tensor, turns: tuple[Tensor, Tensor], out: Tensor) -> None:
    """The plain path, though kernels could run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "unavailable", lambda device: "not wanted")
        steps.rms_rotate(x, weight, 1e-6, turns, out)


@TYPES
def check_what_follows_a_convolution(dtype: torch.dtype) -> None:
    from engine.models.kernels import pointwise

    x, shortcut = drawn(2, 2, 6, 20, 11, dtype=dtype) - 1
    bias = drawn(6, dtype=dtype, seed=1)
    for b in (bias, None):
        for s in (shortcut, None):
            exact = x.float()
            exact = exact if b is None else exact + b.float()[:, None, None]
            exact = F.relu(exact if s is None else exact + s.float())
            made = x.clone(memory_format=torch.channels_last)
            assert pointwise.bias_relu_(made, b, s) is made
            close(made.contiguous(), exact)


@TYPES
def check_rows_in_eight_bits(dtype: torch.dtype) -> None:
    from engine.models.kernels import quantise

    x = drawn(5, 40, dtype=dtype) * torch.tensor([[1e-3], [1], [0], [1e4], [7]]).to(dtype)
    plain, plain_scale = rows_to_eight_bits(x)
    # The interpreter rounds to 8 bits wrongly, without carry: so without that last step.
    exact, scale = torch.empty(5, 40), torch.empty(5, 1)
    quantise._rows_kernel[(5,)](x, exact, scale, 40, 448.0, WIDTH=64, GELU=False)
    torch.testing.assert_close(scale, plain_scale)
    torch.testing.assert_close(exact.to(plain.dtype).float(), plain.float(), rtol=0, atol=0)
    packed, scale = quantise.rows_to_eight_bits(x)
    assert packed.dtype == plain.dtype
    torch.testing.assert_close(scale, plain_scale)


@TYPES
def check_gelu_and_rows_in_eight_bits(dtype: torch.dtype) -> None:
    from engine.models.kernels import quantise

    x = drawn(5, 40, dtype=dtype) * torch.tensor([[1e-3], [1], [0], [1e4], [7]]).to(dtype)
    exact, scale = torch.empty(5, 40), torch.empty(5, 1)
    quantise._rows_kernel[(5,)](x, exact, scale, 40, 448.0, WIDTH=64, GELU=True)
    torch.testing.assert_close(exact * scale, F.gelu(x.float(), approximate="tanh"))


def check_what_is_not_a_number_stays_so() -> None:
    from engine.models.kernels import quantise

    x = drawn(2, 40, dtype=torch.float32)
    x[1, 3] = torch.nan
    exact, scale = torch.empty(2, 40), torch.empty(2, 1)
    for gelu in (False, True):
        quantise._rows_kernel[(2,)](x, exact, scale, 40, 448.0, WIDTH=64, GELU=gelu)
        assert exact[1, 3].isnan()
        assert exact[0].isfinite().all()


def check_a_layer_after_gelu(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = linear.Fp8Linear(torch.nn.Linear(48, 32).requires_grad_(False))
    x = drawn(2, 3, 48, dtype=torch.bfloat16)
    wanted = layer(F.gelu(x.float(), approximate="tanh"))
    monkeypatch.setattr(linear, "multiplies", lambda *_: True)  # as a card does
    made = linear.after_gelu(x.clone(), layer)
    assert made.shape == wanted.shape
    assert (made.float() - wanted).norm() < 0.1 * wanted.norm()  # the interpreter rounds badly


def check_a_transformer(monkeypatch: pytest.MonkeyPatch) -> None:
    model = filled(Transformer(TransformerConfig(24, 2, 32, 16, 16, 8, 8, layers=1)))
    condition = model.condition(drawn(1, 5, 8, dtype=torch.float32))
    latents = drawn(1, 16, 2, 16, 16, dtype=torch.float32, seed=3)
    tokens = [drawn(1, 128, 24, dtype=torch.float32, seed=4)]
    sparsity = Sparsity(pairs=1000, reach=11, kv_slots=3)

    def run() -> Tensor:
        return model(latents, tokens, condition, model.rings(sparsity), 0, sparsity)

    by_kernels = run()
    monkeypatch.setattr(steps, "unavailable", lambda device: "not wanted")
    plain = run()
    torch.testing.assert_close(by_kernels, plain, rtol=1e-4, atol=1e-4)
    assert not torch.equal(by_kernels, plain)  # other roundings: they did run
