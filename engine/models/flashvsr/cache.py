"""Keys and values of earlier chunks: a ring of slots, written in place and never concatenated."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

EIGHT_BITS = torch.float8_e4m3fn


@dataclass
class _Memory:
    """What is held, by places. Means are those of the keys before they are rounded to 8 bits."""

    values: Tensor  # (2, N, places, n, tokens, D): keys, values
    means: Tensor  # (N, places, n, D), float32
    scales: Tensor | None  # (2, N, places, n), float32, of 8 bits
    given: torch.dtype  # of what was written
    # Places that were handed out and not looked at since, with the rooms that 8 bits are made of.
    fresh: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)


class SlotRing:
    """One layer's keys and values, by slots of two latent frames.

    `order` has the held slots' places in memory, oldest first. Attention does not depend on where
    a slot lies, so nothing is moved when the oldest leaves and the youngest takes its place.

    dtype: None to keep what is given, or float8_e4m3fn to keep 8 bits, with a scale for each head
    and block: half of bfloat16, each value within a sixteenth of itself.
    """

    def __init__(self, kv_slots: int, dtype: torch.dtype | None = None) -> None:
        assert dtype in (None, EIGHT_BITS), dtype
        self.kv_slots = kv_slots
        self.dtype = dtype
        self.order: list[int] = []
        self._memory: _Memory | None = None

    def append(self, k: Tensor, v: Tensor) -> None:
        """Hold k and v, (N, slots, n, tokens, D), as the youngest slots."""
        for source, (k_room, v_room) in enumerate(self.fresh(k)):
            k_room.copy_(k[:, source])
            v_room.copy_(v[:, source])

    def fresh(self, like: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Room for the youngest slots, to be written before anything is read: in place, no copy.

        like: (N, slots, n, tokens, D), of which shape, dtype and device count. Each slot's room
        is one tensor (N, n, tokens, D) for keys, one for values.
        """
        memory = self._with_room(like)
        places = memory.values.shape[2]
        free = [place for place in range(places) if place not in self.order][: like.shape[1]]
        for place in free:
            if memory.scales is None:
                memory.fresh[place] = memory.values[0, :, place], memory.values[1, :, place]
            else:
                shape = (2, like.shape[0], *like.shape[2:])
                k, v = torch.empty(shape, dtype=like.dtype, device=like.device)
                memory.fresh[place] = k, v
        self.order += free
        return [memory.fresh[place] for place in free]

    def held(self) -> tuple[Tensor, Tensor]:
        """Keys and values of all held slots, (N, slots * n, tokens, D) each, in memory's order.

        A view while the held places have no gap, as they have in an ordinary run; of 8 bits a
        copy in the dtype that was given.
        """
        return self._read(self._places())

    def packed(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `held`, in 8 bits: keys, values, and the scales of both, (N, slots * n), float32."""
        memory, places = self._settled(), self._places()
        assert memory.scales is not None, "nothing is held in 8 bits"
        k, v = memory.values[:, :, places].flatten(2, 3)
        k_scale, v_scale = memory.scales[:, :, places].flatten(2)
        return k, v, k_scale, v_scale

    def means(self) -> Tensor:
        """Means of the held keys' blocks, (N, slots * n, D), float32, in memory's order."""
        return self._settled().means[:, self._places()].flatten(1, 2)

    def ordered(self) -> tuple[Tensor, Tensor]:
        """As `held`, but oldest slot first, and always a copy."""
        return self._read(self.order)

    def trim(self) -> None:
        """After a chunk: if more than kv_slots are held, the oldest one goes, and only that."""
        if len(self.order) > self.kv_slots:
            self._settled()
            self.order.pop(0)

    def _places(self) -> list[int] | slice:
        places = sorted(self.order)
        return slice(len(places)) if places == list(range(len(places))) else places

    def _read(self, places: list[int] | slice) -> tuple[Tensor, Tensor]:
        memory = self._settled()
        kept = memory.values[:, :, places]
        if memory.scales is not None:
            scales = memory.scales[:, :, places, :, None, None]
            wide = torch.empty(kept.shape, dtype=memory.given, device=kept.device)
            kept = torch.mul(kept.to(memory.given), scales, out=wide)
        k, v = kept.flatten(2, 3)
        return k, v

    def _settled(self) -> _Memory:
        """The memory, with the means, and the 8 bits, of what was written since."""
        assert self._memory is not None, "nothing is held yet"
        memory = self._memory
        for place, rooms in memory.fresh.items():
            memory.means[:, place] = block_means(rooms[0])
            if memory.scales is not None:
                for of, room in enumerate(rooms):
                    packed, scale = to_eight_bits(room)
                    memory.values[of, :, place], memory.scales[of, :, place] = packed, scale
        memory.fresh.clear()
        return memory

    def _with_room(self, like: Tensor) -> _Memory:
        """The memory, enlarged if what is like `like` does not fit beside what is held."""
        needed = len(self.order) + like.shape[1]
        old = self._memory
        if old is not None and old.values.shape[2] >= needed:
            return old
        # Most slots come in the first chunk; each later one needs a place beside those kept.
        places = max(needed, max(self.kv_slots, 2) + 1)
        heads, _, blocks, tokens, dim = like.shape

        def empty(*shape: int, dtype: torch.dtype) -> Tensor:
            return torch.empty(shape, dtype=dtype, device=like.device)

        new = _Memory(
            empty(2, heads, places, blocks, tokens, dim, dtype=self.dtype or like.dtype),
            empty(heads, places, blocks, dim, dtype=torch.float32),
            empty(2, heads, places, blocks, dtype=torch.float32) if self.dtype else None,
            like.dtype,
        )
        if old is not None:
            self._settled()
            kept = old.values.shape[2]
            new.values[:, :, :kept] = old.values
            new.means[:, :kept] = old.means
            if new.scales is not None and old.scales is not None:
                new.scales[:, :, :kept] = old.scales
        self._memory = new
        return new


def block_means(x: Tensor) -> Tensor:
    """Mean over the tokens of each block, (N, K, T, D) -> (N, K, D), in float32."""
    return x.mean(dim=2, dtype=torch.float32)


def to_eight_bits(x: Tensor) -> tuple[Tensor, Tensor]:
    """x: (N, K, T, D) in 8 bits, and the scale of each block, (N, K), float32: their product is x.

    The largest value of a block becomes the largest of the format, so none overflows.
    """
    largest = torch.finfo(EIGHT_BITS).max
    scale = x.abs().amax(dim=(2, 3)).float().clamp_min(1e-12) / largest
    return (x / scale[..., None, None]).clamp(-largest, largest).to(EIGHT_BITS), scale
