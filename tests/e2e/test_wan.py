"""Wan as a person uses it: checkpoints found, clips made by the gpu child, stopped and resumed."""

import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from engine.generation import Mode  # noqa: E402
from engine.jobs import GenerateJob, JobResult, ModelFiles, SourceClip, SourcePicture  # noqa: E402
from engine.media.info import probe  # noqa: E402
from engine.media.reader import VideoReader  # noqa: E402
from engine.render.frame import to_rgb8  # noqa: E402
from engine.timeline.time import TimeRange  # noqa: E402
from engine.worker.client import WorkerClient  # noqa: E402
from engine.worker.messages import (  # noqa: E402
    Cancel,
    Failed,
    Finished,
    JobCancelled,
    Preview,
    Progress,
    Start,
)
from tests.golden.case import Case, read_case  # noqa: E402
from tests.support.media import make_still, make_video  # noqa: E402
from tests.support.wan_cases import write_case  # noqa: E402
from tests.support.wan_checkpoints import (  # noqa: E402
    IMAGE,
    INDEX,
    TEXT,
    TRANSFORMER,
    VAE,
    write_diffusers,
    write_experts,
    write_kijai,
    write_repackaged,
    write_repackaged_experts,
    write_wan,
)
from tests.support.workers import Events, child, wait_until  # noqa: E402

