"""Clips that go on from others: nothing twice, and no step in colour."""

import torch

from engine.models.wan.joining import MOST_GAIN, joined


def film(count: int) -> torch.Tensor:
    """(3, count, 8, 8) in about -0.5..0.5, each frame another."""
    return torch.rand(3, count, 8, 8, generator=torch.Generator().manual_seed(1)) - 0.5


def test_what_both_have_in_common_is_left_out_however_it_is_cut() -> None:
    whole = film(13)
    for sizes in ((1, 4, 4, 4), (13,), (5, 8), (3, 1, 1, 8)):
        chunks = torch.split(whole, list(sizes), dim=1)
        rest = list(joined(chunks, whole[:, :5], is_matched=False))
        assert all(part.shape[1] for part in rest)
        assert torch.equal(torch.cat(rest, dim=1), whole[:, 5:])


def test_a_shift_of_colours_is_undone() -> None:
    whole = film(13)
    shifted = whole * torch.tensor([1.1, 0.9, 1.0])[:, None, None, None] + 0.05
    chunks = torch.split(shifted, [1, 4, 4, 4], dim=1)
    rest = torch.cat(list(joined(chunks, whole[:, :5], is_matched=True)), dim=1)
    torch.testing.assert_close(rest, whole[:, 5:])


def test_another_picture_is_not_pulled_out_of_shape() -> None:
    dark, bright = film(5) * 0.01, film(9)
    rest = torch.cat(list(joined([dark, bright], film(5), is_matched=True)), dim=1)
    assert rest.std() <= bright.std() * MOST_GAIN * 1.01
    plain = torch.zeros(3, 9, 8, 8)
    assert torch.isfinite(torch.cat(list(joined([plain], plain[:, :5], is_matched=True)))).all()
