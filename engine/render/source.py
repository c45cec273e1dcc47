"""Where the compositor gets pictures from: a file, or the result of an effect on one."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Protocol

from engine.render.frame import Planes


class FrameSource(Protocol):
    """Pictures by number, each with the time it begins.

    `times`: ascending, the first is 0; picture i shows from times[i] to times[i + 1], the last
    one until `duration`. A still has one picture and duration 0.
    """

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    @property
    def times(self) -> Sequence[Fraction]: ...

    @property
    def duration(self) -> Fraction: ...

    def frame(self, index: int) -> Planes:
        """Picture `index`; fast for the next ones in order. Raises MediaError."""

    def frames(self, start: int, stop: int) -> Iterator[Planes]:
        """Pictures start to stop - 1 in order."""

    def close(self) -> None: ...


def index_at(times: Sequence[Fraction], at: Fraction) -> int:
    """The picture on screen at `at`; clamped to the first and last."""
    low, high = 0, len(times)
    while low < high:
        middle = (low + high) // 2
        if times[middle] <= at:
            low = middle + 1
        else:
            high = middle
    return max(0, low - 1)
