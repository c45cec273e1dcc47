"""Pictures of effects as files that a model can be given."""

from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import pytest

from engine.errors import MediaError
from engine.media.info import fingerprint, probe
from engine.media.reader import VideoReader
from engine.progress import Silent
from engine.render.bake import bake, effect_source
from engine.render.frame import to_rgb8
from engine.timeline.effects import new_use
from engine.timeline.model import Asset
from engine.worker.messages import TakePictures
from engine.worker.taken import taken
from tests.support.media import make_video
from tests.unit.test_bake import job_of

INK = new_use("restyle", "ink")


@pytest.fixture(scope="module")
def asset(tmp_path_factory: pytest.TempPathFactory) -> Asset:
    path = make_video(tmp_path_factory.mktemp("media") / "clip.mp4", 30, size=(64, 48))
    return Asset("a", str(path), path.name, probe(path), fingerprint(path))


def ask(asset: Asset, cache: Path, at: Fraction, count: int = 1) -> TakePictures:
    return TakePictures(
        ask=1, asset=asset, uses=(INK,), wanted=None, at=at, count=count, cache=str(cache)
    )


def test_one_picture_is_what_the_effect_made(asset: Asset, tmp_path: Path) -> None:
    bake(job_of(asset, tmp_path, INK), Silent())
    found = taken(ask(asset, tmp_path, Fraction(20, 25)))
    assert (found.width, found.height, found.time, found.is_stale) == (64, 48, 0, False)
    source = effect_source(asset, (INK,), tmp_path)
    reader = VideoReader(Path(found.path))
    assert np.array_equal(to_rgb8(reader.frame(0)), to_rgb8(source.frame(20)))
    reader.close()
    source.close()
    assert found.jpeg[:2] == b"\xff\xd8"
    again = taken(ask(asset, tmp_path, Fraction(20, 25)))
    assert again.path == found.path
    assert len(list((tmp_path / "taken").iterdir())) == 1


def test_several_are_a_film_that_ends_with_the_one(asset: Asset, tmp_path: Path) -> None:
    bake(job_of(asset, tmp_path, INK), Silent())
    found = taken(ask(asset, tmp_path, Fraction(29, 25), count=5))
    assert (found.time, Path(found.path).suffix) == (Fraction(4, 16), ".mkv")
    source = effect_source(asset, (INK,), tmp_path)
    reader = VideoReader(Path(found.path))
    assert len(reader.times) == 5
    for back in range(5):
        place = int((Fraction(29, 25) - Fraction(back, 16)) * 25)
        shown = to_rgb8(reader.frame(4 - back)).astype(int)
        assert np.abs(shown - to_rgb8(source.frame(place))).max() <= 1
    reader.close()
    source.close()


def test_what_is_not_rendered_is_told(asset: Asset, tmp_path: Path) -> None:
    found = taken(ask(asset, tmp_path, Fraction(1)))
    assert found.is_stale
    gone = msgspec.structs.replace(asset, path=str(tmp_path / "gone.mp4"))
    with pytest.raises(MediaError):
        taken(ask(gone, tmp_path, Fraction(1)))
