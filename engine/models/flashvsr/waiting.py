"""Tensors that wait in the host's memory while others are at work on a device."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Of pinned memory, of which blocks are powers of two: larger ones would waste up to a half.
PIECE_BYTES = 1 << 26


@dataclass(frozen=True)
class _Copy:
    """One tensor's numbers in pieces, in the order of its memory, and what it was."""

    pieces: list[Tensor]
    order: list[int]  # of its axes in memory, the slowest first
    shape: torch.Size  # in that order
    device: torch.device


class Waiting:
    """Copies of tensors, which take no room on their device until they are wanted back.

    From and to a CUDA device nothing waits for the copies: they take their turn in its stream.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        """tensors: without gaps, in any order of axes."""
        self._copies = [_copied(x) for x in tensors]

    @property
    def bytes(self) -> int:
        """Of the host's memory."""
        return sum(piece.nbytes for copy in self._copies for piece in copy.pieces)

    def back(self) -> list[Tensor]:
        """The tensors, on their device, laid out as they were."""
        return [_returned(copy) for copy in self._copies]


def _copied(x: Tensor) -> _Copy:
    order = sorted(range(x.dim()), key=x.stride, reverse=True)
    plain = x.permute(order)
    assert plain.is_contiguous(), (x.shape, x.stride())
    pieces = []
    for part in torch.split(plain.flatten(), PIECE_BYTES // x.element_size()):
        piece = torch.empty(part.shape, dtype=x.dtype, pin_memory=x.is_cuda)
        pieces.append(piece.copy_(part, non_blocking=True))
    return _Copy(pieces, order, plain.shape, x.device)


def _returned(copy: _Copy) -> Tensor:
    plain = torch.empty(copy.shape, dtype=copy.pieces[0].dtype, device=copy.device)
    flat, at = plain.flatten(), 0
    for piece in copy.pieces:
        flat[at : at + len(piece)].copy_(piece, non_blocking=True)
        at += len(piece)
    return plain.permute([copy.order.index(axis) for axis in range(plain.dim())])
