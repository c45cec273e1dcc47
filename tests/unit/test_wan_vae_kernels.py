"""The VAE's fused passes give what the plain ones give: in Triton's interpreter, without a card.

The checks run in a child process, where the interpreter was chosen before Triton is imported: there
they are the functions named check_*.
"""

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

from engine.models.wan import vae_layers  # noqa: E402
from engine.models.wan.config import VaeConfig  # noqa: E402
from engine.models.wan.vae import decode, encode  # noqa: E402
from engine.models.wan.vae_layers import Frame  # noqa: E402
from tests.support.kernels import built, run_checks  # noqa: E402
from tests.unit.test_kernels_fused import TYPES, drawn, pinned  # noqa: E402
from tests.unit.test_wan_vae import small  # noqa: E402


@pinned
def test_kernels_give_what_the_plain_path_gives() -> None:
    run_checks(__file__)


@pinned
def test_the_kernels_are_built_for_cards() -> None:
    made = built("tests.unit.built_frames", "80", "90")
    assert len(made) == 2 * 3 * 2
    for card, name, lanes, vectors, moves, spilled in made:
        # All in 16 bytes, but one row of bias and gamma.
        assert int(vectors) == int(moves) - (2 if name == "add_norm" else 1), (card, name, lanes)
        assert spilled == "0", (card, name, lanes)


def close(made: Tensor, exact: Tensor) -> None:
    """Equal to float32's result but for the rounding of one value, which the interpreter cuts."""
    rtol = 2**-7 if made.dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(made.float(), exact, rtol=rtol, atol=rtol / 10)


@TYPES
@pytest.mark.parametrize("channels", [96, 20])  # a power of two and a half; none near
@pytest.mark.parametrize("has_silu", [True, False])
def check_sum_and_norm(dtype: torch.dtype, channels: int, has_silu: bool) -> None:
    shape = 2, 5, 9, channels
    x, base = drawn(*shape, dtype=dtype), drawn(*shape, dtype=dtype, seed=1)
    bias, gamma = drawn(2, channels, dtype=dtype, seed=2)
    x[0, 1, 2] = base[0, 1, 2] = 0  # a black pixel has no length
    for has_base, has_bias in ((True, True), (True, False), (False, True), (False, False)):
        total = x.float() + base.float() * has_base + bias.float() * has_bias
        normed = F.normalize(total, dim=-1) * channels**0.5 * gamma.float()
        normed = F.silu(normed) if has_silu else normed
        for keeps in (True, False):
            window = torch.zeros(*shape[:3], 3, channels, dtype=dtype)
            room = window[..., 1, :]
            fresh = x.clone()
            frame = Frame(base if has_base else None, fresh, bias if has_bias else None)
            frame.normed(gamma, room, has_silu, keeps)
            close(room, normed)
            assert not window[..., ::2, :].any()
            if keeps:
                close(frame.tensor, total)
                assert frame.tensor is fresh
        frame = Frame(base if has_base else None, x.clone(), bias if has_bias else None)
        close(frame.tensor, total)


@TYPES
def check_four_phases(dtype: torch.dtype) -> None:
    from engine.models.kernels.frames import interleave

    batch, height, width, channels = 2, 3, 5, 6
    phases = drawn(batch, height + 1, width + 1, 4 * channels, dtype=dtype)
    bias = drawn(channels, dtype=dtype, seed=1)
    made = interleave(phases, bias)
    exact = torch.zeros(batch, 2 * height, 2 * width, channels)
    for p, q in ((0, 0), (0, 1), (1, 0), (1, 1)):
        part = phases[:, p : p + height, q : q + width].float()
        exact[:, p::2, q::2] = part.unflatten(-1, (4, channels))[..., 2 * p + q, :] + bias.float()
    close(made, exact)


def check_whole_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    vae = small(VaeConfig(dim=8, num_res_blocks=1))
    latents = drawn(1, 16, 3, 2, 2, dtype=torch.float32)
    video = drawn(1, 3, 9, 16, 16, dtype=torch.float32)
    by_kernels = decode(vae, latents), encode(vae, video)
    monkeypatch.setattr(vae_layers, "unavailable", lambda device: "not wanted")
    plain = decode(vae, latents), encode(vae, video)
    for made, exact in zip(by_kernels, plain, strict=True):
        torch.testing.assert_close(made, exact, rtol=1e-4, atol=1e-4)
        assert not torch.equal(made, exact)  # other roundings: they did run
