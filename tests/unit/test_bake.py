"""Baking: units that do not depend on the trim, resume after a kill, chains, damage, freshness."""

import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import Cancelled, EffectError, EngineError, MediaError
from engine.jobs import EffectJob, JobResult
from engine.media.info import fingerprint, probe
from engine.progress import Silent
from engine.render.bake import bake, effect_source, freshness, missing
from engine.render.cache import SegmentCache
from engine.render.keys import GRID, PART, part_name, stages
from engine.render.making import picture_of
from engine.timeline.effects import Value, new_use
from engine.timeline.model import (
    Asset,
    Clip,
    EffectUse,
    Project,
    Sequence,
    Track,
    TrackKind,
)
from engine.timeline.time import TimeRange, between, encode_value
from tests.support.media import make_video
from tests.support.moving import textured

SIZE = (64, 48)


def asset_of(path: Path) -> Asset:
    return Asset("a", str(path), path.name, probe(path), fingerprint(path))


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Asset:
    """Two parts and a half."""
    return asset_of(make_video(tmp_path_factory.mktemp("media") / "short.mp4", 150, size=SIZE))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Asset:
    """Beyond the first grid line."""
    path = tmp_path_factory.mktemp("media") / "long.mp4"
    return asset_of(make_video(path, GRID + 30, size=SIZE))


def job_of(
    asset: Asset, cache: Path, *uses: EffectUse, wanted: TimeRange | None = None
) -> EffectJob:
    return EffectJob(
        title="Restyle",
        subject=asset.name,
        asset=asset,
        uses=uses,
        wanted=wanted,
        cache=str(cache),
    )


def pictures(job: EffectJob, start: int, stop: int) -> str:
    """A name for the pixels of a baked result."""
    source = effect_source(job.asset, job.uses, Path(job.cache))
    digest = blake2b()
    for index in range(start, stop):
        assert not source.stale_at(index)
        digest.update(picture_of(source.frame(index), alpha=False).tobytes())
    source.close()
    return digest.hexdigest()


class Watch:
    """A report that writes down what it is told, and may cancel."""

    def __init__(self, cancel_at: int = -1) -> None:
        self.steps: list[tuple[str, int, int]] = []
        self.labels: list[str] = []
        self.shapes: set[tuple[int, ...]] = set()
        self._cancel_at = cancel_at

    def step(self, stage: str, done: int, total: int) -> None:
        self.steps.append((stage, done, total))
        if done == self._cancel_at:
            raise Cancelled

    def preview(self, label: str, picture: Callable[[], NDArray[np.uint8]]) -> None:
        self.labels.append(label)
        self.shapes.add(picture().shape)


def restyle(engine: str = "painterly", **values: Value) -> EffectUse:
    return new_use("restyle", engine, values)


def test_a_bake_reports_each_picture(short: Asset, tmp_path: Path) -> None:
    watch = Watch()
    result = bake(job_of(short, tmp_path, restyle("cartoon")), watch)
    assert watch.steps == [("effects", done, 150) for done in range(151)]
    assert watch.labels[41] == "Frame 42 of 150"
    assert watch.shapes == {(48, 64, 3)}
    assert result.frames == 150
    assert result.made == len(result.keys) == 3
    assert result.duration == 6


def test_a_second_bake_finds_everything(short: Asset, tmp_path: Path) -> None:
    job = job_of(short, tmp_path, restyle("ink"))
    first = bake(job, Silent())
    again = bake(job, Silent())
    assert again.made == 0
    assert again.keys == first.keys


@pytest.mark.parametrize("engine", ["painterly", "ink", "cartoon"])
def test_a_resume_gives_the_same_pixels(engine: str, short: Asset, tmp_path: Path) -> None:
    whole = job_of(short, tmp_path / "whole", restyle(engine, strength=80))
    bake(whole, Silent())
    stopped = job_of(short, tmp_path / "stopped", restyle(engine, strength=80))
    for cancel_at in (70, 35):  # in the second part, then in the third
        with pytest.raises(Cancelled):
            bake(stopped, Watch(cancel_at))
    watch = Watch()
    assert bake(stopped, watch).made < 3
    assert watch.steps[-1][2] < 150
    assert pictures(stopped, 0, 150) == pictures(whole, 0, 150)


KILLED = """
import sys
from pathlib import Path
import msgspec
from engine.jobs import EffectJob
from engine.render.bake import bake
from engine.timeline.time import decode_value

class Told:
    def step(self, stage, done, total):
        print(done, flush=True)
    def preview(self, label, picture):
        pass

job = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=EffectJob, dec_hook=decode_value)
bake(job, Told())
"""


def test_a_killed_process_costs_only_its_last_part(short: Asset, tmp_path: Path) -> None:
    whole = job_of(short, tmp_path / "whole", restyle())
    bake(whole, Silent())
    killed = job_of(short, tmp_path / "killed", restyle())
    order = tmp_path / "job.json"
    order.write_bytes(msgspec.json.encode(killed, enc_hook=encode_value))
    for _ in range(2):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(order)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) >= 66:
                break
        child.kill()
        child.wait()
        child.stdout.close()
    rest = bake(killed, Silent())
    assert rest.made == 1
    assert pictures(killed, 0, 150) == pictures(whole, 0, 150)


