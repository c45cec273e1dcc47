"""A picture of the real window with a project open, as the demo and the README show it."""

import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QWidget

from desktop.app import App
from engine.errors import OutputError

SIZE = (1440, 900)
CALM_SECONDS = 1.5  # without any change on screen: frames, strips and waveforms are there
PATIENCE_SECONDS = 60.0


def picture_of_window(project: Path, picture: Path, at: Fraction) -> dict[str, Any]:
    """Opens the window on `project` at `at`, its first clip selected, and grabs it once calm.

    Works on the screen or, with QT_QPA_PLATFORM=offscreen, without one. Raises OutputError.
    """
    application = QApplication.instance()
    if not isinstance(application, QApplication):
        application = QApplication(["reelwright"])
    app = App(application)
    parts = app.parts
    parts.window.resize(*SIZE)
    parts.window.show()
    try:
        app.begin([str(project)])
        parts.editor.select([parts.editor.sequence.tracks[0].clips[0].id])
        parts.editor.move_playhead(at)
        parts.timeline.fit()
        image = _calm(parts.window)
        if not image.save(str(picture)):
            raise OutputError(f"{picture} cannot be written.", "Choose another folder.")
        return {
            "viewer_child": parts.service.pid,
            "platform": application.platformName(),
            "size": [image.width(), image.height()],
        }
    finally:
        app.close()
        parts.window.hide()


def _calm(window: QWidget) -> QImage:
    """The window once nothing on it has changed for a while."""
    begun = changed = time.monotonic()
    before = QImage()
    while True:
        loop = QEventLoop()
        QTimer.singleShot(150, loop.quit)
        loop.exec()
        now = time.monotonic()
        image = window.grab().toImage()
        if image != before:
            before, changed = image, now
        if now - changed > CALM_SECONDS or now - begun > PATIENCE_SECONDS:
            return image
