"""The store of baked parts: files by name, whole or not there, the least used go first."""

import hashlib
import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import msgspec

from engine.errors import OutputError
from engine.files import write_whole

LIMIT_BYTES = 40_000_000_000
KEPT_FREE_SHARE = 0.1  # of the limit, cleared at once so that not every part clears again
ABANDONED_SECONDS = 3600  # after which an unfinished file belongs to a dead process
USED_SECONDS = 60  # within which a second use is not noted again
PICTURES, LIGHT, STATE, MARK = ".mkv", ".proxy.mkv", ".state.npz", ".json"
MOST_UNITS = 64  # of one chain of effects that are remembered


class _Mark(msgspec.Struct, frozen=True):
    """Written last: its file says that the part is whole, its time when it was used last.

    `recipe`: what of the way it was made can change its pixels and is not in its name.
    """

    size_bytes: int
    digest: str
    recipe: str = ""


class SegmentCache:
    """Baked parts under a folder that several processes share and that may go at any time."""

    def __init__(self, root: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.root = root
        self.limit_bytes = limit_bytes
        self._parts = root / "segments"
        self._units = root / "units"
        self._making = root / "making"
        self._used: dict[str, float] = {}

    def path(self, name: str) -> Path:
        """Where the pictures of a part lie, or would."""
        return self._file(name, PICTURES)

    def light_path(self, name: str) -> Path:
        """Where the copy for playback lies, or would."""
        return self._file(name, LIGHT)

    def state_path(self, name: str) -> Path:
        """Where the state after the part's last picture lies, or would."""
        return self._file(name, STATE)

    def has(self, name: str) -> bool:
        """Whether the part is there, by its size only; see `is_whole`."""
        mark = self._mark(name)
        if mark is None:
            return False
        try:
            return self.path(name).stat().st_size == mark.size_bytes
        except OSError:
            return False

    def is_whole(self, name: str) -> bool:
        """Whether the part is there to the last byte; a damaged one is dropped."""
        mark = self._mark(name)
        if mark is not None and self.has(name):
            with suppress(OSError):
                if _digest(self.path(name)) == mark.digest:
                    return True
        if mark is not None or self.path(name).exists():
            self.drop(name)
        return False

    def recipe(self, name: str) -> str:
        """How a part was made, as told to `put`; "" where it is not there."""
        mark = self._mark(name)
        return mark.recipe if mark is not None else ""

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """A folder of one's own for unfinished files; gone afterwards."""
        folder = self._making / uuid4().hex[:12]
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise OutputError(
                "The cache folder cannot be written to.",
                "Choose another in Preferences.",
                str(error),
            ) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def put(self, name: str, made: Path, state: Path | None = None, recipe: str = "") -> None:
        """Takes a finished part, with the light copy beside it, out of a workspace."""
        target = self.path(name)
        mark = _Mark(made.stat().st_size, _digest(made), recipe)
        written = made.with_suffix(MARK)
        written.write_bytes(msgspec.json.encode(mark))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if state is not None:
                self._move(state, self.state_path(name))
            light = made.with_suffix(LIGHT)
            if light.exists():
                self._move(light, self.light_path(name))
            self._move(made, target)
            self._move(written, self._file(name, MARK))
        except OSError as error:
            self.drop(name)
            raise OutputError(
                "A rendered part cannot be put into the cache.", "Free some space.", str(error)
            ) from error

    def drop_state(self, name: str) -> None:
        """Forgets the state after a part: what comes after it is there."""
        with suppress(OSError):
            self.state_path(name).unlink(missing_ok=True)

    def drop(self, name: str) -> None:
        """Removes a part; one that another program holds open stays."""
        for suffix in (MARK, PICTURES, LIGHT, STATE):
            with suppress(OSError):
                self._file(name, suffix).unlink(missing_ok=True)

    def units(self, chain: str) -> tuple[range, ...]:
        """The ranges of pictures that a chain was made for as a whole, the newest first."""
        try:
            pairs = msgspec.json.decode(
                self._unit_file(chain).read_bytes(), type=list[tuple[int, int]]
            )
        except (OSError, msgspec.DecodeError):
            return ()
        return tuple(range(start, stop) for start, stop in pairs if 0 <= start < stop)

    def add_unit(self, chain: str, unit: range) -> None:
        """Puts a range in front of those that `chain` was made for."""
        rest = [one for one in self.units(chain) if one != unit][: MOST_UNITS - 1]
        pairs = [(one.start, one.stop) for one in (unit, *rest)]
        file = self._unit_file(chain)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, msgspec.json.encode(pairs))
        except OSError as error:
            raise OutputError(
                "The cache folder cannot be written to.",
                "Choose another in Preferences.",
                str(error),
            ) from error

    def touch(self, name: str) -> None:
        """Notes that a part was used just now."""
        now = time.time()
        if now - self._used.get(name, 0.0) < USED_SECONDS:
            return
        self._used[name] = now
        with suppress(OSError):
            os.utime(self._file(name, MARK))

    def size(self) -> int:
        """Bytes that all parts take."""
        return sum(size for _, size, _ in self._all())

    def make_room(self, needed: Collection[str]) -> None:
        """Removes the parts used longest ago until the limit is kept; never one of `needed`."""
        self._clear_abandoned()
        parts = sorted(self._all())
        total = sum(size for _, size, _ in parts)
        if total <= self.limit_bytes:
            return
        wanted = self.limit_bytes * (1 - KEPT_FREE_SHARE)
        for _, size, name in parts:
            if total <= wanted:
                return
            if name not in needed:
                self.drop(name)
                total -= size

    def _all(self) -> Iterator[tuple[float, int, str]]:
        """When each part was used last, its size, its name."""
        found: dict[str, tuple[float, int]] = {}
        with suppress(OSError):
            for folder in os.scandir(self._parts):
                for entry in os.scandir(folder.path):
                    name, dot, suffix = entry.name.partition(".")
                    with suppress(OSError):
                        status = entry.stat()
                        used, size = found.get(name, (0.0, 0))
                        # Without a mark it is a leftover, and the first to go.
                        is_mark = dot + suffix == MARK
                        used = status.st_mtime if is_mark else used
                        found[name] = used, size + status.st_size
        for name, (used, size) in found.items():
            yield used, size, name

    def _clear_abandoned(self) -> None:
        """Removes what processes left behind that were killed long ago."""
        with suppress(OSError):
            for folder in list(os.scandir(self._making)):
                with suppress(OSError):
                    times = [entry.stat().st_mtime for entry in os.scandir(folder.path)]
                    if time.time() - max(times, default=folder.stat().st_mtime) > ABANDONED_SECONDS:
                        shutil.rmtree(folder.path, ignore_errors=True)

    def _file(self, name: str, suffix: str) -> Path:
        return self._parts / name[:2] / (name + suffix)

    def _unit_file(self, chain: str) -> Path:
        return self._units / f"{chain}.json"

    def _mark(self, name: str) -> _Mark | None:
        try:
            return msgspec.json.decode(self._file(name, MARK).read_bytes(), type=_Mark)
        except (OSError, msgspec.DecodeError):
            return None

    def _move(self, made: Path, target: Path) -> None:
        try:
            made.replace(target)
        except PermissionError:
            # Windows refuses while another process reads the same part: then it is there already.
            if not target.exists():
                raise


def as_cache(cache: SegmentCache | Path) -> SegmentCache:
    """The cache itself, or that in a folder."""
    return cache if isinstance(cache, SegmentCache) else SegmentCache(cache)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
