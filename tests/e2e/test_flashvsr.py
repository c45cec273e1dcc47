"""FlashVSR as a person uses it: a checkpoint found, a clip upscaled by the gpu child, resumed."""

from collections.abc import Callable
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from engine.jobs import EffectJob, ModelFiles
from engine.media.info import fingerprint, probe
from engine.media.reader import VideoReader
from engine.media.sound import SoundReader
from engine.render.baked import effect_source
from engine.render.frame import to_rgb8
from engine.timeline.effects import new_use
from engine.timeline.model import Asset
from engine.worker.messages import Cancel, Failed, Finished, JobCancelled, Progress, Start
from tests.support.checkpoints import DECODER, PROJECTION, PROMPT, TRANSFORMER, write_flashvsr
from tests.support.media import clicks, make_still, make_video
from tests.support.workers import child, kill

Call = Callable[..., dict[str, Any]]
ENGINE = "flashvsr-1.1-tiny"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flashvsr(tmp_path_factory.mktemp("models") / "FlashVSR", layers=8)


def test_a_clip_is_upscaled_to_a_playable_file(call: Call, weights: Path, tmp_path: Path) -> None:
    clip, out = tmp_path / "a clip.mp4", tmp_path / "large.mp4"
    make_video(clip, 30, size=(32, 24), rate=Fraction(30000, 1001), sound=clicks(1.0))
    answer = call("effect", "upscale", clip, out, "--engine", ENGINE, "--weights", weights)
    assert answer["code"] == 0, answer
    facts = probe(out).video
    assert facts is not None
    assert (facts.width, facts.height, facts.frames) == (128, 96, 30)
    assert facts.rate == Fraction(30000, 1001)
    assert SoundReader(out).length > 44_000
    assert any("processor" in note for note in answer["notes"])


def test_the_same_again_is_found_and_another_seed_is_not(
    call: Call, weights: Path, tmp_path: Path
) -> None:
    clip = make_video(tmp_path / "clip.mp4", 4, size=(32, 24))
    words = ("--engine", ENGINE, "--weights", weights)
    first = call("effect", "upscale", clip, tmp_path / "a.mp4", *words)
    again = call("effect", "upscale", clip, tmp_path / "b.mp4", *words)
    other = call("effect", "upscale", clip, tmp_path / "c.mp4", *words, "--set", "seed=3")
    assert [one["segments_made"] for one in (first, again, other)] == [1, 0, 1]
    assert first["cache_keys"] == again["cache_keys"] != other["cache_keys"]


def test_a_picture_is_upscaled_too(call: Call, weights: Path, tmp_path: Path) -> None:
    still = make_still(tmp_path / "photo.png", size=(40, 30))
    words = ("--engine", ENGINE, "--weights", weights, "--set", "scale=2")
    answer = call("effect", "upscale", still, tmp_path / "photo.mp4", *words)
    assert answer["code"] == 0, answer
    facts = probe(tmp_path / "photo.mp4").video
    assert facts is not None
    assert (facts.width, facts.height) == (80, 60)


def test_a_folder_that_was_named_serves_every_command(
    call: Call, weights: Path, tmp_path: Path
) -> None:
    clip = make_video(tmp_path / "clip.mp4", 3, size=(32, 24))
    out = tmp_path / "out.mp4"
    lacking = call("effect", "upscale", clip, out, "--engine", ENGINE)
    assert lacking["code"] == 3
    assert "FlashVSR 1.1" in lacking["error"]
    call("weights", "add", weights)
    untold = call("effect", "upscale", clip, out, "--engine", ENGINE)
    assert "which is it" in untold["error"]
    call("weights", "say", weights, "1.1")
    assert call("effect", "upscale", clip, out, "--engine", ENGINE)["code"] == 0
    other = call("effect", "upscale", clip, out, "--engine", "flashvsr-1.0-tiny")
    assert other["code"] == 3


