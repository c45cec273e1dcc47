"""Every edit against its drawing."""

from fractions import Fraction
from time import perf_counter

import pytest
from msgspec.structs import replace

from engine.errors import EditError
from engine.timeline import edits
from engine.timeline.edits import Edge, Placement
from engine.timeline.model import (
    EffectUse,
    MediaFacts,
    Sequence,
    SoundFacts,
    SoundLevels,
    TrackKind,
    Transform,
    VideoFacts,
    new_project,
)
from engine.timeline.time import ZERO, TimeRange
from tests.support.drawings import (
    asset,
    dissolves,
    draw,
    frame,
    frames,
    media,
    place,
    project_of,
    sources,
    track,
    tracks,
    with_dissolve,
)


def rows(*lines: str) -> str:
    return "\n".join(lines)


class TestInsert:
    @pytest.mark.parametrize(
        ("at", "expected"),
        [(0, "XXAABB"), (1, "AXXABB"), (2, "AAXXBB"), (4, "AABBXX"), (6, "AABB..XX")],
    )
    def test_pushes_what_follows(self, at: int, expected: str) -> None:
        assert draw(edits.insert(track("AABB"), (place("V1", "XX", at),))) == expected

    def test_pushes_alike_on_all_open_tracks(self) -> None:
        seq = tracks("V2 ..TT", "V1 AABB", "A1 aabb", "A2 mmmm", locked={"A2"})
        after = edits.insert(seq, (place("V1", "XX", 1),))
        assert draw(after) == rows("V2 ....TT", "V1 AXXABB", "A1 a..abb", "A2 mmmm")

    def test_the_halves_show_what_the_whole_showed(self) -> None:
        after = edits.insert(track("AAABB"), (place("V1", "XX", 1),))
        assert sources(after) == "A10-11 X10-12 A11-13 B10-12"

    def test_several_at_once_make_room_for_all(self) -> None:
        placements = (place("V1", "XX", 2), place("V1", "YY", 4), place("A1", "yy", 4))
        after = edits.insert(tracks("V1 AABB", "A1 aabb"), placements)
        assert draw(after) == rows("V1 AAXXYYBB", "A1 aa..yybb")

    def test_goes_to_the_nearest_frame_line(self) -> None:
        late = place("V1", "XX", 2)
        late = replace(late, clip=replace(late.clip, start=frame(2) + Fraction(1, 100)))
        assert draw(edits.insert(track("AABB"), (late,))) == "AAXXBB"

    def test_a_length_between_frames_is_cut_to_whole_frames(self) -> None:
        one = place("V1", "XX", 0)
        source = TimeRange(ZERO, frame(2) + Fraction(1, 30))
        one = replace(one, clip=replace(one.clip, source=source))
        assert draw(edits.insert(track("AABB"), (one,))) == "XXAABB"

    def test_nothing_gives_the_very_sequence(self) -> None:
        seq = track("AABB")
        assert edits.insert(seq, ()) is seq

    def test_an_id_that_is_taken_is_made_new(self) -> None:
        after = edits.insert(track("AABB"), (place("V1", "AA", 4),))
        assert len({clip.id for clip in after.tracks[0].clips}) == 3

    def test_two_clips_at_one_place_are_refused(self) -> None:
        with pytest.raises(EditError, match="in the way"):
            edits.insert(track("AA"), (place("V1", "XX", 0), place("V1", "YY", 1)))


class TestOverwrite:
    @pytest.mark.parametrize(
        ("drawing", "at", "expected"),
        [
            ("AABB", 0, "XXBB"),
            ("AABB", 1, "AXXB"),
            ("AAAA", 1, "AXXA"),
            ("AABB", 4, "AABBXX"),
            ("ABCD", 1, "AXXD"),
            ("", 1, ".XX"),
            ("A..B", 1, "AXXB"),
        ],
    )
    def test_covers_what_is_there(self, drawing: str, at: int, expected: str) -> None:
        assert draw(edits.overwrite(track(drawing), (place("V1", "XX", at),))) == expected

    def test_other_tracks_stay(self) -> None:
        after = edits.overwrite(tracks("V1 AABB", "A1 aabb"), (place("V1", "XX", 1),))
        assert draw(after) == rows("V1 AXXB", "A1 aabb")

    def test_the_pieces_keep_their_source(self) -> None:
        after = edits.overwrite(track("AAAAA"), (place("V1", "XX", 2),))
        assert sources(after) == "A10-12 X10-12 A14-15"


