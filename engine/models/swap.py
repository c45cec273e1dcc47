"""Blocks that wait in the computer's memory and come to the device just before they run.

A block that is away has its matrices in one pinned buffer on the host. On the device there are
`ahead` + 1 slots for all of them: while one block runs, the next is copied on a stream of its own.
Weights never change, so nothing is copied back: the block just points to its buffer again.
Without `pinned` the memory is plain and copies are waited for, where too little can be locked.
"""

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.models.linear import put_tensor

ALIGNED_BYTES = 256
PAGE_BYTES = 4096


class SwapSize(NamedTuple):
    """Bytes that swapping takes on the device beside the blocks that stay, and on the host."""

    device: int
    host: int


def swap_size(blocks: Sequence[nn.Module], count: int, ahead: int = 1) -> SwapSize:
    """Of blocks that may be on `meta`. `count` as in `swapped`."""
    sizes = [_packed_size(blocks[index]) for index in away(len(blocks), count)]
    return SwapSize(max(sizes, default=0) * min(ahead + 1, len(sizes)), sum(sizes))


def away(total: int, count: int) -> list[int]:
    """Which blocks wait on the host: evenly between those that stay, which hide their copies."""
    count = max(0, min(count, total))
    return [i for i in range(total) if (i + 1) * count // total > i * count // total]


@contextmanager
def swapped(
    blocks: Sequence[nn.Module],
    count: int,
    device: torch.device | str,
    ahead: int = 1,
    pinned: bool = True,
) -> Iterator["Swap"]:
    """Gives the blocks one by one, `count` of them (at most all) from the host.

    Afterwards slots and pinned memory are given back; blocks that were away are on the CPU.
    """
    swap = Swap(blocks, count, device, ahead, pinned)
    for index, block in enumerate(blocks):
        if index not in swap.waiting:
            block.to(device)
    try:
        yield swap
    finally:
        swap.close()


class Swap:
    """Iterated over, it gives the blocks in order, each on the device while it is the current one.

    Passes follow one another; in between, weights may be changed where they are. Vectors stay on
    the device: all of them take less than one matrix. Where the other blocks are is left to others.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        count: int,
        device: torch.device | str,
        ahead: int = 1,
        pinned: bool = True,
    ) -> None:
        self.device = torch.device(device)
        self.pinned = pinned
        self._blocks = list(blocks)
        self._slot_count = 1
        self._slots: list[_Slot] = []
        self._parcels: dict[int, _Parcel] = {}
        self._is_closed = False
        is_beside = self.device.type == "cuda" and pinned
        self._stream = _stream(self.device) if is_beside else None
        self.arrange(count, ahead)

    def arrange(self, count: int, ahead: int = 1) -> None:
        """As many blocks away, and so many fetched ahead; blocks that are away already stay packed.

        Those that are away no longer are left in the host's memory, which is pinned no more.
        """
        assert ahead >= 0
        assert not self._is_closed
        self.rest()
        self._slot_count = ahead + 1
        chosen = away(len(self._blocks), count)
        if self._stream is not None and self._parcels.keys() - set(chosen):
            torch.cuda.synchronize(self.device)
        for index in self._parcels.keys() - set(chosen):
            self._parcels.pop(index).close()
        for index in chosen:  # one by one: what a block had is free before the next is packed
            if index not in self._parcels:
                self._parcels[index] = _Parcel(self._blocks[index], self.device, self.pinned)
        self._parcels = {index: self._parcels[index] for index in chosen}

    def take_in(self) -> None:
        """Packs what was put in the place of packed tensors meanwhile."""
        for parcel in self._parcels.values():
            parcel.take_in()

    @property
    def waiting(self) -> frozenset[int]:
        """The numbers of the blocks that are away."""
        return frozenset(self._parcels)

    @property
    def places(self) -> frozenset[tuple[nn.Module, str]]:
        """Whose tensors wait, and their names there."""
        return frozenset(place for parcel in self._parcels.values() for place in parcel.owned)

    def __len__(self) -> int:
        return len(self._blocks)

    def __iter__(self) -> Iterator[nn.Module]:
        assert not self._is_closed
        self._bring_home()
        self._make_slots()
        order = list(self._parcels.values())
        for number, slot in enumerate(self._slots):
            slot.send(order[number])
        number = 0
        for index, block in enumerate(self._blocks):
            parcel = self._parcels.get(index)
            if parcel is None:
                yield block
                continue
            slot = self._slots[number % len(self._slots)]
            parcel.point_to(slot.arrived())
            try:
                yield block
            finally:
                parcel.point_to(parcel.home)
                slot.leave()
            number += 1
            if (coming := number + len(self._slots) - 1) < len(order):
                slot.send(order[coming])

    @property
    def host_bytes(self) -> int:
        """What the host holds of the blocks that are away."""
        return sum(len(parcel.home) for parcel in self._parcels.values())

    @property
    def device_bytes(self) -> int:
        """What the slots take now: nothing before the first pass and after `rest`."""
        return sum(len(slot.buffer) for slot in self._slots)

    @property
    def is_pinned(self) -> bool:
        """Whether copies run beside the computing; else the system did not lend the memory."""
        return all(parcel.is_pinned for parcel in self._parcels.values())

    def rest(self) -> None:
        """Gives the slots back until the next pass."""
        self._bring_home()
        if self._stream is not None:
            torch.cuda.current_stream(self.device).wait_stream(self._stream)
        self._slots = []

    def close(self) -> None:
        """Gives back slots and pinned memory; the blocks that are away stay usable on the CPU."""
        if self._is_closed:
            return
        self.rest()
        if self._stream is not None:
            torch.cuda.synchronize(self.device)
        for index, parcel in self._parcels.items():
            parcel.close()
            self._blocks[index].to("cpu")
        self._parcels = {}
        self._is_closed = True

    def _bring_home(self) -> None:
        """After a pass that ended early."""
        for parcel in self._parcels.values():
            parcel.point_to(parcel.home)

    def _make_slots(self) -> None:
        if self._stream is not None:  # weights and slots may still be in use
            self._stream.wait_stream(torch.cuda.current_stream(self.device))
        if self._slots or not self._parcels:
            return
        size = max(len(parcel.home) for parcel in self._parcels.values())
        count = min(self._slot_count, len(self._parcels))
        self._slots = [_Slot(size, self.device, self._stream) for _ in range(count)]
        if self._stream is not None:  # what had this memory before
            self._stream.wait_stream(torch.cuda.current_stream(self.device))


class _Place(NamedTuple):
    """Where in a parcel the values of a tensor lie, and whose it is by what name."""

    owner: nn.Module
    name: str
    begin: int
    size: int
    shape: torch.Size
    dtype: torch.dtype


class _Parcel:
    """The matrices of a block in one buffer on the host, which the block's tensors point into."""

    def __init__(self, block: nn.Module, device: torch.device, pinned: bool) -> None:
        self._places: list[_Place] = []
        at = 0
        for owner, name, tensor in _tensors(block):
            if _is_matrix(tensor):
                size = tensor.numel() * tensor.element_size()
                self._places.append(_Place(owner, name, at, size, tensor.shape, tensor.dtype))
                at += _aligned(size)
            else:
                with torch.inference_mode(False):
                    put_tensor(owner, name, tensor.detach().to(device))
        with torch.inference_mode(False):
            self.home = _own_pages(at)
        self.take_in()  # tensor by tensor, so that the memory of each is free again
        self.is_pinned, self.close = _pinned(self.home, device, pinned)

    @property
    def owned(self) -> list[tuple[nn.Module, str]]:
        """Whose tensors these are, and their names there."""
        return [(place.owner, place.name) for place in self._places]

    def take_in(self) -> None:
        """Copies tensors of the block that lie elsewhere into the buffer, and points there."""
        with torch.inference_mode(False), torch.no_grad():
            for place in self._places:
                room, now = _view(self.home, place), getattr(place.owner, place.name).detach()
                if (now.device, now.data_ptr()) != (room.device, room.data_ptr()):
                    room.copy_(now)
                    put_tensor(place.owner, place.name, room)

    def point_to(self, buffer: Tensor) -> None:
        """Makes the block use a buffer that has the same bytes."""
        # All blocks' weights are plain tensors: those of another kind would be compiled anew.
        with torch.inference_mode(False):
            for place in self._places:
                put_tensor(place.owner, place.name, _view(buffer, place))


class _Slot:
    """Room on the device for any of the blocks; on CUDA it is filled on a stream of its own."""

    def __init__(self, size: int, device: torch.device, stream: "torch.cuda.Stream | None") -> None:
        with torch.inference_mode(False):
            self.buffer = torch.empty(size, dtype=torch.uint8, device=device)
        self._stream = stream
        self._device = device
        self._sent = None if stream is None else _event()
        self._used = None if stream is None else _event()

    def send(self, parcel: _Parcel) -> None:
        """Begins to copy; after what last used the slot."""
        if self._stream is None or self._used is None or self._sent is None:
            self.buffer[: len(parcel.home)].copy_(parcel.home)
            return
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(self._used)  # at once, where it was never recorded
            self.buffer[: len(parcel.home)].copy_(parcel.home, non_blocking=True)
            self._sent.record(self._stream)

    def arrived(self) -> Tensor:
        """The buffer; what is computed from here on waits for the copy."""
        if self._sent is not None:
            torch.cuda.current_stream(self._device).wait_event(self._sent)
        return self.buffer

    def leave(self) -> None:
        """All that uses the contents was given to the device."""
        if self._used is not None:
            self._used.record(torch.cuda.current_stream(self._device))


def _stream(device: torch.device) -> "torch.cuda.Stream":
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _event() -> "torch.cuda.Event":
    return torch.cuda.Event()  # type: ignore[no-untyped-call]


def _packed_size(block: nn.Module) -> int:
    matrices = [tensor for _, _, tensor in _tensors(block) if _is_matrix(tensor)]
    return sum(_aligned(tensor.numel() * tensor.element_size()) for tensor in matrices)


def _tensors(block: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    """Parameters and buffers, each with its owner and its name there."""
    return [
        (owner, name, tensor)
        for owner in block.modules()
        for name, tensor in (*owner._parameters.items(), *owner._buffers.items())
        if tensor is not None
    ]


def _is_matrix(tensor: Tensor) -> bool:
    return sum(size > 1 for size in tensor.shape) >= 2


def _aligned(size: int) -> int:
    return -(-size // ALIGNED_BYTES) * ALIGNED_BYTES


def _view(buffer: Tensor, place: _Place) -> Tensor:
    some = buffer[place.begin : place.begin + place.size]
    return some.view(place.dtype).view(place.shape)


def _own_pages(size: int) -> Tensor:
    """Bytes in pages that nothing else lies in, so that they can be pinned alone."""
    room = torch.empty(size + 2 * PAGE_BYTES, dtype=torch.uint8)
    begin = -room.data_ptr() % PAGE_BYTES
    return room[begin : begin + size]


def _pinned(
    buffer: Tensor, device: torch.device, wished: bool
) -> tuple[bool, Callable[[], object]]:
    """Pins memory where the device gains by it; whether it did, and what undoes it.

    Registered rather than taken from torch, which takes twice as much for some sizes, and keeps it.
    """
    if device.type != "cuda" or not wished:
        return False, lambda: None
    runtime = torch.cuda.cudart()  # type: ignore[no-untyped-call]
    address, pages = buffer.data_ptr(), -(-len(buffer) // PAGE_BYTES) * PAGE_BYTES
    if int(runtime.cudaHostRegister(address, pages, 0)) != 0:
        with suppress(RuntimeError):  # the failure waits to be raised by the next thing done there
            torch.zeros(1, device=device).add_(1)
        return False, lambda: None
    undo = weakref.finalize(buffer, _unpin, address, device)
    undo.atexit = False
    return True, undo


def _unpin(address: int, device: torch.device) -> None:
    torch.cuda.synchronize(device)
    torch.cuda.cudart().cudaHostUnregister(address)  # type: ignore[no-untyped-call]
