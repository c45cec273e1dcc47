"""The ring of frames: slots of shared memory that a child fills and the editor shows.

The editor makes and unlinks it and alone decides which slots are free: a slot belongs to the
child from the ShowFrames that names it until its FrameShown or FramesDropped, then to the editor
until it is named again; so nothing tears. It survives the child: a new one opens it by name.
"""

import os
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

from engine.errors import WorkerError
from engine.worker.messages import OpenRing


class FrameRing:
    """`slots` slots of `slot_bytes` each."""

    def __init__(self, memory: SharedMemory, slots: int, slot_bytes: int, is_owner: bool) -> None:
        self._memory = memory
        self._is_owner = is_owner
        self.slots = slots
        self.slot_bytes = slot_bytes

    @classmethod
    def create(cls, slots: int, slot_bytes: int) -> "FrameRing":
        """The editor's side. Raises WorkerError where the system has no room for it."""
        try:
            memory = SharedMemory(create=True, size=slots * slot_bytes)
        except OSError as error:
            raise _no_room(slots * slot_bytes, error) from error
        ring = cls(memory, slots, slot_bytes, is_owner=True)
        try:
            _reserve(memory.name, slots * slot_bytes)
        except OSError as error:
            ring.close()
            raise _no_room(slots * slot_bytes, error) from error
        return ring

    @classmethod
    def attach(cls, ring: OpenRing) -> "FrameRing":
        """The child's side. Raises WorkerError where it is not there, or smaller than said."""
        try:
            memory = _untracked(ring.name)
        except (OSError, ValueError) as error:
            raise WorkerError(
                "The memory for the viewer's frames is gone.", "Open the project again.", str(error)
            ) from error
        if ring.slots < 1 or ring.slot_bytes < 1 or memory.size < ring.slots * ring.slot_bytes:
            memory.close()
            raise WorkerError(
                "The memory for the viewer's frames is too small.", "Open the project again."
            )
        return cls(memory, ring.slots, ring.slot_bytes, is_owner=False)

    @property
    def name(self) -> str:
        return self._memory.name

    def opening(self) -> OpenRing:
        """What a child is told so that it can attach."""
        return OpenRing(name=self.name, slots=self.slots, slot_bytes=self.slot_bytes)

    def view(self, slot: int) -> memoryview:
        """The bytes of a slot; drop it, and all made over it, before `close`."""
        if not 0 <= slot < self.slots:
            raise WorkerError(f"There is no slot {slot} for a frame.")
        pages = self._memory.buf
        assert pages is not None  # until close
        return pages[slot * self.slot_bytes : (slot + 1) * self.slot_bytes]

    def close(self) -> None:
        """Gives the memory back; the editor's side also takes its name away."""
        if self._is_owner:
            self._memory.unlink()
        self._memory.close()


def _no_room(size_bytes: int, error: OSError) -> WorkerError:
    return WorkerError(
        f"There is not enough shared memory for the viewer: {size_bytes / 1e6:.0f} MB are needed.",
        "Make the viewer smaller, or close other programs.",
        str(error),
    )


def _reserve(name: str, size: int) -> None:
    """Takes the pages now: in a small /dev/shm the first write beyond it would kill the writer."""
    if sys.platform == "linux":
        descriptor = os.open(Path("/dev/shm") / name, os.O_RDWR)
        try:
            os.posix_fallocate(descriptor, 0, size)
        finally:
            os.close(descriptor)


def _untracked(name: str) -> SharedMemory:
    """Attaches without the resource tracker, which would unlink the memory at this process's end.

    python/cpython#82300: before 3.13 attaching registers as creating does.
    """
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    registered = resource_tracker.register
    setattr(resource_tracker, "register", lambda _name, _kind: None)  # noqa: B010  (a method)
    try:
        return SharedMemory(name)
    finally:
        setattr(resource_tracker, "register", registered)  # noqa: B010
