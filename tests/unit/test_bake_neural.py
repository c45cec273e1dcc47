"""Baking with models: segments on the grid, one recipe each, stepping down, resume, whole clips."""

from collections.abc import Callable, Generator
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import pytest

from engine.errors import Cancelled, EffectError, OutOfMemory
from engine.filters.pixels import Picture
from engine.jobs import ModelFiles
from engine.media.info import fingerprint, probe
from engine.progress import Silent
from engine.render.bake import bake
from engine.render.cache import SegmentCache
from engine.render.keys import GRID, PART, Stage, part_name, stages
from engine.timeline.effects import new_use
from engine.timeline.model import Asset, EffectUse
from engine.timeline.time import between
from tests.support.media import make_video
from tests.unit.test_bake import Watch, job_of, pictures

SIZE = (32, 16)
FRAMES = 2 * GRID + 100


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Asset:
    """Two grid lines and a bit."""
    path = make_video(tmp_path_factory.mktemp("media") / "long.mp4", FRAMES, size=SIZE)
    return Asset("a", str(path), path.name, probe(path), fingerprint(path))


class Trail:
    """A model with a memory: each picture holds a part of all since its stream began.

    `full_at`: pictures at which memory runs out, once each.
    """

    def __init__(self, plans: int = 1, full_at: tuple[int, ...] = ()) -> None:
        self._plan = 0
        self._plans = plans
        self._full_at = list(full_at)
        self.begun: list[int] = []

    def recipe(self, stage: Stage) -> str:
        return f"plan {self._plan}"

    def pictures(
        self,
        stage: Stage,
        read: Callable[[int], Picture],
        count: int,
        span: range,
        check: Callable[[], None],
    ) -> Generator[Picture]:
        grid = count if stage.values["whole_clip"] else GRID
        for line in range(span.start // grid * grid, span.stop, grid):
            self.begun.append(line)
            first = max(0, line - stage.warm_up)
            trail = np.zeros(read(first).shape, np.float32)
            for index in range(first, min(line + grid, span.stop)):
                check()
                if index in self._full_at:
                    self._full_at.remove(index)
                    raise OutOfMemory(f"Out of memory at {index}.")
                trail = 0.9 * trail + 0.1 * read(index)
                if index >= max(line, span.start):
                    large = trail.repeat(4, 0).repeat(4, 1) + self._plan
                    yield large.astype(np.uint8)

    def step_down(self, error: OutOfMemory, at: int) -> str:
        if self._plan + 1 >= self._plans:
            raise error
        self._plan += 1
        return f"Went on with plan {self._plan} from frame {at}."

    def notes(self) -> tuple[str, ...]:
        return ()


def upscale(**values: bool) -> EffectUse:
    return new_use("upscale", "flashvsr-1.1-tiny", dict(values))


def recipes(asset: Asset, use: EffectUse, folder: Path) -> list[str]:
    cache, stage = SegmentCache(folder), stages(asset, (use,))[0]
    return [cache.recipe(part_name(stage, part)) for part in range(-(-FRAMES // PART))]


def test_without_models_an_effect_that_needs_them_is_refused(long: Asset, tmp_path: Path) -> None:
    with pytest.raises(EffectError, match=r"FlashVSR 1\.1 tiny"):
        bake(job_of(long, tmp_path, upscale()), Silent())


def test_an_unbroken_run_is_one_run(long: Asset, tmp_path: Path) -> None:
    trail, watch = Trail(), Watch()
    result = bake(job_of(long, tmp_path, upscale()), watch, trail)
    assert trail.begun == [0, GRID, 2 * GRID]
    assert result.made == len(result.keys) == -(-FRAMES // PART)
    done = [step for step in watch.steps if step[1] == FRAMES]
    assert done
    assert watch.steps[-1] == ("effects", FRAMES, FRAMES)
    assert watch.shapes == {(64, 128, 3)}


def test_parts_made_apart_are_those_of_an_unbroken_run(long: Asset, tmp_path: Path) -> None:
    whole = job_of(long, tmp_path / "whole", upscale())
    bake(whole, Silent(), Trail())
    for start, stop in ((500, 560), (950, 1000), (10, 20)):
        wanted = between(Fraction(start, 25), Fraction(stop, 25))
        part = job_of(long, tmp_path / "parts", upscale(), wanted=wanted)
        bake(part, Silent(), Trail())
        assert pictures(part, start, stop) == pictures(whole, start, stop)


def test_a_stopped_run_goes_on_from_the_grid_line(long: Asset, tmp_path: Path) -> None:
    whole = job_of(long, tmp_path / "whole", upscale())
    bake(whole, Silent(), Trail())
    stopped = job_of(long, tmp_path / "stopped", upscale())
    with pytest.raises(Cancelled):
        bake(stopped, Watch(GRID + 130), Trail())
    trail = Trail()
    result = bake(stopped, Silent(), trail)
    assert trail.begun == [GRID, 2 * GRID]  # the first segment is whole
    assert result.made == -(-FRAMES // PART) - GRID // PART - 2
    assert pictures(stopped, 0, FRAMES) == pictures(whole, 0, FRAMES)


def test_a_smaller_plan_begins_at_a_grid_line_and_is_recorded(long: Asset, tmp_path: Path) -> None:
    use, trail = upscale(), Trail(plans=2, full_at=(GRID + 200,))
    result = bake(job_of(long, tmp_path, use), Silent(), trail)
    first = GRID // PART
    assert recipes(long, use, tmp_path) == ["plan 0"] * first + ["plan 1"] * (
        -(-FRAMES // PART) - first
    )
    assert result.notes == (f"Went on with plan 1 from frame {GRID + 199}.",)


def test_only_the_smallest_plan_fails(long: Asset, tmp_path: Path) -> None:
    trail = Trail(plans=2, full_at=(GRID + 200, GRID + 100))
    with pytest.raises(OutOfMemory):
        bake(job_of(long, tmp_path, upscale()), Silent(), trail)
    assert recipes(long, upscale(), tmp_path)[: GRID // PART] == ["plan 0"] * (GRID // PART)


def test_a_segment_is_never_made_by_two_recipes(long: Asset, tmp_path: Path) -> None:
    use = upscale()
    early = between(Fraction(0), Fraction(3))
    bake(job_of(long, tmp_path, use, wanted=early), Silent(), Trail())
    other = Trail(plans=2)
    other.step_down(OutOfMemory(""), 0)
    bake(job_of(long, tmp_path, use, wanted=between(Fraction(3), Fraction(6))), Silent(), other)
    # the second part was asked for, so it is made again; the first is stale again
    assert recipes(long, use, tmp_path)[:3] == ["", "plan 1", "plan 1"]
    bake(job_of(long, tmp_path, use, wanted=between(Fraction(0), Fraction(6))), Silent(), other)
    assert recipes(long, use, tmp_path)[:3] == ["plan 1"] * 3


def test_a_whole_clip_is_one_stream(long: Asset, tmp_path: Path) -> None:
    use, trail = upscale(whole_clip=True), Trail()
    late = between(Fraction(GRID + 60, 25), Fraction(GRID + 90, 25))
    part = job_of(long, tmp_path / "part", use, wanted=late)
    bake(part, Silent(), trail)
    assert trail.begun == [0]
    whole = job_of(long, tmp_path / "whole", use)
    bake(whole, Silent(), Trail())
    start, stop = GRID + 60, GRID + 90
    assert pictures(part, start, stop) == pictures(whole, start, stop)
    grid = job_of(long, tmp_path / "grid", upscale())
    bake(grid, Silent(), Trail())
    assert pictures(grid, GRID + 60, GRID + 90) != pictures(whole, GRID + 60, GRID + 90)


@pytest.mark.parametrize("stop", [100, GRID])
def test_an_effect_before_it_is_made_as_far_as_the_model_looks(
    long: Asset, tmp_path: Path, stop: int
) -> None:
    pytest.importorskip("torch")
    from engine.models.resident import Resident
    from engine.planning import DeviceFacts
    from engine.worker.upscale import Upscaler
    from tests.support.checkpoints import write_flashvsr
    from tests.unit.test_upscale import NAMES

    folder = write_flashvsr(tmp_path / "weights")
    files = {name: str(folder / file) for name, file in NAMES.items()}
    late = between(Fraction(stop - 5, 25), Fraction(stop, 25))
    uses = (new_use("restyle", "cartoon"), upscale())
    job = msgspec.structs.replace(
        job_of(long, tmp_path / "cache", *uses, wanted=late),
        models=(ModelFiles(family="flashvsr-1.1", files=files),),
    )
    device = DeviceFacts(kind="cpu", name="", total_bytes=16 * 10**9, free_bytes=12 * 10**9)
    bake(job, Silent(), Upscaler(job, device, Resident(10**9)))
    pictures(job, stop - 5, stop)
