"""The restyle filters: steady, deterministic, resumable, and what their parameters promise."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.filters.flow import look, motion
from engine.filters.parallel import Workers, in_order, new_workers
from engine.filters.pixels import one_thread
from engine.filters.restyle import State, restyled
from engine.timeline.effects import Value, checked, kind
from tests.support.moving import STEP, dense, dithered, filmed, polynomial, textured, warped_error

Pictures = list[NDArray[np.uint8]]

STYLES = ("painterly", "ink", "cartoon")
CLIP = textured(12)
CLIPS = {
    "textured": lambda: CLIP,
    "filmed": lambda: filmed(9),
    "dithered": lambda: dithered(filmed(7)),
}


@pytest.fixture
def workers() -> Iterator[Workers]:
    with one_thread(), new_workers() as made:
        yield made


def style(
    name: str, pictures: Pictures, workers: Workers, **values: Value
) -> tuple[Pictures, list[State]]:
    engine = kind("restyle").engine(name)
    made = list(restyled(name, checked(engine, values), pictures, workers))
    return [picture for picture, _ in made], [state for _, state in made]


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("name", STYLES)
def test_carrying_halves_the_flicker(name: str, clip: str, workers: Workers) -> None:
    source = CLIPS[clip]()
    alone, _ = style(name, source, workers, steadiness=0)
    carried, _ = style(name, source, workers)
    for search in (dense, polynomial):
        share = warped_error(source, carried, search) / warped_error(source, alone, search)
        assert share <= 0.5, search.__name__


@pytest.mark.parametrize("name", STYLES)
def test_carrying_does_not_blur_the_style_away(name: str, workers: Workers) -> None:
    alone, _ = style(name, CLIP, workers, steadiness=0)
    carried, _ = style(name, CLIP, workers)
    contrast = float(alone[-1].std())
    assert float(carried[-1].std()) > 0.7 * contrast


@pytest.mark.parametrize("name", STYLES)
def test_two_runs_give_the_same_pixels(name: str, workers: Workers) -> None:
    first, _ = style(name, CLIP[:5], workers)
    second, _ = style(name, CLIP[:5], workers)
    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", STYLES)
def test_going_on_from_a_state_gives_the_same_pixels(name: str, workers: Workers) -> None:
    values = checked(kind("restyle").engine(name), {"strength": 70})
    whole = list(restyled(name, values, CLIP[:8], workers))
    state = whole[3][1]
    rest = list(restyled(name, values, CLIP[4:8], workers, state))
    for (before, _), (after, _) in zip(whole[4:], rest, strict=True):
        assert np.array_equal(before, after)


@pytest.mark.parametrize("name", STYLES)
def test_a_cut_begins_anew(name: str, workers: Workers) -> None:
    other = [255 - picture[::-1, ::-1] for picture in textured(4, seed=9)]
    spliced, _ = style(name, [*CLIP[:4], *other], workers)
    alone, _ = style(name, other, workers)
    assert np.array_equal(spliced[4:], alone)


@pytest.mark.parametrize("name", STYLES)
@pytest.mark.parametrize("size", [(16, 16), (33, 17), (241, 163)])
def test_every_size_works(name: str, size: tuple[int, int], workers: Workers) -> None:
    width, height = size
    pictures = [picture[:height, :width] for picture in textured(3, width=242, height=164)]
    made, _ = style(name, pictures, workers)
    assert [picture.shape for picture in made] == [(height, width, 3)] * 3


def test_strength_blends_with_the_source(workers: Workers) -> None:
    none, _ = style("painterly", CLIP[:2], workers, strength=0)
    assert np.array_equal(none, CLIP[:2])


def test_motion_is_found_where_it_is_known() -> None:
    clean = textured(2, noise=0)
    moved = motion(look(clean[0]), look(clean[1]), 240, 160)
    ground = (slice(20, 140), slice(170, 220))  # away from the disc and the border
    columns = np.arange(240, dtype=np.float32)[None, :]
    rows = np.arange(160, dtype=np.float32)[:, None]
    assert not moved.is_cut
    assert float(np.median((moved.across - columns)[ground])) == pytest.approx(STEP[0], abs=0.2)
    assert float(np.median((moved.down - rows)[ground])) == pytest.approx(STEP[1], abs=0.2)
    assert float(np.median(moved.trust[ground])) > 0.9


def test_what_comes_into_sight_is_not_trusted() -> None:
    clean = textured(2, noise=0)
    moved = motion(look(clean[0]), look(clean[1]), 240, 160)
    assert float(moved.trust[20:140, -1].mean()) < 0.3


def test_work_comes_back_in_order(workers: Workers) -> None:
    tasks = ((number,) for number in range(40))
    assert list(in_order(workers, lambda number: number * 2, tasks)) == list(range(0, 80, 2))


def test_an_error_in_the_work_comes_out(workers: Workers) -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order(workers, lambda number: 1 // number, ((n,) for n in (2, 1, 0, 1))))
