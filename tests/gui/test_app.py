"""The whole program in one piece: real window, real children, real files."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from desktop.app import App
from desktop.job_entry import State
from engine.jobs import ExportOptions, Format
from engine.media.info import probe
from engine.timeline.model import Clip, TrackKind
from engine.timeline.time import between
from tests.support.media import clicks, make_still, make_video

PATIENCE_MS = 60_000


@pytest.fixture
def app(qapp: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """The program on an empty project, its folders below the test's own."""
    monkeypatch.setenv("REELWRIGHT_HOME", str(tmp_path / "home"))
    made = App(qapp)
    made.parts.window.show()
    made.begin([])
    yield made
    made.close()
    made.parts.window.hide()
    made.parts.window.deleteLater()
    made.deleteLater()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "a very long name of a clip.mp4", 50, sound=clicks(2.0))


def pictures(app: App) -> list[Clip]:
    return [
        one
        for track in app.parts.editor.sequence.tracks
        if track.kind is TrackKind.VIDEO
        for one in track.clips
    ]


def drop(app: App, qtbot: QtBot, *paths: Path) -> None:
    """Drops files on the empty viewer and waits until they lie on the timeline."""
    before = len(pictures(app))
    app.parts.window.files_dropped.emit(tuple(str(path) for path in paths), "viewer")
    qtbot.waitUntil(lambda: len(pictures(app)) > before, timeout=PATIENCE_MS)


def test_the_first_clip_sets_the_sequence_and_one_undo_takes_it_back(
    app: App, qtbot: QtBot, clip: Path
) -> None:
    assert app.parts.window.viewer.is_empty()
    empty = app.parts.editor.project
    drop(app, qtbot, clip)
    sequence = app.parts.editor.sequence
    assert (sequence.width, sequence.height, sequence.rate, sequence.duration) == (160, 96, 25, 2)
    assert len(sequence.tracks[2].clips) == 1
    assert not app.parts.window.viewer.is_empty()
    notices = app.parts.window.notices
    told = notices.notices()[-1]
    assert told.text.startswith("Sequence set to 160 × 96, 25 fps, as in a very long name")
    notices.action_requested.emit(told, "undo")
    assert app.parts.editor.project is empty
    assert not notices.notices()


def test_a_frame_of_the_film_reaches_the_viewer(app: App, qtbot: QtBot, clip: Path) -> None:
    with qtbot.waitSignal(app.parts.playback.frame_ready, timeout=PATIENCE_MS) as shown:
        drop(app, qtbot, clip)
    assert shown.args is not None
    assert shown.args[0].width() > 16
    assert shown.args[1] == 0


def test_playing_moves_the_playhead_and_stops_at_the_end(
    app: App, qtbot: QtBot, clip: Path
) -> None:
    drop(app, qtbot, clip)
    app.parts.actions["timeline.play"].trigger()
    qtbot.waitUntil(lambda: app.parts.editor.playhead > 0, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: not app.parts.playback.is_playing, timeout=PATIENCE_MS)
    assert app.parts.editor.playhead == 49 / app.parts.editor.sequence.rate


def test_split_by_key_is_one_undo_step_for_picture_and_sound(
    app: App, qtbot: QtBot, clip: Path
) -> None:
    drop(app, qtbot, clip)
    app.viewer.step(20)
    before = app.parts.editor.project
    app.parts.actions["clip.split"].trigger()
    assert [len(track.clips) for track in app.parts.editor.sequence.tracks] == [2, 0, 2, 0]
    app.parts.actions["edit.undo"].trigger()
    assert app.parts.editor.project is before


def test_an_effect_is_stale_then_rendered_then_fresh(app: App, qtbot: QtBot, clip: Path) -> None:
    drop(app, qtbot, clip)
    one = pictures(app)[0]
    app.parts.editor.select({one.id})
    app.inspector.add((one.id,), "restyle", "cartoon")
    one = pictures(app)[0]
    assert app.parts.states.use_state(one, one.effects[0])[0] == "stale"
    app.parts.actions["effects.render"].trigger()
    qtbot.waitUntil(lambda: app.parts.states.is_fresh(pictures(app)[0]), timeout=PATIENCE_MS)
    assert [one.state for one in app.parts.queue.entries] == [State.DONE]
    # a change makes it stale at once, and undo makes it fresh again without any work
    app.parts.window.inspector.values_requested.emit(
        ((one.id, one.effects[0].id),), "colours", 3, "key"
    )
    assert app.parts.states.use_state(pictures(app)[0], one.effects[0])[0] == "stale"
    app.parts.actions["edit.undo"].trigger()
    qtbot.waitUntil(lambda: app.parts.states.is_fresh(pictures(app)[0]), timeout=PATIENCE_MS)
    assert len(app.parts.queue.entries) == 1


def test_image_to_video_on_a_still_lasts_as_long_as_the_clip(
    app: App, qtbot: QtBot, tmp_path: Path
) -> None:
    drop(app, qtbot, make_still(tmp_path / "still.png"))
    one = pictures(app)[0]
    app.inspector.add((one.id,), "image-to-video", "")
    assert pictures(app)[0].effects[0].values["seconds"] == 5.0
    assert pictures(app)[0].duration == one.duration


