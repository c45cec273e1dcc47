"""A timeline on a real project: what it asks for is done, as the editor does it."""

from collections.abc import Callable
from fractions import Fraction

from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from engine.timeline.model import (
    Asset,
    Clip,
    MediaFacts,
    Project,
    Sequence,
    SoundFacts,
    Track,
    TrackKind,
    Transition,
    VideoFacts,
)
from engine.timeline.time import Time, TimeRange
from ui.timeline.geometry import TOP
from ui.timeline.view import TimelineView

RATE = Fraction(25)
NONE = Qt.KeyboardModifier.NoModifier
FAST = 100.0  # pixels a second of these tests: a frame is 4 px


def seconds(whole: int, frames: int = 0) -> Fraction:
    return Fraction(whole) + frames / RATE


def asset(asset_id: str, length: int, *, picture: bool = True, sound: bool = False) -> Asset:
    return Asset(
        asset_id, f"/media/{asset_id}", f"{asset_id}.mp4", facts(length, picture, sound), ""
    )


def facts(length: int, picture: bool = True, sound: bool = False) -> MediaFacts:
    video = VideoFacts(640, 360, RATE, length * 25, "h264", "yuv420p") if picture else None
    return MediaFacts(
        Fraction(length), "mp4", 1, video, SoundFacts(48000, 2, "aac") if sound else None
    )


def clip(
    clip_id: str, asset_id: str, start: Time, end: Time, source: Time | int = 0, link: str = ""
) -> Clip:
    span = TimeRange(Fraction(source), Fraction(end - start))
    return Clip(clip_id, asset_id, span, Fraction(start), name=f"{asset_id}.mp4", link=link or None)


def sample() -> Project:
    """V1: cat 1 to 3 linked with A1, sun 4 to 6, dusk 6 to 8 dissolved; V2: top 2 to 3."""
    cat = clip("cat", "cat", seconds(1), seconds(3), 2, "l1")
    sun, dusk = (
        clip("sun", "sun", seconds(4), seconds(6), 2),
        clip("dusk", "sun", seconds(6), seconds(8), 6),
    )
    cross = Transition("cross", "sun", "dusk", seconds(0, 20))
    tracks = (
        Track("v1", TrackKind.VIDEO, "Picture", (cat, sun, dusk), (cross,)),
        Track("v2", TrackKind.VIDEO, "Overlay", (clip("top", "cat", seconds(2), seconds(3)),)),
        Track(
            "a1", TrackKind.AUDIO, "Voice", (clip("voice", "cat", seconds(1), seconds(3), 2, "l1"),)
        ),
        Track("a2", TrackKind.AUDIO, "Music"),
    )
    sequence = Sequence("s", "Sequence 1", RATE, 1920, 1080, tracks)
    media = (
        asset("cat", 20, sound=True),
        asset("sun", 20),
        asset("tone", 5, picture=False, sound=True),
    )
    return Project(assets=media, sequences=(sequence,), is_set_up=True)


class Host:
    """Holds project and selection for a view, and drives its canvas with the mouse."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.view = TimelineView()
        self.view.resize(1344, 342)
        self.view.set_project(project, project.sequences[0].id)
        self.asked: list[str] = []
        self.playheads: list[Time] = []
        self.selection: frozenset[str] = frozenset()
        self.targets = frozenset(("v1", "a1"))
        self.hints: list[tuple[str, str]] = []
        self.view.set_targets(self.targets)
        self.view.edit_requested.connect(self._apply)
        self.view.selection_requested.connect(self._select)
        self.view.playhead_requested.connect(self._move_playhead)
        self.view.targets_requested.connect(self._target)
        self.view.hint_changed.connect(self._hint)
        self.view.show()
        QTest.qWait(0)
        self.canvas = self.view.canvas
        self.zoom(FAST)

    def zoom(self, px_per_second: float) -> None:
        self.canvas.zoom_requested.emit(px_per_second / self.view.px_per_second, 0.0)

    def _apply(self, text: str, edit: Callable[[Project], Project], merge_key: str) -> None:
        self.asked.append(text)
        self.project = edit(self.project)
        self.view.set_project(self.project, "s")

    def _select(self, ids: frozenset[str]) -> None:
        self.selection = ids
        self.view.set_selection(ids)

    def _move_playhead(self, at: Time) -> None:
        self.playheads.append(at)
        self.view.set_playhead(at)

    def _target(self, ids: frozenset[str]) -> None:
        self.targets = ids
        self.view.set_targets(ids)

    def _hint(self, hints: list[tuple[str, str]]) -> None:
        self.hints = hints

    @property
    def sequence(self) -> Sequence:
        return self.project.sequences[0]

    def spans(self, track_id: str) -> list[tuple[str, Time, Time]]:
        """(clip, start, end) of a track, times in frames."""
        return [
            (one.id, one.start * RATE, one.end * RATE)
            for one in self.sequence.track(track_id).clips
        ]

    def at(self, when: Time | float, track_id: str, down: float = 0.6) -> QPoint:
        """The place of a time on a track; `down`: part of the track's height."""
        scene = self.canvas.scene
        row = scene.row(track_id)
        assert row is not None
        y = TOP - scene.scroll_y + row.top + row.height * down
        return QPoint(round(scene.scale.x(when)), round(y))

    def press(self, spot: QPoint, keys: Qt.KeyboardModifier = NONE) -> None:
        QTest.mouseMove(self.canvas, spot)
        QTest.mousePress(self.canvas, Qt.MouseButton.LeftButton, keys, spot)

    def move(self, spot: QPoint, keys: Qt.KeyboardModifier = NONE) -> None:
        """Moves the pressed pointer, with what is held down."""
        event = QMouseEvent(
            QMouseEvent.Type.MouseMove,
            QPointF(spot),
            QPointF(self.canvas.mapToGlobal(spot)),
            Qt.MouseButton.NoButton,
            Qt.MouseButton.LeftButton,
            keys,
        )
        QApplication.sendEvent(self.canvas, event)

    def release(self, spot: QPoint, keys: Qt.KeyboardModifier = NONE) -> None:
        QTest.mouseRelease(self.canvas, Qt.MouseButton.LeftButton, keys, spot)

    def drag(self, start: QPoint, end: QPoint, keys: Qt.KeyboardModifier = NONE) -> None:
        self.press(start)
        self.move(start + (end - start) / 2, keys)
        self.move(end, keys)
        self.release(end, keys)

    def click(self, spot: QPoint, keys: Qt.KeyboardModifier = NONE) -> None:
        QTest.mouseClick(self.canvas, Qt.MouseButton.LeftButton, keys, spot)