class TestAppend:
    def test_goes_after_the_last_of_the_tracks_concerned(self) -> None:
        placements = (place("V1", "XX", 0), place("A1", "xx", 0))
        after = edits.append(tracks("V1 AABB", "A1 aabbb", "A2 mmmmmmmm"), placements)
        assert draw(after) == rows("V1 AABB.XX", "A1 aabbbxx", "A2 mmmmmmmm")

    def test_goes_to_zero_in_an_empty_sequence(self) -> None:
        assert draw(edits.append(track(""), (place("V1", "XX", 7),))) == "XX"


class TestMove:
    @pytest.mark.parametrize(
        ("chosen", "delta", "expected"),
        [
            ("B", 1, "AA.BBC"),
            ("B", -1, "ABB.CC"),
            ("B", 4, "AA..CCBB"),
            ("B", -9, "BB..CC"),
            ("AB", 2, "..AABB"),
            ("C", -3, "ACCB"),
        ],
    )
    def test_overwrites(self, chosen: str, delta: int, expected: str) -> None:
        assert draw(edits.move(track("AABBCC"), chosen, frame(delta))) == expected

    @pytest.mark.parametrize(
        ("chosen", "delta", "expected"),
        [("B", -1, "ABBA..CC"), ("C", -4, "CCAABB"), ("A", 2, "..AABBCC"), ("A", 4, "..BBAACC")],
    )
    def test_inserts(self, chosen: str, delta: int, expected: str) -> None:
        assert draw(edits.move(track("AABBCC"), chosen, frame(delta), mode="insert")) == expected

    def test_to_another_track(self) -> None:
        seq = tracks("V2 ..TT", "V1 AABB")
        assert draw(edits.move(seq, "B", ZERO, 1)) == rows("V2 ..BB", "V1 AA")
        assert draw(edits.move(seq, "T", frame(-2), -1)) == rows("V2", "V1 TTBB")

    def test_linked_sound_changes_track_too_unless_only_pictures_are_asked_for(self) -> None:
        seq = tracks("V2", "V1 AA", "A1 aa", "A2", linked=True)
        both = edits.with_links(seq, "A")
        assert draw(edits.move(seq, both, ZERO, 1)) == rows("V2 AA", "V1", "A1", "A2 aa")
        after = edits.move(seq, both, ZERO, 1, kind=TrackKind.VIDEO)
        assert draw(after) == rows("V2 AA", "V1", "A1 aa", "A2")

    def test_sound_without_a_track_to_go_to_stays_on_its_own(self) -> None:
        seq = tracks("V2", "V1 AA", "A1 aa")
        assert draw(edits.move(seq, "Aa", ZERO, 1)) == rows("V2 AA", "V1", "A1 aa")

    def test_past_the_last_track_is_refused(self) -> None:
        with pytest.raises(EditError, match="no track"):
            edits.move(track("AA"), "A", ZERO, 1)

    def test_to_a_locked_track_is_refused(self) -> None:
        with pytest.raises(EditError, match="Track V2 is locked"):
            edits.move(tracks("V2", "V1 AA", locked={"V2"}), "A", ZERO, 1)

    def test_by_less_than_half_a_frame_gives_the_very_sequence(self) -> None:
        seq = track("AABB")
        assert edits.move(seq, "B", Fraction(1, 100)) is seq

    def test_the_dissolve_between_moved_clips_goes_along(self) -> None:
        seq = with_dissolve(tracks("V2", "V1 AAAABBBBCC"), "A", "B", 2)
        after = edits.move(seq, "AB", frame(1), 1)
        assert draw(after) == rows("V2 .AAAABBBB", "V1 ........CC")
        assert dissolves(after) == ["A/B 2"]
        assert after.track("V2").transitions
        assert not after.track("V1").transitions

    def test_a_dissolve_whose_clips_part_goes(self) -> None:
        seq = with_dissolve(track("AAAABBBB"), "A", "B", 2)
        assert dissolves(edits.move(seq, "B", frame(1))) == []


