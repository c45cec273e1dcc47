"""When each picture of an export begins and how long it stays."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from engine.render.plan import Shot, Stretch, on_grid, stretches
from engine.render.pool import TOLERANCE, index_in
from engine.timeline import model
from engine.timeline.model import Project
from engine.timeline.time import Time, TimeRange


@dataclass(frozen=True)
class Shown:
    """A picture of the export: the moment of the sequence it shows, and for how long."""

    at: Time
    duration: Time


def frame_times(
    project: Project,
    sequence: model.Sequence,
    span: TimeRange,
    rate: Fraction | None,
    times_of: Callable[[Shot], Sequence[Fraction]],
) -> list[Shown]:
    """The pictures of `span` in order.

    With a `rate`, one at every i / rate. Without: each picture of the source with its own delay
    where one clip shows alone (a still is one long picture), and the sequence's own frames in
    dissolves, stacks and gaps. `times_of`: when the pictures of a shot's source begin.
    """
    if rate is not None:
        count = max(1, -(-(span.duration - TOLERANCE) * rate // 1))
        return [Shown(span.start + index / rate, 1 / rate) for index in range(int(count))]
    starts = [
        at
        for stretch in stretches(project, sequence, span)
        for at in _starts(stretch, sequence.rate, times_of)
    ]
    ends = [*starts[1:], span.end]
    return [Shown(at, end - at) for at, end in zip(starts, ends, strict=True)]


def _starts(
    stretch: Stretch, rate: Fraction, times_of: Callable[[Shot], Sequence[Fraction]]
) -> Iterator[Time]:
    if stretch.single is None:
        yield from on_grid(stretch.span, rate)
        return
    times = times_of(stretch.single)
    shift = stretch.span.start - stretch.single.source
    yield stretch.span.start
    for index in range(index_in(times, stretch.single.source) + 1, len(times)):
        at = times[index] + shift
        # A picture that would show only for a rounding error is the next clip's business.
        if at >= stretch.span.end - TOLERANCE:
            return
        yield at


def constant_rate(shown: Sequence[Shown]) -> Fraction | None:
    """The rate of pictures that all last equally long, else None; None for a slide show."""
    durations = {one.duration for one in shown}
    duration = durations.pop()
    return None if durations or duration > 1 else 1 / duration


def there_and_back(count: int) -> list[int]:
    """The order of a ping-pong of `count` pictures: none shows twice at a turn.

    |0 1 2 3|  ->  |0 1 2 3 2 1|
    """
    return [*range(count), *range(count - 2, 0, -1)]
