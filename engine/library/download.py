"""Fetches the files of a model family into a folder of the person's choice, only when called.

By urllib: huggingface_hub checks lengths, not hashes, cannot be cancelled, knows no GitHub.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from engine.library.download_file import Patience, fetch
from engine.library.download_offer import Offer, check_room

EVERY_S = 0.1
WINDOW_S = 5.0  # over which the speed is taken


class Progress(msgspec.Struct, frozen=True):
    """`stage`: «download», or «verify» with the bytes of this file alone.

    `name`: of the file at hand. `seconds_left`: None where it cannot be told.
    """

    name: str
    stage: str
    done_bytes: int
    total_bytes: int
    bytes_per_s: float
    seconds_left: float | None


Tell = Callable[[Progress], None]


def download(
    offers: Sequence[Offer], tell: Tell, patience: Patience | None = None
) -> tuple[Path, ...]:
    """Fetches and verifies each, in order; what is there already is not fetched again.

    `tell` is called ten times a second, also while nothing comes; what it raises (`Cancelled`)
    ends the download within 0.2 s. What came is kept and the next call goes on from there.
    Raises DownloadError.
    """
    check_room(tuple(offers))
    meter = _Meter([item.size_bytes for item in offers], tell)
    paths = []
    for index, item in enumerate(offers):
        meter.begin(index, item.target.name)
        paths.append(fetch(item, meter, patience or Patience()))
    return tuple(paths)


class _Meter:
    """Sums up the files and calls `tell` when it is due."""

    def __init__(self, sizes: list[int], tell: Tell) -> None:
        self._sizes = sizes
        self._tell = tell
        self._index = 0
        self._name = ""
        self._stage = "download"
        self._done = 0
        self._total = 0
        self._told = 0.0
        self._came: deque[tuple[float, int]] = deque()

    def begin(self, index: int, name: str) -> None:
        self._index, self._name = index, name
        self.at("download", 0, self._sizes[index])

    def at(self, stage: str, done_bytes: int, total_bytes: int) -> None:
        """Of the file at hand; `total_bytes`: 0 where it is not known."""
        self._stage, self._done, self._total = stage, done_bytes, total_bytes
        if stage == "download" and total_bytes:
            self._sizes[self._index] = total_bytes
        is_last = bool(total_bytes) and done_bytes == total_bytes
        if is_last:
            self._say()
        else:
            self.poll()

    def came(self, count: int) -> None:
        self._came.append((time.monotonic(), count))

    def poll(self) -> None:
        if time.monotonic() - self._told >= EVERY_S:
            self._say()

    def _say(self) -> None:
        self._told = time.monotonic()
        done, total = self._done, self._total
        if self._stage == "download":
            done += sum(self._sizes[: self._index])
            total = max(sum(self._sizes), done)
        speed = self._speed()
        left = (total - done) / speed if speed and self._stage == "download" else None
        self._tell(Progress(self._name, self._stage, done, total, speed, left))

    def _speed(self) -> float:
        now = time.monotonic()
        while self._came and now - self._came[0][0] > WINDOW_S:
            self._came.popleft()
        if not self._came:
            return 0.0
        return sum(count for _, count in self._came) / max(now - self._came[0][0], EVERY_S)