class TestSplit:
    def test_cuts_all_open_tracks(self) -> None:
        seq = tracks("V2 TTTT", "V1 AAABB", "A1 aaabb", locked={"V2"})
        assert draw(edits.split(seq, frame(1))) == rows("V2 TTTT", "V1 A|AABB", "A1 a|aabb")

    def test_cuts_only_the_chosen(self) -> None:
        seq = tracks("V1 AAABB", "A1 aaabb")
        assert draw(edits.split(seq, frame(1), "A")) == rows("V1 A|AABB", "A1 aaabb")

    def test_at_a_cut_or_gap_gives_the_very_sequence(self) -> None:
        seq = track("AA..BB")
        assert edits.split(seq, frame(2)) is seq
        assert edits.split(seq, frame(3)) is seq
        assert edits.split(seq, frame(5), "A") is seq

    def test_left_halves_stay_linked_and_right_ones_are_linked_anew(self) -> None:
        seq = tracks("V1 AAA", "A1 aaa", linked=True)
        after = edits.split(seq, frame(1))
        (left, right), (left_sound, right_sound) = (one.clips for one in after.tracks)
        assert left.id == "A"
        assert left.link == left_sound.link == "AA"
        assert right.link == right_sound.link
        assert right.link not in (None, "AA")

    def test_a_right_half_alone_is_not_linked(self) -> None:
        after = edits.split(tracks("V1 AAA", "A1 aaa", linked=True), frame(1), "A")
        left, right = after.tracks[0].clips
        assert left.link == "AA"
        assert right.link is None

    def test_fades_stay_at_their_ends(self) -> None:
        seq = edits.replace_clip(
            track("AAAAAA"),
            replace(
                track("AAAAAA").tracks[0].clips[0],
                sound=SoundLevels(fade_in=frame(3), fade_out=frame(2)),
                effects=(EffectUse("e", "restyle", "ink"),),
                transform=Transform(scale=2.0),
            ),
        )
        left, right = edits.split(seq, frame(2)).tracks[0].clips
        assert (left.sound.fade_in, left.sound.fade_out) == (frame(2), ZERO)  # no longer than it
        assert (right.sound.fade_in, right.sound.fade_out) == (ZERO, frame(2))
        assert left.effects == right.effects
        assert right.transform.scale == 2.0

    def test_the_dissolve_goes_with_the_half_it_touches(self) -> None:
        seq = with_dissolve(track("AAAAAABBBB"), "A", "B", 4)
        after = edits.split(seq, frame(2))
        assert dissolves(after) == ["A/B 4"]
        assert after.tracks[0].transitions[0].left == after.tracks[0].clips[1].id

    def test_a_dissolve_longer_than_the_half_becomes_shorter(self) -> None:
        seq = with_dissolve(track("AAAAAABBBB"), "A", "B", 4)
        assert dissolves(edits.split(seq, frame(5))) == ["A/B 2"]


class TestLift:
    def test_leaves_gaps(self) -> None:
        assert draw(edits.lift(track("AABBCC"), "B")) == "AA..CC"
        assert draw(edits.lift(track("AABBCC"), "AC")) == "..BB"

    def test_of_nothing_gives_the_very_sequence(self) -> None:
        seq = track("AABBCC")
        assert edits.lift(seq, ()) is seq

    def test_of_a_linked_pair(self) -> None:
        seq = tracks("V1 AABB", "A1 aabb", linked=True)
        after = edits.lift(seq, edits.with_links(seq, "A"))
        assert draw(after) == rows("V1 ..BB", "A1 ..bb")

    def test_of_one_of_a_pair_leaves_no_lone_link(self) -> None:
        after = edits.lift(tracks("V1 AABB", "A1 aabb", linked=True), "A")
        assert [clip.link for clip in after.track("A1").clips] == [None, "BB"]

    def test_takes_the_dissolve_along(self) -> None:
        seq = with_dissolve(track("AAAABBBBCC"), "A", "B", 2)
        assert dissolves(edits.lift(seq, "B")) == []
        assert dissolves(edits.lift(seq, "C")) == ["A/B 2"]

    def test_of_a_clip_that_is_gone_is_refused(self) -> None:
        with pytest.raises(EditError, match="no longer there"):
            edits.lift(track("AABBCC"), "X")


class TestRippleDelete:
    @pytest.mark.parametrize(
        ("drawing", "chosen", "expected"),
        [
            ("AABBCC", "B", "AACC"),
            ("AABBCC", "A", "BBCC"),
            ("AABBCC", "C", "AABB"),
            ("AABBCC", "AB", "CC"),
            ("AABBCC", "AC", "BB"),
            ("AA.BB.CC", "B", "AA..CC"),
            ("..AABB", "A", "..BB"),
        ],
    )
    def test_closes_the_gaps(self, drawing: str, chosen: str, expected: str) -> None:
        assert draw(edits.ripple_delete(track(drawing), chosen)) == expected

    def test_what_follows_moves_alike_everywhere(self) -> None:
        seq = tracks("V2 ......TT", "V1 AABBCCDD", "A1 aabbccdd", "A2 mmmm..nn", linked=True)
        after = edits.ripple_delete(seq, edits.with_links(seq, "B"))
        assert draw(after) == rows("V2 ....TT", "V1 AACCDD", "A1 aaccdd", "A2 mmmmnn")

    def test_a_sound_cut_early_or_late_stays_in_step(self) -> None:
        seq = tracks("V1 AABBCC", "A1 aaabbccc", linked=True)
        after = edits.ripple_delete(seq, edits.with_links(seq, "B"))
        assert draw(after) == rows("V1 AACC", "A1 aaaccc")

    def test_what_is_in_the_way_is_told(self) -> None:
        seq = tracks("V1 AABBCC", "A1 aabbcc")
        with pytest.raises(EditError) as refused:
            edits.ripple_delete(seq, "B")
        assert refused.value.message == "b on A1 at 00:00:00:02 is in the way."
        assert refused.value.hint == "Move or select it too, or lock A1."

    def test_a_long_sound_under_all_stays(self) -> None:
        seq = tracks("V1 AABBCC", "A1 mmmmmmmm")
        assert draw(edits.ripple_delete(seq, "B")) == rows("V1 AACC", "A1 mmmmmmmm")

    def test_locked_tracks_stay(self) -> None:
        seq = tracks("V1 AABBCC", "A1 aabbcc", locked={"A1"})
        assert draw(edits.ripple_delete(seq, "B")) == rows("V1 AACC", "A1 aabbcc")

    def test_a_dissolve_further_on_moves_along(self) -> None:
        seq = with_dissolve(track("AABBBBCCCC"), "B", "C", 2)
        assert dissolves(edits.ripple_delete(seq, "A")) == ["B/C 2"]


