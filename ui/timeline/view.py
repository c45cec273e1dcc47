"""The timeline: tools, heads, canvas and scrollbars as one widget; values in, wishes out."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial

from PySide6.QtCore import QEvent, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QGridLayout, QWidget

from engine.timeline.model import MediaFacts, Project, Sequence
from engine.timeline.time import Time
from ui import theme
from ui.timeline.canvas import Canvas
from ui.timeline.geometry import (
    TOP,
    content_width,
    total_height,
    zoom_at,
    zoom_bounds,
    zoom_position,
)
from ui.timeline.gestures import Wish, marked_in, marked_out, wish, with_work_area
from ui.timeline.ghosts import Ghost
from ui.timeline.header import Heads, heights_after
from ui.timeline.scene import Scene
from ui.timeline.scroll import ROOM, ScrollStrip
from ui.timeline.states import ClipState, Thumbnails, Waveforms
from ui.timeline.toolrow import TOOLS, ToolRow

ZOOM_STEP = 1.5
MARGIN = 0.1  # of the width, left of the playhead when the view turns a page


class TimelineView(QWidget):
    """Shows one sequence of a project. It keeps zoom, scrolling and track heights, no more."""

    playhead_requested = Signal(object)  # Time
    selection_requested = Signal(object)  # frozenset of clip ids
    targets_requested = Signal(object)  # frozenset of track ids
    edit_requested = Signal(str, object, str)  # text, Project -> Project, merge key
    files_dropped = Signal(object)  # DropRequest
    assets_dropped = Signal(object)  # DropRequest
    effect_dropped = Signal(str, str, str)  # clip, kind, engine
    facts_requested = Signal(object)  # paths of files that are dragged over it
    hint_changed = Signal(object)  # list of (key, text)
    menu_requested = Signal(str, QPoint)  # clip or "", where on the screen
    ghost_requested = Signal(str)  # the job of a clip that is being made
    ghost_menu_requested = Signal(str, QPoint)
    tool_changed = Signal(str)
    snapping_changed = Signal(bool)
    linked_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        QTimer.singleShot(0, self._become_accessible)
        self._scene = Scene()
        self.tools = ToolRow(self)
        self.heads = Heads(self._scene, self)
        self.canvas = Canvas(self._scene, self)
        self._across = ScrollStrip(Qt.Orientation.Horizontal, self)
        self._down = ScrollStrip(Qt.Orientation.Vertical, self)
        self._down.hide()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(0)
        grid.addWidget(self.tools, 0, 0, 1, 3)
        grid.addWidget(self.heads, 1, 0)
        grid.addWidget(self.canvas, 1, 1)
        grid.addWidget(self._down, 1, 2)
        grid.addWidget(self._across, 2, 1, 1, 2)
        grid.setRowMinimumHeight(2, ROOM)
        grid.setColumnStretch(1, 1)
        grid.setRowStretch(1, 1)
        self.setMinimumHeight(36 + TOP + 68 + ROOM)
        self.heads.follower = self.canvas
        self.setFocusProxy(self.canvas)
        self._connect()
        self.set_tool("select")
        self.tools.show_switches(self._scene.snapping, self._scene.linked)

    def _connect(self) -> None:
        self.tools.tool_requested.connect(self.set_tool)
        self.tools.snapping_requested.connect(self.set_snapping)
        self.tools.linked_requested.connect(self.set_linked)
        self.tools.in_requested.connect(self.mark_in)
        self.tools.out_requested.connect(self.mark_out)
        self.tools.zoom_requested.connect(self._zoom_to_position)
        self.tools.zoom_stepped.connect(lambda way: self.zoom_in() if way > 0 else self.zoom_out())
        self.tools.fit_requested.connect(self.fit)
        self.heads.edited.connect(self._request)
        self.heads.target_toggled.connect(self._toggle_target)
        self.heads.height_dragged.connect(self._set_height)
        hand, target = self.canvas.hand, self.canvas.target
        hand.wished.connect(self._emit)
        hand.playhead_requested.connect(self.playhead_requested)
        hand.selection_requested.connect(self.selection_requested)
        hand.scroll_requested.connect(self._scroll_by)
        hand.hints_changed.connect(lambda hints: self.hint_changed.emit(list(hints)))
        target.files_dropped.connect(self.files_dropped)
        target.assets_dropped.connect(self.assets_dropped)
        target.effect_dropped.connect(self.effect_dropped)
        target.facts_requested.connect(self.facts_requested)
        self.canvas.menu_requested.connect(self.menu_requested)
        self.canvas.ghost_requested.connect(self.ghost_requested)
        self.canvas.ghost_menu_requested.connect(self.ghost_menu_requested)
        self.canvas.scroll_requested.connect(self._scroll_by)
        self.canvas.zoom_requested.connect(self._zoom_by)
        self.canvas.reveal_requested.connect(self.reveal)
        self._across.valueChanged.connect(self._scroll_across)
        self._down.valueChanged.connect(self._scroll_down)

    def _become_accessible(self) -> None:
        """Tells screen readers of the clips; after the first paint, which is not held up by it."""
        from ui.timeline import access

        access.install()
        self.canvas.focus_moved.connect(partial(access.focus_moved, self.canvas))

    # Values

    def set_project(self, project: Project, sequence_id: str = "") -> None:
        """Shows a sequence of `project`; "" is the first one."""
        scene = self._scene
        self.canvas.hand.cancel()
        other = sequence_id != scene.sequence_id
        scene.project, scene.sequence_id = project, sequence_id
        scene.arrange()
        if other:
            scene.scale = scene.scale.scrolled(0.0)
        self._measure()
        self.heads.show_tracks()
        self.canvas.describe_focus()
        self.canvas.refresh()

    def set_playhead(self, at: Time) -> None:
        """Moves the playhead; the view follows where it ran out of sight."""
        scene, width = self._scene, self.canvas.width()
        was_seen = 0 <= scene.scale.x(scene.playhead) <= width
        jumped = abs(at - scene.playhead) > 1
        self.canvas.show_playhead(at)
        x = scene.scale.x(at)
        follows = self.isVisible() and not self.canvas.hand.is_busy
        if follows and not 0 <= x <= width and (was_seen or jumped):
            self._scroll_to(scene.scale.offset + x - MARGIN * width)

    def set_selection(self, ids: frozenset[str]) -> None:
        changed = self._scene.selection ^ ids
        self._scene.selection = frozenset(ids)
        if len(changed) > 16:
            self.canvas.refresh()
            return
        for clip in changed:
            self.canvas.refresh_clip(clip)
        self.canvas.describe_focus()

    def set_targets(self, ids: frozenset[str]) -> None:
        self._scene.targets = frozenset(ids)
        self.heads.show_tracks()

    def set_states(self, states: Mapping[str, ClipState]) -> None:
        """What the baked effects of clips are at, by clip id; others have none."""
        if states != self._scene.states:
            self._scene.states = dict(states)
            self.canvas.refresh()

    def set_ghosts(self, ghosts: tuple[Ghost, ...]) -> None:
        """Clips that jobs still make. They are looked at and clicked; no edit knows them."""
        scene = self._scene
        before, rows = scene.ghosts, scene.rows
        if ghosts == before:
            return
        scene.ghosts = ghosts
        scene.arrange()
        self._measure()
        if scene.rows != rows or bool(before) != bool(ghosts):
            self.heads.show_tracks()
            self.canvas.refresh()
            return
        for one in (*before, *ghosts):
            self.canvas.refresh_ghost(one)

    def set_missing(self, asset_ids: frozenset[str]) -> None:
        if frozenset(asset_ids) != self._scene.missing:
            self._scene.missing = frozenset(asset_ids)
            self.canvas.refresh()

    def set_thumbnails(self, provider: Thumbnails) -> None:
        """Where pictures come from: (asset, time in it, height in device pixels)."""
        self.canvas.clips.thumbnails = provider
        self.canvas.refresh()

    def set_waveforms(self, provider: Waveforms) -> None:
        self.canvas.clips.waveforms = provider
        self.canvas.refresh()

    def thumbnails_changed(self) -> None:
        """More pictures or waveforms are there."""
        self.canvas.refresh()

    def set_facts(self, facts: Mapping[str, MediaFacts | str]) -> None:
        """Facts of dragged files by path, or a sentence why one cannot be read."""
        self.canvas.target.set_facts(facts)

    def set_tool(self, name: str) -> None:
        """ "select", "razor" or "ripple"."""
        changed = name != self._scene.tool
        assert name in {tool[0] for tool in TOOLS}
        self._scene.tool = name
        self.tools.show_tool(name)
        if changed:
            self.tool_changed.emit(name)

    def set_snapping(self, on: bool) -> None:
        changed = on != self._scene.snapping
        self._scene.snapping = on
        self.tools.show_switches(on, self._scene.linked)
        if changed:
            self.snapping_changed.emit(on)

    def set_linked(self, on: bool) -> None:
        changed = on != self._scene.linked
        self._scene.linked = on
        self.tools.show_switches(self._scene.snapping, on)
        if changed:
            self.linked_changed.emit(on)

    @property
    def tool(self) -> str:
        return self._scene.tool

    @property
    def is_snapping(self) -> bool:
        return self._scene.snapping

    def set_still_seconds(self, seconds: Fraction) -> None:
        """How long a still is that is dropped."""
        self._scene.still_seconds = seconds

    @property
    def is_linked(self) -> bool:
        return self._scene.linked

    @property
    def px_per_second(self) -> float:
        return self._scene.scale.px_per_second

    # Wishes

    def _request(self, text: str, edit: Callable[[Sequence], Sequence]) -> None:
        self._emit(wish(self._scene, text, edit))

    def _emit(self, one: Wish) -> None:
        self.edit_requested.emit(one.text, one.edit, one.merge_key)

    def mark_in(self) -> None:
        at = self._scene.playhead
        self._request("Mark in", lambda sequence: marked_in(sequence, at))

    def mark_out(self) -> None:
        at = self._scene.playhead
        self._request("Mark out", lambda sequence: marked_out(sequence, at))

    def clear_marks(self) -> None:
        self._request("Clear in and out", lambda sequence: with_work_area(sequence, None))

    def _toggle_target(self, track_id: str) -> None:
        """One track of a kind is the target at most."""
        kind = self._scene.actual.track(track_id).kind
        same = {track.id for track in self._scene.actual.tracks if track.kind is kind}
        kept = self._scene.targets - same
        on = track_id not in self._scene.targets
        self.targets_requested.emit(kept | {track_id} if on else kept)

    # Zoom and scrolling

    def _bounds(self) -> tuple[float, float]:
        sequence = self._scene.actual
        return zoom_bounds(self._scene.end, sequence.rate, self.canvas.width())

    def zoom_in(self) -> None:
        self._zoom_by(ZOOM_STEP, self._anchor())

    def zoom_out(self) -> None:
        self._zoom_by(1 / ZOOM_STEP, self._anchor())

    def _anchor(self) -> float:
        """What stays where it is: the playhead if it is in view, else the middle."""
        x = self._scene.scale.x(self._scene.playhead)
        return x if 0 <= x <= self.canvas.width() else self.canvas.width() / 2

    def fit(self) -> None:
        """The whole sequence in view, with a little room after it."""
        seconds = float(self._scene.end)
        if seconds:
            self._zoom(0.95 * self.canvas.width() / seconds, 0.0)
            self._scroll_to(0.0)

    def _zoom_to_position(self, position: float) -> None:
        self._zoom(zoom_at(position, self._bounds()), self._anchor())

    def _zoom_by(self, factor: float, x: float) -> None:
        self._zoom(self._scene.scale.px_per_second * factor, x)

    def _zoom(self, px_per_second: float, x: float) -> None:
        least, most = self._bounds()
        speed = min(most, max(least, px_per_second))
        self._scene.scale = self._scene.scale.zoomed(speed, x)
        self._measure()
        self.canvas.refresh()

    def _measure(self) -> None:
        """The scrollbars and the slider, after anything they depend on changed."""
        scene, width = self._scene, self.canvas.width()
        least, most = self._bounds()
        if not least <= scene.scale.px_per_second <= most:
            scene.scale = scene.scale.zoomed(min(most, max(least, scene.scale.px_per_second)), 0.0)
        whole = content_width(scene.end, scene.scale.px_per_second, width)
        reach = max(0, round(whole - width), round(scene.scale.offset))
        _set_bar(self._across, reach, width, round(scene.scale.offset))
        room = self.canvas.height() - TOP
        overflow = max(0, total_height(scene.rows) - room)
        scene.scroll_y = min(scene.scroll_y, overflow)
        _set_bar(self._down, overflow, room, scene.scroll_y)
        self._down.setVisible(overflow > 0)
        self.tools.show_zoom(zoom_position(scene.scale.px_per_second, self._bounds()))

    def _scroll_by(self, dx: float, dy: float) -> None:
        if dx:
            self._scroll_to(self._scene.scale.offset + dx)
        if dy:
            self._down.setValue(self._scene.scroll_y + round(dy))

    def _scroll_to(self, offset: float) -> None:
        offset = max(0.0, offset)
        if offset > self._across.maximum():  # a gesture or the playhead may go on beyond
            self._across.setMaximum(round(offset))
        self._across.setValue(round(offset))

    def _scroll_across(self, value: int) -> None:
        self._scene.scale = self._scene.scale.scrolled(float(value))
        self.canvas.refresh()

    def _scroll_down(self, value: int) -> None:
        self._scene.scroll_y = value
        self.heads.show_tracks()
        self.canvas.refresh()

    def reveal(self, clip_id: str) -> None:
        """Scrolls so that the clip is in view."""
        scene = self._scene
        clip, track = scene.actual.clip(clip_id), scene.actual.track_of(clip_id)
        row = scene.row(track.id) if track is not None else None
        if clip is None or row is None:
            return
        left, right = scene.scale.x(clip.start), scene.scale.x(clip.end)
        if right < 0 or left > self.canvas.width():
            self._scroll_to(scene.scale.offset + left - MARGIN * self.canvas.width())
        room = self.canvas.height() - TOP
        if row.top < scene.scroll_y or row.bottom > scene.scroll_y + room:
            self._down.setValue(max(0, min(row.top, row.bottom - room)))

    def _set_height(self, track_id: str, height: int, every: bool) -> None:
        self._scene.heights = heights_after(self._scene, track_id, height, every)
        self._scene.arrange()
        self._measure()
        self.heads.show_tracks()
        self.canvas.refresh()

    # Events

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._measure()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Over the heads: the tracks."""
        self._scroll_by(0.0, -event.angleDelta().y() / 2)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self.heads.show_tracks()
            self.canvas.refresh()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.colour("track"))


def _set_bar(bar: ScrollStrip, reach: int, page: int, value: int) -> None:
    blocked = bar.blockSignals(True)
    bar.setRange(0, reach)
    bar.setPageStep(max(1, page))
    bar.setValue(value)
    bar.blockSignals(blocked)
    bar.update()
