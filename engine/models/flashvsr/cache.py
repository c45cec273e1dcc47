"""Keys and values of earlier chunks, by slots of two latent frames: written once, never moved.

All layers of a stream share one memory. They work one after another, so what a layer lets go after
its attention is where the next one puts its youngest slot: beside the kept slots there is room for
a single one more, not for one of each layer.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

EIGHT_BITS = torch.float8_e4m3fn

Rooms = tuple[Tensor, Tensor]  # for one slot's keys and values, (N, n, tokens, D) each
Scales = tuple[Tensor, Tensor]  # of keys and values in 8 bits, (N, places * n) each, float32


@dataclass
class _Held:
    """What the memory holds, by places. Means are of the keys before they go to 8 bits."""

    values: Tensor  # (2, N, places, n, tokens, D): keys, values
    means: Tensor  # (N, places, n, D), float32
    scales: Tensor  # (2, N, places, n), float32, of 8 bits; empty without
    numbers: Tensor  # (places * n,), int32: of all blocks


class SlotMemory:
    """Places for slots. It is made at the first use, of that slot's shape, dtype and device.

    dtype: None to keep what is given, or float8_e4m3fn to keep 8 bits, with a scale for each head
    and block: half of bfloat16, each value within a sixteenth of itself.
    """

    def __init__(self, places: int, dtype: torch.dtype | None = None) -> None:
        assert dtype in (None, EIGHT_BITS), dtype
        self.dtype = dtype
        self.given = torch.float32  # what was written last
        self._places = places
        self._free = list(range(places))
        self._held: _Held | None = None

    @property
    def held(self) -> _Held:
        """The tensors, once something was written."""
        assert self._held is not None, "nothing is held here"
        return self._held

    def take(self, like: Tensor) -> int:
        """A free place, for a slot as `like`, (N, n, tokens, D)."""
        if self._held is None:
            self._held = self._made(like)
        self.given = like.dtype
        return self._free.pop(0)

    def give(self, place: int) -> None:
        """The place is free again."""
        self._free.insert(0, place)

    def taken_out(self) -> list[Tensor]:
        """All tensors; without `put_back` nothing is left here."""
        held, self._held = self._held, None
        return [] if held is None else [held.values, held.means, held.scales, held.numbers]

    def put_back(self, tensors: list[Tensor]) -> None:
        """What was taken out, wherever it lies now."""
        if tensors:
            self._held = _Held(*tensors)

    def _made(self, like: Tensor) -> _Held:
        heads, blocks, tokens, dim = like.shape
        places, device = self._places, like.device

        def empty(*shape: int, dtype: torch.dtype) -> Tensor:
            return torch.empty(shape, dtype=dtype, device=device)

        return _Held(
            empty(2, heads, places, blocks, tokens, dim, dtype=self.dtype or like.dtype),
            empty(heads, places, blocks, dim, dtype=torch.float32),
            empty(2, heads, places if self.dtype else 0, blocks, dtype=torch.float32),
            torch.arange(places * blocks, dtype=torch.int32, device=device),
        )


class SlotRing:
    """One layer's keys and values: the slots that it holds of a memory, oldest first in `order`."""

    def __init__(
        self,
        kv_slots: int,
        dtype: torch.dtype | None = None,
        memory: SlotMemory | None = None,
    ) -> None:
        """memory: shared with other layers, of the dtype; without it the ring has its own."""
        self.kv_slots = kv_slots
        self.order: list[int] = []
        self.places = memory or SlotMemory(kept_slots(kv_slots) + 1, dtype)
        # Places that were handed out and not looked at since, with what was to be written.
        self._fresh: dict[int, Rooms] = {}

    @property
    def dtype(self) -> torch.dtype | None:
        """As of the memory."""
        return self.places.dtype

    def append(self, k: Tensor, v: Tensor) -> None:
        """Hold k and v, (N, slots, n, tokens, D), as the youngest slots."""
        for source in range(k.shape[1]):
            k_room, v_room = self.fresh(k[:, source])
            k_room.copy_(k[:, source])
            v_room.copy_(v[:, source])

    def fresh(self, like: Tensor) -> Rooms:
        """Room for the youngest slot, to be written before anything is read: in place, no copy.

        like: (N, n, tokens, D), of which shape, dtype and device count.
        """
        if self.places._held is not None:
            self._settled()  # of one slot at a time there is what is not in 8 bits yet
        place = self.places.take(like)
        held = self.places.held
        if self.dtype is None:
            rooms = held.values[0, :, place], held.values[1, :, place]
        else:
            k, v = torch.empty((2, *like.shape), dtype=like.dtype, device=like.device)
            rooms = k, v
        self._fresh[place] = rooms
        self.order.append(place)
        return rooms

    def blocks(self) -> Tensor:
        """Which of the memory's blocks those of the held slots are, oldest first: (slots * n,)."""
        numbers = self._settled().numbers
        count = self._settled().values.shape[3]
        return torch.cat([numbers[place * count :][:count] for place in self.order])

    def memory(self) -> tuple[Tensor, Tensor, Scales | None]:
        """Keys and values of all places, (N, places * n, tokens, D) each; scales if in 8 bits."""
        held = self._settled()
        k, v = held.values.flatten(2, 3)
        if self.dtype is None:
            return k, v, None
        k_scale, v_scale = held.scales.flatten(2)
        return k, v, (k_scale, v_scale)

    def held(self) -> tuple[Tensor, Tensor]:
        """Keys and values of the held slots, oldest first: (N, slots * n, tokens, D) each, copied.

        Of 8 bits in the dtype that was given.
        """
        held = self._settled()
        shape = list(held.values.shape)
        shape[2] = len(self.order)
        out = torch.empty(shape, dtype=self.places.given, device=held.values.device)
        for at, place in enumerate(self.order):
            room, kept = out[:, :, at], held.values[:, :, place]
            if self.dtype is None:
                room.copy_(kept)
            else:
                torch.mul(
                    kept.to(self.places.given), held.scales[:, :, place, :, None, None], out=room
                )
        k, v = out.flatten(2, 3)
        return k, v

    def means(self) -> Tensor:
        """Means of the held keys' blocks, oldest slot first: (N, slots * n, D), float32."""
        means = self._settled().means
        return torch.cat([means[:, place] for place in self.order], dim=1)

    def trim(self) -> None:
        """After a chunk: if more than kv_slots are held, the oldest one goes, and only that."""
        if len(self.order) > self.kv_slots:
            self._settled()
            self.places.give(self.order.pop(0))

    def _settled(self) -> _Held:
        """The memory, with the means, and the 8 bits, of what was written since."""
        held = self.places.held
        while self._fresh:
            place, rooms = self._fresh.popitem()
            held.means[:, place] = block_means(rooms[0])
            if self.dtype is not None:
                for of, room in enumerate(rooms):
                    packed, scale = to_eight_bits(room)
                    held.values[of, :, place], held.scales[of, :, place] = packed, scale
        return held


def kept_slots(kv_slots: int) -> int:
    """How many a layer keeps in the long run: as one goes for each that comes, never one alone."""
    return max(kv_slots, 2)


def new_rings(layers: int, kv_slots: int, dtype: torch.dtype | None = None) -> list[SlotRing]:
    """Empty ones of all layers, over one memory; a first chunk may bring a slot more than kept."""
    memory = SlotMemory(layers * kept_slots(kv_slots) + 1, dtype)
    return [SlotRing(kv_slots, dtype, memory) for _ in range(layers)]


def block_means(x: Tensor) -> Tensor:
    """Mean over the tokens of each block, (N, K, T, D) -> (N, K, D), in float32."""
    return x.mean(dim=2, dtype=torch.float32)


def to_eight_bits(x: Tensor) -> tuple[Tensor, Tensor]:
    """x: (N, K, T, D) in 8 bits, and the scale of each block, (N, K), float32: their product is x.

    The largest value of a block becomes the largest of the format, so none overflows.
    """
    largest = torch.finfo(EIGHT_BITS).max
    scale = x.abs().amax(dim=(2, 3)).float().clamp_min(1e-12) / largest
    return (x / scale[..., None, None]).clamp_(-largest, largest).to(EIGHT_BITS), scale
