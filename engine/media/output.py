"""Files that appear whole or not at all, and plain words for why one cannot be written."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
from av.container import OutputContainer

from engine.errors import OutputError
from engine.media.part import part_of, remove_part

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class PendingFile:
    """A file written under a hidden name beside `target` and put in its place when it is whole."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.part = part_of(target)
        with writing(target):
            if target.is_dir():
                raise OutputError(f"«{target.name}» is a folder.", "Choose another name.")
            with self.part.open("wb"):
                pass  # says at once whether it can be written at all

    def refuse_nothing(self, has_pictures: bool) -> None:
        """Raises OutputError where there is not one picture to write."""
        if not has_pictures:
            raise OutputError(
                f"There is no picture to write into «{self.target.name}».",
                "Put a clip on the timeline or choose a longer range.",
            )

    def commit(self) -> None:
        """Puts the finished file in place of the old one, in one step."""
        try:
            with writing(self.target):
                with self.part.open("rb+") as file:
                    os.fsync(file.fileno())
                self.part.replace(self.target)
        except OutputError:
            self.discard()
            raise

    def discard(self) -> None:
        """Removes what was written; the old file stays as it was."""
        remove_part(self.target)


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turns errors of FFmpeg and the system into an OutputError about `target`."""
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        message, hint = _sentence(target, error.errno)
        raise OutputError(message, hint, str(error)) from error


def throw_away(container: OutputContainer) -> None:
    """Closes a file that nobody will read; that it cannot be ended well does not matter."""
    with suppress(av.FFmpegError, OSError):
        container.close()


def _sentence(target: Path, code: int | None) -> tuple[str, str]:
    folder = target.parent.name or str(target.parent)
    if code in _FULL:
        return (
            f"There is no space left for «{target.name}» in «{folder}».",
            "Free some space or choose another folder.",
        )
    if code in _FORBIDDEN:
        return (f"«{folder}» may not be written to.", "Choose another folder.")
    if code in (errno.ENOENT, errno.ENOTDIR):
        return (f"The folder «{folder}» is not there.", "Choose another folder.")
    if code == errno.ENAMETOOLONG:
        return (f"The name «{target.name[:40]}…» is too long.", "Choose a shorter name.")
    return (f"«{target.name}» cannot be written.", "Try again, or choose another format.")
