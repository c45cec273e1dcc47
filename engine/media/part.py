"""The hidden file that an export is written into until it is whole. Needs no decoder."""

from contextlib import suppress
from pathlib import Path


def part_of(target: Path) -> Path:
    """Where the file that becomes `target` grows: beside it, hidden."""
    return target.with_name(f".{target.name}.part")


def remove_part(target: Path) -> None:
    """Removes what a writer that died has left of `target`; the file itself stays."""
    with suppress(OSError):
        part_of(target).unlink(missing_ok=True)
