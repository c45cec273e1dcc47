"""Wan as an engine of effects: sizes, lengths, what it is asked, and pictures between others."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engine.errors import EffectError, WeightsError
from engine.filters.between import between
from engine.lora_words import lora_of, lora_words, loras_of
from engine.render.keys import Stage, stages
from engine.render.wan_stage import wan_ask
from engine.timeline.effects import Value, new_use
from engine.timeline.model import Asset, MediaFacts, VideoFacts
from engine.timeline.results import result_facts
from engine.timeline.wan_engines import every_of
from engine.wan_rules import AREAS, shown_size
from tests.support.moving import textured

SMALL, IMAGE = "wan2.1-t2v-1.3b", "wan2.1-i2v-14b"


def facts_of(width: int, height: int, frames: int, rate: int = 25) -> MediaFacts:
    video = VideoFacts(width, height, Fraction(rate), frames, "h264", "yuv420p")
    return MediaFacts(Fraction(frames, rate), "mp4", 1000, video)


def stage_of(kind: str, engine: str, facts: MediaFacts, **values: Value) -> Stage:
    asset = Asset("a", "/clip.mp4", "clip.mp4", facts, "print")
    (stage,) = stages(asset, (new_use(kind, engine, values),))
    return stage


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((1920, 1080), (832, 468)),
        ((1080, 1920), (468, 832)),
        ((640, 480), (726, 544)),
        ((1000, 1000), (624, 624)),
        ((4000, 300), (2304, 172)),
    ],
)
def test_a_result_has_the_shape_of_its_source(
    size: tuple[int, int], shown: tuple[int, int]
) -> None:
    width, height = shown_size(AREAS["480p"], *size)
    assert (width, height) == shown
    assert abs(width / height / (size[0] / size[1]) - 1) < 0.01
    facts = result_facts(facts_of(*size, 10), (new_use("restyle", SMALL),)).video
    assert facts is not None
    assert (facts.width, facts.height, facts.frames, facts.rate) == (*shown, 10, 25)


def test_a_picture_moves_for_a_length_that_can_be_made() -> None:
    video = VideoFacts(800, 600, Fraction(1), 1, "png", "rgb24")
    still = MediaFacts(Fraction(0), "png", 1000, video, still=True)
    for frames, made in ((81, 81), (80, 81), (83, 85), (5, 5)):
        facts = result_facts(still, (new_use("image-to-video", IMAGE, {"frames": frames}),))
        assert facts.video is not None
        assert (facts.video.frames, facts.video.rate, facts.still) == (made, 16, False)
        assert facts.duration == Fraction(made, 16)


def test_which_pictures_are_made() -> None:
    assert every_of("source", 5, Fraction(25)) == (0, 1, 2, 3, 4)
    assert every_of("half", 5, Fraction(25)) == (0, 2, 4)
    assert every_of("half", 6, Fraction(25)) == (0, 2, 4, 5)
    sparse = every_of("16", 50, Fraction(25))
    assert (sparse[0], sparse[-1]) == (0, 49)
    assert {b - a for a, b in pairwise(sparse)} == {1, 2}
    assert abs(len(sparse) - 50 * 16 / 25) <= 2
    assert every_of("16", 7, Fraction(12)) == tuple(range(7))  # no more than there are
    for every in ("source", "half", "16"):
        assert every_of(every, 1, Fraction(25)) == (0,)
        for count in range(2, 40):
            kept = every_of(every, count, Fraction(30))
            assert list(kept) == sorted(set(kept))
            assert (kept[0], kept[-1]) == (0, count - 1)


def test_what_wan_is_asked_for_a_clip() -> None:
    ask = wan_ask(stage_of("restyle", SMALL, facts_of(1920, 1080, 50)))
    assert (ask.width, ask.height, ask.frames) == (832, 464, 53)
    assert ask.values["denoise_strength"] == 70.0
    assert ask.values["steps"] == 30
    # What needs memory is left to the plan unless somebody chose it.
    assert not {"blocks_to_swap", "quantization", "base_precision"} & ask.values.keys()
    assert not {"prompt", "size", "every", "seed"} & ask.values.keys()
    chosen = stage_of("restyle", SMALL, facts_of(1920, 1080, 50), blocks_to_swap=10, every="half")
    ask = wan_ask(chosen)
    assert (ask.frames, ask.values["blocks_to_swap"]) == (29, 10)
    assert ask.kept == (*range(0, 50, 2), 49)


def test_a_distilled_file_keeps_its_own_steps() -> None:
    stage = stage_of("restyle", SMALL, facts_of(640, 360, 9))
    plain = wan_ask(stage, ["/wan2.1_t2v_1.3B.safetensors"])
    told = wan_ask(stage, ["/wan.safetensors", "/lightx2v_4step_lora.safetensors"])
    assert {"steps", "cfg", "shift"} <= plain.values.keys()
    assert not {"steps", "cfg", "shift"} & told.values.keys()
    mine = stage_of("restyle", SMALL, facts_of(640, 360, 9), steps=8)
    assert wan_ask(mine, ["/lightx2v_4step_lora.safetensors"]).values["steps"] == 8


def test_loras_are_lines_with_strengths_and_blocks(tmp_path: Path) -> None:
    (tmp_path / "ink@2.safetensors").touch()
    (tmp_path / "b.safetensors").touch()
    ink, other = tmp_path / "ink@2.safetensors", tmp_path / "b.safetensors"
    text = f"{ink}\n\n  {other}@0.5 \n{other}@1,0.5,-1\n{other}@2:0-3, 9"
    found = loras_of(text)
    assert [(one.path, one.strength, one.blocks) for one in found] == [
        (str(ink), (1.0,), ()),
        (str(other), (0.5,), ()),
        (str(other), (1.0, 0.5, -1.0), ()),
        (str(other), (2.0,), (0, 1, 2, 3, 9)),
    ]
    assert loras_of("\n".join(map(lora_words, found))) == found
    with pytest.raises(WeightsError, match="is not there"):
        lora_of(str(tmp_path / "c.safetensors@1"))
    with pytest.raises(WeightsError, match="strong» is not there"):
        lora_of(f"{other}@strong")
    with pytest.raises(EffectError, match="no list of blocks"):
        lora_of(f"{other}@1:9-2")


def test_words_of_any_length_but_one() -> None:
    stage_of("restyle", SMALL, facts_of(64, 48, 5), prompt="x" * 20_000)
    with pytest.raises(EffectError, match="20,001 letters"):
        new_use("restyle", SMALL, {"prompt": "x" * 20_001})
    with pytest.raises(EffectError):
        new_use("restyle", SMALL, {"prompt": 3})


def test_pictures_between_follow_the_clip() -> None:
    clip = textured(5, noise=0)
    tint = np.array((30, 0, -30), np.int16)
    tinted = [np.clip(one + tint, 0, 255).astype(np.uint8) for one in clip]
    made = list(between(tinted[0], tinted[-1], clip))
    assert len(made) == 3
    inner = np.s_[16:-16, 24:-24]
    for index, picture in enumerate(made, 1):
        wanted = tinted[index][inner].astype(np.float32)
        blended = tinted[0][inner] * (1 - index / 4) + tinted[-1][inner] * (index / 4)
        moved = np.abs(picture[inner] - wanted).mean()
        assert moved < 0.5 * np.abs(blended - wanted).mean()


def test_across_a_cut_each_side_shows_its_own() -> None:
    one, other = textured(1)[0] // 4, 255 - textured(1, seed=5)[0] // 4
    red, blue = np.zeros_like(one), np.zeros_like(one)
    red[..., 0], blue[..., 2] = 200, 200
    first, second = between(red, blue, [one, one, other, other])
    assert first[..., 0].mean() > 190
    assert second[..., 2].mean() > 190