class TestExtract:
    @pytest.mark.parametrize(
        ("span", "expected"),
        [((1, 3), "ABCC"), ((2, 4), "AACC"), ((0, 6), ""), ((4, 9), "AABB"), ((3, 3), "AABBCC")],
    )
    def test_takes_a_range_out(self, span: tuple[int, int], expected: str) -> None:
        assert draw(edits.extract(track("AABBCC"), frames(*span))) == expected

    def test_inside_one_clip(self) -> None:
        after = edits.extract(track("AAAA"), frames(1, 3))
        assert draw(after) == "A|A"
        assert sources(after) == "A10-11 A13-14"

    def test_on_all_open_tracks(self) -> None:
        seq = tracks("V2 TTTTTT", "V1 AABBCC", "A1 aabbcc", locked={"V2"})
        after = edits.extract(seq, frames(1, 3))
        assert draw(after) == rows("V2 TTTTTT", "V1 ABCC", "A1 abcc")

    def test_on_chosen_tracks_what_stands_in_the_way_is_told(self) -> None:
        seq = tracks("V1 AABBCC", "A1 aabbcc")
        with pytest.raises(EditError, match="b on A1"):
            edits.extract(seq, frames(2, 4), ["V1"])


class TestTrim:
    @pytest.mark.parametrize(("delta", "expected"), [(-1, "A..BBB"), (1, "AAABBB")])
    def test_tail(self, delta: int, expected: str) -> None:
        seq = track("AA.BBB")
        after = edits.trim(seq, "A", Edge.TAIL, frame(delta), media(seq))
        assert draw(after) == expected

    @pytest.mark.parametrize(("delta", "expected"), [(1, "AA..BB"), (-1, "AABBBB")])
    def test_head(self, delta: int, expected: str) -> None:
        seq = track("AA.BBB")
        after = edits.trim(seq, "B", Edge.HEAD, frame(delta), media(seq))
        assert draw(after) == expected
        assert sources(after) == f"A10-12 B{10 + delta}-13"

    def test_takes_the_project_for_its_media(self) -> None:
        seq = track("AA.BBB")
        after = edits.trim(seq, "A", Edge.TAIL, frame(1), project_of(seq))
        assert draw(after) == "AAABBB"

    def test_a_linked_pair_alike(self) -> None:
        seq = tracks("V1 AAA.", "A1 aaa.", linked=True)
        both = edits.with_links(seq, "A")
        after = edits.trim(seq, both, Edge.HEAD, frame(1), media(seq))
        assert draw(after) == rows("V1 .AA", "A1 .aa")

    def test_a_neighbour_is_told(self) -> None:
        seq = track("AABB")
        with pytest.raises(EditError, match="A on V1 has no room: another clip is in the way"):
            edits.trim(seq, "A", Edge.TAIL, frame(1), media(seq))

    def test_the_end_of_the_medium_is_told(self) -> None:
        seq = track("AA")
        with pytest.raises(EditError) as refused:
            edits.trim(seq, "A", Edge.TAIL, frame(12), media(seq))
        assert refused.value.message == "Trim needs 12 frames of handle on A; it has 10."

    def test_the_start_of_the_sequence_is_told(self) -> None:
        seq = track("AA")
        with pytest.raises(EditError, match="cannot begin before the sequence does"):
            edits.trim(seq, "A", Edge.HEAD, frame(-1), media(seq))

    def test_a_frame_is_left(self) -> None:
        seq = track("AA")
        with pytest.raises(EditError, match="keeps at least one frame"):
            edits.trim(seq, "A", Edge.TAIL, frame(-2), media(seq))

    def test_a_still_is_endless(self) -> None:
        seq = track("..AA")
        still = media(seq)["A"]
        still = replace(still, facts=replace(still.facts, still=True, duration=ZERO))
        after = edits.trim(seq, "A", Edge.TAIL, frame(100), {"A": still})
        assert after.duration == frame(104)
        assert sources(edits.trim(seq, "A", Edge.HEAD, frame(-2), {"A": still})) == "A8-12"

    def test_fades_give_way(self) -> None:
        seq = track("AAAA")
        clip = seq.tracks[0].clips[0]
        sound = SoundLevels(fade_in=frame(2), fade_out=frame(2))
        seq = edits.replace_clip(seq, replace(clip, sound=sound))
        after = edits.trim(seq, "A", Edge.TAIL, frame(-1), media(seq)).tracks[0].clips[0].sound
        assert (after.fade_in, after.fade_out) == (frame(2), frame(1))

    def test_the_limits(self) -> None:
        seq = track("AA.BBB")
        known = media(seq)
        assert edits.trim_limits(seq, "A", Edge.TAIL, known) == (frame(-1), frame(1))
        assert edits.trim_limits(seq, "A", Edge.TAIL, known, ripple=True) == (frame(-1), frame(10))
        assert edits.trim_limits(seq, "B", Edge.HEAD, known) == (frame(-1), frame(2))
        assert edits.trim_limits(seq, "A", Edge.HEAD, known) == (ZERO, frame(1))
        assert edits.trim_limits(seq, "B", Edge.TAIL, known) == (frame(-2), frame(10))


