"""Small files of the program itself: written whole or not at all, and why they cannot be."""

import json
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path


def write_whole(path: Path, data: bytes, backup: Path | None = None) -> None:
    """Replaces the file at `path` in one step, keeping the one before as `backup`.

    Raises OSError; then the old file is as it was, and nothing is left beside it.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if backup is not None and path.exists():
            _keep(path, backup)
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink()
        raise
    if os.name == "posix":  # so that the new name survives a power cut, too
        with suppress(OSError):
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def weights_bytes(path: Path) -> int:
    """Bytes of a file of weights, for an index of all its files; 0 for what is not there."""
    found = 0
    with suppress(OSError):
        fact = path.stat()
        found = fact.st_size
        if path.name.endswith(".index.json"):
            for name in _named(path, fact.st_size, fact.st_mtime_ns):
                with suppress(OSError):
                    found += path.with_name(name).stat().st_size
    return found


@lru_cache(maxsize=16)
def _named(index: Path, size: int, changed: int) -> frozenset[str]:
    """The files that an index names, while it has this size and time."""
    try:
        names = json.loads(index.read_bytes())["weight_map"].values()
        return frozenset(name for name in names if name == Path(name).name)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return frozenset()


def _keep(path: Path, backup: Path) -> None:
    """Makes `backup` the same as `path`, in one step."""
    fresh = backup.with_name(f".{backup.name}.{os.getpid()}.part")
    try:
        try:
            os.link(path, fresh)
        except OSError:  # a file system without links
            import shutil  # only here: it takes a while to load

            shutil.copy2(path, fresh)
        fresh.replace(backup)
    except OSError:
        with suppress(OSError):
            fresh.unlink()
        raise


def reason(error: OSError) -> str:
    """Why the system refused, in words that end a sentence."""
    match error:
        case PermissionError():
            return "it is not allowed there"
        case FileNotFoundError() | NotADirectoryError():
            return "the folder is not there"
        case IsADirectoryError():
            return "it is a folder"
    words = {28: "the disk is full", 30: "the disk is read-only", 36: "the name is too long"}
    return words.get(error.errno or 0, (error.strerror or "the system refused it").lower())
