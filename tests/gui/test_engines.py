"""Engines in the window: what can run here, what lacks weights, a render by the gpu child."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

pytest.importorskip("torch")

from PySide6.QtWidgets import QApplication, QLabel

from desktop.app import App
from desktop.job_entry import State
from engine.jobs import EffectJob, ExportJob, ExportOptions
from engine.media.info import probe
from engine.timeline.model import Clip, TrackKind
from engine.worker.messages import Device
from tests.support.checkpoints import write_flashvsr
from tests.support.media import make_video
from ui.engines import EngineState
from ui.sheet import Sheet

PATIENCE_MS = 60_000
ENGINE = "flashvsr-1.1-tiny"
CARD = Device(kind="cuda", name="Test Card", total_bytes=24 << 30, free_bytes=22 << 30)


@pytest.fixture
def app(
    qapp: QApplication, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[App]:
    """The program with one small clip, chosen, and the word of the media child."""
    monkeypatch.setenv("REELWRIGHT_HOME", str(tmp_path / "home"))
    made = App(qapp)
    made.parts.window.show()
    made.begin([])
    path = make_video(tmp_path / "clip.mp4", 4, size=(32, 24))
    made.parts.window.files_dropped.emit((str(path),), "viewer")
    qtbot.waitUntil(lambda: bool(clips(made)), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: made.parts.engines.computer is not None, timeout=PATIENCE_MS)
    made.parts.editor.select({clips(made)[0].id})
    yield made
    made.close()
    made.parts.window.hide()
    made.parts.window.deleteLater()
    made.deleteLater()


def clips(app: App) -> list[Clip]:
    tracks = app.parts.editor.sequence.tracks
    return [clip for one in tracks if one.kind is TrackKind.VIDEO for clip in one.clips]


def scanned(app: App, qtbot: QtBot) -> None:
    app.parts.weights.scan()
    qtbot.waitUntil(lambda: not app.parts.weights.is_scanning, timeout=PATIENCE_MS)


def with_weights(app: App, qtbot: QtBot, folder: Path) -> None:
    app.parts.weights.add_folder(write_flashvsr(folder))
    app.parts.weights.say(folder, "1.1")
    scanned(app, qtbot)


def use_engine(app: App, name: str = ENGINE) -> None:
    clip = clips(app)[0]
    app.inspector.add((clip.id,), "upscale", name)


def test_without_a_card_models_are_listed_with_the_reason(app: App) -> None:
    states = app.parts.engines.states()
    assert states[ENGINE] == EngineState(reason="needs an NVIDIA card")
    use_engine(app, "")
    assert clips(app)[0].effects[0].engine == "lanczos"


def test_a_card_without_weights_offers_them(app: App, qtbot: QtBot) -> None:
    app.parts.queue.device_changed.emit(CARD)
    scanned(app, qtbot)
    state = app.parts.engines.states()[ENGINE]
    assert state.get == "Get 6.4 GB"
    assert "FlashVSR 1.1" in state.lacks
    with qtbot.waitSignal(app.parts.engines.weights_wanted) as wanted:
        use_engine(app)
        app.parts.window.inspector.weights_requested.emit(ENGINE)
    assert wanted.args == ["flashvsr-1.1"]
    assert app._preferences is not None


def test_with_card_and_weights_an_upscale_is_flashvsr(
    app: App, qtbot: QtBot, tmp_path: Path
) -> None:
    app.parts.queue.device_changed.emit(CARD)
    with_weights(app, qtbot, tmp_path / "weights")
    use_engine(app, "")
    assert clips(app)[0].effects[0].engine == ENGINE
    assert app.parts.engines.words()[0] == "Test Card  2.0 of 24 GB"


def test_rendered_on_the_processor_and_shown(app: App, qtbot: QtBot, tmp_path: Path) -> None:
    app.parts.settings.change(neural_on_cpu=True)
    with_weights(app, qtbot, tmp_path / "weights")
    use_engine(app)
    app.inspector.render((clips(app)[0].id,))
    (entry,) = app.parts.queue.entries
    assert isinstance(entry.job, EffectJob)
    assert entry.job.models[0].family == "flashvsr-1.1"
    qtbot.waitUntil(lambda: app.parts.states.is_fresh(clips(app)[0]), timeout=PATIENCE_MS)
    done = app.parts.queue.entries[0]
    assert done.state is State.DONE
    assert done.result is not None
    assert "processor" in " ".join(done.result.notes)
    app.parts.window.show_queue(True)
    (row,) = app.parts.window.queue.entries()
    assert row.job.notes == done.result.notes
    app.parts.window.queue.details_requested.emit(done.id)
    sheet = next(one for one in app.parts.window.findChildren(Sheet) if one.isVisible())
    words = [one.text() for one in sheet.findChildren(QLabel)]
    assert set(done.result.notes) <= set(words)
    sheet.accept()


def test_an_export_has_models_make_their_part_first(app: App, qtbot: QtBot, tmp_path: Path) -> None:
    app.parts.settings.change(neural_on_cpu=True, export_folder=str(tmp_path / "out"))
    with_weights(app, qtbot, tmp_path / "weights")
    use_engine(app)
    app.parts.settings.change(export=ExportOptions())
    app.exports.export_now()
    assert [type(one.job) for one in app.parts.queue.entries] == [EffectJob, ExportJob]
    qtbot.waitUntil(
        lambda: all(one.state is State.DONE for one in app.parts.queue.entries),
        timeout=PATIENCE_MS,
    )
    (film,) = (tmp_path / "out").glob("*.mp4")
    assert probe(film).video is not None


def test_an_export_that_cannot_be_says_why(app: App, qtbot: QtBot, tmp_path: Path) -> None:
    app.parts.settings.change(export_folder=str(tmp_path / "out"))
    use_engine(app)
    with qtbot.waitSignal(app.parts.editor.refused) as refused:
        app.exports.export_now()
    assert "needs an NVIDIA card" in refused.args[0]
    assert not app.parts.queue.entries