class TestRippleTrim:
    @pytest.mark.parametrize(
        ("edge", "delta", "expected", "shown"),
        [
            (Edge.TAIL, -1, "ABB.CC", "A10-11"),
            (Edge.TAIL, 1, "AAABB.CC", "A10-13"),
            (Edge.HEAD, 1, "ABB.CC", "A11-12"),
            (Edge.HEAD, -1, "AAABB.CC", "A9-12"),
        ],
    )
    def test_what_follows_moves_along(
        self, edge: Edge, delta: int, expected: str, shown: str
    ) -> None:
        seq = track("AABB.CC")
        after = edits.ripple_trim(seq, "A", edge, frame(delta), media(seq))
        assert draw(after) == expected
        assert sources(after).startswith(shown + " ")

    def test_on_all_open_tracks_alike(self) -> None:
        seq = tracks("V2 ..TT", "V1 AABB", "A1 aabb", "A2 .mmm", linked=True)
        both = edits.with_links(seq, "A")
        after = edits.ripple_trim(seq, both, Edge.TAIL, frame(1), media(seq))
        assert draw(after) == rows("V2 ...TT", "V1 AAABB", "A1 aaabb", "A2 .mmm")

    def test_what_is_in_the_way_is_told(self) -> None:
        seq = tracks("V1 AABB", "A1 aabb")
        with pytest.raises(EditError, match="a on A1"):
            edits.ripple_trim(seq, "A", Edge.TAIL, frame(-1), media(seq))

    def test_a_dissolve_stays_while_its_handles_last(self) -> None:
        seq = with_dissolve(track("AAAABBBB"), "A", "B", 4)
        known = media(seq)
        assert dissolves(edits.ripple_trim(seq, "A", Edge.TAIL, frame(8), known)) == ["A/B 4"]
        assert dissolves(edits.ripple_trim(seq, "A", Edge.TAIL, frame(9), known)) == ["A/B 2"]
        assert dissolves(edits.ripple_trim(seq, "A", Edge.TAIL, frame(10), known)) == []


class TestDuplicate:
    def test_copies_right_after(self) -> None:
        after = edits.duplicate(track("AABB"), "A")
        assert draw(after) == "AA|AABB"
        assert len({clip.id for clip in after.tracks[0].clips}) == 3

    def test_linked_clips_give_linked_copies(self) -> None:
        seq = tracks("V1 AABB", "A1 aabb", linked=True)
        after = edits.duplicate(seq, edits.with_links(seq, "A"))
        assert draw(after) == rows("V1 AA|AABB", "A1 aa|aabb")
        picture, sound = after.track("V1").clips[1], after.track("A1").clips[1]
        assert picture.link == sound.link
        assert picture.link not in (None, "AA")

    def test_a_copy_alone_is_not_linked(self) -> None:
        after = edits.duplicate(tracks("V1 AA", "A1 aa", linked=True), "A")
        assert after.track("V1").clips[1].link is None

    def test_transitions_are_copied(self) -> None:
        seq = with_dissolve(track("AAAABBBBCC"), "A", "B", 2)
        assert dissolves(edits.duplicate(seq, "AB")) == ["A/B 2", "A/B 2"]


