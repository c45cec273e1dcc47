"""The child behind the viewer: probe, strips, waveforms, frames through the ring, sound."""

import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import WorkerError
from engine.jobs import EffectJob
from engine.media import info as media_info
from engine.timeline.effects import Value, new_use
from engine.timeline.model import Project, Transform
from engine.worker.client import WorkerClient
from engine.worker.frames import FrameRing
from engine.worker.messages import (
    Done,
    Finished,
    FramesDropped,
    FrameShown,
    Fresh,
    Freshness,
    Gone,
    OpenRing,
    Peaks,
    Probe,
    Probed,
    Refused,
    Samples,
    Show,
    ShowFrames,
    ShowSound,
    Start,
    Strip,
    Thumbnail,
    Waveform,
)
from tests.support.media import SOUND_RATE, clicks, make_video, read_number
from tests.support.timelines import audio, clip, medium, project, video
from tests.support.workers import Events, child, kill

replace = msgspec.structs.replace
WIDTH, HEIGHT = 160, 96
SLOT = WIDTH * HEIGHT * 4


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of numbered pictures, 25 a second, with a click at each second."""
    return make_video(tmp_path_factory.mktemp("media") / "film.mp4", 50, sound=clicks(2))


@pytest.fixture(scope="module")
def made(film: Path) -> Project:
    one = medium(film)
    return project(
        [one], video(clip(one.id, 0, 2)), audio(clip(one.id, 0, 2)), width=WIDTH, height=HEIGHT
    )


@pytest.fixture
def viewer(tmp_path: Path) -> Iterator[tuple[WorkerClient, Events]]:
    with child("media", tmp_path) as (client, events):
        yield client, events


@pytest.fixture
def ring() -> Iterator[FrameRing]:
    one = FrameRing.create(4, SLOT)
    yield one
    one.close()


def show(client: WorkerClient, made: Project, tmp_path: Path, ring: FrameRing) -> None:
    client.send(ring.opening())
    client.send(Show(project=made, sequence="main", cache=str(tmp_path / "cache")))


def frames(serial: int, numbers: tuple[int, ...], slots: tuple[int, ...]) -> ShowFrames:
    times = tuple(Fraction(number, 25) for number in numbers)
    return ShowFrames(serial=serial, times=times, slots=slots, width=WIDTH, height=HEIGHT)


def number_in(ring: FrameRing, slot: int) -> int:
    picture: NDArray[np.uint8] = np.array(
        np.frombuffer(ring.view(slot), np.uint8).reshape(HEIGHT, WIDTH, 4)
    )
    return read_number(picture[..., 2::-1])


def test_probe(film: Path, viewer: tuple[WorkerClient, Events]) -> None:
    client, events = viewer
    client.send(Probe(ask=7, path=str(film)))
    probed = events.wait(Probed)
    assert probed.ask == 7
    assert probed.facts.video is not None
    assert probed.facts.video.frames == 50
    assert probed.fingerprint.startswith("b2:")


@pytest.mark.parametrize("content", [b"", b"not a film", b"\x00\x00\x00\x18ftypmp42" + bytes(50)])
def test_what_cannot_be_read_is_refused_in_one_sentence(
    content: bytes, tmp_path: Path, viewer: tuple[WorkerClient, Events]
) -> None:
    client, events = viewer
    path = tmp_path / "pier.mp4"
    path.write_bytes(content)
    client.send(Probe(ask=1, path=str(path)))
    client.send(
        Strip(
            ask=2,
            path=str(path),
            fingerprint="x",
            times=(Fraction(0),),
            height=48,
            cache=str(tmp_path),
        )
    )
    client.send(Peaks(ask=3, path=str(path), fingerprint="x", cache=str(tmp_path)))
    for ask in (1, 2, 3):
        refused = events.wait(Refused, lambda one, ask=ask: one.ask == ask)
        assert "pier.mp4" in refused.message
        assert "\n" not in refused.message


def test_strip_shows_the_right_pictures_and_is_kept_on_disk(
    film: Path, tmp_path: Path, viewer: tuple[WorkerClient, Events]
) -> None:
    client, events = viewer
    times = tuple(Fraction(number, 25) for number in (0, 10, 20, 49))
    first = Strip(
        ask=1, path=str(film), fingerprint="b2:7", times=times, height=92, cache=str(tmp_path)
    )
    client.send(first)
    events.wait(Done)
    shown = {one.time: one.jpeg for one in events.of(Thumbnail)}
    assert tuple(shown) == times
    pictures = [
        cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) for jpeg in shown.values()
    ]
    assert [one.shape for one in pictures if one is not None] == [(92, 153, 3)] * 4
    numbers = [
        read_number(np.asarray(one[..., ::-1], np.uint8)) for one in pictures if one is not None
    ]
    assert numbers == [0, 10, 20, 49]
    # the second time the file itself is not needed
    client.send(
        Strip(ask=2, path="gone", fingerprint="b2:7", times=times, height=92, cache=str(tmp_path))
    )
    events.wait(Done, lambda one: one.ask == 2)
    again = {one.time: one.jpeg for one in events.of(Thumbnail) if one.ask == 2}
    assert again == shown


def test_waveform_has_its_peaks_at_the_clicks(
    film: Path, tmp_path: Path, viewer: tuple[WorkerClient, Events]
) -> None:
    client, events = viewer
    client.send(Peaks(ask=1, path=str(film), fingerprint="b2:7", cache=str(tmp_path)))
    wave = events.wait(Waveform)
    pairs = np.frombuffer(wave.data, np.uint8).reshape(-1, 2)
    assert wave.per_second == 100
    assert 200 <= len(pairs) <= 206
    loud = np.flatnonzero(pairs[:, 0] > 40)
    assert {0, 100} <= set(loud.tolist()) <= {0, 1, 99, 100, 101}
    assert np.all(pairs[:, 1] <= pairs[:, 0])
    client.send(Peaks(ask=2, path="gone", fingerprint="b2:7", cache=str(tmp_path)))
    assert events.wait(Waveform, lambda one: one.ask == 2).data == wave.data


def test_frames_come_into_their_slots(
    made: Project, tmp_path: Path, ring: FrameRing, viewer: tuple[WorkerClient, Events]
) -> None:
    client, events = viewer
    show(client, made, tmp_path, ring)
    client.send(frames(1, (3, 30, 7), (2, 0, 1)))
    for slot, number in ((2, 3), (0, 30), (1, 7)):
        shown = events.wait(FrameShown, lambda one, slot=slot: one.slot == slot)
        assert (shown.serial, shown.time, shown.stride) == (1, Fraction(number, 25), WIDTH * 4)
        assert (shown.error, shown.stale) == ("", False)
        assert number_in(ring, slot) == number


def test_every_slot_comes_back_once_and_a_newer_ask_is_served_first(
    made: Project, tmp_path: Path, ring: FrameRing, viewer: tuple[WorkerClient, Events]
) -> None:
    client, events = viewer
    show(client, made, tmp_path, ring)
    client.send(frames(1, (0, 40, 2), (0, 1, 2)))
    client.send(frames(2, (11,), (3,)))
    events.wait(FrameShown, lambda one: one.serial == 2)
    client.send(frames(3, (12,), (3,)))
    events.wait(FrameShown, lambda one: one.serial == 3)
    back = [one.slot for one in events.of(FrameShown) if one.serial == 1]
    back += [slot for one in events.of(FramesDropped) for slot in one.slots]
    assert sorted(back) == [0, 1, 2]
    assert number_in(ring, 3) == 12


def test_what_cannot_be_shown_says_so_and_gives_its_slot_back(
    made: Project, tmp_path: Path, ring: FrameRing, viewer: tuple[WorkerClient, Events]
) -> None:
    client, events = viewer
    client.send(frames(1, (0,), (0,)))
    assert events.wait(FrameShown).error == "There is nothing to show yet."
    show(client, made, tmp_path, ring)
    for serial, ask in enumerate(
        (
            ShowFrames(serial=2, times=(Fraction(0),), slots=(0,), width=4000, height=3000),
            ShowFrames(serial=3, times=(Fraction(0),), slots=(99,), width=WIDTH, height=HEIGHT),
            ShowFrames(serial=4, times=(Fraction(0),), slots=(0,), width=0, height=-1),
        ),
        2,
    ):
        client.send(ask)
        shown = events.wait(FrameShown, lambda one, serial=serial: one.serial == serial)
        assert (shown.width, shown.slot) == (0, ask.slots[0])
        assert shown.error
    client.send(Show(project=made, sequence="no such", cache=str(tmp_path)))
    client.send(frames(5, (0,), (0,)))
    assert events.wait(FrameShown, lambda one: one.serial == 5).error
    client.send(Show(project=made, sequence="main", cache=str(tmp_path)))
    client.send(frames(6, (5,), (0,)))
    assert events.wait(FrameShown, lambda one: one.serial == 6).error == ""
    assert number_in(ring, 0) == 5


def test_a_missing_file_is_told_with_the_frame(
    film: Path, tmp_path: Path, ring: FrameRing, viewer: tuple[WorkerClient, Events]
) -> None:
    client, events = viewer
    copy = tmp_path / "pier.mp4"
    copy.write_bytes(film.read_bytes())
    one = medium(copy)
    copy.unlink()
    show(client, project([one], video(clip(one.id, 0, 2))), tmp_path, ring)
    client.send(frames(1, (5,), (0,)))
    assert "pier.mp4" in events.wait(FrameShown).error


def test_sound_comes_sample_exact(
    made: Project, tmp_path: Path, ring: FrameRing, viewer: tuple[WorkerClient, Events]
) -> None:
    client, events = viewer
    show(client, made, tmp_path, ring)
    client.send(ShowSound(serial=1, start=Fraction(9, 10), seconds=Fraction(1, 5)))
    answer = events.wait(Samples)
    samples = np.frombuffer(answer.data, np.float32).reshape(-1, 2)
    assert (answer.error, len(samples)) == ("", SOUND_RATE // 5)
    loud = int(np.flatnonzero(np.abs(samples[:, 0]) > 0.1)[0])
    assert abs(loud - SOUND_RATE // 10) < 30  # the codec smears a click
    client.send(ShowSound(serial=1, start=Fraction(0), seconds=Fraction(-1)))
    assert events.wait(Samples, lambda one: one.error != "").data == b""


def test_the_ring_outlives_a_killed_child(made: Project, tmp_path: Path, ring: FrameRing) -> None:
    with child("media", tmp_path) as (client, events):
        show(client, made, tmp_path, ring)
        client.send(frames(1, (8,), (1,)))
        events.wait(FrameShown)
        assert client.pid is not None
        kill(client.pid)
        events.wait(Gone)
    assert number_in(ring, 1) == 8
    with child("media", tmp_path) as (client, events):
        show(client, made, tmp_path, ring)
        client.send(frames(1, (9,), (2,)))
        events.wait(FrameShown)
        assert (number_in(ring, 1), number_in(ring, 2)) == (8, 9)


def test_probes_go_before_strips_and_peaks(
    film: Path, tmp_path: Path, viewer: tuple[WorkerClient, Events]
) -> None:
    client, events = viewer
    times = tuple(Fraction(number, 25) for number in range(50))
    client.send(
        Strip(ask=1, path=str(film), fingerprint="f", times=times, height=92, cache=str(tmp_path))
    )
    client.send(Peaks(ask=2, path=str(film), fingerprint="f", cache=str(tmp_path)))
    events.wait(Thumbnail)
    client.send(Probe(ask=3, path=str(film)))
    done, wave, probed = events.wait(Done), events.wait(Waveform), events.wait(Probed)
    order = [events.all.index(one) for one in (probed, done, wave)]
    assert order == sorted(order)


def test_freshness_needs_a_project(viewer: tuple[WorkerClient, Events]) -> None:
    client, events = viewer
    client.send(Freshness(ask=1))
    assert events.wait(Refused).message == "There is no project to look at yet."


def test_freshness_and_frames_follow_a_baked_effect(
    film: Path, tmp_path: Path, ring: FrameRing, viewer: tuple[WorkerClient, Events]
) -> None:
    client, events = viewer
    one, use = medium(film), new_use("restyle", "ink")
    made = project([one], video(clip(one.id, 0, 1, effects=(use,))), width=WIDTH, height=HEIGHT)
    show(client, made, tmp_path, ring)
    client.send(Freshness(ask=1))
    before = events.wait(Fresh)
    assert [span.fresh for span in before.clips[0].spans] == [False]
    assert before.clips[0].uses == {use.id: False}
    client.send(frames(1, (5,), (0,)))
    assert events.wait(FrameShown).stale
    source = bytes(ring.view(0))

    job = EffectJob(
        title="Restyle", subject="film", asset=one, uses=(use,), cache=str(tmp_path / "cache")
    )
    client.send(Start(job=job))
    result = events.wait(Finished).result
    client.send(Freshness(ask=2))
    after = events.wait(Fresh, lambda answer: answer.ask == 2)
    assert [span.fresh for span in after.clips[0].spans] == [True]
    assert after.cache_bytes >= result.size_bytes > 0
    client.send(frames(2, (5,), (1,)))
    assert not events.wait(FrameShown, lambda shown: shown.serial == 2).stale
    assert bytes(ring.view(1)) != source


def bgra(ring: FrameRing, slot: int) -> NDArray[np.int_]:
    """(H, W, 3) of what lies in a slot."""
    picture = np.frombuffer(ring.view(slot), np.uint8).reshape(HEIGHT, WIDTH, 4)
    return picture[..., :3].astype(int)


def test_pairs_come_one_after_the_other_and_give_every_slot_back(
    made: Project, tmp_path: Path, ring: FrameRing, viewer: tuple[WorkerClient, Events]
) -> None:
    client, events = viewer
    show(client, made, tmp_path, ring)
    times = (Fraction(3, 25), Fraction(30, 25))
    ask = ShowFrames(
        serial=1, times=times, slots=(2, 0), width=WIDTH, height=HEIGHT, before_slots=(1, 3)
    )
    client.send(ask)
    events.wait(FrameShown, lambda one: one.slot == 3)
    shown = [(one.slot, one.time) for one in events.of(FrameShown)]
    assert shown == [(2, times[0]), (1, times[0]), (0, times[1]), (3, times[1])]
    assert [number_in(ring, slot) for slot in range(4)] == [30, 3, 3, 30]
    # slots for which there is no time come back, of either kind
    client.send(
        ShowFrames(
            serial=2, times=(), slots=(0, 1), width=WIDTH, height=HEIGHT, before_slots=(2, 3)
        )
    )
    assert events.wait(FramesDropped).slots == (0, 1, 2, 3)


LOOK = Transform(x=0.07, y=-0.04, scale=0.63, crop_left=0.11, crop_bottom=0.05)
PLAIN: dict[str, Value] = {"deblock": 0, "detail": 0}
SQUARE: dict[str, Value] = PLAIN | {"scale": "size", "width": 200, "height": 200}


@pytest.mark.parametrize(
    ("kind", "engine", "values", "look"),
    [
        ("upscale", "lanczos", PLAIN | {"scale": "4"}, Transform()),
        ("upscale", "lanczos", PLAIN | {"scale": "2"}, LOOK),
        ("upscale", "lanczos", SQUARE, LOOK),
        ("upscale", "lanczos", SQUARE | {"fit": "bars"}, Transform()),
        ("upscale", "lanczos", SQUARE | {"fit": "stretch"}, LOOK),
        ("restyle", "ink", {}, LOOK),
    ],
)
def test_the_source_lies_exactly_where_the_result_does(
    kind: str,
    engine: str,
    values: dict[str, Value],
    look: Transform,
    film: Path,
    tmp_path: Path,
    ring: FrameRing,
    viewer: tuple[WorkerClient, Events],
) -> None:
    client, events = viewer
    use = new_use(kind, engine)
    use = replace(use, values={**use.values, **values})
    one = replace(medium(film), facts=media_info.probe(film))
    part = clip(one.id, 0, Fraction(6, 25), effects=(use,), look=look)
    job = EffectJob(
        title=kind, subject="film", asset=one, uses=(use,), wanted=part.source,
        cache=str(tmp_path / "cache"),
    )  # fmt: skip
    client.send(Start(job=job))
    events.wait(Finished)
    show(client, project([one], video(part), width=WIDTH, height=HEIGHT), tmp_path, ring)
    ask = ShowFrames(
        serial=1, times=(Fraction(5, 25),), slots=(0,), width=WIDTH, height=HEIGHT,
        before_slots=(1,),
    )  # fmt: skip
    client.send(ask)
    before_event = events.wait(FrameShown, lambda shown: shown.slot == 1)
    assert not any(shown.stale or shown.error for shown in events.of(FrameShown))
    assert before_event.time == Fraction(5, 25)
    after, before = bgra(ring, 0), bgra(ring, 1)
    for one_side, other in ((after, before), (before, after)):  # the same black round them
        assert not np.any((one_side.max(axis=2) < 4) & (other.max(axis=2) > 40))
    if kind == "upscale":
        inner = (slice(3, -3), slice(3, -3))
        apart = {
            (down, right): float(
                np.abs(after - np.roll(before, (down, right), (0, 1)))[inner].mean()
            )
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
        }
        assert min(apart, key=lambda shift: apart[shift]) == (0, 0)
        assert apart[0, 0] < 4
    else:
        assert np.abs(after - before).mean() > 2


# The ring by itself


def test_ring_views_are_the_same_memory(ring: FrameRing) -> None:
    other = FrameRing.attach(ring.opening())
    view = other.view(3)
    view[:3] = b"abc"
    assert bytes(ring.view(3)[:3]) == b"abc"
    assert bytes(ring.view(2)[:3]) == bytes(3)
    with pytest.raises(WorkerError):
        ring.view(4)
    view.release()
    other.close()


@pytest.mark.parametrize(("slots", "slot_bytes"), [(5, SLOT), (4, SLOT * 10), (0, SLOT), (4, -1)])
def test_a_ring_is_not_attached_beyond_its_size(
    slots: int, slot_bytes: int, ring: FrameRing
) -> None:
    with pytest.raises(WorkerError, match="too small"):
        FrameRing.attach(OpenRing(name=ring.name, slots=slots * 100, slot_bytes=slot_bytes))


def test_a_ring_that_is_gone(ring: FrameRing) -> None:
    with pytest.raises(WorkerError, match="gone"):
        FrameRing.attach(OpenRing(name="psm_nothing_here", slots=1, slot_bytes=1))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems give pages later")
def test_too_large_a_ring_is_refused_before_it_is_used() -> None:
    with pytest.raises(WorkerError, match="shared memory"):
        FrameRing.create(1000, 1 << 40)


def test_a_child_that_attached_does_not_unlink_the_ring(ring: FrameRing) -> None:
    code = (
        "from engine.worker.frames import FrameRing\n"
        "from engine.worker.messages import OpenRing\n"
        f"ring = FrameRing.attach(OpenRing(name={ring.name!r}, slots=4, slot_bytes={SLOT}))\n"
        "ring.view(0)[:2] = b'hi'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert bytes(ring.view(0)[:2]) == b"hi"
    FrameRing.attach(ring.opening()).close()
