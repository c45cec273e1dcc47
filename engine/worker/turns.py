"""A thread for small asks: the most urgent first, one step at a time."""

import heapq
import threading
from collections.abc import Callable, Iterator
from itertools import count


class Turns:
    """Runs iterators on one thread; after each step whatever is most urgent goes on.

    `before_step` may wait a little for more important work elsewhere.
    """

    def __init__(self, name: str, before_step: Callable[[], None]) -> None:
        self._name = name
        self._before_step = before_step
        self._changed = threading.Condition()
        self._waiting: list[tuple[int, int, Iterator[None]]] = []
        self._numbers = count()
        self._thread: threading.Thread | None = None

    def put(self, urgency: int, steps: Iterator[None], newest_first: bool = False) -> None:
        """Adds work; the lowest `urgency` goes first, among equals the oldest."""
        number = next(self._numbers)
        with self._changed:
            heapq.heappush(self._waiting, (urgency, -number if newest_first else number, steps))
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                urgency, number, steps = heapq.heappop(self._waiting)
            if urgency > 0:
                self._before_step()
            for _ in steps:
                with self._changed:
                    heapq.heappush(self._waiting, (urgency, number, steps))
                break
