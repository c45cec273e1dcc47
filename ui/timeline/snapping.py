"""Where gestures catch: clip edges, playhead, in and out, the start. Pure functions."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from engine.timeline.model import Sequence
from engine.timeline.time import ZERO, Time


@dataclass(frozen=True)
class SnapPoints:
    """Times to catch at, ascending, with the same as floats for a quick search."""

    times: tuple[Time, ...]
    seconds: tuple[float, ...]

    def nearest(self, seconds: float) -> Time | None:
        """The point next to `seconds`."""
        after = bisect_left(self.seconds, seconds)
        near = range(max(0, after - 1), min(len(self.seconds), after + 1))
        best = min(near, key=lambda index: abs(self.seconds[index] - seconds), default=None)
        return None if best is None else self.times[best]


def snap_points(
    sequence: Sequence, playhead: Time | None, leave_out: frozenset[str] = frozenset()
) -> SnapPoints:
    """Every edge but those of the clips `leave_out`, with zero, the playhead, in and out."""
    points = {ZERO}
    if playhead is not None:
        points.add(playhead)
    if sequence.work_area is not None:
        points |= {sequence.work_area.start, sequence.work_area.end}
    for track in sequence.tracks:
        for clip in track.clips:
            if clip.id not in leave_out:
                points.add(clip.start)
                points.add(clip.end)
    times = tuple(sorted(points))
    return SnapPoints(times, tuple(float(one) for one in times))


@dataclass(frozen=True)
class Caught:
    """`shift`: how much later the edge must go to lie on `point`."""

    shift: Time
    point: Time


def caught(edges: Iterable[Time], points: SnapPoints, distance: float) -> Caught | None:
    """The nearest point within `distance` seconds of any of `edges`."""
    best: Caught | None = None
    for edge in edges:
        point = points.nearest(float(edge))
        if point is None or abs(float(point - edge)) > distance:
            continue
        if best is None or abs(point - edge) < abs(best.shift):
            best = Caught(point - edge, point)
    return best
