"""Pictures that come for the viewer: alone, or in pairs of which both must be of one moment."""

from typing import NamedTuple

from PySide6.QtGui import QImage

from engine.timeline.time import Time


class Asked(NamedTuple):
    """What a slot of the ring was given for. `tick`: 0 when still."""

    serial: int
    tick: int
    at: Time
    is_before: bool = False


class Shown(NamedTuple):
    """A picture, or both of a comparison: `before` is of the same moment, without the effects."""

    picture: QImage
    at: Time
    is_stale: bool
    problem: str
    before: QImage | None = None


class Arrivals:
    """Puts the halves of pairs together; one whose partner never comes is never shown."""

    def __init__(self) -> None:
        self._after: dict[int, Shown] = {}
        self._before: dict[int, Shown] = {}

    def __len__(self) -> int:
        """Pictures that wait for their partner."""
        return len(self._after) + len(self._before)

    def add(self, asked: Asked, came: Shown) -> Shown | None:
        """The pair that `came` completes."""
        mine, others = self._after, self._before
        if asked.is_before:
            mine, others = others, mine
        if asked.tick not in others:
            mine[asked.tick] = came
            return None
        other = others.pop(asked.tick)
        after, before = (other, came) if asked.is_before else (came, other)
        if after.at != before.at:
            return None  # a leftover half: nothing is shown rather than two moments
        return after._replace(before=before.picture, problem=after.problem or before.problem)

    def forget(self, tick: int) -> None:
        """Half of a pair has been lost: the other is not waited with."""
        self._after.pop(tick, None)
        self._before.pop(tick, None)

    def clear(self) -> None:
        self._after.clear()
        self._before.clear()
