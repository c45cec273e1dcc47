"""Keys and values of earlier chunks: a ring of slots, written in place and never concatenated."""

import torch
from torch import Tensor


class SlotRing:
    """One layer's keys and values, by slots of two latent frames.

    `order` has the held slots' places in memory, oldest first. Attention does not depend on where
    a slot lies, so nothing is moved when the oldest leaves and the youngest takes its place.
    """

    def __init__(self, kv_slots: int) -> None:
        self.kv_slots = kv_slots
        self.order: list[int] = []
        self._memory: Tensor | None = None  # (2, N, places, n, tokens, D)

    def append(self, k: Tensor, v: Tensor) -> None:
        """Hold k and v, (N, slots, n, tokens, D), as the youngest slots."""
        memory = self._with_room(k)
        free = [place for place in range(memory.shape[2]) if place not in self.order]
        for source, place in enumerate(free[: k.shape[1]]):
            memory[0, :, place] = k[:, source]
            memory[1, :, place] = v[:, source]
            self.order.append(place)

    def held(self) -> tuple[Tensor, Tensor]:
        """Keys and values of all held slots, (N, slots * n, tokens, D) each, in memory's order.

        A view while the held places have no gap, as they have in an ordinary run.
        """
        places = sorted(self.order)
        if places == list(range(len(places))):
            return self._read(slice(len(places)))
        return self._read(places)

    def ordered(self) -> tuple[Tensor, Tensor]:
        """As `held`, but oldest slot first, and always a copy."""
        return self._read(self.order)

    def trim(self) -> None:
        """After a chunk: if more than kv_slots are held, the oldest one goes, and only that."""
        if len(self.order) > self.kv_slots:
            self.order.pop(0)

    def _read(self, places: list[int] | slice) -> tuple[Tensor, Tensor]:
        assert self._memory is not None, "nothing is held yet"
        k, v = self._memory[:, :, places].flatten(2, 3)
        return k, v

    def _with_room(self, k: Tensor) -> Tensor:
        """The memory, enlarged if k does not fit beside what is held."""
        needed = len(self.order) + k.shape[1]
        old = self._memory
        if old is not None and old.shape[2] >= needed:
            return old
        # Most slots come in the first chunk; each later one needs a place beside those kept.
        places = max(needed, max(self.kv_slots, 2) + 1)
        new = torch.empty((2, k.shape[0], places, *k.shape[2:]), dtype=k.dtype, device=k.device)
        if old is not None:
            new[:, :, : old.shape[2]] = old
        self._memory = new
        return new
