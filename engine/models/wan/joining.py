"""A clip that goes on from another: what both have in common is left out, and colours meet."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

LEAST = 1e-3  # of deviation: a plain picture has none
MOST_GAIN = 1.25  # more is no shift of colours but another picture


def joined(chunks: Iterable[Tensor], lead: Tensor, is_matched: bool) -> Iterator[Tensor]:
    """The frames after the first n, in chunks (3, m, H, W) in -1..1.

    lead: (3, n, H, W), what the first n were made from. Where colours are matched, the change that
    brings these n back to the lead is made to all that follows, so that no step is seen: for each
    channel the one of mean and deviation.
    """
    missing = lead.shape[1]
    begun: list[Tensor] = []
    change: tuple[Tensor, Tensor] | None = None
    for chunk in chunks:
        rest = chunk
        if missing:
            begun.append(chunk[:, :missing])
            rest = chunk[:, begun[-1].shape[1] :]
            missing -= begun[-1].shape[1]
            if is_matched and not missing:
                change = _change(torch.cat(begun, dim=1), lead.to(chunk.device))
        if rest.shape[1] and change is None:
            yield rest
        elif rest.shape[1] and change is not None:
            gain, shift = change
            yield (rest.float() * gain + shift).clamp(-1, 1).to(rest.dtype)


def _change(made: Tensor, lead: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and shift, (3, 1, 1, 1) each, from the frames made to those they were made from."""
    dims = (1, 2, 3)
    variance, mean = torch.var_mean(made.float(), dim=dims, keepdim=True)
    wanted_variance, wanted = torch.var_mean(lead.float(), dim=dims, keepdim=True)
    gain = wanted_variance.sqrt().clamp_min(LEAST) / variance.sqrt().clamp_min(LEAST)
    gain = gain.clamp(1 / MOST_GAIN, MOST_GAIN)
    return gain, wanted - mean * gain
