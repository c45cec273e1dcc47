"""Wan's fused steps give what the plain path gives: in Triton's interpreter, so without a card.

The checks run in a child process, where the interpreter was chosen before Triton is imported: there
they are the functions named check_*.
"""

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from engine.models.wan import steps  # noqa: E402
from engine.models.wan.rope import Grid, rotary_turns  # noqa: E402
from tests.support.kernels import built, run_checks  # noqa: E402
from tests.unit.test_kernels_fused import pinned  # noqa: E402
from tests.unit.test_wan_transformer import I2V, drawn, latents, small  # noqa: E402


@pinned
def test_kernels_give_what_the_plain_path_gives() -> None:
    run_checks(__file__)


@pinned
def test_the_kernel_is_built_for_cards() -> None:
    made = built("tests.unit.built_modulation", "80", "90")
    assert len(made) == 4
    for card, width, vectors, moves, spilled in made:
        assert vectors == moves, (card, width)  # all in 16 bytes
        assert spilled == "0", (card, width)


def plain(run: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """What the plain path gives, though kernels could run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "unavailable", lambda device: "not wanted")
        return run(*arguments)


# Clips of the batch that have a modulation of their own (1: alike), and runs of tokens.
RUNS = pytest.mark.parametrize(("clips", "runs"), [(1, 1), (2, 1), (1, 3), (2, 3), (2, 6)])
KINDS = pytest.mark.parametrize(
    ("kept", "half"), [(torch.float32, torch.float32), (torch.float32, torch.bfloat16)]
)


def added(x: Tensor, y: Tensor, gate: Tensor | None) -> Tensor:
    x = x.clone()
    steps.add_(x, y, gate)
    return x


def summed(x: Tensor, *rest: Any) -> Tensor:
    """Sum and norm beside each other."""
    x = x.clone()
    made = steps.add_norm_(x, *rest)
    return torch.cat([x, made.float()])


@RUNS
@KINDS
def check_modulation(clips: int, runs: int, kept: torch.dtype, half: torch.dtype) -> None:
    x, y = drawn(2, 6, 24).to(kept), drawn(2, 6, 24, seed=1).to(half)
    # As a block has them: six beside each other.
    six = drawn(clips, runs, 6, 24, seed=2)
    gate, scale, shift = six.unbind(2)[:3]
    rounding = {"rtol": 2**-7, "atol": 2**-7} if half != torch.float32 else {}
    for used in (gate, None):
        torch.testing.assert_close(added(x, y, used), plain(added, x, y, used))
        rest = (y, used, scale, shift, 1e-6, half)
        torch.testing.assert_close(summed(x, *rest), plain(summed, x, *rest), **rounding)
    rest = (scale, shift, 1e-6, half)
    made = steps.norm(x, *rest)
    assert made.dtype == half
    torch.testing.assert_close(made, plain(steps.norm, x, *rest), **rounding)


def check_turned_queries() -> None:
    x, weight = drawn(2, 12, 36), drawn(36, seed=1)
    rest = (weight, 1e-6, rotary_turns(Grid(2, 2, 3), 18), 2)
    torch.testing.assert_close(steps.rms_rotate(x, *rest), plain(steps.rms_rotate, x, *rest))
    rest_ = (weight, 1e-6)
    torch.testing.assert_close(steps.rms_norm(x, *rest_), plain(steps.rms_norm, x, *rest_))


def check_a_transformer() -> None:
    model = small(I2V)
    given, image = drawn(1, 5, 2, 4, 4, seed=4), drawn(1, 6, 10)
    x = latents(2, frames=2)[..., :4]

    def run() -> Tensor:
        condition = model.condition([drawn(5, 12), drawn(8, 12)], image)
        times = torch.tensor([[0.0, 637.0], [20.0, 999.0]])
        made = model(x, times, condition, given=given, enhance=5.0)
        assert isinstance(made, Tensor)
        return made

    by_kernels, wanted = run(), plain(run)
    torch.testing.assert_close(by_kernels, wanted, rtol=1e-4, atol=1e-4)
    assert not torch.equal(by_kernels, wanted)  # other roundings: they did run
