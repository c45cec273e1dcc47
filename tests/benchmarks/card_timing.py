"""Times on a device: by CUDA's events on a card, by the clock elsewhere; several things in turn."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

WARM_UPS, REPEATS = 3, 5


@dataclass(frozen=True)
class Samples:
    """Repeats of one measurement."""

    values: tuple[float, ...]

    @property
    def middle(self) -> float:
        """Their median."""
        return median(self.values)

    @property
    def low(self) -> float:
        """The least."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The most."""
        return max(self.values)


def settle(device: torch.device) -> None:
    """Waits until all work is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(device: torch.device, work: Callable[[], object], inner: int = 1) -> Callable[[], float]:
    """A measurement of seconds for one `work`, of which `inner` run one after another."""

    def by_events() -> float:
        begin, end = event(), event()
        begin.record()
        for _ in range(inner):
            work()
        end.record()
        settle(device)
        milliseconds: float = begin.elapsed_time(end)
        return milliseconds / 1000 / inner

    def by_clock() -> float:
        begun = time.perf_counter()
        for _ in range(inner):
            work()
        return (time.perf_counter() - begun) / inner

    return by_events if device.type == "cuda" else by_clock


def event() -> Any:
    """One that keeps its time."""
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def in_turn(
    works: Mapping[str, Callable[[], float]], warm_ups: int = WARM_UPS, repeats: int = REPEATS
) -> dict[str, Samples]:
    """Samples of each, in the order A B … B A A B …, so that a drift meets all alike."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        for _ in range(warm_ups):
            work()
    for turn in range(repeats):
        for name in there_and_back(tuple(works), turn):
            found[name].append(works[name]())
    return {name: Samples(tuple(values)) for name, values in found.items()}


def there_and_back(names: tuple[str, ...], turn: int) -> tuple[str, ...]:
    """The order of one turn."""
    return names if turn % 2 == 0 else names[::-1]


def laps(device: torch.device, works: Sequence[Callable[[], object]]) -> list[float]:
    """Seconds of each of several works that follow one another without a pause."""
    if device.type != "cuda":
        return [timed(device, work)() for work in works]
    marks = [event() for _ in range(len(works) + 1)]
    marks[0].record()
    for work, mark in zip(works, marks[1:], strict=True):
        work()
        mark.record()
    settle(device)
    return [a.elapsed_time(b) / 1000 for a, b in itertools.pairwise(marks)]
