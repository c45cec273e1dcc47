"""The log files of the children: one each, the oldest ones removed."""

import os
import time
from itertools import count
from pathlib import Path

from engine.errors import WorkerError

KEPT = 20  # files per role
_numbers = count(1)


def new_log(folder: Path, role: str) -> Path:
    """A fresh log file, empty. Raises WorkerError where it cannot be written."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    log = folder / f"worker-{role}-{stamp}-{os.getpid()}-{next(_numbers)}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        old = sorted(folder.glob(f"worker-{role}-*.log"), key=lambda path: path.name)
        log.touch()
    except OSError as error:
        raise WorkerError(
            f"The log folder {folder} cannot be used.", "Check its permissions.", str(error)
        ) from error
    for path in old[: max(0, len(old) - KEPT + 1)]:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            continue  # still open in a running child on Windows
    return log


def tail(path: Path, size: int = 4000) -> str:
    """The end of a log, for the Details button."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - size))
            return file.read().decode("utf-8", "replace")
    except OSError as error:
        return f"(no log: {error.strerror})"
