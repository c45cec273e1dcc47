"""Drags over the timeline: files, media, effects; ghosts, hints, refusals, what is asked for."""

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent, QDropEvent
from PySide6.QtWidgets import QApplication

from engine.timeline.model import TrackKind, new_project
from tests.gui.timeline_host import Host, facts, sample, seconds
from ui.timeline.drops import ASSETS, EFFECT, load_of
from ui.timeline.scene import Preview
from ui.timeline.states import DropRequest, Mode

ALT = Qt.KeyboardModifier.AltModifier
CTRL = Qt.KeyboardModifier.ControlModifier
NONE = Qt.KeyboardModifier.NoModifier
COPY = Qt.DropAction.CopyAction
LEFT = Qt.MouseButton.LeftButton


class Drag:
    """A drag over the canvas of a host, and what came of it."""

    def __init__(self, host: Host, mime: QMimeData) -> None:
        self.host, self.mime = host, mime
        self.asked: list[list[str]] = []
        self.files: list[DropRequest] = []
        self.assets: list[DropRequest] = []
        self.effects: list[tuple[str, str, str]] = []
        view = host.view
        view.facts_requested.connect(self.asked.append)
        view.files_dropped.connect(self.files.append)
        view.assets_dropped.connect(self.assets.append)
        view.effect_dropped.connect(lambda *what: self.effects.append(what))

    def enter(self, spot: QPoint, keys: Qt.KeyboardModifier = NONE) -> Preview:
        QApplication.sendEvent(self.host.canvas, QDragEnterEvent(spot, COPY, self.mime, LEFT, keys))
        return self.shown

    def move(self, spot: QPoint, keys: Qt.KeyboardModifier = NONE) -> Preview:
        QApplication.sendEvent(self.host.canvas, QDragMoveEvent(spot, COPY, self.mime, LEFT, keys))
        return self.shown

    def leave(self) -> None:
        QApplication.sendEvent(self.host.canvas, QDragLeaveEvent())

    def drop(self, spot: QPoint, keys: Qt.KeyboardModifier = NONE) -> bool:
        event = QDropEvent(QPointF(spot), COPY, self.mime, LEFT, keys)
        QApplication.sendEvent(self.host.canvas, event)
        return event.isAccepted()

    @property
    def shown(self) -> Preview:
        return self.host.canvas.scene.preview


def files(*paths: str) -> QMimeData:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(path) for path in paths])
    return mime


def custom(kind: str, text: str) -> QMimeData:
    mime = QMimeData()
    mime.setData(kind, text.encode())
    return mime


@pytest.fixture
def host(qapp: object) -> Iterator[Host]:
    made = Host(sample())
    yield made
    made.view.close()


def test_paths_with_spaces_signs_and_shares() -> None:
    paths = ("/films/my clip #1 (final) 100%.mp4", "//server/share/läuft.mov", "/films/folder")
    assert load_of(files(*paths)).paths == paths
    mime = QMimeData()
    mime.setData("text/uri-list", b"file:///a%20b/c.mp4\r\nhttps://example.org/x.mp4\r\n")
    assert load_of(mime).paths == ("/a b/c.mp4",)
    mime = QMimeData()
    mime.setText("words")
    assert not load_of(mime)


def test_ghosts_come_with_the_facts(host: Host) -> None:
    drag = Drag(host, files("/x/one.mp4", "/x/two.mp4"))
    spot = host.at(5, "v1")
    shown = drag.enter(spot, ALT)
    assert drag.asked == [["/x/one.mp4", "/x/two.mp4"]]
    assert shown.insert == 5
    assert not shown.ghosts
    assert shown.hint is not None
    assert shown.hint.title == "Insert 2 clips at 00:00:05:00"
    assert shown.hint.line == "Hold Ctrl to overwrite · Alt for no snapping"
    host.view.set_facts({"/x/one.mp4": facts(3, sound=True), "/x/two.mp4": facts(2)})
    shown = drag.shown
    assert len(shown.ghosts) == 3, "two pictures and a sound"
    assert shown.sequence is not None
    ghosts = [one for one in shown.sequence.track("v1").clips if one.id in shown.ghosts]
    assert [(one.start, one.end, one.name) for one in ghosts] == [
        (5, 8, "one.mp4"),
        (8, 10, "two.mp4"),
    ]
    assert [one.name for one in shown.sequence.track("a1").clips] == ["cat.mp4", "one.mp4"]
    assert "dusk" in shown.pushed
    assert ("Ctrl", "overwrite") in host.hints
    host.canvas.grab()
    drag.leave()
    assert drag.shown == Preview()
    assert host.project == sample()


def test_a_drop_of_files_says_where_and_how(host: Host) -> None:
    drag = Drag(host, files("/x/one.mp4"))
    drag.enter(host.at(3.4, "v2"))
    assert drag.drop(host.at(3.4, "v2"), ALT)
    (request,) = drag.files
    assert request == DropRequest(
        "v2", seconds(3, 10), Mode.INSERT, ("/x/one.mp4",), (), "v2", "a1"
    )
    drag.enter(host.at(3.4, "a2"))
    drag.drop(host.at(3.4, "a2"), CTRL | ALT)
    assert drag.files[1].mode is Mode.OVERWRITE
    assert (drag.files[1].video_track, drag.files[1].audio_track) == ("v1", "a2")


