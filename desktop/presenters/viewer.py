"""The viewer and its transport: frames at the playhead, playing, or one medium looked at alone."""

from fractions import Fraction

import msgspec
from PySide6.QtCore import QObject
from PySide6.QtGui import QImage

from desktop.assembling import project_of
from desktop.parts import Parts
from desktop.presenters.compare import ComparePresenter
from engine.errors import EngineError
from engine.timeline.model import Asset, Clip, Project, Sequence, TrackKind, Transform
from engine.timeline.results import result_facts
from engine.timeline.time import ZERO, Time, frame_at, time_of
from ui.viewer import rate_text

replace = msgspec.structs.replace
FASTEST = 8  # times, of the shuttle


class ViewerPresenter(QObject):
    """Shows the sequence, or a medium of the bin until the timeline is touched again."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._parts = parts
        self._looked_at: Asset | None = None
        self._look_project: Project | None = None
        self._look_at: Time = ZERO
        self._volume = parts.settings.value.volume
        self._is_muted = False
        self._is_moving = False  # the playhead follows playback just now
        self._note = ""
        self._problem = ""
        self._gesture = 0  # counts drags of handles
        self.compare = ComparePresenter(parts)
        self.compare.changed.connect(self._compared)
        self.compare.time_requested.connect(self._scrub)
        viewer, transport = parts.window.viewer, parts.window.transport
        viewer.size_wanted.connect(self._resize)
        viewer.quality_requested.connect(self._set_quality)
        viewer.safe_areas_requested.connect(viewer.set_safe_areas)
        viewer.larger_view_requested.connect(parts.window.set_larger_view)
        viewer.transform_requested.connect(self._transform)
        transport.time_requested.connect(self.go)
        transport.play_requested.connect(self.toggle)
        transport.step_requested.connect(self.step)
        transport.to_start_requested.connect(self.to_start)
        transport.to_end_requested.connect(self.to_end)
        transport.loop_requested.connect(self.set_loop)
        transport.ping_pong_requested.connect(self.set_ping_pong)
        transport.volume_requested.connect(self._set_volume)
        transport.mute_requested.connect(self._set_muted)
        transport.refused.connect(parts.editor.refused)
        parts.editor.project_changed.connect(self._project_changed)
        parts.editor.playhead_changed.connect(self._playhead_changed)
        parts.editor.selection_changed.connect(self.show_handles)
        parts.playback.frame_ready.connect(self._frame)
        parts.playback.moved.connect(self._moved)
        parts.playback.playing_changed.connect(transport.set_playing)
        parts.playback.stale_changed.connect(self._stale)
        parts.playback.problem.connect(self._tell_problem)
        parts.service.restarted.connect(self.refresh)
        parts.states.changed.connect(self._rendered)
        self._fresh_seen = 0
        self._show_transport()
        self._set_volume(self._volume)

    # What is shown

    @property
    def _sequence(self) -> Sequence:
        project = self._look_project
        return project.sequence() if project is not None else self._parts.editor.sequence

    @property
    def _now(self) -> Time:
        return self._look_at if self._look_project is not None else self._parts.editor.playhead

    def refresh(self) -> None:
        """Asks for the picture at the playhead anew."""
        project = self._look_project or self._parts.editor.project
        sequence = self._sequence
        self._parts.playback.set_project(project, sequence)
        if sequence.duration > 0:
            self._parts.playback.show(min(self._now, self._last_frame()))

    def _last_frame(self) -> Time:
        """Where the last frame begins."""
        sequence = self._sequence
        count = -((-sequence.duration * sequence.rate).__floor__())
        return time_of(max(0, count - 1), sequence.rate)

    def _project_changed(self, _old: Project, new: Project) -> None:
        self.leave_medium()
        self._parts.playback.stop()
        self._show_transport()
        self.show_handles()
        self.refresh()

    def _show_transport(self) -> None:
        sequence, viewer = self._sequence, self._parts.window.viewer
        transport = self._parts.window.transport
        is_new = (
            self._look_project is None
            and not self._parts.editor.project.assets
            and sequence.duration == 0
        )
        viewer.set_empty(is_new)
        self.compare.show_project(self._look_project or self._parts.editor.project, self._now)
        if not is_new:
            viewer.set_sequence(sequence.name, sequence.width, sequence.height, sequence.rate)
        if sequence.duration == 0:
            viewer.set_frame(None)
        transport.set_sequence(sequence.rate, sequence.duration)
        transport.set_range(sequence.work_area)
        transport.set_possible(sequence.duration > 0)
        transport.set_time(self._now)

    def _frame(self, picture: QImage, _at: Time) -> None:
        if self._sequence.duration > 0 and not self.compare.is_on:  # else it comes as a pair
            self._parts.window.viewer.set_frame(picture)

    def _stale(self, stale: bool) -> None:
        self._note = "Not rendered here: the source is shown" if stale else ""
        self._show_note()

    def _tell_problem(self, sentence: str) -> None:
        self._problem = sentence
        self._show_note()

    def _show_note(self) -> None:
        note = "" if self.compare.is_on else self._note  # a comparison says it in its label
        self._parts.window.viewer.set_note(self._problem or note)

    def _compared(self) -> None:
        """Before and after are shown, or no longer: frames come anew, and what plays goes on."""
        self._show_note()
        speed = self._parts.playback.speed
        self._parts.playback.set_comparing(self.compare.is_on)
        self.refresh()
        if speed:
            self._parts.playback.play(self._now, speed)

    def _rendered(self) -> None:
        """Something has been baked: the picture may have changed."""
        if self._parts.states.cache_bytes != self._fresh_seen:
            self._fresh_seen = self._parts.states.cache_bytes
            if not self._parts.playback.is_playing:
                self.refresh()

    def _resize(self, width: int, height: int) -> None:
        self._parts.playback.set_size(width, height)
        self.refresh()

    def _set_quality(self, quality: Fraction) -> None:
        self._parts.window.viewer.set_quality(quality)

    # One medium alone

    def look_at(self, asset: Asset) -> None:
        """Puts a medium of the bin into the viewer."""
        try:
            project = project_of(asset, (), None, None)
        except EngineError as error:
            self._parts.editor.refused.emit(error.message, error.hint)
            return
        self._parts.playback.stop()
        self._looked_at, self._look_project, self._look_at = asset, project, ZERO
        self._show_transport()
        facts = asset.facts.video
        words = f"{facts.width}×{facts.height} · {rate_text(facts.rate)}" if facts else ""
        self._parts.window.viewer.set_title(asset.name, words)
        self.show_handles()
        self.refresh()

    def leave_medium(self) -> None:
        """Shows the sequence again."""
        if self._look_project is None:
            return
        self._parts.playback.stop()
        self._looked_at = self._look_project = None
        self._show_transport()
        self.show_handles()
        self.refresh()

    # Playing

    def toggle(self) -> None:
        """Plays, or stops what plays."""
        if self._parts.playback.is_playing:
            self._parts.playback.stop()
            self.refresh()
        else:
            self._parts.playback.play(self._now)

    def shuttle(self, way: int) -> None:
        """J and L: plays back or forward, again for twice as fast."""
        speed = self._parts.playback.speed
        faster = speed * 2 if speed * way > 0 else way
        self._parts.playback.play(self._now, max(-FASTEST, min(FASTEST, faster)))

    def set_loop(self, on: bool) -> None:
        self._parts.playback.loop = on
        self._parts.window.transport.set_loop(on)
        self._parts.actions["timeline.loop"].setChecked(on)
        self._play_on()

    def set_ping_pong(self, on: bool) -> None:
        self._parts.playback.ping_pong = on
        self._parts.window.transport.set_ping_pong(on)
        self._parts.actions["timeline.ping_pong"].setChecked(on)
        self._play_on()

    def _play_on(self) -> None:
        """What plays goes on under the new rule."""
        if self._parts.playback.is_playing:
            self._parts.playback.play(self._now, self._parts.playback.speed)

    def _set_volume(self, volume: float) -> None:
        self._volume = volume
        self._is_muted = False
        self._parts.settings.change(volume=volume)
        self._show_volume()

    def _set_muted(self, muted: bool) -> None:
        self._is_muted = muted
        self._show_volume()

    def _show_volume(self) -> None:
        self._parts.playback.set_volume(0.0 if self._is_muted else self._volume)
        self._parts.window.transport.set_volume(self._volume, self._is_muted)

    def _moved(self, at: Time) -> None:
        self._is_moving = True
        self._put(at)
        self._is_moving = False

    # The playhead

    def _put(self, at: Time) -> None:
        if self._look_project is not None:
            self._look_at = at
            self._parts.window.transport.set_time(at)
            self.compare.show_time(at)
        else:
            self._parts.editor.move_playhead(at)

    def go(self, at: Time) -> None:
        """Moves to `at`, within the sequence."""
        self._parts.playback.stop()
        end = self._sequence.duration
        self._put(max(ZERO, min(at, end)) if end > 0 else at)
        if self._look_project is not None:
            self.refresh()

    def _scrub(self, at: Time) -> None:
        """To the frame that shows at `at`."""
        rate = self._sequence.rate
        self.go(min(time_of(frame_at(at, rate), rate), self._last_frame()))

    def step(self, frames: int) -> None:
        self._parts.playback.stop()
        rate = self._sequence.rate
        self.go(time_of(max(0, frame_at(self._now, rate) + frames), rate))

    def to_start(self) -> None:
        """To the start, or from inside in to out first to in."""
        area = self._sequence.work_area
        self.go(area.start if area is not None and self._now > area.start else ZERO)

    def to_end(self) -> None:
        """To the last frame, or from before out first to the last frame of in to out."""
        area, rate = self._sequence.work_area, self._sequence.rate
        last = self._last_frame()
        out = area.end - time_of(1, rate) if area is not None else last
        self.go(min(out, last) if self._now < out else last)

    def _playhead_changed(self) -> None:
        if not self._is_moving:
            self.leave_medium()
            if self._parts.playback.is_playing:
                self._parts.playback.stop()
            self.refresh()
        self._parts.window.transport.set_time(self._parts.editor.playhead)
        self.compare.show_time(self._parts.editor.playhead)

    # Handles on the picture

    def show_handles(self) -> None:
        """Handles for the one selected picture clip under the playhead."""
        viewer = self._parts.window.viewer
        clip = self._handled()
        if clip is None:
            viewer.set_transform(None)
            return
        asset = self._parts.editor.project.asset(clip.asset)
        facts = result_facts(asset.facts, clip.effects).video if asset else None
        if facts is not None:
            viewer.set_transform(clip.transform, facts.width, facts.height)

    def _handled(self) -> Clip | None:
        if self._look_project is not None or not self._parts.window.inspector.is_transform_open():
            return None
        sequence = self._parts.editor.sequence
        chosen = [
            clip
            for track in sequence.tracks
            if track.kind is TrackKind.VIDEO and not track.locked and not track.hidden
            for clip in track.clips
            if clip.id in self._parts.editor.selection
        ]
        return chosen[0] if len(chosen) == 1 else None

    def _transform(self, transform: Transform, final: bool) -> None:
        clip = self._handled()
        if clip is not None:
            # one drag is one step of undo
            key = f"{clip.id}/transform/{self._gesture}"
            self._parts.commands.transform((clip.id,), transform, key)
            self._gesture += final
