"""The parts of the running program that presenters join."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ui.notice import Notice

if TYPE_CHECKING:
    from PySide6.QtGui import QAction

    from desktop.commands import Commands
    from desktop.editor import Editor
    from desktop.engines import Engines
    from desktop.exporting import Exports
    from desktop.imports import Importer
    from desktop.jobs import JobQueue
    from desktop.playback import Playback
    from desktop.previews import Previews
    from desktop.service import MediaService
    from desktop.settings import Folders, SettingsStore
    from desktop.states import EffectStates
    from desktop.weights import WeightsLibrary
    from ui.timeline.view import TimelineView
    from ui.window import Window


@dataclass(frozen=True)
class Parts:
    """One of each; made once at the start."""

    folders: "Folders"
    settings: "SettingsStore"
    editor: "Editor"
    commands: "Commands"
    queue: "JobQueue"
    service: "MediaService"
    playback: "Playback"
    previews: "Previews"
    states: "EffectStates"
    importer: "Importer"
    exports: "Exports"
    weights: "WeightsLibrary"
    engines: "Engines"
    actions: "dict[str, QAction]"
    timeline: "TimelineView"
    window: "Window"

    def tell(
        self,
        kind: str,
        text: str,
        actions: tuple[tuple[str, str], ...] = (),
        details: str = "",
        file: str = "",
    ) -> Notice:
        """Shows a notice: "error", "warning" or "done"; gives it so that it can be answered."""
        notice = Notice(kind, text, actions, details, file)
        self.window.notices.tell(notice)
        return notice
