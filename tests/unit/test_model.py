from engine.timeline.model import TrackKind, new_id, new_project, new_sequence
from engine.timeline.time import ZERO
from tests.support.drawings import frame, frames, project_of, track, tracks


def test_ids_differ() -> None:
    assert len({new_id() for _ in range(1000)}) == 1000


def test_a_new_project_has_two_tracks_of_each_kind() -> None:
    kinds = [one.kind for one in new_project().sequence().tracks]
    assert kinds == [TrackKind.VIDEO, TrackKind.VIDEO, TrackKind.AUDIO, TrackKind.AUDIO]
    assert not new_project().is_set_up
    assert new_sequence().duration == ZERO


def test_the_places_of_a_clip() -> None:
    clip = track("..AAA").clip("A")
    assert clip is not None
    assert (clip.start, clip.duration, clip.end) == (frame(2), frame(3), frame(5))
    assert clip.record == frames(2, 5)


def test_a_sequence_lasts_until_its_last_clip_ends() -> None:
    assert tracks("V1 AA", "A1 aaaa").duration == frame(4)


def test_things_are_found_by_id() -> None:
    seq = tracks("V1 AA", "A1 aa")
    project = project_of(seq)
    holder = seq.track_of("a")
    assert holder is seq.track("A1")
    assert seq.track_of("none") is None
    assert seq.clip("none") is None
    assert project.sequence("drawn") is project.sequence() is seq
    assert project.asset("A") is project.assets[0]
    assert project.asset("none") is None