def test_a_mixed_pair_is_refused(call: Call, weights: Path, tmp_path: Path) -> None:
    mixed = write_flashvsr(tmp_path / "mixed", seed=5)
    clip = make_video(tmp_path / "clip.mp4", 3, size=(32, 24))
    call("weights", "add", mixed)
    call("weights", "say", mixed / TRANSFORMER, "1.1")
    call("weights", "say", mixed / PROJECTION, "1.0")
    answer = call("effect", "upscale", clip, tmp_path / "o.mp4", "--engine", ENGINE)
    assert answer["code"] == 3
    assert "The FlashVSR transformer is 1.1 but its projection is 1.0." in answer["error"]


def test_damaged_weights_are_told_by_file_and_tensor(
    call: Call, weights: Path, tmp_path: Path
) -> None:
    broken = write_flashvsr(tmp_path / "broken")
    whole = (broken / TRANSFORMER).read_bytes()
    (broken / TRANSFORMER).write_bytes(whole[:-1000])
    clip = make_video(tmp_path / "clip.mp4", 3, size=(32, 24))
    words = ("--engine", ENGINE, "--weights", broken)
    answer = call("effect", "upscale", clip, tmp_path / "o.mp4", *words)
    assert answer["code"] == 3
    assert TRANSFORMER in answer["error"]


# Killed and resumed


def job_of(clip: Path, weights: Path, cache: Path) -> EffectJob:
    names = {"transformer": TRANSFORMER, "projection": PROJECTION, "decoder": DECODER}
    files = {name: str(weights / file) for name, file in {**names, "prompt": PROMPT}.items()}
    return EffectJob(
        title="Upscale",
        subject=clip.name,
        asset=Asset("a", str(clip), clip.name, probe(clip), fingerprint(clip)),
        uses=(new_use("upscale", ENGINE, {"colour_fix": "none"}),),
        cache=str(cache),
        models=(ModelFiles(family="flashvsr-1.1", files=files),),
    )


def pixels(job: EffectJob) -> str:
    source = effect_source(job.asset, job.uses, Path(job.cache))
    digest = blake2b()
    for index in range(len(source.times)):
        assert not source.stale_at(index)
        digest.update(to_rgb8(source.frame(index)).tobytes())
    source.close()
    return digest.hexdigest()


@pytest.fixture(scope="module")
def four_segments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beyond the third grid line."""
    return make_video(tmp_path_factory.mktemp("media") / "long.mp4", 3 * 480 + 30, size=(32, 24))


def test_killed_in_the_middle_and_resumed_gives_the_same_pixels(
    weights: Path, four_segments: Path, tmp_path: Path
) -> None:
    whole = job_of(four_segments, weights, tmp_path / "whole")
    stopped = job_of(four_segments, weights, tmp_path / "stopped")
    with child("gpu", tmp_path) as (client, events):
        client.send(Start(job=stopped))
        events.wait(Progress, lambda one: one.done > 700)
        assert client.pid is not None
        kill(client.pid)
        assert events.wait(Failed).message == "The worker stopped unexpectedly."
    with child("gpu", tmp_path) as (client, events):
        client.send(Start(job=stopped))
        resumed = events.wait(Finished, lambda one: one.job == stopped.id).result
        assert 0 < resumed.made < len(resumed.keys)
        client.send(Start(job=whole))
        unbroken = events.wait(Finished, lambda one: one.job == whole.id).result
        assert unbroken.made == len(unbroken.keys)
    assert pixels(stopped) == pixels(whole)


def test_a_cancel_is_heeded_and_the_child_lives_on(
    weights: Path, four_segments: Path, tmp_path: Path
) -> None:
    first = job_of(four_segments, weights, tmp_path / "cache")
    with child("gpu", tmp_path) as (client, events):
        client.send(Start(job=first))
        events.wait(Progress, lambda one: one.done > 10)
        client.send(Cancel(job=first.id))
        events.wait(JobCancelled)
        assert client.is_alive
    assert not list((tmp_path / "cache" / "making").iterdir())


def test_a_video_reader_gives_what_was_written(weights: Path, call: Call, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", 6, size=(32, 24))
    out = tmp_path / "out.gif"
    words = ("--engine", ENGINE, "--weights", weights, "--ping-pong")
    assert call("effect", "upscale", clip, out, *words)["frames"] == 10
    assert len(VideoReader(out).times) == 10
