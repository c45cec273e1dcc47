"""Cuts are found, and motion, fades and flashes are none; wherever reading begins."""

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from engine.models.cuts import Shots  # noqa: E402
from tests.support.flashvsr import Clip, edited, shot  # noqa: E402


def cuts(clip: Clip) -> list[int]:
    """The numbers with which a shot begins, but the first."""
    shots = Shots(clip, True, lambda: None)
    found: list[int] = []
    while (last := shots.last_cut(0, found[0] if found else clip.count)) is not None:
        found.insert(0, last)
    return found


def changed(clip: Clip, change: Callable[[int, Tensor], Tensor]) -> Clip:
    """A clip with each picture changed, in levels as float32."""
    pictures = enumerate(clip.pictures(0, clip.count))
    return Clip([change(i, p.float()).clamp(0, 255).byte() for i, p in pictures])


@pytest.mark.parametrize("length", [4, 5, 12])
def test_cuts_are_found_where_they_are(length: int) -> None:
    clip = edited(shot(1, 14), shot(2, length), shot(3, 9, speed=3))
    assert cuts(clip) == [14, 14 + length]


def test_a_return_to_the_same_shot_is_a_cut() -> None:
    other = list(shot(1, 40).pictures(0, 40))
    assert cuts(edited(Clip(other[:12]), shot(2, 12), Clip(other[24:]))) == [12, 24]


@pytest.mark.parametrize("speed", [0, 1, 4, 16, 48])
def test_motion_is_no_cut(speed: float) -> None:
    assert cuts(shot(5, 24, speed=speed)) == []


def test_motion_that_begins_at_once_is_no_cut() -> None:
    fast = list(shot(5, 14, speed=24).pictures(0, 14))
    assert cuts(Clip([fast[0]] * 12 + fast)) == []


def test_motion_on_every_third_picture_is_no_cut() -> None:
    fast = list(shot(5, 20, speed=24).pictures(0, 20))
    thirds = [fast[i // 3] for i in range(60)]
    assert [at for at in cuts(Clip(thirds)) if 3 < at < 57] == []


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("light", [255.0, 120.0, -255.0])
def test_a_flash_is_no_cut(length: int, light: float) -> None:
    flash = changed(shot(6, 24), lambda i, p: p + light * (9 <= i < 9 + length))
    assert cuts(flash) == []


@pytest.mark.parametrize("length", [6, 12])
def test_fades_and_dissolves_are_no_cuts(length: int) -> None:
    assert cuts(changed(shot(7, 30), lambda i, p: p * min(1, i / length))) == []
    other = list(shot(8, 30).pictures(0, 30))

    def dissolved(i: int, p: Tensor) -> Tensor:
        part = min(1, max(0, (i - 8) / length))
        return p * (1 - part) + other[i] * part

    assert cuts(changed(shot(7, 30), dissolved)) == []


def test_light_that_goes_on_is_no_cut() -> None:
    assert cuts(changed(shot(9, 20), lambda i, p: p * (1 if i >= 10 else 0.4))) == []


def test_shots_end_alike_wherever_reading_begins() -> None:
    clip = edited(shot(1, 9), shot(2, 7), shot(3, 30))
    ends = [9, 16, 46]
    for begin in range(clip.count):
        length = sum(1 for _ in Shots(clip, True, lambda: None).pictures(begin))
        assert begin + length == next(end for end in ends if end > begin)


def test_without_it_a_clip_is_one_shot() -> None:
    clip = edited(shot(1, 9), shot(2, 7))
    shots = Shots(clip, False, lambda: None)
    assert shots.last_cut(0, clip.count) is None
    assert sum(1 for _ in shots.pictures(0)) == clip.count


def test_one_picture_and_none() -> None:
    assert cuts(shot(1, 1)) == []
    assert cuts(Clip([])) == []
