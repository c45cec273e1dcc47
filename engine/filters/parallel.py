"""Work on many pictures at once, given back in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeAlias, TypeVar, TypeVarTuple

Workers: TypeAlias = ThreadPoolExecutor

MOST_WORKERS = 8  # more would wait for memory, and hold many large pictures

Result = TypeVar("Result")
Asked = TypeVarTuple("Asked")


def worker_count() -> int:
    """How many pictures are worked on at once."""
    return max(1, min(os.cpu_count() or 1, MOST_WORKERS))


@contextmanager
def new_workers() -> Iterator[Workers]:
    """Threads for the pictures of one job; numpy and OpenCV let them run side by side.

    Left early, as by a cancel, nothing waits for pictures that nobody wants any more.
    """
    workers = ThreadPoolExecutor(worker_count(), thread_name_prefix="filter")
    try:
        yield workers
    finally:
        workers.shutdown(wait=False, cancel_futures=True)


def in_order(
    workers: Workers,
    work: Callable[[*Asked], Result],
    tasks: Iterable[tuple[*Asked]],
) -> Iterator[Result]:
    """`work` done on each task by the workers; a few tasks are taken ahead."""
    waiting: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(workers.submit(work, *task))
            if len(waiting) > worker_count():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
