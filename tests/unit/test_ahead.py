"""An iterator run ahead in a thread."""

import threading
from collections.abc import Iterator

import pytest

from engine.errors import Cancelled
from engine.render.ahead import Ahead


class Resource:
    """Says whether it was closed, and how often."""

    def __init__(self) -> None:
        self.closings = 0
        self.closed = threading.Event()

    def close(self) -> None:
        self.closings += 1
        self.closed.set()


def patient() -> None:
    """Waits on."""


def test_items_come_in_order_and_the_resource_is_closed_once() -> None:
    resource = Resource()
    with Ahead(iter(range(100)), 3, resource.close, patient) as items:
        assert list(items) == list(range(100))
    assert resource.closings == 1


def test_no_more_than_the_depth_is_made_ahead() -> None:
    made: list[int] = []
    third = threading.Event()

    def source() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            if number == 3:
                third.set()
            yield number

    resource = Resource()
    with Ahead(source(), 3, resource.close, patient) as items:
        assert third.wait(5)
        assert len(made) == 4  # three in the queue, one in hand
        assert next(items) == 0
    assert resource.closed.wait(5)


def test_an_error_comes_in_the_place_of_its_item() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("second")

    resource = Resource()
    with Ahead(source(), 3, resource.close, patient) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="second"):
            next(items)
    assert resource.closings == 1


def test_a_cancel_does_not_wait_for_a_slow_item() -> None:
    release = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        assert release.wait(10)
        yield 2

    def cancelled() -> None:
        raise Cancelled

    resource = Resource()
    with pytest.raises(Cancelled), Ahead(source(), 3, resource.close, cancelled) as items:
        for _ in items:
            pass
    assert not resource.closed.is_set()  # the thread is still at its item
    release.set()
    assert resource.closed.wait(5)