class TestLinks:
    def test_with_links_takes_all_of_a_link(self) -> None:
        seq = tracks("V1 AABB", "A1 aabb", linked=True)
        assert edits.with_links(seq, "A") == {"A", "a"}
        assert edits.with_links(seq, ()) == frozenset()

    def test_link_and_unlink(self) -> None:
        seq = edits.link(tracks("V1 AABB", "A1 aabb"), "AB")
        assert edits.with_links(seq, "A") == {"A", "B"}
        assert edits.with_links(edits.unlink(seq, "A"), "B") == {"B"}
        assert all(clip.link is None for clip in edits.unlink(seq, "A").tracks[0].clips)

    def test_one_clip_cannot_be_linked(self) -> None:
        with pytest.raises(EditError, match="two clips or more"):
            edits.link(track("AA"), "A")

    def test_unlinking_what_is_not_linked_gives_the_very_sequence(self) -> None:
        seq = track("AA")
        assert edits.unlink(seq, "A") is seq


class TestDissolve:
    def test_between_clips_that_touch(self) -> None:
        seq = track("AAAABBBB")
        after = edits.dissolve(seq, "A", "B", frame(4), media(seq))
        assert dissolves(after) == ["A/B 4"]
        assert draw(after) == draw(seq)

    def test_again_replaces_it(self) -> None:
        seq = with_dissolve(track("AAAABBBB"), "A", "B", 2)
        assert dissolves(edits.dissolve(seq, "A", "B", frame(4), media(seq))) == ["A/B 4"]

    def test_needs_handles(self) -> None:
        seq = track("A" * 30 + "B" * 30)
        with pytest.raises(EditError) as refused:
            edits.dissolve(seq, "A", "B", frame(25), media(seq))
        assert refused.value.message == "The dissolve needs 13 frames of handle on A; it has 10."
        assert edits.longest_dissolve(seq, "A", "B", media(seq)) == frame(20)

    def test_needs_clips_that_touch(self) -> None:
        seq = track("AAAA.BBBB")
        for pair in ("AB", "BA", "AX"):
            with pytest.raises(EditError, match="two clips that touch"):
                edits.dissolve(seq, *pair, frame(2), media(seq))

    def test_two_on_a_clip_do_not_meet(self) -> None:
        seq = with_dissolve(track("AAAABBCCCC"), "A", "B", 2)
        assert edits.longest_dissolve(seq, "B", "C", media(seq)) == frame(2)
        with pytest.raises(EditError, match="too short"):
            edits.dissolve(seq, "B", "C", frame(3), media(seq))

    def test_remove(self) -> None:
        seq = with_dissolve(track("AAAABBBB"), "A", "B", 2)
        assert dissolves(edits.remove_transition(seq, "AB")) == []
        with pytest.raises(EditError, match="no longer there"):
            edits.remove_transition(seq, "BA")


class TestReplaceClip:
    def test_other_values_in_its_place(self) -> None:
        seq = track("AABB")
        clip = replace(seq.tracks[0].clips[0], transform=Transform(opacity=0.5))
        after = edits.replace_clip(seq, clip)
        assert after.clip("A") == clip
        assert after.tracks[0].clips[1] is seq.tracks[0].clips[1]
        assert edits.replace_clip(after, clip) is after

    def test_keeps_its_dissolve(self) -> None:
        seq = with_dissolve(track("AAAABBBB"), "A", "B", 2)
        clip = replace(seq.tracks[0].clips[0], enabled=False)
        assert dissolves(edits.replace_clip(seq, clip)) == ["A/B 2"]

    def test_over_a_neighbour_is_refused(self) -> None:
        seq = track("AABB")
        clip = seq.tracks[0].clips[0]
        with pytest.raises(EditError, match="in the way"):
            edits.replace_clip(seq, replace(clip, source=TimeRange(ZERO, frame(3))))


