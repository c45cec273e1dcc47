"""What is done later: in order, bounded, and with its errors told."""

import threading
import time

import pytest

from engine.render.behind import Behind


def test_calls_are_made_in_order_while_others_wait() -> None:
    seen: list[int] = []
    gate = threading.Event()
    with Behind(3, "test") as behind:
        behind.call(gate.wait)  # type: ignore[arg-type]  # its answer matters to nobody
        for number in range(3):
            behind.call(lambda number=number: seen.append(number))
        assert seen == []
        gate.set()
        for number in range(3, 50):
            behind.call(lambda number=number: seen.append(number))
    assert seen == list(range(50))


def test_no_more_wait_than_are_allowed() -> None:
    gate = threading.Event()
    asked: list[int] = []

    def ask() -> None:
        with Behind(2, "test") as behind:
            for number in range(6):
                behind.call(gate.wait)  # type: ignore[arg-type]
                asked.append(number)

    thread = threading.Thread(target=ask)
    thread.start()
    end = time.monotonic() + 10
    while len(asked) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.05)
    assert asked == [0, 1, 2]
    gate.set()
    thread.join()
    assert asked == list(range(6))


def test_an_error_is_told_and_what_waits_is_dropped() -> None:
    seen: list[str] = []
    gate = threading.Event()

    def fail() -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"), Behind(2, "test") as behind:
        behind.call(fail)

    def stop() -> None:
        with Behind(9, "test") as behind:
            behind.call(gate.wait)  # type: ignore[arg-type]
            behind.call(lambda: seen.append("late"))
            threading.Timer(0.1, gate.set).start()
            raise KeyError("elsewhere")

    with pytest.raises(KeyError):
        stop()
    assert seen == []
