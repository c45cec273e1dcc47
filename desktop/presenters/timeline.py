"""The timeline: edits of gestures, selection, playhead, tools, its menu."""

from PySide6.QtCore import QObject, QPoint, Signal
from PySide6.QtWidgets import QMenu

from desktop.parts import Parts
from engine.timeline.model import Project
from ui.timeline.states import ClipState

CLIP_MENU = (
    "clip.split", "edit.duplicate", "clip.link", "clip.enable", "clip.dissolve", "",
    "effects.render", "", "edit.lift", "edit.ripple_delete",
)  # fmt: skip
EMPTY_MENU = ("file.import", "", "timeline.mark_in", "timeline.mark_out", "timeline.clear_range")


class TimelinePresenter(QObject):
    """Gives the timeline its values and takes its edits."""

    again_requested = Signal(str)  # the settings that a generated medium was made with

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._parts = parts
        view, editor = parts.timeline, parts.editor
        view.set_thumbnails(parts.previews.thumbnail)
        view.set_waveforms(parts.previews.waveform)
        view.edit_requested.connect(editor.apply)
        view.selection_requested.connect(editor.select)
        view.targets_requested.connect(editor.set_targets)
        view.playhead_requested.connect(editor.move_playhead)
        view.tool_changed.connect(self._tool_changed)
        view.snapping_changed.connect(self._snapping_changed)
        view.linked_changed.connect(self._linked_changed)
        view.menu_requested.connect(self._menu)
        editor.project_changed.connect(self._project_changed)
        editor.selection_changed.connect(lambda: view.set_selection(editor.selection))
        editor.targets_changed.connect(lambda: view.set_targets(editor.targets))
        editor.playhead_changed.connect(lambda: view.set_playhead(editor.playhead))
        parts.previews.changed.connect(view.thumbnails_changed)
        parts.states.changed.connect(self.show_states)
        values = parts.settings.value
        view.set_snapping(values.snapping)
        view.set_linked(values.linked)
        self._linked_changed(values.linked)
        self._snapping_changed(values.snapping)
        view.set_project(editor.project, editor.sequence.id)
        view.set_targets(editor.targets)

    def _project_changed(self, old: Project, new: Project) -> None:
        view, sequence = self._parts.timeline, self._parts.editor.sequence
        was_empty = not old.sequences or all(one.duration == 0 for one in old.sequences)
        view.set_project(new, sequence.id)
        self._parts.states.set_sequence(sequence)
        if was_empty and sequence.duration > 0:
            view.fit()

    def show_states(self) -> None:
        states: dict[str, ClipState] = {}
        for track in self._parts.editor.sequence.tracks:
            for clip in track.clips:
                if clip.effects and (state := self._parts.states.state(clip)) is not None:
                    states[clip.id] = state
        self._parts.timeline.set_states(states)

    def _tool_changed(self, name: str) -> None:
        for one in ("select", "razor", "ripple"):
            action = self._parts.actions.get(f"view.tool_{one}")
            if action is not None and action.isCheckable():
                action.setChecked(one == name)

    def _snapping_changed(self, on: bool) -> None:
        self._parts.actions["view.snapping"].setChecked(on)
        self._parts.settings.change(snapping=on)

    def _linked_changed(self, on: bool) -> None:
        self._parts.commands.is_linked = on
        self._parts.settings.change(linked=on)

    def _menu(self, clip_id: str, at: QPoint) -> None:
        if clip_id and clip_id not in self._parts.editor.selection:
            self._parts.editor.select({clip_id})
        menu = QMenu(self._parts.window)
        for name in CLIP_MENU if clip_id else EMPTY_MENU:
            if name:
                menu.addAction(self._parts.actions[name])
            else:
                menu.addSeparator()
        clip = self._parts.editor.sequence.clip(clip_id) if clip_id else None
        asset = self._parts.editor.project.asset(clip.asset) if clip is not None else None
        if asset is not None and asset.made_by == "generate":
            menu.addSeparator()
            menu.addAction("Use its settings again", lambda: self.again_requested.emit(asset.id))
        menu.exec(at)
        menu.deleteLater()
