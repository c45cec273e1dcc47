"""Empties the cache folder without holding up the window."""

import shutil
import threading
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from engine.files import reason


class CacheCleaner(QObject):
    """Removes all that lies in a folder; what another program holds open stays."""

    cleared = Signal(str)  # why something stayed, "" where nothing did

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def clear(self, folder: Path) -> None:
        """Begins; `cleared` tells the end. Does nothing while it is at it already."""
        if not self.is_busy:
            self._thread = threading.Thread(
                target=lambda: self.cleared.emit(emptied(folder)), name="clearing", daemon=True
            )
            self._thread.start()


def emptied(folder: Path) -> str:
    """Removes the content of `folder`, not itself; why the first thing stayed, or ""."""
    stayed = ""
    try:
        entries = list(folder.iterdir())
    except FileNotFoundError:
        return ""
    except OSError as error:
        return reason(error)
    for entry in entries:
        try:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        except OSError as error:
            stayed = stayed or reason(error)
    return stayed
