"""Wan on clips as a person uses it: painted anew, brought to life, trimmed, killed and resumed."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from engine.jobs import EffectJob, JobResult, ModelFiles
from engine.media.info import fingerprint, probe
from engine.media.sound import SoundReader
from engine.render.baked import effect_source
from engine.render.frame import to_rgb8
from engine.timeline.effects import Value, new_use
from engine.timeline.model import Asset, EffectUse
from engine.timeline.time import TimeRange, between
from engine.worker.client import WorkerClient
from engine.worker.messages import Finished, Progress, Start
from tests.support.media import clicks, make_still, make_video
from tests.support.wan_checkpoints import TEXT, TRANSFORMER, VAE, write_wan
from tests.support.workers import Events, child, kill, wait_until

Call = Callable[..., dict[str, Any]]
ENGINE = ("--engine", "wan2.1-t2v-1.3b")
SMALL = {"size": "240p", "steps": 2, "prompt": "an ink drawing"}
WORDS = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each kind of model, as Wan-AI publishes it."""
    root = tmp_path_factory.mktemp("models")
    for kind in ("t2v", "i2v"):
        write_wan(root / kind, kind)
    return root


@pytest.fixture(scope="module")
def gpu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WorkerClient, Events]]:
    """One gpu child for all jobs here."""
    with child("gpu", tmp_path_factory.mktemp("gpu")) as both:
        yield both


def test_a_clip_is_painted_anew_with_its_length_rate_and_sound(
    call: Call, weights: Path, tmp_path: Path
) -> None:
    clip, out = tmp_path / "a clip.mp4", tmp_path / "ink.mp4"
    rate = Fraction(30000, 1001)
    make_video(clip, 6, size=(96, 54), rate=rate, sound=clicks(0.4))
    answer = call("effect", "restyle", clip, out, *ENGINE, *WORDS, "--weights", weights / "t2v")
    assert answer["code"] == 0, answer
    facts = probe(out).video
    assert facts is not None
    assert (facts.width, facts.height, facts.frames, facts.rate) == (416, 234, 6, rate)
    assert SoundReader(out).length > 8_000


def test_a_picture_comes_to_life(call: Call, weights: Path, tmp_path: Path) -> None:
    still, out = make_still(tmp_path / "photo.png", size=(96, 128)), tmp_path / "moves.mp4"
    words = (*WORDS, "--set", "frames=6", "--weights", weights / "i2v")
    answer = call("effect", "image-to-video", still, out, "--engine", "wan2.1-i2v-14b", *words)
    assert answer["code"] == 0, answer
    facts = probe(out).video
    assert facts is not None
    assert (facts.width, facts.height, facts.frames, facts.rate) == (272, 362, 5, 16)


def test_a_picture_is_painted_anew(call: Call, weights: Path, tmp_path: Path) -> None:
    still, out = make_still(tmp_path / "photo.png", size=(96, 64)), tmp_path / "photo.mp4"
    answer = call("effect", "restyle", still, out, *ENGINE, *WORDS, "--weights", weights / "t2v")
    assert answer["code"] == 0, answer
    facts = probe(out).video
    assert facts is not None
    assert (facts.width, facts.height) == (384, 256)


# In parts, again and after a kill


def asset_of(path: Path) -> Asset:
    return Asset("a", str(path), path.name, probe(path), fingerprint(path))


def job_of(
    asset: Asset,
    weights: Path,
    cache: Path,
    *more: EffectUse,
    wanted: TimeRange | None = None,
    **values: Value,
) -> EffectJob:
    files = {"transformer": TRANSFORMER, "text": TEXT, "vae": VAE}
    paths = {part: str(weights / "t2v" / name) for part, name in files.items()}
    use = new_use("restyle", "wan2.1-t2v-1.3b", {**SMALL, **values})
    return EffectJob(
        title="Restyle",
        subject="clip",
        asset=asset,
        uses=(use, *more),
        wanted=wanted,
        cache=str(cache),
        models=(ModelFiles(family="wan2.1-t2v-1.3b", files=paths),),
    )


def done(gpu: tuple[WorkerClient, Events], job: EffectJob) -> JobResult:
    client, events = gpu
    client.send(Start(job=job))
    wait_until(lambda: bool(events.endings(job.id)))
    ending = events.endings(job.id)[0]
    assert isinstance(ending, Finished), ending
    return ending.result


def shown(job: EffectJob, wanted: TimeRange | None, pictures: range) -> list[tuple[bool, str]]:
    """Whether each picture is made, and what tells it from others."""
    source = effect_source(job.asset, job.uses, Path(job.cache), wanted)
    try:
        return [
            (
                not source.stale_at(index),
                blake2b(to_rgb8(source.frame(index)).tobytes(), digest_size=8).hexdigest(),
            )
            for index in pictures
        ]
    finally:
        source.close()


def seconds(start: int, stop: int) -> TimeRange:
    """Pictures start to stop - 1 at 10 a second."""
    return between(Fraction(start, 10), Fraction(stop, 10))


