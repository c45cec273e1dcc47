"""The host kept near the device, so that progress is true and a cancelled run ends soon."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

import torch

AHEAD = 2  # blocks given to a card before the one that runs is done: it never waits for the host


class Mark(Protocol):
    """A place in what was given to a device."""

    def synchronize(self) -> None:
        """Waits until the device is there."""


def pace(
    device: torch.device, mark: Callable[[], Mark] | None = None, ahead: int = AHEAD
) -> Callable[[], None]:
    """What to call after each block: returns once all but the last `ahead` of them are done.

    On a processor they are done anyway. `mark`: makes a mark, by default on a CUDA device alone.
    """
    if mark is None and device.type != "cuda":
        return lambda: None
    make = mark or (lambda: _event(device))
    marks: deque[Mark] = deque()

    def wait() -> None:
        marks.append(make())
        if len(marks) > ahead:
            marks.popleft().synchronize()

    return wait


def _event(device: torch.device) -> Mark:
    # One that lets the processor do other things while it is waited for.
    event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event
