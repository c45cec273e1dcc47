"""Drags from outside over the canvas: what they would do, and what they ask for when dropped."""

from collections.abc import Mapping

from PySide6.QtCore import QObject, QPointF, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtWidgets import QWidget

from engine.timeline.model import MediaFacts
from ui.timeline import drops
from ui.timeline.hand import pointer_at
from ui.timeline.scene import NOTHING, Scene


class DropTarget(QObject):
    """Keeps the load of the drag that is over the canvas, and the facts that came for it."""

    files_dropped = Signal(object)  # DropRequest
    assets_dropped = Signal(object)
    effect_dropped = Signal(str, str, str)
    facts_requested = Signal(object)  # paths
    preview_changed = Signal(object)
    hints_changed = Signal(object)

    def __init__(self, scene: Scene, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._scene = scene
        self._facts: dict[str, MediaFacts | str] = {}
        self._load: drops.Load | None = None
        self._spot = QPointF()
        self._keys = Qt.KeyboardModifier.NoModifier

    def set_facts(self, facts: Mapping[str, MediaFacts | str]) -> None:
        """What is known of files by now; shown at once if they are over the canvas."""
        self._facts.update(facts)
        if self._load is not None and self._load.paths:
            self._show()

    def enter(self, event: QDragEnterEvent) -> None:
        self._load = drops.load_of(event.mimeData())
        asked = [path for path in self._load.paths if path not in self._facts]
        if asked:
            self.facts_requested.emit(asked)
        self.move(event)

    def move(self, event: QDragMoveEvent) -> None:
        self._spot, self._keys = event.position(), event.modifiers()
        # Even what cannot be taken is accepted here: a refused drag sends no moves, and the
        # hint that says why would be gone.
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
        self._show()

    def _show(self) -> drops.Aim:
        load = self._load or drops.Load()
        pointer = pointer_at(self._scene, self._spot, self._keys)
        self._scene.preview = NOTHING  # the aim is taken at the sequence as it is
        aim = drops.aim(self._scene, load, self._facts, pointer)
        self.preview_changed.emit(aim.preview)
        fits = aim.request is not None and load.effect is None
        self.hints_changed.emit(drops.HINTS if fits else (("Esc", "cancel"),))
        return aim

    def leave(self) -> None:
        self._load = None
        self.preview_changed.emit(NOTHING)
        self.hints_changed.emit(())

    def drop(self, event: QDropEvent) -> None:
        self._spot, self._keys = event.position(), event.modifiers()
        if self._load is None:
            self._load = drops.load_of(event.mimeData())
        load, aim = self._load, self._show()
        self.leave()
        if load.effect is not None and aim.onto:
            self.effect_dropped.emit(aim.onto, *load.effect)
        elif aim.request is not None and load.paths:
            self.files_dropped.emit(aim.request)
        elif aim.request is not None:
            self.assets_dropped.emit(aim.request)
        else:
            event.ignore()
            return
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
