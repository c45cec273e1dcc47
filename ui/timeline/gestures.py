"""What the pointer does while it is held: each gesture turns its place into an edit to be shown."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from msgspec.structs import replace

from engine.errors import EditError
from engine.timeline import edits
from engine.timeline.model import Clip, Project, Sequence
from engine.timeline.time import ZERO, Time, TimeRange, between, time_of, timecode
from ui.timeline.geometry import SNAP, nearest_row
from ui.timeline.hits import clips_in
from ui.timeline.scene import NOTHING, Preview, Scene
from ui.timeline.snapping import Caught, SnapPoints, caught, snap_points

Edit: TypeAlias = Callable[[Sequence], Sequence]
Hints: TypeAlias = tuple[tuple[str, str], ...]

CANCEL = ("Esc", "cancel")
NO_SNAPPING = ("Alt", "no snapping")


@dataclass(frozen=True)
class Pointer:
    """Where the pointer is: `y` from the top of the tracks, and what is held down."""

    seconds: float
    y: float
    shift: bool = False
    ctrl: bool = False
    alt: bool = False


@dataclass(frozen=True)
class Wish:
    """An edit asked for, with the words of its undo step."""

    text: str
    edit: Callable[[Project], Project]
    merge_key: str = ""


def wish(scene: Scene, text: str, edit: Edit) -> Wish:
    return Wish(text, partial(_on_sequence, scene.sequence_id, edit))


def _on_sequence(sequence_id: str, edit: Edit, project: Project) -> Project:
    return edits.on_sequence(project, sequence_id, edit)


class Gesture:
    """From press to release. Nothing is edited before `wish` is asked for at the release."""

    hints: Hints = (CANCEL,)

    def __init__(self, scene: Scene, press: Pointer) -> None:
        self.scene = scene
        self.press = press
        self.base = scene.actual
        self.playhead: Time | None = None  # asked for by a gesture that scrubs
        self.selection: frozenset[str] | None = None  # asked for by a gesture that selects
        self._edit: Edit | None = None
        self._text = ""

    def update(self, pointer: Pointer) -> Preview:
        raise NotImplementedError

    def wish(self) -> Wish | None:
        """The edit that the last update showed; None where it showed none."""
        return None if self._edit is None else wish(self.scene, self._text, self._edit)

    def frames(self, seconds: float) -> Time:
        """A length of whole frames near to `seconds`."""
        return time_of(round(seconds * float(self.base.rate)), self.base.rate)

    def catch(self, edges: tuple[Time, ...], points: SnapPoints, pointer: Pointer) -> Caught | None:
        if not self.scene.snapping or pointer.alt:
            return None
        return caught(edges, points, SNAP / self.scene.scale.px_per_second)

    def try_edit(self, text: str, edit: Edit) -> Sequence | EditError:
        """The sequence after the edit, which becomes the wish; or why it cannot be."""
        try:
            after = edit(self.base)
        except EditError as error:
            self._edit = None
            return error
        self._edit, self._text = edit, text
        return after


def refusal(error: EditError) -> Preview:
    return Preview(tip=error.message, refused=True)


def signed_frames(scene: Scene, delta: Time) -> str:
    """«−15 frames»."""
    count = round(delta * scene.actual.rate)
    sign = "+" if count > 0 else "−" if count < 0 else ""
    return f"{sign}{abs(count)} {'frame' if abs(count) == 1 else 'frames'}"


class Move(Gesture):
    """Moves clips in time and from track to track."""

    hints = (("Ctrl", "insert"), NO_SNAPPING, CANCEL)

    def __init__(self, scene: Scene, press: Pointer, clip: Clip, ids: frozenset[str]) -> None:
        super().__init__(scene, press)
        self._clip, self._ids = clip, ids
        chosen = [one for track in self.base.tracks for one in track.clips if one.id in ids]
        self._first = min(one.start for one in chosen)
        edges = (clip.start, clip.end, self._first, max(one.end for one in chosen))
        self._edges = tuple(dict.fromkeys(edges))
        self._points = snap_points(self.base, scene.playhead, ids)
        track = self.base.track_of(clip.id)
        assert track is not None
        self._track = track
        self._known: tuple[object, Preview] | None = None

    def _shift(self, pointer: Pointer) -> int:
        """Tracks away from the sound-picture line: V1 to V2 is 1."""
        rows = self.scene.rows
        row = nearest_row(rows, pointer.y, self._track.kind)
        order = [track.id for track in self.base.tracks if track.kind is self._track.kind]
        return 0 if row is None else order.index(row.track_id) - order.index(self._track.id)

    def update(self, pointer: Pointer) -> Preview:
        delta = self.frames(pointer.seconds - self.press.seconds)
        found = self.catch(tuple(edge + delta for edge in self._edges), self._points, pointer)
        if found is not None:
            delta += found.shift
        delta = max(delta, -self._first)
        if found is not None and not any(edge + delta == found.point for edge in self._edges):
            found = None
        shift = self._shift(pointer)
        asked = (delta, shift, pointer.ctrl, found)
        if self._known is None or self._known[0] != asked:
            self._known = asked, self._shown(delta, shift, pointer.ctrl, found)
        return self._known[1]

    def _shown(self, delta: Time, shift: int, inserting: bool, found: Caught | None) -> Preview:
        if not delta and not shift:
            self._edit = None
            return NOTHING
        kind = self._track.kind
        ids, count = self._ids, len(self._ids)
        mode = "insert" if inserting else "overwrite"
        text = "Move clip" if count == 1 else f"Move {count} clips"
        after = self.try_edit(
            text,
            lambda sequence: edits.move(
                sequence, ids, delta, shift, "insert" if inserting else "overwrite", kind
            ),
        )
        if isinstance(after, EditError):
            return refusal(after)
        start = self._clip.start + delta
        where = timecode(start, self.base.rate)
        words = [signed_frames(self.scene, delta), where]
        if shift:
            track = after.track_of(self._clip.id)
            row = None if track is None else self.scene.row(track.id)
            words.append("" if row is None else row.label)
        tip = " · ".join(word for word in words if word)
        return Preview(
            sequence=after,
            lifted=ids,
            pushed=pushed(self.base, after, ids) if inserting else frozenset(),
            snap=None if found is None else found.point,
            insert=self._first + delta if inserting else None,
            tip=f"Insert · {tip}" if mode == "insert" else tip,
        )


def pushed(before: Sequence, after: Sequence, but: frozenset[str]) -> frozenset[str]:
    """The clips that begin later than before, or were not there."""
    starts = {clip.id: clip.start for track in before.tracks for clip in track.clips}
    return frozenset(
        clip.id
        for track in after.tracks
        for clip in track.clips
        if clip.id not in but and starts.get(clip.id) != clip.start
    )


class Rubber(Gesture):
    """Selects what a rectangle touches; with Shift or Ctrl in addition to what was selected."""

    hints = (("Shift", "add to the selection"), CANCEL)

    def __init__(self, scene: Scene, press: Pointer) -> None:
        super().__init__(scene, press)
        self.before = scene.selection

    def update(self, pointer: Pointer) -> Preview:
        scene = self.scene
        times = sorted((self.press.seconds, pointer.seconds))
        ys = sorted((self.press.y, pointer.y))
        found = clips_in(self.base, scene.rows, scene.spans, (times[0], times[1]), (ys[0], ys[1]))
        if scene.linked:
            found = edits.with_links(self.base, found)
        if self.press.shift or self.press.ctrl:
            found |= self.before
        self.selection = found
        return Preview(rubber=(times[0], times[1], ys[0], ys[1]))


class Scrub(Gesture):
    """Takes the playhead along; with Shift it catches at edges."""

    hints = (("Shift", "snap to edges"),)

    def __init__(self, scene: Scene, press: Pointer) -> None:
        super().__init__(scene, press)
        self._points = snap_points(self.base, None)

    def update(self, pointer: Pointer) -> Preview:
        at = max(ZERO, self.frames(pointer.seconds))
        found = None
        if pointer.shift:
            found = caught((at,), self._points, SNAP / self.scene.scale.px_per_second)
        self.playhead = at if found is None else found.point
        return NOTHING if found is None else Preview(snap=found.point)


class Range(Gesture):
    """Sets in and out by dragging one of them, both at once, or a new span."""

    hints = (NO_SNAPPING, CANCEL)

    def __init__(self, scene: Scene, press: Pointer, part: str) -> None:
        """`part`: "in", "out", "both" or "new"."""
        super().__init__(scene, press)
        self._part = part
        self._points = snap_points(replace(self.base, work_area=None), scene.playhead)

    def update(self, pointer: Pointer) -> Preview:
        rate = self.base.rate
        old = self.base.work_area
        start = max(ZERO, self.frames(self.press.seconds))
        at = max(ZERO, self.frames(pointer.seconds))
        found: Caught | None = None
        if self._part == "both" and old is not None:
            delta = self.frames(pointer.seconds - self.press.seconds)
            found = self.catch((old.start + delta, old.end + delta), self._points, pointer)
            delta = max(delta + (found.shift if found else ZERO), -old.start)
            area = TimeRange(old.start + delta, old.duration)
        else:
            found = self.catch((at,), self._points, pointer)
            at = found.point if found else at
            if self._part == "in" and old is not None:
                area = between(min(at, old.end - 1 / rate), old.end)
            elif self._part == "out" and old is not None:
                area = between(old.start, max(at, old.start + 1 / rate))
            else:
                area = between(min(start, at), max(start, at, min(start, at) + 1 / rate))
        after = self.try_edit("Set in and out", lambda sequence: with_work_area(sequence, area))
        assert isinstance(after, Sequence)
        tip = f"{timecode(area.start, rate)} to {timecode(area.end, rate)}"
        return Preview(sequence=after, tip=tip, snap=found.point if found else None)


def with_work_area(sequence: Sequence, area: TimeRange | None) -> Sequence:
    """The sequence with other in and out points; None for none."""
    return sequence if area == sequence.work_area else replace(sequence, work_area=area)


def marked_in(sequence: Sequence, at: Time) -> Sequence:
    """In at `at`; out stays, or goes to the end where it would not be later."""
    area = sequence.work_area
    end = area.end if area is not None and area.end > at else sequence.duration
    return with_work_area(sequence, between(at, max(end, at + 1 / sequence.rate)))


def marked_out(sequence: Sequence, at: Time) -> Sequence:
    """Out at `at`, which is not shown any more; in stays, or goes to the start."""
    area = sequence.work_area
    start = area.start if area is not None and area.start < at else ZERO
    return with_work_area(sequence, between(start, max(at, start + 1 / sequence.rate)))