def test_sound_goes_nowhere_when_its_tracks_are_off(host: Host) -> None:
    host.view.set_targets(frozenset(("v1",)))
    drag = Drag(host, files("/x/one.mp4"))
    drag.enter(host.at(5, "v1"))
    drag.drop(host.at(5, "v1"))
    assert drag.files[0].audio_track is None


def test_drops_catch_at_edges(host: Host) -> None:
    drag = Drag(host, custom(ASSETS, "sun"))
    shown = drag.enter(host.at(3, "v2") + QPoint(6, 0))
    assert shown.insert == 3
    assert shown.snap == 3
    shown = drag.move(host.at(3, "v2") + QPoint(8, 0), ALT)
    assert shown.insert == seconds(3, 2)
    assert shown.snap is None


def test_media_of_the_bin_with_ctrl_overwrites(host: Host) -> None:
    drag = Drag(host, custom(ASSETS, "cat\ntone"))
    shown = drag.enter(host.at(5, "v1"), CTRL | ALT)
    assert drag.asked == []
    assert shown.hint is not None
    assert shown.hint.icon == "overwrite"
    assert shown.hint.title == "Overwrite with 2 clips at 00:00:05:00"
    assert shown.boxes, "what is covered is hatched"
    assert not shown.pushed
    host.canvas.grab()
    drag.drop(host.at(5, "v1"), CTRL | ALT)
    assert drag.assets == [
        DropRequest("v1", seconds(5), Mode.OVERWRITE, (), ("cat", "tone"), "v1", "a1")
    ]


def test_what_cannot_be_taken_says_why(host: Host) -> None:
    drag = Drag(host, files("/x/notes.txt"))
    drag.enter(host.at(5, "v1"))
    host.view.set_facts({"/x/notes.txt": ""})
    assert drag.shown.hint is not None
    assert drag.shown.hint.icon == "error"
    assert drag.shown.hint.title == "Not a picture, video or sound file"
    assert not drag.shown.ghosts
    host.canvas.grab()
    assert not drag.drop(host.at(5, "v1"))
    assert drag.files == []
    mime = QMimeData()
    mime.setText("words")
    shown = Drag(host, mime).enter(host.at(5, "v1"))
    assert shown.hint is not None
    assert shown.hint.icon == "error"


def test_one_bad_file_does_not_spoil_the_others(host: Host) -> None:
    drag = Drag(host, files("/x/bad.mov", "/x/good.mp4"))
    drag.enter(host.at(5, "v1"))
    host.view.set_facts({"/x/bad.mov": "It ends early.", "/x/good.mp4": facts(2)})
    assert drag.shown.hint is not None
    assert drag.shown.hint.title.startswith("Insert clip at")


def test_a_folder_is_what_lies_in_it(host: Host) -> None:
    drag = Drag(host, files("/x/holiday"))
    drag.enter(host.at(5, "v1"))
    host.view.set_facts({"/x/holiday/a.mp4": facts(2), "/x/holiday/b.mp4": facts(2)})
    assert drag.shown.hint is not None
    assert drag.shown.hint.title.startswith("Insert 2 clips")
    drag.drop(host.at(5, "v1"))
    assert drag.files[0].paths == ("/x/holiday",)


def test_a_locked_track_takes_nothing(host: Host) -> None:
    host.view.heads.head("v1").lock.click()
    shown = Drag(host, files("/x/one.mp4")).enter(host.at(5, "v1"))
    assert shown.hint is not None
    assert shown.hint.title == "Track V1 is locked."


def test_the_first_clip_begins_at_zero(qapp: object) -> None:
    host = Host(new_project())
    track = host.project.sequences[0].tracks[0].id
    drag = Drag(host, files("/x/one.mp4"))
    drag.enter(host.at(6, track))
    drag.drop(host.at(6, track))
    assert drag.files[0].at == 0
    kinds = {one.id: one.kind for one in host.project.sequences[0].tracks}
    assert kinds[drag.files[0].video_track or ""] is TrackKind.VIDEO
    assert drag.files[0].audio_track is not None, "nothing was turned off"


def test_an_effect_goes_onto_the_clip_under_it(host: Host) -> None:
    drag = Drag(host, custom(EFFECT, "restyle/painterly"))
    shown = drag.enter(host.at(5, "v1"))
    assert shown.onto == "sun"
    assert shown.hint is not None
    assert shown.hint.title == "Restyle on sun.mp4"
    host.canvas.grab()
    drag.drop(host.at(5, "v1"))
    assert drag.effects == [("sun", "restyle", "painterly")]
    shown = drag.enter(host.at(2, "a1"))
    assert shown.onto == ""
    assert not drag.drop(host.at(2, "a1"))
    assert len(drag.effects) == 1
