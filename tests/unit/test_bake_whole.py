"""Effects that make all pictures together: units, trims inside them, what shows meanwhile."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.errors import Cancelled
from engine.filters.pixels import Picture
from engine.media.info import fingerprint, probe
from engine.progress import Silent
from engine.render.bake import bake, effect_source, freshness, missing
from engine.render.cache import MOST_UNITS, SegmentCache
from engine.render.frame import Planes
from engine.render.keys import PART, Stage, part_name, stages
from engine.render.plan import plan
from engine.render.pool import SourcePool
from engine.render.shown import effect_jobs
from engine.timeline.effects import new_use
from engine.timeline.model import (
    Asset,
    Clip,
    EffectUse,
    Project,
    Sequence,
    Track,
    TrackKind,
    Transition,
)
from engine.timeline.time import TimeRange, between
from engine.worker.messages import Span
from tests.support.media import make_video
from tests.unit.test_bake import Watch, job_of

SIZE = (64, 36)
FRAMES = 200
SECOND = Fraction(1)


@pytest.fixture(scope="module")
def asset(tmp_path_factory: pytest.TempPathFactory) -> Asset:
    """More than three parts."""
    path = make_video(tmp_path_factory.mktemp("media") / "clip.mp4", FRAMES, size=SIZE)
    return Asset("a", str(path), path.name, probe(path), fingerprint(path))


class Together:
    """A model whose every picture is a shade that tells how many pictures its run had."""

    def __init__(self, recipe: str = "one") -> None:
        self._recipe = recipe
        self.runs: list[int] = []

    def recipe(self, stage: Stage) -> str:
        return self._recipe

    def pictures(
        self,
        stage: Stage,
        read: Callable[[int], Picture],
        count: int,
        span: range,
        check: Callable[[], None],
    ) -> Iterator[Picture]:
        self.runs.append(count)
        size = stage.after.height, stage.after.width, 3
        for index in span:
            check()
            assert read(index).shape[2] == 3
            yield np.full(size, count, np.uint8)

    def step_down(self, error: Exception, at: int) -> str:
        raise error

    def notes(self) -> tuple[str, ...]:
        return ()


def restyle(**values: str) -> EffectUse:
    return new_use("restyle", "wan2.1-t2v-1.3b", {"size": "240p", **values})


def pictures(start: int, stop: int) -> TimeRange:
    """Pictures start to stop - 1."""
    return between(Fraction(start, 25), Fraction(stop, 25))


def shades(asset: Asset, cache: Path, wanted: TimeRange, *uses: EffectUse, at: range) -> list[int]:
    """What each picture shows of its run, 0 where it is not made."""
    source = effect_source(asset, uses, cache, wanted)
    shown = []
    for index in at:
        planes = source.frame(index)
        is_made = not source.stale_at(index)
        assert (planes.width == SIZE[0]) is not is_made
        shown.append(round(float(np.asarray(_rgb(planes)).mean())) if is_made else 0)
    source.close()
    return shown


def _rgb(planes: Planes) -> Picture:
    from engine.render.making import picture_of

    return picture_of(planes, False)


def test_a_unit_serves_every_trim_inside_it(asset: Asset, tmp_path: Path) -> None:
    model = Together()
    first = bake(job_of(asset, tmp_path, restyle(), wanted=pictures(30, 110)), Silent(), model)
    assert (model.runs, first.made, first.frames) == ([80], 2, 80)
    for start, stop in ((30, 110), (50, 60), (100, 110)):
        wanted = pictures(start, stop)
        assert missing(asset, (restyle(),), wanted, tmp_path) == ()
        assert bake(job_of(asset, tmp_path, restyle(), wanted=wanted), Silent(), model).made == 0
        shown = shades(asset, tmp_path, wanted, restyle(), at=range(start, stop))
        assert shown == [80] * (stop - start)
    assert model.runs == [80]


def test_beyond_it_another_is_made_and_the_old_shows_meanwhile(
    asset: Asset, tmp_path: Path
) -> None:
    model, wide = Together(), pictures(30, 120)
    bake(job_of(asset, tmp_path, restyle(), wanted=pictures(30, 110)), Silent(), model)
    around = range(25, 125)
    assert shades(asset, tmp_path, wide, restyle(), at=around) == [0] * 5 + [80] * 80 + [0] * 15
    assert missing(asset, (restyle(),), wide, tmp_path)
    source = effect_source(asset, (restyle(),), tmp_path, wide)
    assert source.stale_at(115)
    bake(job_of(asset, tmp_path, restyle(), wanted=wide), Silent(), model)
    # A source that was open all the time finds it.
    assert round(float(_rgb(source.frame(115)).mean())) == 90
    assert not source.stale_at(115)
    source.close()
    assert shades(asset, tmp_path, wide, restyle(), at=around) == [0] * 5 + [90] * 90 + [0] * 5
    assert model.runs == [80, 90]


def test_a_stopped_unit_goes_on_and_a_smaller_one_does_not_wait_for_it(
    asset: Asset, tmp_path: Path
) -> None:
    model, wide = Together(), pictures(0, 180)
    with pytest.raises(Cancelled):
        bake(job_of(asset, tmp_path, restyle(), wanted=wide), Watch(cancel_at=100), model)
    shown = shades(asset, tmp_path, wide, restyle(), at=range(180))
    assert shown == [180] * PART + [0] * (180 - PART)
    part = bake(job_of(asset, tmp_path, restyle(), wanted=pictures(100, 120)), Silent(), model)
    assert (part.made, model.runs[-1]) == (1, 20)
    rest = bake(job_of(asset, tmp_path, restyle(), wanted=wide), Silent(), model)
    assert (rest.made, model.runs[-1]) == (2, 180)


def test_parts_of_another_recipe_are_not_mixed_in(asset: Asset, tmp_path: Path) -> None:
    wide = pictures(0, 180)
    with pytest.raises(Cancelled):
        bake(job_of(asset, tmp_path, restyle(), wanted=wide), Watch(cancel_at=100), Together())
    rest = bake(job_of(asset, tmp_path, restyle(), wanted=wide), Silent(), Together("two"))
    assert rest.made == 3
    cache, (stage,) = SegmentCache(tmp_path), stages(asset, (restyle(),), range(180))
    assert {cache.recipe(part_name(stage, part)) for part in range(3)} == {"two"}


def test_effects_around_it_are_made_of_the_same_pictures(asset: Asset, tmp_path: Path) -> None:
    model, wanted = Together(), pictures(130, 140)
    ink, larger = new_use("restyle", "ink"), new_use("upscale", "lanczos")
    chain = (ink, restyle(), larger)
    made = bake(job_of(asset, tmp_path, *chain, wanted=wanted), Silent(), model)
    assert (made.made, made.frames, model.runs) == (3, 10, [10])
    shown = shades(asset, tmp_path, wanted, *chain, at=range(128, 142))
    assert shown == [0, 0, *[10] * 10, 0, 0]
    cut = pictures(132, 135)
    assert bake(job_of(asset, tmp_path, *chain, wanted=cut), Silent(), model).made == 0


def test_what_has_a_time_of_its_own_is_made_whole(asset: Asset, tmp_path: Path) -> None:
    model = Together()
    move = new_use("image-to-video", "camera-move", {"seconds": 1.0, "fps": 10.0})
    made = bake(job_of(asset, tmp_path, move, restyle(), wanted=pictures(0, 5)), Silent(), model)
    assert (made.frames, model.runs) == (2, [10])
    source = effect_source(asset, (move, restyle()), tmp_path)
    assert [source.stale_at(index) for index in range(10)] == [False] * 10
    source.close()


def test_units_are_remembered_newest_first_and_not_for_ever(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path)
    assert cache.units("x") == ()
    for stop in range(1, MOST_UNITS + 10):
        cache.add_unit("x", range(stop))
    cache.add_unit("x", range(20))
    assert cache.units("x")[:2] == (range(20), range(MOST_UNITS + 9))
    assert len(cache.units("x")) == len(set(cache.units("x"))) == MOST_UNITS
    (tmp_path / "units" / "x.json").write_text("no list")
    assert cache.units("x") == ()


# On the timeline


def project_of(asset: Asset, *clips: Clip, dissolve: Fraction = Fraction(0)) -> Project:
    transitions = ()
    if dissolve:
        transitions = (Transition("t", clips[0].id, clips[1].id, dissolve),)
    track = Track("v", TrackKind.VIDEO, clips=clips, transitions=transitions)
    sequence = Sequence("s", "One", Fraction(25), *SIZE, (track,))
    return Project(assets=(asset,), sequences=(sequence,))


def clip_of(name: str, start: int, first: int, stop: int, *uses: EffectUse) -> Clip:
    """Pictures first to stop - 1, on the timeline from picture `start` on."""
    return Clip(name, "a", pictures(first, stop), Fraction(start, 25), name, effects=uses)


def test_freshness_tells_what_lies_outside(asset: Asset, tmp_path: Path) -> None:
    bake(job_of(asset, tmp_path, restyle(), wanted=pictures(30, 110)), Silent(), Together())
    clip = clip_of("c", 0, 20, 120, restyle())
    project = project_of(asset, clip)
    (found,) = freshness(project, project.sequences[0], tmp_path)
    at = [Fraction(one, 25) for one in (0, 10, 90, 100)]
    assert found.spans == (
        Span(start=at[0], end=at[1], fresh=False),
        Span(start=at[1], end=at[2], fresh=True),
        Span(start=at[2], end=at[3], fresh=False),
    )
    assert set(found.uses.values()) == {False}
    inside = project_of(asset, clip_of("c", 0, 40, 100, restyle()))
    (found,) = freshness(inside, inside.sequences[0], tmp_path)
    assert found.spans == (Span(start=at[0], end=Fraction(60, 25), fresh=True),)
    assert set(found.uses.values()) == {True}


def test_two_clips_of_one_medium_show_their_own_units(asset: Asset, tmp_path: Path) -> None:
    left, right = clip_of("l", 0, 0, 60, restyle()), clip_of("r", 60, 30, 70, restyle())
    project = project_of(asset, left, right)
    sequence = project.sequences[0]
    for wanted in (pictures(0, 60), pictures(30, 70)):
        bake(job_of(asset, tmp_path, restyle(), wanted=wanted), Silent(), Together())
    pool = SourcePool(tmp_path)
    shown = []
    for picture in (40, 65):
        shot = plan(project, sequence, Fraction(picture, 25)).layers[0].shot
        index = pool.index(shot)
        assert not pool.is_stale(shot, index)
        shown.append((index, round(float(_rgb(pool.picture(shot, index)).mean()))))
    pool.close()
    assert shown == [(40, 60), (35, 40)]


def test_a_dissolve_belongs_to_the_unit(asset: Asset, tmp_path: Path) -> None:
    left, right = clip_of("l", 0, 0, 50, restyle()), clip_of("r", 50, 100, 150)
    project = project_of(asset, left, right, dissolve=Fraction(10, 25))
    span = TimeRange(Fraction(0), Fraction(20, 25))
    ((_, job),) = effect_jobs(project, project.sequences[0], span, str(tmp_path), 1 << 40)
    assert job.wanted == pictures(0, 55)  # all that the clip shows, not the part that is exported
    model = Together()
    bake(job, Silent(), model)
    assert model.runs == [55]
    layer = plan(project, project.sequences[0], Fraction(52, 25)).layers[0]
    assert layer.shot.wanted == job.wanted
