"""Before and after in the viewer: which clip is compared, what is said of it, how it is shown."""

from math import sqrt

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from desktop.parts import Parts
from desktop.states import active, badge
from engine.timeline.model import Asset, Clip, Project, TrackKind
from engine.timeline.results import result_facts
from engine.timeline.time import ZERO, Time
from ui.compare import Labels, Mode
from ui.timeline.states import FAILED, FRESH, RUNNING, STALE, ClipState

MOST_PIXELS = 3840 * 2160  # of a frame while comparing, beyond the sequence's own
HINTS = [("D", "compare"), ("Left  Right", "move it"), ("Space", "play both")]
STATE_WORDS = {
    FRESH: "every frame is rendered",
    STALE: "not rendered yet",
    RUNNING: "being rendered",
    FAILED: "the last run failed",
}


class ComparePresenter(QObject):
    """Asks for pairs while comparing and tells the viewer what it shows."""

    changed = Signal()  # before and after are shown, or no longer
    time_requested = Signal(object)  # Time: the playhead is wanted there

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._parts = parts
        self._mode = Mode.OFF
        self._last = Mode.DIVIDER  # what D brings back
        self._is_stale = False  # the picture that is shown
        self._project: Project | None = None
        self._now: Time = ZERO
        self._shown: Clip | None = None
        self._hints: tuple[tuple[str, str], ...] = ()
        self._has_strip = False
        viewer = parts.window.viewer
        viewer.compare_requested.connect(self.set_mode)
        viewer.leave_requested.connect(self._leave)
        parts.window.inspector.compare_requested.connect(self._compare_selected)
        parts.playback.pair_ready.connect(self._pair)
        parts.playback.stale_changed.connect(self._stale)
        parts.states.changed.connect(self._states_changed)
        parts.editor.selection_changed.connect(self._show_button)

    @property
    def is_on(self) -> bool:
        return self._mode is not Mode.OFF

    def toggle(self) -> None:
        """Shows before and after as last time, or the picture alone again."""
        self.set_mode(Mode.OFF if self.is_on else self._last)

    def set_mode(self, mode: Mode) -> None:
        if mode is not Mode.OFF and self._sequence_is_empty():
            mode = Mode.OFF
        was_on, self._mode = self.is_on, mode
        if self.is_on:
            self._last = mode
        if self.is_on and not self._has_strip:
            self._make_strip()
        viewer = self._parts.window.viewer
        viewer.canvas.set_detail(self._detail())
        viewer.set_compare(mode)
        self._parts.actions["view.compare"].setChecked(self.is_on)
        self._show_hints()
        self.show()
        if was_on != self.is_on:
            self.changed.emit()

    def show_project(self, project: Project, now: Time) -> None:
        """The project that the viewer shows: of the editor, or of one medium alone."""
        self._project, self._now = project, now
        possible = not self._sequence_is_empty()
        self._parts.window.viewer.set_compare_possible(possible)
        self._parts.actions["view.compare"].setEnabled(possible)
        if self.is_on and not possible:
            self.set_mode(Mode.OFF)
        if self.is_on:
            self._parts.window.viewer.canvas.set_detail(self._detail())
        self.show()
        self._show_button()

    def show(self) -> None:
        """Names, sizes and state of the clip at the playhead."""
        viewer = self._parts.window.viewer
        if not self.is_on:
            return
        clip = self._shown = self._compared()
        asset = self._asset(clip)
        state = self._parts.states.state(clip) if clip else None
        viewer.set_compared(
            (clip.name if clip else "") or (asset.name if asset else ""),
            self._labels(clip, asset),
            state.name if state else "",
            _words(state),
            state.fraction if state else 0.0,
        )
        viewer.strip.set_clip(clip, asset, state)
        viewer.strip.set_time(self._now)

    def show_time(self, now: Time) -> None:
        """Where the playhead is."""
        self._now = now
        if self.is_on:
            self._parts.window.viewer.strip.set_time(now)
            if self._compared() is not self._shown:
                self.show()

    # What is compared

    def _sequence_is_empty(self) -> bool:
        project = self._project or self._parts.editor.project
        return not project.sequences or project.sequence().duration == 0

    def _asset(self, clip: Clip | None) -> Asset | None:
        project = self._project or self._parts.editor.project
        return project.asset(clip.asset) if clip else None

    def _pictures(self) -> list[Clip]:
        """All picture clips that may show, the uppermost first."""
        project = self._project or self._parts.editor.project
        return [
            clip
            for track in reversed(project.sequence().tracks)
            if track.kind is TrackKind.VIDEO and not track.hidden
            for clip in track.clips
            if clip.enabled
        ]

    def _compared(self) -> Clip | None:
        """The clip at the playhead: with effects before one without, the selected one first."""
        now, selected = self._now, self._parts.editor.selection
        here = [one for one in self._pictures() if one.start <= now < one.end]
        if not here and (pictures := self._pictures()):
            here = [one for one in pictures if one.end == now]  # the playhead is at the very end
        return max(here, key=lambda one: (bool(active(one)), one.id in selected), default=None)

    def _labels(self, clip: Clip | None, asset: Asset | None) -> Labels:
        if clip is None or asset is None:
            return Labels("", "no clip here")
        before, uses = asset.facts.video, active(clip)
        after = result_facts(asset.facts, uses).video
        if before is None or after is None:
            return Labels("", "no picture here")
        names = " + ".join(badge(use) for use in uses) or "no effect here"
        return Labels(
            f"{before.width} × {before.height}",
            f"{names} · {after.width} × {after.height}" if uses else names,
            is_rendered=not self._is_stale,
        )

    def _detail(self) -> float:
        """Pixels worth asking for, for one of the sequence's: an upscaled clip has more."""
        project = self._project or self._parts.editor.project
        if not self.is_on or not project.sequences:
            return 1.0
        sequence = project.sequence()
        detail = 1.0
        for clip in self._pictures():
            asset = project.asset(clip.asset)
            video = result_facts(asset.facts, active(clip)).video if asset else None
            if video is not None and active(clip) and clip.transform.scale > 0:
                fit = min(sequence.width / video.width, sequence.height / video.height)
                detail = max(detail, 1 / (fit * clip.transform.scale))
        most = sqrt(MOST_PIXELS / (sequence.width * sequence.height))
        return max(1.0, min(detail, most))

    # What comes

    def _pair(self, after: QImage, before: QImage, _at: object) -> None:
        if self.is_on:
            self._parts.window.viewer.set_pair(after, before)

    def _stale(self, stale: bool) -> None:
        if stale != self._is_stale:
            self._is_stale = stale
            self.show()

    def _states_changed(self) -> None:
        self.show()
        self._show_button()

    # Around it

    def _make_strip(self) -> None:
        self._has_strip = True
        strip = self._parts.window.viewer.strip
        strip.set_thumbnails(self._parts.previews.thumbnail)
        strip.time_requested.connect(self.time_requested)
        self._parts.previews.changed.connect(strip.update)

    def _show_button(self) -> None:
        selected = self._selected()
        states = self._parts.states
        shown = any(states.has_some(one) for one in selected)
        self._parts.window.inspector.set_compare(shown)

    def _selected(self) -> list[Clip]:
        chosen = self._parts.editor.selection
        return [
            clip
            for track in self._parts.editor.sequence.tracks
            for clip in track.clips
            if clip.id in chosen and active(clip)
        ]

    def _compare_selected(self) -> None:
        """Compare in the inspector: goes to the selected clip if need be."""
        clips = [one for one in self._selected() if self._parts.states.has_some(one)]
        now = self._parts.editor.playhead
        if clips and not any(one.start <= now < one.end for one in clips):
            state = self._parts.states.state(clips[0])
            starts = [start for start, _, name in state.spans if name == FRESH] if state else []
            self.time_requested.emit(starts[0] if starts else clips[0].start)
        self.set_mode(self._last)

    def _leave(self) -> None:
        """Esc: back to editing."""
        self.set_mode(Mode.OFF)
        self._parts.window.set_larger_view(False)

    def _show_hints(self) -> None:
        status = self._parts.window.status
        wanted = [*HINTS, ("Esc", "back to editing")]
        if self._mode is not Mode.DIVIDER:
            wanted.pop(1)
        if self.is_on:
            if status.hints() and not self._hints:
                self._hints = status.hints()
            status.set_hints(wanted)
        elif self._hints:
            status.set_hints(self._hints)
            self._hints = ()


def _words(state: ClipState | None) -> str:
    if state is None:
        return ""
    if state.name == STALE and any(name == FRESH for _, _, name in state.spans):
        return "a part of it is rendered"
    return STATE_WORDS.get(state.name, "")
