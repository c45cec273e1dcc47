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
    long_stills: bool = True,
) -> list[Shown]:
    """The pictures of `span` in order.

    With a `rate`, one at every i / rate. Without: each picture of the source with its own delay
    where one clip shows alone (a still is one long picture, unless `long_stills` is False), and
    the sequence's own frames in dissolves, stacks and gaps. `times_of`: when the
    pictures of a shot's source begin.
    """
    if rate is not None:
        count = max(1, -(-(span.duration - TOLERANCE) * rate // 1))
        return [Shown(span.start + index / rate, 1 / rate) for index in range(int(count))]
    starts = [
        at
        for stretch in stretches(project, sequence, span)
        for at in _starts(stretch, sequence.rate, times_of, long_stills)
    ]
    ends = [*starts[1:], span.end]
    return [Shown(at, end - at) for at, end in zip(starts, ends, strict=True)]


def _starts(
    stretch: Stretch,
    rate: Fraction,
    times_of: Callable[[Shot], Sequence[Fraction]],
    long_stills: bool,
) -> Iterator[Time]:
    times = times_of(stretch.single) if stretch.single is not None else ()
    if stretch.single is None or (len(times) == 1 and not long_stills):
        yield from on_grid(stretch.span, rate)
        return
    shift = stretch.span.start - stretch.single.source
    yield stretch.span.start
    for index in range(index_in(times, stretch.single.source) + 1, len(times)):
        at = times[index] + shift
        # A picture that would show only for a rounding error is the next clip's business.
        if at >= stretch.span.end - TOLERANCE:
            return
        yield at


def thinned(shown: Sequence[Shown], shortest: Time) -> list[Shown]:
    """Without the pictures that would show for less than `shortest`; who is before has their time.

    The same pictures where none is that short; else every moment lies on a whole hundredth of a
    second, so that the way back of a ping-pong is as long as the way there.
    """
    if all(one.duration >= shortest for one in shown):
        return list(shown)
    start, end = shown[0].at, shown[-1].at + shown[-1].duration
    bounds = [Fraction(round((at - start) * 100), 100) for at in [*(s.at for s in shown), end]]
    kept = [0]
    for index in range(1, len(shown)):
        if bounds[index] - bounds[kept[-1]] >= shortest:
            kept.append(index)
    if len(kept) > 1 and bounds[-1] - bounds[kept[-1]] < shortest:
        kept.pop()
    following = [*kept[1:], len(shown)]
    return [
        Shown(shown[index].at, max(shortest, bounds[after] - bounds[index]))
        for index, after in zip(kept, following, strict=True)
    ]


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
