"""Names for exported files: fresh, counted, never over another file."""

import re
from collections.abc import Iterable
from pathlib import Path

from engine.errors import OutputError
from engine.timeline.model import new_id


def safe(prefix: str) -> str:
    """`prefix` as part of a file name that every system takes."""
    cleaned = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", prefix).strip(" .")
    return cleaned[:120] or "untitled"


def numbered(folder: Path, prefix: str, suffix: str, promised: Iterable[str] = ()) -> Path:
    """The next free name in `folder`: "PREFIX_001.gif", counted over all formats.

    `promised`: names that are not on the disk yet but taken. So is one that is being written.
    """
    stem = safe(prefix)
    taken = re.compile(r"\.?" + re.escape(stem) + r"_(\d{3,})\.\w+(\.part)?", re.IGNORECASE)
    names = list(promised)
    if folder.is_dir():
        names += [one.name for one in folder.iterdir()]
    numbers = [int(match.group(1)) for name in names if (match := taken.fullmatch(name))]
    return folder / f"{stem}_{max(numbers, default=0) + 1:03d}.{suffix}"


def cached_render(cache: Path, prefix: str, suffix: str) -> Path:
    """A name for a render that is shown but not saved; its folder is made."""
    return made(cache / "renders") / f"{safe(prefix)}_{new_id()}.{suffix}"


def made(folder: Path) -> Path:
    """The folder, made where it is not there. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {folder.name} cannot be made: {error.strerror}.",
            "Choose another folder.",
            str(error),
        ) from error
    return folder
