"""Tensors from a file to a device through a ring of buffers, read ahead by a few threads.

Bytes are read by their place in the file, not through a memory map: a map reads page by page, and
what it has read counts as memory of this process. On CUDA the buffers are pinned, so nothing waits
for a copy, and each is converted on the card out of a twin there; on the CPU out of the buffer.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from engine.errors import WeightsError

BUFFERS = 3
PINNED_BYTES = 64 << 20  # of one buffer: large enough for the bus
CACHED_BYTES = 4 << 20  # small enough for the processor's cache
CUT_BYTES = 16  # a tensor is cut at multiples of it, so never inside a value
SERIAL_VALUES = 32_000  # torch shares out what has 32,768


class Place(NamedTuple):
    """Where the values of a tensor lie: the first byte counts from the start of the file."""

    file: Path
    begin: int
    size: int


class Stored(dict[str, Tensor]):
    """Tensors by name, mapped from files, and where in them their values lie."""

    def __init__(self, tensors: Mapping[str, Tensor], places: Mapping[str, Place]) -> None:
        super().__init__(tensors)
        self.places = places


def places_of(tensors: Mapping[str, Tensor]) -> Mapping[str, Place]:
    """The places, where `tensors` knows them; else none."""
    return tensors.places if isinstance(tensors, Stored) else {}


class Piece(NamedTuple):
    """`size` bytes of a tensor, from its byte `begin` on; they lie at `offset` of the buffer."""

    name: str
    begin: int
    offset: int
    size: int


class Chunk(NamedTuple):
    """What fills one buffer: bytes that follow each other in a file, or lie in memory."""

    source: Place | Tensor
    pieces: list[Piece]

    @property
    def size(self) -> int:
        return self.pieces[-1].offset + self.pieces[-1].size


def transfer(
    tensors: Mapping[str, Tensor],
    device: torch.device,
    dtype: torch.dtype | None = None,
    buffer_bytes: int = 0,
) -> dict[str, Tensor]:
    """Every tensor on `device`, what is floating as `dtype`; the ring is all the memory beside.

    Raises WeightsError for a file that ends before its values do.
    """
    is_cuda = device.type == "cuda"
    chunks = list(chunked(tensors, buffer_bytes or (PINNED_BYTES if is_cuda else CACHED_BYTES)))
    largest = max((chunk.size for chunk in chunks), default=0)
    slots = [_Slot(largest, device) for _ in range(min(BUFFERS, len(chunks)))]
    result = {
        name: torch.empty(tensor.shape, dtype=as_dtype(tensor, dtype), device=device)
        for name, tensor in tensors.items()
    }
    for chunk, slot in _filled(chunks, slots):
        arrived = slot.send(chunk.size)
        for piece in chunk.pieces:
            values = arrived[piece.offset : piece.offset + piece.size]
            _put(values, tensors[piece.name].dtype, piece.begin, result[piece.name])
    return result


def as_dtype(tensor: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    """`dtype` for what is floating, its own for the rest."""
    return dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype


def _put(values: Tensor, stored: torch.dtype, begin: int, target: Tensor) -> None:
    """Writes bytes that are values of type `stored` into the target, from its byte `begin` on."""
    flat = target.view(-1)
    if stored == target.dtype:
        flat.view(torch.uint8)[begin : begin + len(values)].copy_(values)
        return
    if values.storage_offset() % stored.itemsize:
        values = values.clone()
    given = values.view(stored)
    flat = flat[begin // stored.itemsize :][: len(given)]
    # In parts that torch gives to no second thread: waiting for one takes longer than the work.
    step = SERIAL_VALUES if target.is_cpu else max(len(given), 1)
    for at in range(0, len(given), step):
        flat[at : at + step].copy_(given[at : at + step])


def chunked(tensors: Mapping[str, Tensor], most: int) -> Iterator[Chunk]:
    """The bytes of all tensors in chunks of at most `most`, in the order of the files."""
    places = places_of(tensors)
    source, pieces, filled = Place(Path(), 0, 0), list[Piece](), 0
    for name in sorted(places.keys() & tensors.keys(), key=lambda name: places[name]):
        file, begin, whole = places[name]
        done = 0
        while done < whole:
            follows = (source.file, source.begin + filled) == (file, begin + done)
            if pieces and (not follows or most - filled < min(CUT_BYTES, whole - done)):
                yield Chunk(source._replace(size=filled), pieces)
                pieces = []
            if not pieces:
                source, filled = Place(file, begin + done, 0), 0
            room = most - filled
            size = whole - done if whole - done <= room else room - room % CUT_BYTES
            pieces.append(Piece(name, done, filled, size))
            done, filled = done + size, filled + size
    if pieces:
        yield Chunk(source._replace(size=filled), pieces)
    for name, tensor in tensors.items():
        if name not in places:
            values = tensor.contiguous().view(-1).view(torch.uint8)
            for at in range(0, len(values), most):
                part = values[at : at + most]
                yield Chunk(part, [Piece(name, at, 0, len(part))])


def _filled(chunks: list[Chunk], slots: list["_Slot"]) -> Iterator[tuple[Chunk, "_Slot"]]:
    """Every chunk in turn with the buffer that holds it, while the next ones are being read."""
    waiting: deque[tuple[Chunk, _Slot, Future[None]]] = deque()
    with ThreadPoolExecutor(len(slots) or 1, "weights") as readers:
        for number, chunk in enumerate(chunks):
            slot = slots[number % len(slots)]
            if len(waiting) == len(slots):  # the oldest holds this very slot
                yield _taken(*waiting.popleft())
            waiting.append((chunk, slot, readers.submit(slot.fill, chunk)))
        while waiting:
            yield _taken(*waiting.popleft())


def _taken(chunk: Chunk, slot: "_Slot", reading: Future[None]) -> tuple[Chunk, "_Slot"]:
    reading.result()
    return chunk, slot


class _Slot:
    """A buffer of the ring. On CUDA it is pinned, and has a twin on the card."""

    def __init__(self, size: int, device: torch.device) -> None:
        # torch keeps pinned memory for the next one who asks, so it is registered only once.
        is_cuda = device.type == "cuda"
        self._buffer = torch.empty(size, dtype=torch.uint8, pin_memory=is_cuda)
        is_here = device.type == "cpu"
        self._twin = self._buffer if is_here else torch.empty_like(self._buffer, device=device)
        self._sent = torch.cuda.Event() if is_cuda else None  # type: ignore[no-untyped-call]

    def fill(self, chunk: Chunk) -> None:
        """Reads the chunk; on a thread of the pool."""
        if self._sent is not None:
            self._sent.synchronize()  # at once, where it was never recorded
        if isinstance(chunk.source, Tensor):
            self._buffer[: len(chunk.source)].copy_(chunk.source)
            return
        path, begin, size = chunk.source
        target = self._buffer.numpy().data[:size]
        done = 0
        try:
            with path.open("rb", buffering=0) as file:
                file.seek(begin)
                while done < size:
                    got = file.readinto(target[done:])
                    if not got:
                        raise _wrong(chunk, path, done, "the file ended before it")
                    done += got
        except OSError as error:
            raise _wrong(chunk, path, done, f"{error.strerror or error}") from error

    def send(self, size: int) -> Tensor:
        """The first `size` bytes on the device; to be used on the current stream."""
        if self._twin is not self._buffer:
            self._twin[:size].copy_(self._buffer[:size], non_blocking=self._sent is not None)
        if self._sent is not None:
            self._sent.record(torch.cuda.current_stream(self._twin.device))
        return self._twin[:size]


def _wrong(chunk: Chunk, path: Path, done: int, what: str) -> WeightsError:
    name = next(piece.name for piece in chunk.pieces if piece.offset + piece.size > done)
    return WeightsError(
        f"{path}: tensor {name[:200]!r} could not be read: {what}.",
        "Was the file changed or taken away meanwhile? Get it again.",
    )
