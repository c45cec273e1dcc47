"""Baked effects in the viewer and in an export."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.errors import EngineError
from engine.jobs import ExportOptions
from engine.media.reader import VideoReader
from engine.progress import Silent
from engine.render.compositor import Compositor
from engine.render.export import export
from engine.render.frame import to_rgb8
from engine.render.shown import shown_effects
from engine.timeline.effects import new_use
from engine.timeline.model import Asset, EffectUse
from engine.timeline.time import TimeRange
from tests.support.media import make_still, make_video, read_number
from tests.support.timelines import clip, export_job, medium, project, replace, video
from tests.unit.test_export import Watching

F = Fraction


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Asset:
    """20 numbered pictures, 25 a second."""
    return medium(make_video(tmp_path_factory.mktemp("media") / "numbers.mp4", 20))


def test_what_is_missing_is_baked_first(numbers: Asset, tmp_path: Path) -> None:
    use = new_use("upscale")
    made = project(
        [numbers], video(clip("numbers", 0, F(6, 25), effects=(use,))), width=320, height=192
    )
    job = export_job(made, tmp_path / "out.mp4")
    report = Watching()
    result = export(job, report)
    assert result.made > 0
    assert result.keys
    stages = [stage for stage, _, _ in report.steps]
    assert stages == sorted(stages, key=["effects", "encode"].index)
    done = [done / total for stage, done, total in report.steps if stage == "effects"]
    assert done == sorted(done)
    assert done[-1] == 1
    reader = VideoReader(tmp_path / "out.mp4")
    assert (reader.width, reader.height) == (320, 192)
    assert [read_number(to_rgb8(reader.frame(index))) for index in range(6)] == [*range(6)]
    reader.close()
    again = export(job, Silent())
    assert again.made == 0


def test_two_clips_share_the_progress(numbers: Asset, tmp_path: Path) -> None:
    clips = (
        clip("numbers", 0, F(2, 25), effects=(new_use("restyle", "ink"),)),
        clip("numbers", F(2, 25), F(2, 25), effects=(new_use("upscale"),)),
    )
    report = Watching()
    made = project([numbers], video(*clips), width=160, height=96)
    result = export(export_job(made, tmp_path / "out.mp4"), report)
    done = [done / total for stage, done, total in report.steps if stage == "effects"]
    assert done == sorted(done)
    assert done[-1] == 1
    assert result.frames == 4


def test_a_still_moves_after_image_to_video(tmp_path: Path) -> None:
    still = medium(make_still(tmp_path / "still.png", 7, (160, 96)))
    use = new_use("image-to-video", values={"seconds": 0.4, "fps": 25.0})
    made = project([still], video(clip("still", 0, F(2, 5), effects=(use,))), width=160, height=96)
    result = export(export_job(made, tmp_path / "out.mp4"), Silent())
    assert result.frames == 10
    reader = VideoReader(tmp_path / "out.mp4")
    first, last = (to_rgb8(reader.frame(index)).astype(int) for index in (0, 9))
    assert np.abs(first - last).mean() > 1
    reader.close()


def test_the_viewer_shows_the_source_until_the_effect_is_there(
    numbers: Asset, tmp_path: Path
) -> None:
    use = new_use("restyle", "ink")
    made = project(
        [numbers], video(clip("numbers", 0, F(4, 25), effects=(use,))), width=160, height=96
    )
    job = export_job(made, tmp_path / "out.mp4")
    one = Compositor(made, "main", Path(job.cache))
    before, stale, error = one.picture(F(1, 25), 160, 96)
    assert (stale, error) == (True, "")
    assert read_number(np.ascontiguousarray(before[:, :, 2::-1])) == 1
    export(job, Silent())
    after, stale, _ = one.picture(F(1, 25), 160, 96)
    assert not stale
    assert np.abs(after.astype(int) - before).mean() > 2
    bare, stale, _ = one.picture(F(1, 25), 160, 96, bypass_effects=True)
    assert not stale
    assert np.abs(bare.astype(int) - before).mean() < 1
    one.close()


def test_effects_that_are_off_or_unknown_are_passed_over(numbers: Asset, tmp_path: Path) -> None:
    effects = (
        replace(new_use("restyle"), enabled=False),
        EffectUse("x", "somebody-elses", "engine"),
    )
    made = project(
        [numbers], video(clip("numbers", 0, F(4, 25), effects=effects)), width=160, height=96
    )
    result = export(export_job(made, tmp_path / "out.mp4"), Silent())
    assert (result.frames, result.made) == (4, 0)


def test_only_what_shows_is_baked(numbers: Asset) -> None:
    use = new_use("upscale")
    left = clip("numbers", 0, F(6, 25), F(4, 25), name="a", effects=(use,))
    right = clip("numbers", F(6, 25), F(6, 25), F(4, 25), name="b", effects=(use,))
    hidden = replace(video(clip("numbers", 0, 1, effects=(use,))), hidden=True)
    off = video(clip("numbers", 0, 1, effects=(use,), enabled=False))
    made = project([numbers], video(left, right, dissolves={("a", "b"): F(2, 25)}), hidden, off)
    span = TimeRange(F(2, 25), F(6, 25))
    found = [
        (one.name, wanted.start, wanted.end)
        for one, _, _, wanted in shown_effects(made, made.sequence(), span)
    ]
    assert found == [("a", F(6, 25), F(11, 25)), ("b", F(3, 25), F(6, 25))]


def test_effects_of_the_gpu_are_named_when_they_are_not_baked(
    numbers: Asset, tmp_path: Path
) -> None:
    use = new_use("upscale", "flashvsr-1.1-tiny")
    made = project([numbers], video(clip("numbers", 0, F(1, 5), name="Walk", effects=(use,))))
    with pytest.raises(EngineError, match=r"FlashVSR 1\.1 tiny.*«Walk»"):
        export(export_job(made, tmp_path / "out.mp4", ExportOptions()), Silent())
