"""Recovery: a copy of unsaved edits on disk, at most a second old, until they are saved.

Each running program keeps one file in the recovery folder, and holds a lock beside it for as
long as it lives; the system gives the lock up when the program dies, however it dies. A file
without a held lock is therefore what a dead program left.
"""

import logging
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

import msgspec
from PySide6.QtCore import QObject, QTimer, Signal

from desktop.editor import Editor
from desktop.settings import set_aside
from engine.errors import ProjectError
from engine.files import reason, write_whole
from engine.timeline.model import Project, new_id
from engine.timeline.project import LARGEST_BYTES, decoded, packed

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

DELAY_MS = 1000  # from an edit to its copy on disk
SUFFIX = ".recovery"

_log = logging.getLogger(__name__)


class _Copy(msgspec.Struct, frozen=True):
    """What a recovery file holds."""

    path: str  # of the project's own file; "" if it has none
    saved_at: float  # seconds since 1970
    project: msgspec.Raw


class Recoverable(msgspec.Struct, frozen=True):
    """Edits that a program left behind when it died."""

    file: Path
    project_path: Path | None
    saved_at: float  # seconds since 1970

    @property
    def name(self) -> str:
        return self.project_path.name if self.project_path is not None else "Untitled"


def recoverable(folder: Path) -> list[Recoverable]:
    """What dead programs left, the latest first. Damaged files are set aside, never raised."""
    found = []
    try:
        files = sorted(folder.glob(f"*{SUFFIX}"))
    except OSError as error:
        _log.warning("The recovery folder cannot be read: %s", error)
        return []
    for file in files:
        if _is_held(_lock_of(file)):
            continue
        try:
            copy = _read(file)
        except (OSError, ValueError, RecursionError) as error:
            _log.warning("A recovery file is damaged (%s); it is now %s", error, set_aside(file))
            continue
        path = Path(copy.path) if copy.path else None
        found.append(Recoverable(file, path, copy.saved_at))
    _sweep(folder)
    return sorted(found, key=lambda one: one.saved_at, reverse=True)


def recover(found: Recoverable) -> Project:
    """The project as it was when its program died. Raises ProjectError; the file is then set aside.

    Call `discard` once the project is safe elsewhere: saved, or in this program's own copy.
    """
    try:
        return decoded(bytes(_read(found.file).project), found.file.parent, found.name)
    except (OSError, ValueError, RecursionError, ProjectError) as error:
        aside = set_aside(found.file)
        raise ProjectError(
            f"The last edits of {found.name} cannot be restored.",
            f"What is left of them is in {aside.name}.",
            str(error),
        ) from error


def discard(found: Recoverable) -> None:
    """Deletes what was left, for good."""
    for file in (found.file, _lock_of(found.file)):
        with suppress(OSError):
            file.unlink()


class Autosave(QObject):
    """Keeps the recovery file of one editor; writing is done by a thread of its own."""

    written = Signal()  # a copy of the latest edits is on disk
    failed = Signal(str, str)  # message, hint: it cannot be; told once until it works again

    def __init__(
        self, editor: Editor, folder: Path, delay_ms: int = DELAY_MS, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._editor = editor
        self._file = folder / f"{os.getpid()}-{new_id()}{SUFFIX}"
        self._timer = QTimer(self, singleShot=True, interval=delay_ms)
        self._timer.timeout.connect(self._keep)
        self._state = threading.Condition()
        self._task: tuple[Project, Path | None] | Literal["remove", "end"] | None = None
        self._is_busy = False
        self._thread: threading.Thread | None = None
        self._lock: IO[bytes] | None = None
        self._has_failed = False
        editor.project_changed.connect(self._note)
        editor.saved_changed.connect(self._note)

    def flush(self) -> None:
        """Writes what is due now, and waits until it is on disk."""
        if self._timer.isActive():
            self._timer.stop()
            self._keep()
        with self._state:
            self._state.wait_for(lambda: self._task is None and not self._is_busy)

    def close(self) -> None:
        """Ends it and removes the file: the edits are saved, or the person let them go."""
        self._editor.project_changed.disconnect(self._note)
        self._editor.saved_changed.disconnect(self._note)
        self._timer.stop()
        if self._thread is not None:
            self._ask("remove")
            self.flush()
            self._ask("end")
            self._thread.join()
        if self._lock is not None:
            self._lock.close()
            with suppress(OSError):
                _lock_of(self._file).unlink()

    def _note(self, *_values: object) -> None:
        """Something changed: the copy is due in a second; a later change does not put it off."""
        if not self._editor.is_edited:
            self._timer.stop()
            if self._thread is not None:
                self._ask("remove")
        elif not self._timer.isActive():
            self._timer.start()

    def _keep(self) -> None:
        if self._editor.is_edited:
            self._ask((self._editor.project, self._editor.path))

    def _ask(self, task: tuple[Project, Path | None] | Literal["remove", "end"]) -> None:
        """Gives the thread its next task, in place of one that it has not begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="autosave", daemon=True)
            self._thread.start()
        with self._state:
            self._task = task
            self._state.notify_all()

    def _run(self) -> None:
        while True:
            with self._state:
                self._state.wait_for(lambda: self._task is not None)
                task, self._task = self._task, None
                self._is_busy = True
            if task == "end" or task is None:
                return
            if task == "remove":
                with suppress(OSError):
                    self._file.unlink()
            else:
                self._write(*task)
            with self._state:
                self._is_busy = False
                self._state.notify_all()

    def _write(self, project: Project, path: Path | None) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            if self._lock is None:
                self._lock = _hold(_lock_of(self._file))
            copy = _Copy(str(path or ""), time.time(), msgspec.Raw(packed(project)))
            write_whole(self._file, msgspec.json.encode(copy))
        except OSError as error:
            _log.warning("The recovery file cannot be written: %s", error)
            if not self._has_failed:
                self._has_failed = True
                self.failed.emit(
                    f"Edits cannot be kept for recovery: {reason(error)}.",
                    "Save the project from time to time.",
                )
            return
        self._has_failed = False
        self.written.emit()


def _read(file: Path) -> _Copy:
    if file.stat().st_size > LARGEST_BYTES:
        raise ValueError("it is too large")
    return msgspec.json.decode(file.read_bytes(), type=_Copy)


def _sweep(folder: Path) -> None:
    """Deletes locks and half-written files that dead programs left."""
    for lock in folder.glob(f"*{SUFFIX}.lock"):
        file = lock.with_suffix("")
        if not _is_held(lock):
            for part in folder.glob(f".{file.name}.*.part"):
                with suppress(OSError):
                    part.unlink()
            if not file.exists():
                with suppress(OSError):
                    lock.unlink()


def _lock_of(file: Path) -> Path:
    return file.with_name(file.name + ".lock")


def _hold(path: Path) -> IO[bytes]:
    """The file, locked until it is closed or this process ends. Raises OSError if it is taken."""
    file = path.open("ab")
    try:
        if sys.platform == "win32":
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


def _is_held(path: Path) -> bool:
    """Whether a living process holds the lock."""
    if not path.exists():
        return False
    try:
        _hold(path).close()
    except OSError:
        return True
    return False
