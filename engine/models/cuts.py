"""Where a clip changes to another shot, told from a few small pictures around each place.

The answer for a place depends on its neighbourhood alone, never on where reading began, so every
part of a clip is told the same. Motion, fades and flashes are no cuts: a cut stands out from the
changes around it, moves things elsewhere, and what was before it does not come back at once.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

BEFORE, AFTER = 5, 4  # pictures looked at on both sides of a place
SAMPLES = 144  # pixels along each side that a thumbnail is made of, or up to twice as many
BLOCKS = 12  # mean colours along each side
BINS = 8  # of each colour in the histogram
LEVELS = 64.0  # a mean difference of so many counts as much as a histogram without overlap
LEAST = 0.3  # a cut is a difference of at least that
STANDS_OUT = 2.5  # and so many times as large as any but one of those around it
RETURNS = 0.4  # a part of the difference: what comes as near again was only interrupted
SAME_LAYOUT = 0.85  # correlation of brightness: light alone has changed
KEPT = 64  # thumbnails


class Source(Protocol):
    """Pictures of a clip by number; asked for in order, with small steps back at grid lines.

    A span that begins within a segment first has all pictures of the segment read up to it, for
    its cuts, and then again. Only one iterator is read at a time.
    """

    @property
    def count(self) -> int:
        """How many there are."""

    def pictures(self, start: int, stop: int) -> Iterator[Tensor]:
        """Those from start to stop - 1: (h, w, 3) uint8, on the CPU."""


@dataclass(frozen=True)
class Thumbnail:
    """What is compared of a picture: mean colours (3, 12, 12) in levels, and a histogram."""

    means: Tensor
    histogram: Tensor  # (512,), sums to 1


def thumbnail(picture: Tensor) -> Thumbnail:
    """Of a picture (h, w, 3), uint8."""
    rows, columns = (max(1, length // SAMPLES) for length in picture.shape[:2])
    few = picture[::rows, ::columns].cpu()
    means = F.adaptive_avg_pool2d(few.permute(2, 0, 1).float(), BLOCKS)
    r, g, b = (few // (256 // BINS)).long().unbind(2)
    places = ((r * BINS + g) * BINS + b).flatten()
    histogram = torch.bincount(places, minlength=BINS**3).float() / places.numel()
    return Thumbnail(means, histogram)


def difference(a: Thumbnail, b: Thumbnail) -> float:
    """0 for the same picture; about 1 and more for two that have nothing in common."""
    moved = (a.means - b.means).abs().mean() / LEVELS
    return float(moved + (a.histogram - b.histogram).abs().sum() / 2)


def is_cut(before: Sequence[Thumbnail], after: Sequence[Thumbnail]) -> bool:
    """Whether another shot begins between the two.

    before: the last pictures before the place, at most 5; after: the first ones after it, at most
    4. Fewer only at the ends of a clip.
    """
    last, first = before[-1], after[0]
    jump = difference(last, first)
    if jump < LEAST or _likeness(last, first) > SAME_LAYOUT:
        return False
    beside = [difference(a, b) for side in (before, after) for a, b in pairwise(side)]
    if len(beside) > 1 and jump < STANDS_OUT * sorted(beside)[-2]:
        return False
    again = [difference(last, other) for other in after[1:]]
    again += [difference(other, first) for other in before[:-1]]
    return not again or min(again) > RETURNS * jump


def _likeness(a: Thumbnail, b: Thumbnail) -> float:
    """Correlation of brightness, -1..1; 0 where one has no contrast."""
    x, y = (t.means.mean(dim=0).flatten() for t in (a, b))
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / (x.norm() * y.norm()).clamp_min(1e-6))


class Shots:
    """A source's pictures shot by shot. Remembers what it has told, and little else."""

    def __init__(self, source: Source, is_on: bool, check: Callable[[], None]) -> None:
        """is_on: else the whole clip is one shot. `check` is called at each picture."""
        self._source = source
        self._is_on = is_on
        self._check = check
        self._told: dict[int, bool] = {}
        self._thumbnails: dict[int, Thumbnail] = {}

    def last_cut(self, start: int, stop: int) -> int | None:
        """The last number in start .. stop - 1 with which a shot begins; reads what it must."""
        numbers = range(max(start, 1), min(stop, self._source.count))
        if not self._is_on:
            return None
        self._learn([number for number in numbers if number not in self._told])
        return next((number for number in reversed(numbers) if self._told[number]), None)

    def pictures(self, begin: int) -> Iterator[Tensor]:
        """The pictures from number `begin` to the end of its shot."""
        self._recall(begin)
        waiting: deque[tuple[int, Tensor]] = deque()
        for number, picture in self._read(begin, self._source.count):
            waiting.append((number, picture))
            while number - waiting[0][0] >= AFTER - 1:
                if self._is_start(waiting[0][0], begin):
                    return
                yield waiting.popleft()[1]
        while waiting:
            if self._is_start(waiting[0][0], begin):
                return
            yield waiting.popleft()[1]

    def _read(self, start: int, stop: int) -> Iterator[tuple[int, Tensor]]:
        for number, picture in enumerate(self._source.pictures(start, stop), start):
            self._check()
            if self._is_on:
                known = self._thumbnails.pop(number, None)
                self._thumbnails[number] = known or thumbnail(picture)
                while len(self._thumbnails) > KEPT:
                    del self._thumbnails[next(iter(self._thumbnails))]
            yield number, picture

    def _is_start(self, number: int, begin: int) -> bool:
        if not self._is_on or number == begin:
            return False
        if number not in self._told:
            self._tell(number)
        return self._told[number]

    def _learn(self, numbers: list[int]) -> None:
        """Tells of numbers that follow one another closely, in one reading."""
        if not numbers:
            return
        untold = deque(numbers)
        stop = min(self._source.count, numbers[-1] + AFTER)
        for number, _ in self._read(max(0, numbers[0] - BEFORE), stop):
            while untold and number - untold[0] >= AFTER - 1:
                self._tell(untold.popleft())
        for number in untold:
            self._tell(number)

    def _recall(self, begin: int) -> None:
        """Sees the pictures before `begin` that telling of those after it needs."""
        needed = range(max(0, begin + 1 - BEFORE), begin)
        if self._is_on and not all(n in self._thumbnails for n in needed):
            deque(self._read(needed.start, begin), maxlen=0)

    def _tell(self, number: int) -> None:
        stop = min(self._source.count, number + AFTER)
        before = [self._thumbnails[n] for n in range(max(0, number - BEFORE), number)]
        self._told[number] = is_cut(before, [self._thumbnails[n] for n in range(number, stop)])
