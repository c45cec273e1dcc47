"""Gestures at the ends of clips: trim, ripple trim, fades, the length of a dissolve."""

from msgspec.structs import replace

from engine.errors import EditError
from engine.timeline import edits
from engine.timeline.edits import Edge
from engine.timeline.model import Clip, Sequence
from engine.timeline.time import ZERO, Time, between, timecode
from ui.timeline.gestures import (
    CANCEL,
    NO_SNAPPING,
    Edit,
    Gesture,
    Hints,
    Pointer,
    refusal,
    signed_frames,
)
from ui.timeline.scene import NOTHING, Box, Preview, Scene
from ui.timeline.snapping import snap_points


def trimmed_together(sequence: Sequence, clip: Clip, edge: Edge, linked: bool) -> frozenset[str]:
    """The clip, and what is linked with it and ends at the same place, on open tracks."""
    if not linked or clip.link is None:
        return frozenset((clip.id,))
    at = clip.start if edge is Edge.HEAD else clip.end
    chosen = {clip.id}
    for track in sequence.tracks:
        for one in track.clips:
            same = one.start if edge is Edge.HEAD else one.end
            if one.link == clip.link and same == at and not track.locked:
                chosen.add(one.id)
    return frozenset(chosen)


class Trim(Gesture):
    """Drags the head or tail of a clip; `always_ripple` for the ripple tool."""

    hints: Hints = (NO_SNAPPING, ("Shift", "ripple trim"), CANCEL)

    def __init__(
        self, scene: Scene, press: Pointer, clip: Clip, edge: Edge, always_ripple: bool = False
    ) -> None:
        super().__init__(scene, press)
        self._clip, self._edge, self._always = clip, edge, always_ripple
        if always_ripple:
            self.hints = (NO_SNAPPING, CANCEL)
        self._ids = trimmed_together(self.base, clip, edge, scene.linked)
        self._points = snap_points(self.base, scene.playhead, self._ids)
        self._at = clip.start if edge is Edge.HEAD else clip.end

    def update(self, pointer: Pointer) -> Preview:
        ripple = self._always or pointer.shift
        delta = self.frames(pointer.seconds - self.press.seconds)
        found = self.catch((self._at + delta,), self._points, pointer)
        if found is not None:
            delta += found.shift
        if not delta:
            self._edit = None
            return NOTHING
        sentence = ""
        after = self.try_edit(self._words(ripple), self._edit_by(delta, ripple))
        if isinstance(after, EditError):
            sentence = after.message
            delta = self._nearest(delta, ripple)
            if not delta:
                return refusal(after)
            after = self.try_edit(self._words(ripple), self._edit_by(delta, ripple))
            found = None
        if isinstance(after, EditError):
            return refusal(after)
        clip = after.clip(self._clip.id) or self._clip
        length = timecode(clip.duration, self.base.rate)
        end = "Head" if self._edge is Edge.HEAD else "Tail"
        return Preview(
            sequence=after,
            boxes=() if ripple else self._boxes(delta),
            snap=None if found is None else found.point,
            tip=sentence or f"{end} {signed_frames(self.scene, delta)} · {length}",
            refused=bool(sentence),
        )

    def _words(self, ripple: bool) -> str:
        return f"{'Ripple trim' if ripple else 'Trim'} {self._edge.value}"

    def _edit_by(self, delta: Time, ripple: bool) -> Edit:
        project, ids, edge = self.scene.project, self._ids, self._edge
        edit = edits.ripple_trim if ripple else edits.trim
        return lambda sequence: edit(sequence, ids, edge, delta, project)

    def _nearest(self, delta: Time, ripple: bool) -> Time:
        """As far as the trim can go; zero where it cannot at all."""
        try:
            least, most = edits.trim_limits(
                self.base, self._ids, self._edge, self.scene.project, ripple
            )
        except EditError:
            return ZERO
        if least is not None:
            delta = max(delta, least)
        return delta if most is None else min(delta, most)

    def _boxes(self, delta: Time) -> tuple[Box, ...]:
        """What the trim takes away or adds, on each of its tracks."""
        span = between(min(self._at, self._at + delta), max(self._at, self._at + delta))
        added = (delta > 0) is (self._edge is Edge.TAIL)
        return tuple(
            Box(track.id, span, added)
            for track in self.base.tracks
            if any(clip.id in self._ids for clip in track.clips)
        )


class Fade(Gesture):
    """Drags the handle of a fade of sound."""

    hints = (CANCEL,)

    def __init__(self, scene: Scene, press: Pointer, clip: Clip, edge: Edge) -> None:
        super().__init__(scene, press)
        self._clip, self._edge = clip, edge

    def update(self, pointer: Pointer) -> Preview:
        clip, sound = self._clip, self._clip.sound
        at_head = self._edge is Edge.HEAD
        other = sound.fade_out if at_head else sound.fade_in
        old = sound.fade_in if at_head else sound.fade_out
        moved = self.frames(pointer.seconds - self.press.seconds)
        length = old + moved if at_head else old - moved
        length = min(max(ZERO, length), clip.duration - other)
        levels = replace(sound, fade_in=length) if at_head else replace(sound, fade_out=length)
        changed = replace(clip, sound=levels)
        words = "Fade in" if at_head else "Fade out"
        after = self.try_edit(words, lambda sequence: edits.replace_clip(sequence, changed))
        if isinstance(after, EditError):
            return refusal(after)
        return Preview(sequence=after, tip=f"{words} {timecode(length, self.base.rate)}")


class DissolveLength(Gesture):
    """Drags an end of a dissolve's box; the other end mirrors it about the cut."""

    hints = (CANCEL,)

    def __init__(self, scene: Scene, press: Pointer, left: str, transition: str) -> None:
        super().__init__(scene, press)
        track = self.base.track_of(left)
        assert track is not None
        self._transition = next(one for one in track.transitions if one.id == transition)
        clip = self.base.clip(left)
        assert clip is not None
        self._cut = clip.end

    def update(self, pointer: Pointer) -> Preview:
        project, old = self.scene.project, self._transition
        half = self.frames(abs(pointer.seconds - float(self._cut)))
        length = 2 * half
        if not length:
            after = self.try_edit(
                "Remove dissolve", lambda sequence: edits.remove_transition(sequence, old.id)
            )
            tip = "No dissolve"
        else:
            after = self._dissolved(length)
            tip = f"Dissolve {timecode(length, self.base.rate)}"
        if isinstance(after, EditError):
            sentence = after.message
            try:
                length = edits.longest_dissolve(self.base, old.left, old.right, project)
            except EditError:
                length = ZERO
            after = self._dissolved(length) if length else after
            if isinstance(after, EditError):
                return refusal(after)
            return Preview(sequence=after, tip=sentence, refused=True, active=old.left)
        return Preview(sequence=after, tip=tip, active=old.left)

    def _dissolved(self, length: Time) -> Sequence | EditError:
        project, old = self.scene.project, self._transition
        return self.try_edit(
            "Length of dissolve",
            lambda sequence: edits.dissolve(sequence, old.left, old.right, length, project),
        )
