"""The program with Generate open, driven by its real widgets."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from desktop.app import App
from engine.jobs import GenerateJob
from engine.timeline.model import Clip, TrackKind
from engine.worker.messages import Device
from tests.support.media import make_video
from tests.support.wan_checkpoints import write_wan
from ui.generate import GeneratePanel
from ui.timeline.ghosts import Ghost

PATIENCE_MS = 60_000
CARD = Device(kind="cuda", name="Test Card", total_bytes=24 << 30, free_bytes=22 << 30)


@contextmanager
def running(
    qapp: QApplication, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[App]:
    """The program, with a model that the computer runs itself."""
    monkeypatch.setenv("REELWRIGHT_HOME", str(tmp_path / "home"))
    made = App(qapp)
    made.parts.settings.change(neural_on_cpu=True, export_folder=str(tmp_path / "out"))
    made.parts.window.resize(1440, 900)
    made.parts.window.show()
    made.begin([])
    qtbot.waitUntil(lambda: made.parts.engines.computer is not None, timeout=PATIENCE_MS)
    yield made
    made.close()
    made.parts.window.hide()
    made.parts.window.deleteLater()
    made.deleteLater()


def opened(app: App) -> GeneratePanel:
    app.parts.actions["view.generate"].trigger()
    assert app.parts.window.is_generate_shown()
    return app.parts.window.generate


def with_weights(app: App, qtbot: QtBot, folder: Path, kind: str = "t2v") -> None:
    app.parts.weights.add_folder(write_wan(folder, kind))
    qtbot.waitUntil(lambda: not app.parts.weights.is_scanning, timeout=PATIENCE_MS)


def with_clip(app: App, qtbot: QtBot, tmp_path: Path) -> Clip:
    path = make_video(tmp_path / "clip.mp4", 25, size=(64, 48))
    app.parts.window.files_dropped.emit((str(path),), "viewer")
    qtbot.waitUntil(lambda: bool(pictures(app)), timeout=PATIENCE_MS)
    return pictures(app)[0]


def pictures(app: App) -> list[Clip]:
    tracks = app.parts.editor.sequence.tracks
    return [clip for one in tracks if one.kind is TrackKind.VIDEO for clip in one.clips]


def jobs(app: App) -> list[GenerateJob]:
    found = [entry.job for entry in app.parts.queue.entries]
    return [one for one in found if isinstance(one, GenerateJob)]


def link(panel: GeneratePanel, fault: str, text: str) -> QPushButton:
    QApplication.processEvents()  # what a layout has just been given is shown later
    buttons = panel.size_rows.faults()[fault].findChildren(QPushButton)
    return next(one for one in buttons if one.text() == text and not one.isHidden())


def ghosts(app: App) -> tuple[Ghost, ...]:
    return app.parts.timeline.canvas.scene.ghosts
