"""The sound of a sequence: places, loudness, fades, crossfades."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.render.mixer import RATE, Mixer, sample_at
from engine.timeline.model import Asset, Project, SoundLevels
from tests.support.media import make_sound
from tests.support.timelines import audio, clip, medium, project, replace, video

F = Fraction
LOUD = 0.5


@pytest.fixture(scope="module")
def ramp(tmp_path_factory: pytest.TempPathFactory) -> Asset:
    """Four seconds in which every sample says its own place: left up, right down."""
    rising = np.arange(4 * RATE, dtype=np.float32) / (4 * RATE) * 0.9
    path = tmp_path_factory.mktemp("sound") / "ramp.wav"
    return medium(make_sound(path, np.stack([rising, -rising], axis=1), codec="pcm_f32le"))


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Asset:
    """Four seconds of one value."""
    path = tmp_path_factory.mktemp("sound") / "flat.wav"
    return medium(make_sound(path, np.full((4 * RATE, 2), LOUD, np.float32), codec="pcm_f32le"))


def mixed(made: Project, start: float = 0, seconds: float = 1) -> NDArray[np.float32]:
    mixer = Mixer(made)
    try:
        return mixer.samples(round(start * RATE), round(seconds * RATE))
    finally:
        mixer.close()


def test_every_sample_lies_where_the_clip_puts_it(ramp: Asset) -> None:
    made = project([ramp], audio(clip("ramp", F(1, 4), F(1, 2), source=2)))
    found = mixed(made)
    assert np.all(found[: RATE // 4] == 0)
    assert np.all(found[3 * RATE // 4 :] == 0)
    expected = np.arange(2 * RATE, 2 * RATE + RATE // 2) / (4 * RATE) * 0.9
    assert np.allclose(found[RATE // 4 : 3 * RATE // 4, 0], expected, atol=1e-6)
    assert np.allclose(found[RATE // 4 : 3 * RATE // 4, 1], -expected, atol=1e-6)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 9000), min_size=1, max_size=12))
def test_blocks_of_any_length_give_the_same_samples(ramp: Asset, lengths: list[int]) -> None:
    levels = SoundLevels(fade_in=F(1, 10), fade_out=F(1, 7), gain_db=-3)
    made = project([ramp], audio(clip("ramp", F(1, 30), F(29, 30), source=1, levels=levels)))
    whole = mixed(made)
    mixer, at = Mixer(made), 0
    for length in lengths:
        part = mixer.samples(at, length)
        rest = whole[at : at + length]
        assert np.array_equal(part[: len(rest)], rest)
        at += length
    mixer.close()


def test_a_picture_clip_makes_no_sound(flat: Asset) -> None:
    made = project([flat], video(clip("flat", 0, 1)))
    assert not mixed(made).any()
    assert not Mixer(made).is_audible


@pytest.mark.parametrize(("gain_db", "factor"), [(0, 1), (-6, 0.501187), (-60, 0), (-80, 0)])
def test_gain_is_in_decibels_and_ends_in_silence(
    flat: Asset, gain_db: float, factor: float
) -> None:
    made = project([flat], audio(clip("flat", 0, 1, levels=SoundLevels(gain_db=gain_db))))
    assert np.allclose(mixed(made), LOUD * factor, atol=1e-6)


@pytest.mark.parametrize(
    ("pan", "left", "right"), [(0, 1, 1), (-1, 1, 0), (1, 0, 1), (0.25, 0.75, 1)]
)
def test_pan_takes_away_from_the_other_side(
    flat: Asset, pan: float, left: float, right: float
) -> None:
    made = project([flat], audio(clip("flat", 0, 1, levels=SoundLevels(pan=pan))))
    assert np.allclose(mixed(made), [LOUD * left, LOUD * right], atol=1e-6)


def test_fades_are_straight_lines_from_and_to_silence(flat: Asset) -> None:
    levels = SoundLevels(fade_in=F(1, 4), fade_out=F(1, 2))
    found = mixed(project([flat], audio(clip("flat", 0, 1, levels=levels))))[:, 0] / LOUD
    assert found[0] < 1e-4
    assert found[-1] < 1e-4
    assert np.allclose(found[: RATE // 4], np.linspace(0, 1, RATE // 4), atol=1e-4)
    assert np.allclose(found[RATE // 4 : RATE // 2], 1, atol=1e-4)
    assert np.allclose(found[RATE // 2 :], np.linspace(1, 0, RATE // 2), atol=1e-4)


def test_tracks_add_up_and_stay_within_full_scale(flat: Asset) -> None:
    quiet = clip("flat", 0, 1, levels=SoundLevels(gain_db=-6.0206))
    assert np.allclose(mixed(project([flat], audio(quiet), audio(quiet))), LOUD, atol=1e-4)
    loud = clip("flat", 0, 1, levels=SoundLevels(gain_db=12))
    assert np.array_equal(
        mixed(project([flat], audio(loud), audio(loud))), np.ones((RATE, 2), np.float32)
    )


def test_mute_solo_and_disabled(flat: Asset, ramp: Asset) -> None:
    one, other = clip("flat", 0, 1), clip("ramp", 0, 1)
    assets = [flat, ramp]
    assert np.allclose(mixed(project(assets, audio(one), audio(other, muted=True))), LOUD)
    assert np.allclose(mixed(project(assets, audio(one, solo=True), audio(other))), LOUD)
    assert not mixed(project(assets, audio(one, solo=True, muted=True), audio(other))).any()
    assert not mixed(project(assets, audio(replace(one, enabled=False)))).any()


def test_linked_sound_crossfades_where_the_picture_dissolves(flat: Asset, ramp: Asset) -> None:
    """|flat  >< ramp|: both lines add up to one, on the handles."""
    picture = video(
        clip("flat", 0, 1, source=1, name="a", link="A"),
        clip("ramp", 1, 1, source=2, name="b", link="B"),
        dissolves={("a", "b"): F(12, 25)},
    )
    sound = audio(clip("flat", 0, 1, source=1, link="A"), clip("ramp", 1, 1, source=2, link="B"))
    found = mixed(project([flat, ramp], picture, sound), seconds=2)[:, 0]
    at = np.arange(2 * RATE)
    weight = np.clip((at + 0.5 - 0.76 * RATE) / (12 / 25 * RATE), 0, 1)
    second = (RATE + at) / (4 * RATE) * 0.9
    assert np.allclose(found, LOUD * (1 - weight) + second * weight, atol=1e-5)


def test_sound_that_is_not_linked_is_cut_hard(flat: Asset) -> None:
    picture = video(
        clip("flat", 0, 1, name="a"), clip("flat", 1, 1, name="b"), dissolves={("a", "b"): 1}
    )
    sound = audio(clip("flat", 0, 1), clip("flat", F(3, 2), F(1, 2)))
    found = mixed(project([flat], picture, sound), seconds=2)
    assert np.allclose(found[:RATE], LOUD)
    assert not found[RATE : 3 * RATE // 2].any()


def test_an_audio_track_has_crossfades_of_its_own(flat: Asset) -> None:
    sound = audio(
        clip("flat", 0, 1, source=1, name="a"),
        clip("flat", 1, 1, source=1, name="b"),
        dissolves={("a", "b"): F(7, 25)},
    )
    assert np.allclose(mixed(project([flat], sound), seconds=2), LOUD, atol=1e-6)


def test_linked_sound_fades_where_the_other_picture_has_none(flat: Asset) -> None:
    picture = video(
        clip("flat", 0, 1, name="a", link="A"),
        clip("flat", 1, 1, name="b"),
        dissolves={("a", "b"): F(12, 25)},
    )
    found = mixed(project([flat], picture, audio(clip("flat", 0, 1, link="A"))), seconds=2)[:, 0]
    line = np.linspace(1, 0, RATE * 12 // 25)
    assert np.allclose(found[RATE * 19 // 25 : RATE * 31 // 25] / LOUD, line, atol=1e-4)


def test_samples_are_counted_to_the_nearest() -> None:
    assert sample_at(F(1, 96_000)) == 1
    assert sample_at(F(1001, 30_000)) == 1602


def test_a_missing_medium_is_named() -> None:
    mixer = Mixer(project([], audio(clip("x", 0, 1, name="gone"))), is_strict=True)
    with pytest.raises(EngineError, match="«gone»"):
        mixer.samples(0, 10)


@pytest.mark.parametrize("content", [None, b"this is no sound" * 100])
def test_a_clip_that_cannot_be_read_is_silent_and_the_others_play(
    flat: Asset, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "lost.wav"
    if content is not None:
        path.write_bytes(content)
    lost = replace(flat, id="lost", path=str(path))
    made = project([flat, lost], audio(clip("flat", 0, 1)), audio(clip("lost", 0, 2)))
    mixer = Mixer(made)
    assert np.all(mixer.samples(0, 100) == LOUD)
    assert not mixer.samples(RATE, 100).any()
    make_sound(path, np.full((2 * RATE, 2), LOUD / 4, np.float32), codec="pcm_f32le")
    mixer.replace(made)  # found again
    assert np.all(mixer.samples(0, 100) == LOUD + LOUD / 4)
    mixer.close()


def test_a_changed_project_is_heard_at_once(flat: Asset, tmp_path: Path) -> None:
    made = project([flat], audio(clip("flat", 0, 1, name="a")))
    mixer = Mixer(made)
    assert mixer.samples(0, 100).any()
    muted = project([flat], audio(clip("flat", 0, 1, name="a"), muted=True))
    mixer.replace(muted)
    assert not mixer.samples(0, 100).any()
    mixer.close()