class TestTracks:
    def test_labels(self) -> None:
        seq = tracks("V2", "V1", "A1", "A2")
        assert [edits.track_label(seq, one.id) for one in seq.tracks] == ["V1", "V2", "A1", "A2"]

    def test_add(self) -> None:
        seq = edits.add_track(tracks("V1 AA", "A1 aa"), TrackKind.VIDEO, "Titles")
        assert [one.name for one in seq.tracks] == ["", "Titles", ""]
        seq = edits.add_track(seq, TrackKind.AUDIO, "Music")
        assert [edits.track_label(seq, one.id) for one in seq.tracks] == ["V1", "V2", "A1", "A2"]

    def test_set_changes_switches_only(self) -> None:
        seq = track("AABB")
        changed = replace(seq.tracks[0], locked=True, name="Picture", clips=())
        after = edits.set_track(seq, changed)
        assert after.tracks[0].locked
        assert after.tracks[0].name == "Picture"
        assert after.tracks[0].clips is seq.tracks[0].clips
        assert edits.set_track(seq, seq.tracks[0]) is seq

    def test_remove(self) -> None:
        seq = tracks("V2 TT", "V1 AA", "A1 tt", linked=True)
        after = edits.remove_track(seq, "V2")
        assert draw(after) == rows("V1 AA", "A1 tt")
        assert after.track("A1").clips[0].link is None
        with pytest.raises(EditError, match="V1 is the last track of its kind"):
            edits.remove_track(after, "V1")


LOCKED_EDITS = {
    "insert": lambda seq: edits.insert(seq, (place("V1", "XX", 0),)),
    "overwrite": lambda seq: edits.overwrite(seq, (place("V1", "XX", 0),)),
    "append": lambda seq: edits.append(seq, (place("V1", "XX", 0),)),
    "move": lambda seq: edits.move(seq, "A", frame(1)),
    "split": lambda seq: edits.split(seq, frame(1), "A"),
    "trim": lambda seq: edits.trim(seq, "A", Edge.TAIL, frame(-1), media(seq)),
    "ripple trim": lambda seq: edits.ripple_trim(seq, "A", Edge.TAIL, frame(-1), media(seq)),
    "lift": lambda seq: edits.lift(seq, "A"),
    "ripple delete": lambda seq: edits.ripple_delete(seq, "A"),
    "extract": lambda seq: edits.extract(seq, frames(0, 1), ["V1"]),
    "duplicate": lambda seq: edits.duplicate(seq, "A"),
    "link": lambda seq: edits.link(seq, "AB"),
    "unlink": lambda seq: edits.unlink(seq, "A"),
    "dissolve": lambda seq: edits.dissolve(seq, "A", "B", frame(2), media(seq)),
    "remove transition": lambda seq: edits.remove_transition(seq, "AB"),
    "replace clip": lambda seq: edits.replace_clip(seq, seq.tracks[0].clips[0]),
    "remove track": lambda seq: edits.remove_track(seq, "V1"),
}


@pytest.mark.parametrize("name", LOCKED_EDITS)
def test_a_locked_track_is_told(name: str) -> None:
    seq = with_dissolve(
        tracks("V1 AAAABBBB", "A1 aaaabbbb", linked=True, locked={"V1"}), "A", "B", 2
    )
    with pytest.raises(EditError) as refused:
        LOCKED_EDITS[name](seq)
    assert refused.value.message == "Track V1 is locked."
    assert refused.value.hint == "Unlock it first."


def facts(seconds: Fraction | int, rate: Fraction | int = 25, **values: object) -> MediaFacts:
    video = VideoFacts(
        641, 360, Fraction(rate), 100, "h264", "yuv420p", variable="variable" in values
    )
    return MediaFacts(
        Fraction(seconds),
        str(values.get("container", "mp4")),
        1000,
        video,
        SoundFacts(48000, 2, "aac") if "sound" in values else None,
        still="still" in values,
    )


class TestPlacementsFor:
    def test_one_after_another_picture_and_sound_linked(self) -> None:
        one = replace(asset("one", ZERO), facts=facts(Fraction(101, 100), sound=True))
        two = replace(asset("two", ZERO), facts=facts(0, 1, still=True))
        seq = tracks("V1", "A1")
        placed = edits.placements_for(
            project_of(seq), seq, (one, two), frame(3), "V1", "A1", Fraction(2)
        )
        assert [(p.track, p.clip.asset, p.clip.start, p.clip.duration) for p in placed] == [
            ("V1", "one", frame(3), frame(25)),
            ("A1", "one", frame(3), frame(25)),
            ("V1", "two", frame(28), frame(50)),
        ]
        assert placed[0].clip.link == placed[1].clip.link is not None
        assert placed[2].clip.link is None

    def test_without_a_track_for_sound_there_is_none(self) -> None:
        one = replace(asset("one", ZERO), facts=facts(1, sound=True))
        seq = tracks("V1", "A1")
        placed = edits.placements_for(project_of(seq), seq, (one,), ZERO, "V1", None)
        assert [(p.track, p.clip.link) for p in placed] == [("V1", None)]

    def test_sound_alone_goes_to_the_sound_track(self) -> None:
        one = replace(asset("one", ZERO), facts=replace(facts(1, sound=True), video=None))
        seq = tracks("V1", "A1")
        placed = edits.placements_for(project_of(seq), seq, (one,), ZERO, "V1", "A1")
        assert [p.track for p in placed] == ["A1"]

    def test_a_medium_shorter_than_a_frame_gets_one(self) -> None:
        one = replace(asset("one", ZERO), facts=facts(Fraction(1, 100)))
        seq = tracks("V1", "A1")
        (placed,) = edits.placements_for(project_of(seq), seq, (one,), ZERO, "V1", "A1")
        assert placed.clip.duration == frame(1)


