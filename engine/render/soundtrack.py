"""The sound of an export: there and back with the pictures, again for each loop."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.jobs import Sound
from engine.render.mixer import RATE, sample_at
from engine.timeline.time import Time

Samples = NDArray[np.float32]  # (count, 2)

FADE = RATE * 2 // 1000  # 2 ms, where two pieces meet


@dataclass(frozen=True)
class Piece:
    """A run of the mixed sound, forward or backward; `start`: its first sample in the mix."""

    start: int
    count: int
    is_reversed: bool = False


def pieces(
    sound: Sound, start: Time, there: Time, back: Time, second: Time, repeats: int
) -> tuple[Piece, ...]:
    """What sounds one after the other while the pictures run `repeats` times.

    `start`: of the export in the sequence. `there`, `back`: how long the pictures last forward
    and on the way back (0 without ping-pong). `second`: where the second picture begins, at which
    the mirrored sound ends. Every piece ends at the sample nearest to its picture's end.
    """
    result: list[Piece] = []
    for unit in range(repeats):
        begin = unit * (there + back)
        edges = [sample_at(at) for at in (begin, begin + there, begin + there + back)]
        result.append(Piece(sample_at(start), edges[1] - edges[0]))
        if back:
            is_mirrored = sound is Sound.MIRRORED
            origin = sample_at(second if is_mirrored else start)
            result.append(Piece(origin, edges[2] - edges[1], is_mirrored))
    return tuple(result)


class Soundtrack:
    """Samples of an export in order, made of pieces of the mix.

    `mix` gives (start, count) of it. Where pieces meet, and at both ends of a film made of
    several, the sound goes down and up within 2 ms, so that nothing clicks.
    """

    def __init__(self, mix: Callable[[int, int], Samples], parts: tuple[Piece, ...]) -> None:
        self._mix = mix
        self._parts = parts
        self._fades = len(parts) > 1
        self._part = 0
        self._done = 0  # samples of the present part

    @property
    def length(self) -> int:
        """Samples in all."""
        return sum(part.count for part in self._parts)

    def read(self, count: int) -> Samples:
        """The next `count` samples; silence after the end."""
        result = np.zeros((count, 2), np.float32)
        filled = 0
        while filled < count and self._part < len(self._parts):
            part = self._parts[self._part]
            some = min(count - filled, part.count - self._done)
            result[filled : filled + some] = self._piece(part, self._done, some)
            filled += some
            self._done += some
            if self._done == part.count:
                self._part, self._done = self._part + 1, 0
        return result

    def _piece(self, part: Piece, first: int, count: int) -> Samples:
        if part.is_reversed:
            end = part.start + part.count - first
            samples = self._mix(end - count, count)[::-1]
        else:
            samples = self._mix(part.start + first, count)
        return samples * _joint(part, first, count)[:, None] if self._fades else samples


def _joint(part: Piece, first: int, count: int) -> NDArray[np.float32]:
    """1 but for the first and last 2 ms of the piece."""
    at = np.arange(first, first + count, dtype=np.float32) + np.float32(0.5)
    joint = np.clip(np.minimum(at, part.count - at) / FADE, 0, 1)
    return np.asarray(joint, np.float32)
