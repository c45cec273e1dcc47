"""What is done later: in order, bounded, and with its errors told."""

import queue
import threading
from functools import partial

import pytest

from engine.render.behind import Behind


def test_calls_are_made_in_order_while_others_wait() -> None:
    seen: list[int] = []
    gate = threading.Event()
    with Behind(3, "test") as behind:
        behind.call(gate.wait)
        for number in range(3):
            behind.call(lambda number=number: seen.append(number))
        assert seen == []
        gate.set()
        for number in range(3, 50):
            behind.call(lambda number=number: seen.append(number))
    assert seen == list(range(50))


def test_no_more_wait_than_are_allowed() -> None:
    gate = threading.Event()
    asked: queue.Queue[int] = queue.Queue()

    def ask() -> None:
        with Behind(2, "test") as behind:
            for number in range(6):
                behind.call(gate.wait)
                asked.put(number)

    thread = threading.Thread(target=ask)
    thread.start()
    assert [asked.get(timeout=10) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(queue.Empty):
        asked.get(timeout=0.05)
    gate.set()
    thread.join()
    assert [asked.get_nowait() for _ in range(3)] == [3, 4, 5]


def test_an_error_is_told_when_nothing_runs_any_more() -> None:
    """Else a writer would be closed while its thread still writes."""
    begun, gate = threading.Event(), threading.Event()
    ended: list[str] = []

    def fail() -> None:
        raise OSError("full")

    def go_on() -> None:
        begun.set()
        gate.wait(10)
        ended.append("the next")

    def run() -> None:
        with Behind(9, "test") as behind:
            behind.call(fail)
            behind.call(go_on)
            behind.call(lambda: ended.append("the last"))
            assert begun.wait(10)
            last = behind._waiting[-1]
            last.add_done_callback(lambda _: gate.set())  # so once it is dropped

    with pytest.raises(OSError, match="full"):
        run()
    assert ended == ["the next"]


def test_what_waits_is_dropped_when_the_block_ends_in_an_error() -> None:
    seen: list[str] = []
    gate = threading.Event()

    def stop() -> None:
        with Behind(9, "test") as behind:
            behind.call(partial(gate.wait, 10))
            behind.call(lambda: seen.append("late"))
            behind._waiting[-1].add_done_callback(lambda _: gate.set())
            raise KeyError("elsewhere")

    with pytest.raises(KeyError):
        stop()
    assert seen == []