class TestSetUp:
    def formatted(self, known: MediaFacts) -> Sequence:
        project = edits.set_up(new_project(), replace(asset("a", ZERO), facts=known))
        assert project.is_set_up
        return project.sequence()

    def test_takes_size_and_rate(self) -> None:
        seq = self.formatted(facts(1, Fraction(30000, 1001)))
        assert (seq.width, seq.height, seq.rate) == (642, 360, Fraction(30000, 1001))

    @pytest.mark.parametrize(
        ("known", "rate"),
        [
            (facts(1, Fraction(2897, 100), variable=True), Fraction(30000, 1001)),
            (facts(1, Fraction(2399, 100), variable=True), Fraction(24)),
            (facts(1, Fraction(29971, 1000)), Fraction(30000, 1001)),
            (facts(1, Fraction(100, 7), container="gif"), Fraction(100, 7)),
            (facts(1, 10, container="gif"), Fraction(10)),
            (facts(1, 8, container="gif"), Fraction(25)),
            (facts(1, 1000), Fraction(120)),
            (facts(0, 1, still=True), Fraction(25)),
        ],
    )
    def test_rates(self, known: MediaFacts, rate: Fraction) -> None:
        assert self.formatted(known).rate == rate

    def test_a_photo_is_made_smaller(self) -> None:
        known = facts(0, 1, still=True)
        assert known.video is not None
        known = replace(known, video=replace(known.video, width=8000, height=6000))
        seq = self.formatted(known)
        assert (seq.width, seq.height) == (3840, 2880)

    def test_only_the_first_time_and_only_for_pictures(self) -> None:
        project = new_project()
        sound = replace(facts(1, sound=True), video=None)
        assert edits.set_up(project, replace(asset("a", ZERO), facts=sound)) is project
        project = replace(project, is_set_up=True)
        assert edits.set_up(project, replace(asset("a", ZERO), facts=facts(1))) is project

    def test_clips_that_are_there_come_onto_the_new_grid(self) -> None:
        project = replace(project_of(track("AAAB.CC")), is_set_up=False)
        after = edits.set_up(project, replace(asset("n", ZERO), facts=facts(1, 30))).sequence()
        clips = after.tracks[0].clips
        assert [clip.name for clip in clips] == ["A", "B", "C"]
        assert all((edge * 30).denominator == 1 for c in clips for edge in (c.start, c.end))
        assert clips[0].end == clips[1].start


class TestProjects:
    def test_on_sequence(self) -> None:
        project = project_of(track("AABB"))
        after = edits.on_sequence(project, "", lambda seq: edits.lift(seq, "A"))
        assert draw(after.sequence()) == "..BB"
        assert edits.on_sequence(project, "drawn", lambda seq: seq) is project

    def test_assets_are_added_once(self) -> None:
        project = project_of(track("AABB"))
        assert edits.add_assets(project, project.assets) is project
        more = edits.add_assets(project, (asset("C", frame(9)),))
        assert [one.id for one in more.assets] == ["A", "B", "C"]

    def test_removed_assets_take_their_clips_along(self) -> None:
        project = edits.remove_assets(project_of(track("ABB")), ["A"])
        assert draw(project.sequence()) == ".BB"
        assert [one.id for one in project.assets] == ["B"]
        assert edits.remove_assets(project, ["A"]) is project

    def test_assets_of_clips_on_locked_tracks_stay(self) -> None:
        project = project_of(tracks("V1 AA", locked={"V1"}))
        with pytest.raises(EditError, match="Track V1 is locked"):
            edits.remove_assets(project, ["A"])


def test_an_edit_of_a_long_track_is_quick() -> None:
    seq = track("".join(chr(0x4E00 + number) * 2 for number in range(2000)))
    placed = (place("V1", "XX", 1),)
    took = []
    for _ in range(5):
        began = perf_counter()
        edits.insert(seq, placed)  # moves all 2,000 clips
        took.append(perf_counter() - began)
    assert min(took) < 0.02  # 3 ms where nothing else runs


def test_a_placement_is_a_value() -> None:
    assert place("V1", "AA", 0) == Placement("V1", place("V1", "AA", 0).clip)
