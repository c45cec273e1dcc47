"""Runs an iterator ahead of who reads it, in a thread of its own."""

import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

_PATIENCE = 0.05  # seconds between two calls of `waiting`


class Ahead(Generic[T]):
    """The items of `source`, made in a thread up to `depth` items ahead.

    Decoding and encoding leave the interpreter free, so both go on at the same time. An error in
    the source is raised where its item would have come. `waiting` is called again and again while
    no item is there; what it raises ends the wait. Leaving the `with` block stops the thread
    without waiting for the item it is at; `close` is called when it has ended, by whoever is last.
    """

    def __init__(
        self,
        source: Iterator[T],
        depth: int,
        close: Callable[[], None],
        waiting: Callable[[], None],
    ) -> None:
        self._source = source
        self._close = close
        self._waiting = waiting
        self._ready: queue.Queue[T | _End] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)

    def __enter__(self) -> Iterator[T]:
        self._thread.start()
        return self._items()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._drain()  # the thread may wait for room
        self._thread.join(_PATIENCE)

    def _items(self) -> Iterator[T]:
        while True:
            try:
                item = self._ready.get(timeout=_PATIENCE)
            except queue.Empty:
                self._waiting()
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                self._thread.join()
                return
            yield item

    def _drain(self) -> None:
        try:
            while True:
                self._ready.get_nowait()
        except queue.Empty:
            return

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._fill()
        except BaseException as caught:  # noqa: BLE001 - handed to the reading thread
            error = caught
        finally:
            self._close()
        self._put(_End(error))

    def _fill(self) -> None:
        for item in self._source:
            if not self._put(item):
                return

    def _put(self, item: "T | _End") -> bool:
        """Waits for room; False once nobody reads any more."""
        while not self._stopped.is_set():
            try:
                self._ready.put(item, timeout=_PATIENCE)
            except queue.Full:
                continue
            return True
        return False


class _End:
    """The mark after the last item."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