def test_one_click_export_writes_a_fresh_name_each_time(
    app: App, qtbot: QtBot, clip: Path, tmp_path: Path
) -> None:
    drop(app, qtbot, clip)
    app.parts.editor.save(tmp_path / "walk.reel")
    options = ExportOptions(format=Format.GIF, ping_pong=True)
    app.parts.settings.change(export=options)
    app.parts.editor.apply(
        "Mark",
        lambda project: _marked(app, 10, 20),
    )
    for number in (1, 2):
        app.parts.actions["file.export"].trigger()
        name = tmp_path / "Exports" / f"walk_00{number}.gif"
        qtbot.waitUntil(name.is_file, timeout=PATIENCE_MS)
        facts = probe(name)
        assert facts.video is not None
        assert facts.video.frames == 18
    qtbot.waitUntil(
        lambda: any(
            "walk_002.gif is ready" in one.text for one in app.parts.window.notices.notices()
        ),
        timeout=PATIENCE_MS,
    )


def _marked(app: App, first: int, end: int) -> "object":
    from msgspec.structs import replace

    project, sequence = app.parts.editor.project, app.parts.editor.sequence
    area = between(first / sequence.rate, end / sequence.rate)
    return replace(project, sequences=(replace(sequence, work_area=area),))


def test_files_that_cannot_be_read_are_told_and_the_others_come(
    app: App, qtbot: QtBot, clip: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "broken.mp4"
    bad.write_bytes(clip.read_bytes()[:500])
    drop(app, qtbot, bad, clip)
    qtbot.waitUntil(lambda: len(app.parts.window.notices.notices()) > 0, timeout=PATIENCE_MS)
    notice = app.parts.window.notices.notices()[-1]
    assert notice.kind == "error"
    assert "broken.mp4" in notice.text
    assert "other file is in Media" in notice.text


def test_a_medium_that_moved_is_told_and_found_again(
    app: App, qtbot: QtBot, clip: Path, tmp_path: Path
) -> None:
    drop(app, qtbot, clip)
    moved = clip.rename(tmp_path / "moved.mp4")
    app.media.look_for_missing()
    assert any("is not where it was" in one.text for one in app.parts.window.notices.notices())
    moved.rename(clip)
    app.media.look_for_missing()
    told = [one.text for one in app.parts.window.notices.notices()]
    assert not any("is not where it was" in text for text in told)


def test_the_viewer_survives_the_death_of_its_child(app: App, qtbot: QtBot, clip: Path) -> None:
    import os
    import signal

    drop(app, qtbot, clip)
    qtbot.waitUntil(lambda: app.parts.service.pid > 0, timeout=PATIENCE_MS)
    first = app.parts.service.pid
    with qtbot.waitSignal(app.parts.service.restarted, timeout=PATIENCE_MS):
        os.kill(first, signal.SIGKILL)
    with qtbot.waitSignal(app.parts.playback.frame_ready, timeout=PATIENCE_MS):
        app.viewer.step(5)
    assert app.parts.service.pid != first


def test_every_action_has_something_to_do(app: App) -> None:
    assert set(app._doings()) == set(app.parts.actions)


def test_a_project_saved_opens_as_it_was(
    app: App, qtbot: QtBot, clip: Path, tmp_path: Path
) -> None:
    drop(app, qtbot, clip)
    path = app.parts.editor.save(tmp_path / "film.reel")
    saved = app.parts.editor.project
    app.projects.new()
    assert app.parts.window.viewer.is_empty()
    app.projects.open(path)
    assert app.parts.editor.project == saved
    assert app.parts.settings.value.recent[0] == str(path)


def test_a_refusal_gives_way_to_the_next_one_and_goes_with_the_next_edit(
    app: App, qtbot: QtBot, clip: Path
) -> None:
    drop(app, qtbot, clip)
    notices = app.parts.window.notices
    app.parts.actions["edit.extract"].trigger()
    app.parts.actions["clip.dissolve"].trigger()
    told = [one.text for one in notices.notices() if one.kind == "warning"]
    assert told == ["Two clips must touch for a dissolve. Close the gap first."]
    app.parts.actions["timeline.mark_in"].trigger()
    assert not [one for one in notices.notices() if one.kind == "warning"]


def test_what_is_missing_is_not_rendered_but_told(app: App, qtbot: QtBot, clip: Path) -> None:
    drop(app, qtbot, clip)
    one = pictures(app)[0]
    app.inspector.add((one.id,), "restyle", "cartoon")
    clip.unlink()
    app.parts.actions["effects.render"].trigger()
    assert not app.parts.queue.entries
    told = [notice.text for notice in app.parts.window.notices.notices()]
    assert f"{clip.name} is not where it was. Find it first, then render." in told


def test_a_still_is_as_long_as_the_preferences_say(app: App, qtbot: QtBot, tmp_path: Path) -> None:
    app.open_preferences()
    assert app._preferences is not None
    dialog = app._preferences._dialog
    assert dialog is not None
    dialog.general.still_requested.emit(2.0)
    dialog.reject()
    drop(app, qtbot, make_still(tmp_path / "still.png"))
    (still,) = pictures(app)
    assert still.duration == 2