def test_the_trim_does_not_change_pixels(long: Asset, tmp_path: Path) -> None:
    whole = job_of(long, tmp_path / "whole", restyle("cartoon"))
    bake(whole, Silent())
    wanted = between(Fraction(GRID + 5, 25), Fraction(GRID + 9, 25))
    part = job_of(long, tmp_path / "part", restyle("cartoon"), wanted=wanted)
    watch = Watch()
    result = bake(part, watch)
    assert (result.frames, result.made) == (4, 1)
    assert watch.steps[-1] == ("effects", 42, 42)  # thirty pictures after twelve of warm-up
    assert pictures(part, GRID, GRID + 30) == pictures(whole, GRID, GRID + 30)


def test_a_state_begins_anew_at_a_grid_line(long: Asset, tmp_path: Path) -> None:
    job = job_of(long, tmp_path, restyle("cartoon"))
    watch = Watch()
    bake(job, watch)
    assert watch.steps[-1][2] == GRID + 30 + 12


def test_a_wider_trim_goes_on_where_the_first_ended(short: Asset, tmp_path: Path) -> None:
    head = between(Fraction(0), Fraction(1))
    bake(job_of(short, tmp_path / "grown", restyle(), wanted=head), Silent())
    grown = job_of(short, tmp_path / "grown", restyle())
    watch = Watch()
    assert bake(grown, watch).made == 2
    assert watch.steps[-1][2] == 90
    whole = job_of(short, tmp_path / "whole", restyle())
    bake(whole, Silent())
    assert pictures(grown, 0, 150) == pictures(whole, 0, 150)


def test_a_chain_is_baked_stage_by_stage(short: Asset, tmp_path: Path) -> None:
    uses = (restyle("cartoon"), new_use("upscale", "", {"scale": "3"}))
    wanted = between(Fraction(62, 25), Fraction(70, 25))
    job = job_of(short, tmp_path, *uses, wanted=wanted)
    result = bake(job, Silent())
    assert result.made == 3  # the first two parts of the restyle, the second of the upscale
    source = effect_source(short, uses, tmp_path)
    assert (source.width, source.height) == (192, 144)
    assert (source.stale_at(10), source.stale_at(65)) == (True, False)
    assert source.frame(65).width == 192
    assert source.frame(10).width == 64  # the stage before stands in
    assert len(source.times) == 150
    source.close()


def test_unknown_and_disabled_effects_are_passed_over(short: Asset, tmp_path: Path) -> None:
    foreign = EffectUse("x", "sparkle", "glitter", {"amount": 3})
    off = msgspec.structs.replace(restyle(), enabled=False)
    head = between(Fraction(0), Fraction(1))
    job = job_of(short, tmp_path, foreign, restyle("ink"), off, wanted=head)
    assert bake(job, Silent()).made == 1
    plain = effect_source(short, (foreign, off), tmp_path)
    assert not plain.stale_at(0)
    assert (plain.width, len(plain.times)) == (64, 150)
    plain.close()
    with pytest.raises(EffectError, match="no effect to render"):
        bake(job_of(short, tmp_path, foreign), Silent())


def test_a_still_becomes_a_video(short: Asset, tmp_path: Path) -> None:
    use = new_use("image-to-video", "", {"seconds": 2.0, "fps": 30.0, "at": 4.0})
    job = job_of(short, tmp_path, use)
    result = bake(job, Silent())
    assert (result.frames, result.duration, result.made) == (60, 2, 1)
    source = effect_source(short, (use,), tmp_path)
    assert (source.duration, source.times[3]) == (2, Fraction(1, 10))
    first = picture_of(source.frame(0), alpha=False)
    plain = effect_source(short, (), tmp_path)
    at = picture_of(plain.frame(100), alpha=False)
    assert np.abs(first.astype(int) - at).mean() < 2
    source.close()
    plain.close()


