"""Runs an iterator ahead of who reads it, in a thread of its own."""

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """The items of `source`, made in a thread up to `depth` items ahead.

    Decoding and encoding leave the interpreter free, so both go on at the same time. An error in
    the source is raised where its item would have come. Leaving the `with` block stops the thread.
    """

    def __init__(self, source: Iterator[T], depth: int) -> None:
        self._source = source
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
        while self._thread.is_alive():  # it may wait for room
            self._drain()
            self._thread.join(0.01)

    def _items(self) -> Iterator[T]:
        while True:
            item = self._ready.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
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
            for item in self._source:
                if self._stopped.is_set():
                    return
                self._ready.put(item)
        except BaseException as caught:  # noqa: BLE001 - handed to the reading thread
            error = caught
        self._ready.put(_End(error))


class _End:
    """The mark after the last item."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
