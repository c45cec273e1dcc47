"""FlashVSR in overlapping tiles of the result, for cards that cannot hold a whole picture's state.

All tiles go on chunk by chunk, so frames are whole as soon as they come. Each tile has its own
keys, values and memories; picture and noise are cut from those of the whole, and colours are fixed
on the assembled frame.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.models.flashvsr.config import Sparsity
from engine.models.flashvsr.decoder import FRAMES
from engine.models.flashvsr.noise import Noise
from engine.models.flashvsr.pipeline import (
    BLOCK_PIXELS,
    CELL,
    FIRST_LATENTS,
    LATER_LATENTS,
    Models,
    Piece,
    Settings,
    Stream,
    use_here,
)
from engine.models.flashvsr.preparation import Placement
from engine.models.flashvsr.transformer import Condition


@dataclass(frozen=True)
class Tiles:
    """So many tiles across and down; neighbours share `overlap` pixels, a multiple of 128.

    offload: what waiting tiles keep lies in the host's memory, and so do the frames while they are
    put together.
    """

    columns: int = 1
    rows: int = 1
    offload: bool = False
    overlap: int = BLOCK_PIXELS

    def __post_init__(self) -> None:
        """Whole blocks only."""
        assert self.columns > 0, self.columns
        assert self.rows > 0, self.rows
        assert self.overlap > 0, self.overlap
        assert self.overlap % BLOCK_PIXELS == 0, self.overlap


@dataclass(frozen=True)
class Box:
    """A tile in pixels of the model's picture: ends are exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    def of(self, x: Tensor, unit: int = 1) -> Tensor:
        """This part of x: (..., H / unit, W / unit)."""
        rows = slice(self.top // unit, self.bottom // unit)
        return x[..., rows, self.left // unit : self.right // unit]


def boxes(place: Placement, tiles: Tiles) -> list[Box]:
    """The tiles of a picture, row by row; fewer than asked for where it is too small for them."""
    down = _spans(place.height, tiles.rows, tiles.overlap)
    across = _spans(place.width, tiles.columns, tiles.overlap)
    return [Box(*rows, *columns) for rows in down for columns in across]


def share(sparsity: Sparsity, place: Placement, box: Box) -> Sparsity:
    """The whole picture's budget, cut down to a tile: the same part of the pairs within reach.

    A budget by the tile's own size would keep as many keys per query as the whole picture does,
    of the fewer that a tile has: small tiles would attend to everything, which the model has not
    learned. The picture's ratio to all pairs, on the other hand, counts pairs that are out of reach
    anyway, so a tile would attend to far less than the same place of the whole picture.
    """
    whole = _near(place.height, sparsity.reach) * _near(place.width, sparsity.reach)
    here = _near(box.bottom - box.top, sparsity.reach) * _near(box.right - box.left, sparsity.reach)
    return replace(sparsity, pairs=sparsity.pairs * here // whole)


class TiledStream:
    """As `Stream`, tile after tile, so only one tile's work is in memory at a time."""

    def __init__(
        self,
        models: Models,
        place: Placement,
        tiles: Tiles,
        settings: Settings,
        check: Callable[[], None],
        condition: Condition | None = None,
    ) -> None:
        condition = condition or models.condition()
        self._device = models.device
        self._keeps = torch.device("cpu") if tiles.offload else self._device
        self._overlap = tiles.overlap
        self._check = check
        self._size = place.height, place.width
        self._start = 0
        self._streams: list[tuple[Box, Stream]] = []
        for box in boxes(place, tiles):
            cut = replace(settings, sparsity=share(settings.sparsity, place, box))
            stream = Stream(models, cut, check, condition, is_parked=tiles.offload)
            self._streams.append((box, stream))

    @torch.no_grad()
    def advance(
        self, ahead: Tensor, source: Tensor, noise: Noise
    ) -> tuple[Tensor, Iterator[Piece]]:
        """As `Stream.advance`; the frames are decoded already."""
        count = LATER_LATENTS if self._start else FIRST_LATENTS
        drawn = noise(self._start, count)
        sizes = (*source.shape[:3], *self._size)
        frames = torch.zeros(sizes, device=self._keeps)
        latents = torch.zeros(drawn.shape, device=self._keeps)
        for box, stream in self._streams:
            part = _drawn(box.of(drawn, CELL))
            fresh, pieces = stream.advance(box.of(ahead), box.of(source), part)
            weight = self.weight(box)
            box.of(latents, CELL).add_(fresh.to(self._keeps) * weight[::CELL, ::CELL])
            at = 0
            for piece in pieces:
                end = at + piece.frames.shape[2]
                box.of(frames)[:, :, at:end] += piece.frames.to(self._keeps) * weight
                at = end
            self._check()
        self._start += count
        return latents, self._pieces(frames, source, count)

    def weight(self, box: Box) -> Tensor:
        """(h, w): 1, but rising from 0 over what an inner side shares with the next tile."""
        height, width = self._size
        down = _ramp(box.top, box.bottom, height, self._overlap, self._keeps)
        across = _ramp(box.left, box.right, width, self._overlap, self._keeps)
        return down[:, None] * across

    def _pieces(self, frames: Tensor, source: Tensor, latents: int) -> Iterator[Piece]:
        use_here(frames, source)
        # The first latent frame of a stream is one frame.
        lengths = [frames.shape[2] - FRAMES * (latents - 1), *[FRAMES] * (latents - 1)]
        parts = zip(
            torch.split(frames, lengths, dim=2), torch.split(source, lengths, dim=2), strict=True
        )
        for part, like in parts:
            yield Piece(part.to(self._device), like.to(self._device))


def _drawn(part: Tensor) -> Noise:
    return lambda _first, _count: part


def _spans(size: int, count: int, overlap: int) -> list[tuple[int, int]]:
    """Begin and end of tiles along an axis, as even as blocks allow.

    A tile between two others is at least two overlaps long, so no three share a pixel.
    """
    units, shared = size // BLOCK_PIXELS, overlap // BLOCK_PIXELS
    count = max(1, min(count, units // shared - 1))
    steps = units - shared  # what the tiles have beside one overlap
    starts = [steps * i // count for i in range(count + 1)]
    ends = [start + shared for start in starts[1:]]
    return [(a * BLOCK_PIXELS, b * BLOCK_PIXELS) for a, b in zip(starts, ends, strict=False)]


def _ramp(start: int, end: int, size: int, overlap: int, device: torch.device) -> Tensor:
    weights = torch.ones(end - start, device=device)
    rise = (torch.arange(overlap, device=device) + 0.5) / overlap
    if start > 0:
        weights[:overlap] = rise
    if end < size:
        weights[-overlap:] = 1 - rise
    return weights


def _near(pixels: int, reach: int) -> int:
    """Pairs of blocks along an axis that see each other."""
    count = pixels // BLOCK_PIXELS
    before = reach // 2
    after = reach - 1 - before
    return sum(min(at + after, count - 1) - max(at - before, 0) + 1 for at in range(count))