Call = Callable[..., dict[str, Any]]
CASES = Path(__file__).parents[1] / "golden" / "cases"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each kind of model, as Wan-AI publishes it."""
    root = tmp_path_factory.mktemp("models")
    for kind in ("t2v", "i2v", "flf2v"):
        write_wan(root / kind, kind)
    return root


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_still(folder / "first.png", size=(96, 64))
    make_still(folder / "last.jpg", 9, size=(96, 64))
    make_video(folder / "clip.mp4", 30, size=(96, 64))
    return folder


@pytest.fixture(scope="module")
def gpu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WorkerClient, Events]]:
    """One gpu child for all jobs here."""
    with child("gpu", tmp_path_factory.mktemp("gpu")) as both:
        yield both


def job_of(weights: Path, kind: str, folder: Path, **more: Any) -> GenerateJob:
    """A small job of a kind of model."""
    files = {"transformer": TRANSFORMER, "text": TEXT, "vae": VAE}
    if kind != "t2v":
        files["image"] = IMAGE
    known = {"t2v": "wan2.1-t2v-1.3b", "i2v": "wan2.1-i2v-14b", "flf2v": "wan2.1-flf2v-14b"}
    usual: dict[str, Any] = {
        "mode": Mode.TEXT,
        "prompt": "a red fox runs over snow",
        "frames": 9,
        "area": 3000,
        "values": {"steps": 2},
        "output": str(folder / "out.mp4"),
        "cache": str(folder / "cache"),
        "models": ModelFiles(
            family=known[kind],
            files={part: str(weights / kind / name) for part, name in files.items()},
        ),
    }
    return GenerateJob(**(usual | more))


def done(gpu: tuple[WorkerClient, Events], job: GenerateJob) -> JobResult:
    client, events = gpu
    client.send(Start(job=job))
    wait_until(lambda: bool(events.endings(job.id)))
    ending = events.endings(job.id)[0]
    assert isinstance(ending, Finished), ending
    return ending.result


def pictures(path: Path) -> list[Any]:
    reader = VideoReader(path)
    found = [to_rgb8(one) for one in reader.frames(0, len(reader.times))]
    reader.close()
    return found


def test_words_become_a_film(call: Call, weights: Path, tmp_path: Path) -> None:
    words = ("--prompt", "a red fox", "--size", "60x50", "--frames", "8", "--steps", "2")
    out, kept = tmp_path / "fox.mp4", tmp_path / "fox.safetensors"
    answer = call(
        "generate", out, *words, "--weights", weights / "t2v", "--latents", kept, "--seed", 5
    )
    assert answer["code"] == 0, answer
    facts = probe(out).video
    assert facts is not None
    assert (facts.width, facts.height, facts.frames, facts.rate) == (64, 48, 9, 16)
    assert any("multiples of 16" in note for note in answer["notes"])
    assert any("lengths are" in note for note in answer["notes"])
    assert (answer["mode"], answer["model"], answer["steps_made"]) == ("t2v", "wan2.1-t2v-1.3b", 2)


def test_compiled_blocks_are_kept_in_the_cache(call: Call, weights: Path, tmp_path: Path) -> None:
    words = ["--prompt", "a red fox", "--size", "32x32", "--frames", "5", "--steps", "1"]
    words += ["--weights", str(weights / "t2v"), "--set", "cfg=1", "--set", "compile=on"]
    answer = call("generate", tmp_path / "out.mp4", *words)
    assert answer["code"] == 0, answer
    failed = any("went on without it" in note for note in answer["notes"])
    is_kept = any(path.is_file() for path in (tmp_path / "home").rglob("compiled/**/*"))
    assert is_kept or failed
    assert not failed or not shutil.which("g++")


def test_every_packing_is_found_and_gives_the_same(
    call: Call, weights: Path, tmp_path: Path
) -> None:
    words = ("--prompt", "a red fox", "--size", "64x32", "--frames", 9, "--steps", 2)
    folders = {
        "wan": weights / "t2v",
        "comfy": write_repackaged(tmp_path / "comfy"),
        "diffusers": write_diffusers(tmp_path / "diffusers"),
        "kijai": write_kijai(tmp_path / "kijai"),
    }
    made = {}
    for name, folder in folders.items():
        out, kept = tmp_path / f"{name}.mp4", tmp_path / f"{name}.safetensors"
        answer = call("generate", out, *words, "--weights", folder, "--latents", kept)
        assert answer["code"] == 0, answer
        assert answer["model"] == "wan2.1-t2v-1.3b"
        made[name] = load_file(kept)["latents"]
    # Not bit by bit: how values lie in memory decides how a processor adds them up.
    close = {"rtol": 1e-3, "atol": 1e-3}
    torch.testing.assert_close(made["comfy"], made["wan"], **close)
    torch.testing.assert_close(made["diffusers"], made["wan"], **close)
    # In 8 bits a matrix has three digits in binary: near, and not the same.
    error = (made["kijai"] - made["wan"]).norm() / made["wan"].norm()
    assert 0 < error < 0.1


@pytest.mark.parametrize("name", ["wan_pipeline_t2v", "wan_pipeline_i2v"])
def test_the_recorded_run_comes_out_of_the_command_line(
    call: Call, tmp_path: Path, name: str
) -> None:
    case: Case = read_case(CASES / name)
    written = write_case(case, tmp_path / "models")
    out, kept = tmp_path / "out.mkv", tmp_path / "latents.safetensors"
    words = [*written.arguments, "--prompt", written.words, "--negative", written.negative]
    answer = call("generate", out, *words, "--frames", 9, "--latents", kept)
    assert answer["code"] == 0, answer
    close = {"rtol": 1e-3, "atol": 1e-3}
    torch.testing.assert_close(load_file(kept)["latents"][0], case.expected["latents"], **close)
    expected = (case.expected["frames"].permute(1, 2, 3, 0) + 1) * 127.5
    shown = np.stack(pictures(out)).astype(np.float64)
    assert shown.shape == tuple(expected.shape)
    assert np.abs(shown - expected.numpy()).max() < 0.5 + 0.13 + 0.26  # rounded; the tolerance


@pytest.mark.parametrize(
    ("kind", "mode", "given", "size"),
    [
        ("i2v", Mode.IMAGE, ("first",), (64, 32)),
        ("flf2v", Mode.ENDS, ("first", "last"), (64, 32)),
        ("i2v", Mode.ENDS, ("first", "last"), (64, 32)),
        ("t2v", Mode.VIDEO, ("video",), (64, 32)),
    ],
)
def test_pictures_and_clips_become_films(
    gpu: tuple[WorkerClient, Events],
    weights: Path,
    media: Path,
    tmp_path: Path,
    kind: str,
    mode: Mode,
    given: tuple[str, ...],
    size: tuple[int, int],
) -> None:
    clip = SourceClip(path=str(media / "clip.mp4"), range=TimeRange(Fraction(1, 5), Fraction(3, 5)))
    every = {
        "first": SourcePicture(path=str(media / "first.png")),
        "last": SourcePicture(path=str(media / "last.jpg")),
        "video": clip,
    }
    job = job_of(weights, kind, tmp_path, mode=mode, **{name: every[name] for name in given})
    result = done(gpu, job)
    facts = probe(tmp_path / "out.mp4").video
    assert facts is not None
    assert (facts.width, facts.height, facts.frames) == (*size, 9)
    assert result.duration == Fraction(9, 16)
    assert result.made == (1 if mode is Mode.VIDEO else 2)  # 70 % of two steps


def test_a_clip_goes_on_from_another(
    gpu: tuple[WorkerClient, Events], weights: Path, media: Path, tmp_path: Path
) -> None:
    first = SourcePicture(path=str(media / "clip.mp4"), time=Fraction(1))
    more: dict[str, Any] = {"mode": Mode.IMAGE, "first": first}

    def made(name: str, **values: Any) -> list[Any]:
        out = tmp_path / f"{name}.mkv"
        job = job_of(
            weights, "i2v", tmp_path, **more, output=str(out), values={"steps": 2, **values}
        )
        result = done(gpu, job)
        found = pictures(out)
        assert result.frames == len(found) == 9 - values.get("lead_in", 0)
        assert result.duration == Fraction(len(found), 16)
        return found

    whole = made("whole")
    # One frame that leads on is what any first picture is; but its colours are met.
    assert np.array_equal(made("plain", lead_in=1, colour_match=False), whole[1:])
    assert not np.array_equal(made("one", lead_in=1), whole[1:])
    # Of several each counts: the motion goes on.
    five = made("five", lead_in=5, colour_match=False)
    assert not np.array_equal(five, whole[5:])
    failed = refused(gpu, job_of(weights, "i2v", tmp_path, **more, values={"lead_in": 9}))
    assert "leaves none of 9" in failed.message


def test_one_frame_is_a_picture_and_a_picture_of_a_film_may_be_the_first(
    gpu: tuple[WorkerClient, Events], weights: Path, media: Path, tmp_path: Path
) -> None:
    still = tmp_path / "still.png"
    result = done(gpu, job_of(weights, "t2v", tmp_path, mode=Mode.STILL, output=str(still)))
    facts = probe(still)
    assert facts.still
    assert facts.video is not None
    assert (facts.video.width, facts.video.height) == (64, 32)
    assert (result.frames, result.duration) == (1, 0)
    latents = {}
    for time in (Fraction(0), Fraction(1)):
        kept = tmp_path / f"{time}.safetensors"
        first = SourcePicture(path=str(media / "clip.mp4"), time=time)
        done(gpu, job_of(weights, "i2v", tmp_path, mode=Mode.IMAGE, first=first, latents=str(kept)))
        latents[time] = load_file(kept)["latents"]
    assert not torch.equal(*latents.values())


STOPPED = {"steps": 20, "teacache": True, "rel_l1_thresh": 0.02, "use_coefficients": False}


def test_cancelled_and_resumed_gives_the_same_latents(
    gpu: tuple[WorkerClient, Events], weights: Path, tmp_path: Path
) -> None:
    client, events = gpu
    more: dict[str, Any] = {"values": STOPPED}
    first = job_of(weights, "t2v", tmp_path, **more)
    client.send(Start(job=first))
    events.wait(
        Progress, lambda one: one.job == first.id and one.stage == "denoise" and one.done > 40
    )
    client.send(Cancel(job=first.id))
    events.wait(JobCancelled, lambda one: one.job == first.id)
    assert not (tmp_path / "out.mp4").exists()
    latents = {}
    for name, cache in (("resumed", "cache"), ("whole", "another cache")):
        kept = tmp_path / f"{name}.safetensors"
        again = job_of(
            weights, "t2v", tmp_path, **more, latents=str(kept), cache=str(tmp_path / cache)
        )
        result = done(gpu, again)
        latents[name] = load_file(kept)["latents"]
        assert result.made < 20 if name == "resumed" else result.made == 20
        assert name == "whole" or any("Went on after step" in note for note in result.notes)
    assert torch.equal(latents["resumed"], latents["whole"])
    found = done(gpu, job_of(weights, "t2v", tmp_path, **more))
    assert found.made == 0  # only decoded
    assert any(one.label.startswith("Step ") for one in events.of(Preview))


def test_a_run_in_two_parts_is_that_in_one(
    gpu: tuple[WorkerClient, Events], weights: Path, tmp_path: Path
) -> None:
    whole, part, rest = (tmp_path / f"{name}.safetensors" for name in ("whole", "part", "rest"))
    values = {"steps": 4, "scheduler": "euler"}
    done(gpu, job_of(weights, "t2v", tmp_path, values=values, latents=str(whole)))
    ends = values | {"end_step": 2}
    done(gpu, job_of(weights, "t2v", tmp_path, values=ends, latents=str(part)))
    assert float(load_file(part)["sigma"]) > 0.5
    on = job_of(weights, "t2v", tmp_path, values=values, samples=str(part), latents=str(rest))
    assert done(gpu, on).made == 2
    torch.testing.assert_close(load_file(rest)["latents"], load_file(whole)["latents"])


def test_two_experts_in_either_packing_make_films_and_are_listed(
    call: Call, media: Path, tmp_path: Path
) -> None:
    shards, packed = write_experts(tmp_path / "pair"), tmp_path / "comfy"
    write_repackaged_experts(packed, "i2v")
    steps: tuple[object, ...] = ("--steps", 4, "--set", "scheduler=euler", "--seed", 5)
    small: tuple[object, ...] = ("--frames", 5, "--size", "64x32", *steps)
    kept = tmp_path / "t2v.safetensors"
    answer = call(
        "generate", tmp_path / "t2v.mp4", "--prompt", "a red fox", "--weights", shards,
        *small, "--latents", kept,
    )  # fmt: skip
    assert answer["code"] == 0, answer
    assert (answer["mode"], answer["model"], answer["steps_made"]) == ("t2v", "wan2.2-t2v-a14b", 4)
    # Named outright it is the same run; with the first expert alone, it is another.
    files = {
        "transformer": shards / "high_noise_model" / INDEX,
        "low": shards / "low_noise_model" / INDEX,
        "text": shards / TEXT,
        "vae": shards / VAE,
    }
    named = [word for part, path in files.items() for word in ("--file", f"{part}={path}")]
    latents = {}
    for name, more in (("same", ()), ("alone", ("--set", "boundary=0"))):
        latents[name] = tmp_path / f"{name}.safetensors"
        out = (tmp_path / f"{name}.mp4", "--prompt", "a red fox", "--latents", latents[name])
        assert call("generate", *out, *named, *small, *more)["code"] == 0
    found = {name: load_file(path)["latents"] for name, path in latents.items()}
    assert torch.equal(found["same"], load_file(kept)["latents"])
    assert not torch.allclose(found["same"], found["alone"])
    image = ("--image", media / "first.png", "--prompt", "it runs", "--weights", packed)
    answer = call("generate", tmp_path / "i2v.mp4", *image, *small)
    assert answer["code"] == 0, answer
    assert (answer["mode"], answer["model"]) == ("i2v", "wan2.2-i2v-a14b")
    facts = probe(tmp_path / "i2v.mp4").video
    assert facts is not None
    assert (facts.width, facts.height, facts.frames) == (64, 32, 5)
    (packed / "diffusion_models" / "wan2.2_i2v_low_noise_14B_fp32.safetensors").unlink()
    answer = call("generate", tmp_path / "none.mp4", *image, *small, "--model", "wan2.2-i2v-a14b")
    assert answer["code"] == 3
    assert "Wan2.2 I2V A14B lacks the low-noise expert (14.3 GB)." in answer["error"]
    listed = call("weights", "add", packed)["families"]
    pair = next(one for one in listed if one["name"] == "wan2.2-i2v-a14b")
    assert pair["state"] == "1 missing"
    states = {part["name"]: (part["label"], part["state"]) for part in pair["parts"]}
    assert states["transformer"] == ("High-noise expert", "found")
    assert states["low"] == ("Low-noise expert", "missing")
    offer = next(part["get"] for part in pair["parts"] if part["name"] == "low")
    assert offer["licence"] == "Apache-2.0"
    assert offer["url"].endswith(
        "Comfy-Org/Wan_2.2_ComfyUI_Repackaged/resolve/main/split_files/diffusion_models/"
        "wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors"
    )


def refused(gpu: tuple[WorkerClient, Events], job: GenerateJob) -> Failed:
    client, events = gpu
    client.send(Start(job=job))
    return events.wait(Failed, lambda one: one.job == job.id)


def test_what_cannot_be_is_said_before_anything_runs(
    gpu: tuple[WorkerClient, Events], weights: Path, media: Path, tmp_path: Path
) -> None:
    good = job_of(weights, "t2v", tmp_path)
    files = good.models.files
    wrong = ModelFiles(family="wan2.1-t2v-1.3b", files=files | {"vae": files["transformer"]})
    failed = refused(gpu, job_of(weights, "t2v", tmp_path, models=wrong))
    assert (failed.kind, "is no VAE of Wan" in failed.message) == ("WeightsError", True)
    first = SourcePicture(path=str(media / "first.png"))
    failed = refused(gpu, job_of(weights, "t2v", tmp_path, mode=Mode.IMAGE, first=first))
    assert "makes clips from words" in failed.message
    failed = refused(gpu, job_of(weights, "i2v", tmp_path, mode=Mode.IMAGE))
    assert "needs a picture" in failed.message
    tiles = {"vae_tiling": True, "tile_x": 64, "tile_stride_x": 100}
    assert "not a multiple" in refused(gpu, job_of(weights, "t2v", tmp_path, values=tiles)).message
    assert not list(tmp_path.glob("*.mp4"))


def test_what_the_words_say_wrong_is_told(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    assert call("generate", out, "--set", "stepps=3")["code"] in (2, 3)
    assert call("generate", out, "--size", "big")["code"] == 2
    lacking = call("generate", out, "--prompt", "a fox")
    assert lacking["code"] == 3
    assert "lacks the" in lacking["error"]
