"""The order of frames in playback: loop, ping-pong, shuttle."""


class Order:
    """Which frame comes at each tick of playback, from in to out, with loop and ping-pong."""

    def __init__(
        self, first: int, last: int, start: int, step: int, loop: bool, ping_pong: bool
    ) -> None:
        """Frames `first` to `last` (both shown), beginning at `start`, `step` frames a tick."""
        self._first = first
        self._count = last - first + 1
        self._start = min(max(start - first, 0), self._count - 1)
        self._step = step
        self._loop = loop
        self._ping_pong = ping_pong and self._count > 1 and step > 0

    def frame(self, tick: int) -> int | None:
        """The frame at `tick`, or None when playback is over."""
        place = self._start + tick * self._step
        if self._ping_pong:
            period = 2 * self._count - 2
            if not self._loop and place > period:
                return None
            place %= period
            return self._first + (place if place < self._count else period - place)
        if self._loop:
            return self._first + place % self._count
        return self._first + place if 0 <= place < self._count else None

    def is_backward(self, tick: int) -> bool:
        """Whether the frame at `tick` is on the way back."""
        here, following = self.frame(tick), self.frame(tick + 1)
        return here is not None and following is not None and following < here

    def at_turn(self, tick: int) -> bool:
        """Whether the next frame does not follow the one at `tick` by one, either way."""
        here, following = self.frame(tick), self.frame(tick + 1)
        return here is None or following is None or abs(following - here) != 1