@pytest.fixture(scope="module")
def asset(tmp_path_factory: pytest.TempPathFactory) -> Asset:
    path = tmp_path_factory.mktemp("media") / "clip.mp4"
    return asset_of(make_video(path, 30, size=(96, 54), rate=Fraction(10)))


def test_what_a_clip_shows_is_the_unit_and_serves_every_trim_inside_it(
    gpu: tuple[WorkerClient, Events], weights: Path, asset: Asset, tmp_path: Path
) -> None:
    whole, inside, longer = seconds(5, 10), seconds(6, 9), seconds(5, 12)
    job = job_of(asset, weights, tmp_path, wanted=whole)
    assert done(gpu, job).made == 1
    made = shown(job, whole, range(5, 10))
    assert all(fresh for fresh, _ in made)
    assert not any(fresh for fresh, _ in shown(job, whole, range(5)))
    trimmed = job_of(asset, weights, tmp_path, wanted=inside)
    assert done(gpu, trimmed).made == 0
    assert shown(trimmed, inside, range(6, 9)) == made[1:4]
    # Made longer, what is there shows until the new whole is made; then that shows.
    stretched = job_of(asset, weights, tmp_path, wanted=longer)
    before = shown(stretched, longer, range(5, 12))
    assert before[:5] == made
    assert [fresh for fresh, _ in before[5:]] == [False] * 2
    assert done(gpu, stretched).made == 1
    after = shown(stretched, longer, range(5, 12))
    assert all(fresh for fresh, _ in after)
    assert after[:5] != made
    assert shown(trimmed, inside, range(6, 9)) == after[1:4]


def test_an_upscale_behind_it_is_made_of_the_same_part(
    gpu: tuple[WorkerClient, Events], weights: Path, asset: Asset, tmp_path: Path
) -> None:
    wanted = seconds(5, 10)
    larger = new_use("upscale", "lanczos", {"scale": "2", "deblock": 0, "detail": 0})
    alone = job_of(asset, weights, tmp_path, wanted=wanted)
    assert done(gpu, alone).made == 1
    both = job_of(asset, weights, tmp_path, larger, wanted=wanted)
    assert done(gpu, both).made == 1  # only the larger one
    source = effect_source(both.asset, both.uses, tmp_path, wanted)
    plain = effect_source(alone.asset, alone.uses, tmp_path, wanted)
    for index in range(5, 10):
        assert not source.stale_at(index)
        big, small = to_rgb8(source.frame(index)), to_rgb8(plain.frame(index))
        assert big.shape == (2 * small.shape[0], 2 * small.shape[1], 3)
        shrunk = big.reshape(small.shape[0], 2, small.shape[1], 2, 3).mean((1, 3))
        assert np.abs(shrunk - small).mean() < 6
    source.close()
    plain.close()


def test_of_every_second_frame_the_others_are_moved_along(
    gpu: tuple[WorkerClient, Events], weights: Path, asset: Asset, tmp_path: Path
) -> None:
    wanted = seconds(0, 9)
    job = job_of(asset, weights, tmp_path, wanted=wanted, every="half")
    result = done(gpu, job)
    assert result.frames == 9
    found = shown(job, wanted, range(9))
    assert all(fresh for fresh, _ in found)
    assert len({content for _, content in found}) == 9


def test_killed_and_resumed_it_goes_on_after_its_last_step(
    weights: Path, asset: Asset, tmp_path: Path
) -> None:
    wanted = seconds(0, 5)
    with child("gpu", tmp_path / "one") as (client, events):
        job = job_of(asset, weights, tmp_path / "killed", wanted=wanted, steps=12)
        client.send(Start(job=job))
        # The first step is kept at once, and a later one after a while.
        events.wait(
            Progress, lambda one: one.job == job.id and one.stage == "denoise" and one.done > 40
        )
        kill(client.pid)
    results = {}
    with child("gpu", tmp_path / "two") as both:
        for name in ("killed", "whole"):
            again = job_of(asset, weights, tmp_path / name, wanted=wanted, steps=12)
            results[name] = done(both, again), shown(again, wanted, range(5))
    assert any("Went on after step" in note for note in results["killed"][0].notes)
    assert not any("Went on" in note for note in results["whole"][0].notes)
    assert results["killed"][1] == results["whole"][1]


def test_of_a_longer_clip_windows_make_one_whole(
    gpu: tuple[WorkerClient, Events], weights: Path, tmp_path: Path
) -> None:
    path = make_video(tmp_path / "long.mp4", 20, size=(96, 54), rate=Fraction(10))
    job = job_of(asset_of(path), weights, tmp_path, context_frames=9, context_overlap=4)
    result = done(gpu, job)
    assert (result.frames, result.made) == (20, 1)
    assert all(fresh for fresh, _ in shown(job, None, range(20)))


def test_without_a_prompt_it_is_told(call: Call, weights: Path, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", 3, size=(96, 54))
    words = (*ENGINE, "--weights", weights / "t2v")
    answer = call("effect", "restyle", clip, tmp_path / "o.mp4", *words)
    assert answer["code"] == 2
    assert answer["error"] == "Restyle with Wan2.1 1.3B has no prompt."
