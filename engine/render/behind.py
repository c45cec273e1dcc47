"""Does what may come later in a thread of its own, in order."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType


class Behind:
    """Calls functions one after another, while who asks for it goes on.

    At most `most` calls wait; more make `call` wait. What a call raises is raised by a later one,
    or at the end of the `with` block. A block that ends in an error drops what still waits.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting: deque[Future[object]] = deque()

    def call(self, function: Callable[[], object]) -> None:
        """Does it soon. Raises what an earlier call has raised."""
        self._wait(self._most)
        self._waiting.append(self._thread.submit(function))

    def finish(self) -> None:
        """Waits for all. Raises what a call has raised; what was to come after it is dropped."""
        try:
            self._wait(0)
        finally:
            self.drop()

    def drop(self) -> None:
        """Forgets what has not begun, and waits for what has."""
        self._thread.shutdown(cancel_futures=True)

    def _wait(self, most: int) -> None:
        while len(self._waiting) > most:
            self._waiting.popleft().result()

    def __enter__(self) -> "Behind":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.drop()
