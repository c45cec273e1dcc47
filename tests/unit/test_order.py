"""The order of frames in playback."""

from desktop.order import Order


def frames(order: Order, count: int) -> list[int | None]:
    return [order.frame(tick) for tick in range(count)]


def test_plain_playback_ends_after_the_last_frame() -> None:
    assert frames(Order(2, 5, 3, 1, False, False), 4) == [3, 4, 5, None]


def test_loop_goes_from_out_to_in() -> None:
    assert frames(Order(2, 5, 4, 1, True, False), 6) == [4, 5, 2, 3, 4, 5]


def test_ping_pong_goes_there_and_back_once() -> None:
    assert frames(Order(0, 3, 0, 1, False, True), 8) == [0, 1, 2, 3, 2, 1, 0, None]


def test_looped_ping_pong_never_shows_an_end_twice() -> None:
    assert frames(Order(0, 3, 0, 1, True, True), 10) == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]


def test_shuttle_takes_every_second_frame_and_runs_backward() -> None:
    assert frames(Order(0, 9, 2, 2, False, False), 5) == [2, 4, 6, 8, None]
    assert frames(Order(0, 9, 3, -1, False, True), 5) == [3, 2, 1, 0, None]


def test_one_frame_stands_still() -> None:
    assert frames(Order(4, 4, 4, 1, True, True), 3) == [4, 4, 4]


def test_turns_and_ways_are_known_for_the_sound() -> None:
    order = Order(0, 3, 0, 1, True, True)
    assert [order.is_backward(tick) for tick in range(6)] == [False] * 3 + [True] * 3
    assert Order(0, 3, 0, 1, True, False).at_turn(3)
    assert not order.at_turn(3)
