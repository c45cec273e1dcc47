"""Editing by menu and key: each command is one edit of the sequence, one undo step."""

from collections.abc import Callable
from fractions import Fraction

import msgspec

from desktop.editor import Editor
from engine.errors import EditError
from engine.timeline import edits
from engine.timeline.model import Asset, Clip, Project, Sequence, Track, TrackKind, Transform
from engine.timeline.time import ZERO, Time, snap, time_of

replace = msgspec.structs.replace


class Commands:
    """What the menus Edit, Clip and Timeline do to the project."""

    def __init__(self, editor: Editor) -> None:
        self._editor = editor
        self.is_linked = True  # linked clips are edited together
        self.still_seconds = Fraction(5)  # of a still that is put on the timeline

    # The parts every command needs

    @property
    def _sequence(self) -> Sequence:
        return self._editor.sequence

    def _apply(self, text: str, edit: Callable[[Sequence], Sequence], merge_key: str = "") -> None:
        sequence_id = self._sequence.id
        self._editor.apply(
            text, lambda project: edits.on_sequence(project, sequence_id, edit), merge_key
        )

    def _chosen(self) -> frozenset[str]:
        """The selected clips, with what is linked to them."""
        chosen = self._editor.selection
        return edits.with_links(self._sequence, chosen) if self.is_linked else chosen

    def _assets(self) -> dict[str, Asset]:
        return {asset.id: asset for asset in self._editor.project.assets}

    def _under_playhead(self) -> list[Clip]:
        """Clips under the playhead: of the selection if it has any there, else of the targets."""
        at = self._editor.playhead
        here = [
            (track, clip)
            for track in self._sequence.tracks
            if not track.locked
            for clip in track.clips
            if clip.start < at < clip.end
        ]
        chosen = [clip for _, clip in here if clip.id in self._editor.selection]
        return chosen or [clip for track, clip in here if track.id in self._editor.targets]

    # Edit

    def lift(self) -> None:
        if chosen := self._chosen():
            self._apply("Lift", lambda sequence: edits.lift(sequence, chosen))

    def ripple_delete(self) -> None:
        if chosen := self._chosen():
            self._apply("Ripple delete", lambda sequence: edits.ripple_delete(sequence, chosen))

    def extract(self) -> None:
        area = self._sequence.work_area
        if area is None:
            self._editor.refused.emit("There is no in to out range.", "Mark it with I and O.")
            return
        self._apply("Extract", lambda sequence: edits.extract(sequence, area))

    def duplicate(self) -> None:
        if chosen := self._chosen():
            self._apply("Duplicate", lambda sequence: edits.duplicate(sequence, chosen))

    def select_all(self) -> None:
        self._editor.select(
            frozenset(
                clip.id
                for track in self._sequence.tracks
                if not track.locked
                for clip in track.clips
            )
        )

    def select_none(self) -> None:
        self._editor.select(frozenset())

    # Clip

    def split(self) -> None:
        here = frozenset(clip.id for clip in self._under_playhead())
        if not here:
            self._editor.refused.emit("No clip lies under the playhead.", "Move it over a clip.")
            return
        if self.is_linked:
            here = edits.with_links(self._sequence, here)
        at = self._editor.playhead
        self._apply("Split", lambda sequence: edits.split(sequence, at, here))

    def split_all(self) -> None:
        at = self._editor.playhead
        self._apply("Split all tracks", lambda sequence: edits.split(sequence, at))

    def place(self, assets: tuple[Asset, ...], how: str) -> None:
        """Puts media at the playhead ("insert", "overwrite") or at the end ("append")."""
        if assets:
            self.place_at(assets, self._editor.playhead, how)

    def place_at(
        self,
        assets: tuple[Asset, ...],
        at: Time,
        how: str,
        tracks: dict[TrackKind, str | None] | None = None,
    ) -> None:
        """Puts media on the timeline; the first picture of all sets the sequence's format.

        `how`: "insert", "overwrite", "append". `tracks`: where pictures and sound go; None: the
        targets.
        """
        sequence_id = self._sequence.id
        targets = self._editor.targets

        def edit(project: Project) -> Project:
            known = {asset.id for asset in project.assets}
            project = edits.add_assets(
                project, tuple(asset for asset in assets if asset.id not in known)
            )
            first = next((asset for asset in assets if asset.facts.video), None)
            if first is not None and not project.is_set_up:
                project = edits.set_up(project, first)
            sequence = project.sequence(sequence_id)
            chosen = tracks or {kind: _target(sequence, kind, targets) for kind in TrackKind}
            placements = edits.placements_for(
                project,
                sequence,
                assets,
                snap(at, sequence.rate),
                chosen[TrackKind.VIDEO],
                chosen[TrackKind.AUDIO],
                self.still_seconds,
            )
            if not placements:
                raise EditError("Nothing here fits a track.", "Unlock a track first.")
            put = {"insert": edits.insert, "overwrite": edits.overwrite, "append": edits.append}
            return edits.on_sequence(project, sequence_id, lambda one: put[how](one, placements))

        names = assets[0].name if len(assets) == 1 else f"{len(assets)} clips"
        self._editor.apply(f"{how.capitalize()} {names}", edit)

    def trim_head(self) -> None:
        self._trim_to_playhead(edits.Edge.HEAD)

    def trim_tail(self) -> None:
        self._trim_to_playhead(edits.Edge.TAIL)

    def _trim_to_playhead(self, edge: edits.Edge) -> None:
        at, assets = self._editor.playhead, self._assets()
        here = self._under_playhead()
        if not here:
            self._editor.refused.emit("No clip lies under the playhead.", "Move it over a clip.")
            return
        clip = here[0]
        delta = at - (clip.start if edge is edits.Edge.HEAD else clip.end)

        ids = frozenset({clip.id})
        if self.is_linked:
            ids = edits.with_links(self._sequence, ids)

        def edit(sequence: Sequence) -> Sequence:
            return edits.ripple_trim(sequence, ids, edge, delta, assets)

        self._apply(f"Ripple trim {edge.value}", edit)
        if edge is edits.Edge.HEAD:
            self._editor.move_playhead(clip.start)

    def nudge(self, frames: int) -> None:
        chosen = self._chosen()
        delta = time_of(frames, self._sequence.rate)
        if chosen:
            self._apply("Nudge", lambda sequence: edits.move(sequence, chosen, delta), "nudge")

    def link(self) -> None:
        """Links the selected clips, or unlinks them when they are linked."""
        chosen = self._editor.selection
        clips = [clip for one in chosen if (clip := self._sequence.clip(one))]
        if any(clip.link for clip in clips):
            everything = edits.with_links(self._sequence, chosen)
            self._apply("Unlink", lambda sequence: edits.unlink(sequence, everything))
        elif len(clips) > 1:
            self._apply("Link", lambda sequence: edits.link(sequence, chosen))

    def dissolve(self) -> None:
        """A one-second cross-dissolve at the cut nearest to the playhead, shorter if need be."""
        sequence, assets = self._sequence, self._assets()
        cut = _nearest_cut(sequence, self._editor.playhead, self._editor.selection)
        if cut is None:
            self._editor.refused.emit(
                "Two clips must touch for a dissolve.", "Close the gap first."
            )
            return
        left, right = cut

        def edit(one: Sequence) -> Sequence:
            longest = edits.longest_dissolve(one, left.id, right.id, assets)
            # linked sound crossfades with its picture
            return edits.dissolve(one, left.id, right.id, min(longest, Fraction(1)), assets)

        self._apply("Cross-dissolve", edit)

    def enable(self) -> None:
        chosen = self._chosen()
        clips = [clip for one in chosen if (clip := self._sequence.clip(one))]
        if clips:
            on = not all(clip.enabled for clip in clips)
            self._change(
                "Enable" if on else "Disable", clips, lambda clip: replace(clip, enabled=on)
            )

    def _change(
        self, text: str, clips: list[Clip], change: Callable[[Clip], Clip], merge_key: str = ""
    ) -> None:
        ids = [clip.id for clip in clips]

        def edit(sequence: Sequence) -> Sequence:
            for one in ids:
                if (clip := sequence.clip(one)) is not None:
                    sequence = edits.replace_clip(sequence, change(clip))
            return sequence

        self._apply(text, edit, merge_key)

    def transform(self, ids: tuple[str, ...], transform: Transform, merge_key: str) -> None:
        clips = [clip for one in ids if (clip := self._sequence.clip(one))]
        self._change("Transform", clips, lambda clip: replace(clip, transform=transform), merge_key)

    # Timeline

    def clear_range(self) -> None:
        if self._sequence.work_area is not None:
            self._apply("Clear in and out", lambda sequence: replace(sequence, work_area=None))

    def add_track(self, kind: TrackKind) -> None:
        self._apply("Add track", lambda sequence: edits.add_track(sequence, kind, ""))

    def resize(self, width: int, height: int) -> None:
        """Gives the sequence another size in pixels."""
        self._apply(
            f"Set sequence to {width} × {height}",
            lambda sequence: replace(sequence, width=width, height=height),
        )

    def cuts(self) -> list[Time]:
        """Every edge of a clip, in order, each once."""
        return sorted(
            {
                edge
                for track in self._sequence.tracks
                for one in track.clips
                for edge in (one.start, one.end)
            }
            | {ZERO}
        )

    def next_cut(self, way: int) -> Time:
        """The cut before (way -1) or after (1) the playhead, or the playhead itself."""
        at = self._editor.playhead
        if way > 0:
            return next((cut for cut in self.cuts() if cut > at), at)
        return next((cut for cut in reversed(self.cuts()) if cut < at), at)


def _target(sequence: Sequence, kind: TrackKind, targets: frozenset[str]) -> str | None:
    """The track that media of `kind` go to: the targeted one, else the first that is not locked."""
    fitting = [track for track in sequence.tracks if track.kind is kind and not track.locked]
    return next(
        (one.id for one in fitting if one.id in targets), fitting[0].id if fitting else None
    )


def _nearest_cut(
    sequence: Sequence, at: Time, selection: frozenset[str]
) -> tuple[Clip, Clip] | None:
    """The two touching picture clips whose cut is nearest to `at`; selected ones come first."""
    found: list[tuple[bool, Fraction, tuple[Clip, Clip]]] = []
    for track in sequence.tracks:
        if track.kind is TrackKind.VIDEO and not track.locked:
            found += [
                (not {left.id, right.id} & selection, abs(left.end - at), (left, right))
                for left, right in _touching(track)
            ]
    return min(found, key=lambda one: one[:2])[2] if found else None


def _touching(track: Track) -> list[tuple[Clip, Clip]]:
    return [
        (left, right)
        for left, right in zip(track.clips, track.clips[1:], strict=False)
        if left.end == right.start
    ]