def test_a_picture_file_is_restyled(tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        frame = av.VideoFrame.from_ndarray(textured(1, width=64, height=48)[0], format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    job = job_of(asset_of(path), tmp_path / "cache", restyle())
    assert bake(job, Silent()).frames == 1
    source = effect_source(job.asset, job.uses, tmp_path / "cache")
    assert (source.stale_at(0), source.duration) == (False, 0)
    source.close()


def test_transparency_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    alpha = np.zeros((48, 64, 1), np.uint8)
    alpha[:, 32:] = 255
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgba"
        picture = np.dstack((textured(1, width=64, height=48)[0], alpha))
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgba")))
        container.mux(stream.encode(None))
    job = job_of(asset_of(path), tmp_path / "cache", restyle(), new_use("upscale"))
    bake(job, Silent())
    source = effect_source(job.asset, job.uses, tmp_path / "cache")
    made = picture_of(source.frame(0), alpha=True)
    assert made.shape == (96, 128, 4)
    assert made[:, :54, 3].max() == 0
    assert made[:, 74:, 3].min() == 255
    source.close()


@pytest.mark.parametrize("damage", ["cut short", "changed inside", "gone"])
def test_a_damaged_part_is_made_again(damage: str, short: Asset, tmp_path: Path) -> None:
    job = job_of(short, tmp_path, restyle("ink"))
    result = bake(job, Silent())
    before = pictures(job, 0, 150)
    file = SegmentCache(tmp_path).path(result.keys[1])
    content = bytearray(file.read_bytes())
    if damage == "cut short":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "changed inside":
        content[len(content) // 2] ^= 0x55
        file.write_bytes(content)
    else:
        file.unlink()
    assert missing(short, job.uses, None, tmp_path) == (result.keys[1],)
    assert bake(job, Silent()).made == 1
    assert pictures(job, 0, 150) == before


def test_a_small_cache_keeps_what_the_job_needs(short: Asset, tmp_path: Path) -> None:
    old = bake(job_of(short, tmp_path, restyle("ink")), Silent())
    job = msgspec.structs.replace(
        job_of(short, tmp_path, restyle("cartoon"), new_use("upscale")), cache_limit_bytes=1000
    )
    result = bake(job, Silent())
    cache = SegmentCache(tmp_path)
    assert all(cache.has(key) for key in result.keys)
    assert not any(cache.has(key) for key in old.keys)


def test_a_changed_medium_is_refused(short: Asset, tmp_path: Path) -> None:
    other = msgspec.structs.replace(short, fingerprint="b2:00")
    with pytest.raises(MediaError, match="has changed since it was imported"):
        bake(job_of(other, tmp_path, restyle()), Silent())
    away = msgspec.structs.replace(short, path=str(tmp_path / "away.mp4"))
    with pytest.raises(EngineError):
        bake(job_of(away, tmp_path, restyle()), Silent())


def shown(asset: Asset, *uses: EffectUse) -> tuple[Project, Sequence]:
    """A clip from 1 s to 5 s of the medium, at 10 s of the sequence."""
    clip = Clip("c", "a", between(Fraction(1), Fraction(5)), Fraction(10), effects=uses)
    sequence = Sequence("s", "s", Fraction(25), 64, 48, (Track("v", TrackKind.VIDEO, "", (clip,)),))
    return Project(assets=(asset,), sequences=(sequence,)), sequence


def test_freshness_tells_spans_and_uses(short: Asset, tmp_path: Path) -> None:
    first, second = restyle("cartoon"), new_use("upscale")
    project, sequence = shown(short, first, second)
    (state,) = freshness(project, sequence, tmp_path)
    assert [(span.start, span.end, span.fresh) for span in state.spans] == [(10, 14, False)]
    assert state.uses == {first.id: False, second.id: False}

    wanted = between(Fraction(0), Fraction(PART, 25))
    bake(job_of(short, tmp_path, first, second, wanted=wanted), Silent())
    (state,) = freshness(project, sequence, tmp_path)
    edge = 10 + Fraction(PART, 25) - 1
    assert [(span.start, span.end, span.fresh) for span in state.spans] == [
        (10, edge, True),
        (edge, 14, False),
    ]

    bake(job_of(short, tmp_path, first), Silent())
    (state,) = freshness(project, sequence, tmp_path)
    assert state.uses == {first.id: True, second.id: False}
    bake(job_of(short, tmp_path, first, second), Silent())
    (state,) = freshness(project, sequence, tmp_path)
    assert [span.fresh for span in state.spans] == [True]
    assert state.uses == {first.id: True, second.id: True}


def test_freshness_of_bad_values_and_lost_media(short: Asset, tmp_path: Path) -> None:
    wrong = EffectUse("w", "restyle", "ink", {"line": 99.0})
    (state,) = freshness(*shown(short, wrong), tmp_path)
    assert state.uses == {"w": False}
    lost = msgspec.structs.replace(short, path=str(tmp_path / "lost.mp4"))
    (state,) = freshness(*shown(lost, restyle()), tmp_path)
    assert [span.fresh for span in state.spans] == [False]


def test_keys_tell_results_apart(short: Asset) -> None:
    def name(*uses: EffectUse, asset: Asset = short) -> str:
        return part_name(stages(asset, uses)[-1], 0)

    upscale = new_use("upscale")
    names = {
        name(upscale),
        name(restyle(), upscale),
        name(restyle(brush=5.0), upscale),
        name(upscale, asset=msgspec.structs.replace(short, fingerprint="b2:1")),
        part_name(stages(short, (upscale,))[0], 1),
        part_name(stages(short, (upscale,))[0], GRID // PART),
    }
    assert len(names) == 6
    assert name(restyle()) == name(restyle())


def test_two_runs_give_the_same_result(short: Asset, tmp_path: Path) -> None:
    uses = (new_use("image-to-video", "", {"seconds": 0.5, "move": "sway"}), new_use("upscale"))
    hashes = set()
    result = JobResult()
    for name in ("one", "two"):
        job = job_of(short, tmp_path / name, *uses)
        result = bake(job, Silent())
        hashes.add(pictures(job, 0, result.frames))
    assert len(hashes) == 1
    assert result.frames == 12
