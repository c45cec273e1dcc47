"""Wan's transformer between jobs: its blocks that wait stay packed, and its LoRAs stay on.

So a job with the same means begins at once, and one with others packs only what differs.
"""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from engine.models.compiled import Compiling, compiled, refusal
from engine.models.dense import warn
from engine.models.lora import LiveLoras, LoraUse
from engine.models.stages import Places, keep_on_device, on_device, places_of
from engine.models.swap import Swap, away
from engine.models.wan.denoising import Ready
from engine.models.wan.transformer import Transformer, called


@dataclass(frozen=True)
class Arrangement:
    """Where a transformer's weights are while it runs.

    `waits`: else what is not swapped stays on the device between jobs. `ahead`, `pinned`: as `Swap`
    takes them. `offloaded`: embeddings that wait too, and come for the moment they are needed in.
    """

    device: torch.device
    waits: bool = False
    swapped: int = 0
    ahead: int = 1
    pinned: bool = True
    offloaded: frozenset[str] = frozenset()


@dataclass
class HeldTransformer:
    """A loaded transformer, and what was made of it for the last job."""

    model: Transformer
    _swap: Swap | None = None
    _live: LiveLoras | None = None
    _worn: Hashable = None

    @contextmanager
    def ready(
        self, how: Arrangement, loras: Sequence[LoraUse] = (), name: Hashable = None
    ) -> Iterator[Ready]:
        """The transformer where it computes. `name`: of the LoRAs, whatever their strengths."""
        model = self.model
        swap = self._arranged(how)
        self._wear(loras, name)
        left = self._left(how, swap)
        try:
            with ExitStack() as stack:
                if how.waits:
                    stack.enter_context(on_device(model, how.device, left))
                else:
                    keep_on_device(model, how.device, left)
                live = self._live
                if live is not None:
                    live.renew(loras)  # what a job before wrote on the card has gone
                    live.set_step(0)
                yield Ready(model, swap, None if live is None else live.set_step)
        finally:
            if swap is not None:
                swap.rest()  # the slots' memory is for others now

    def close(self) -> None:
        """Gives back pinned memory."""
        if self._swap is not None:
            self._swap.close()
            self._swap = None

    @property
    def host_bytes(self) -> int:
        """What waits in the computer's memory, packed."""
        return 0 if self._swap is None else self._swap.host_bytes

    def _arranged(self, how: Arrangement) -> Swap | None:
        """Blocks packed as wished. What is packed so already is not packed again."""
        blocks = list(self.model.blocks)
        swap = self._swap
        wanted = frozenset(away(len(blocks), how.swapped))
        if wanted != (frozenset() if swap is None else swap.waiting):
            self._take_off()  # else the thin matrices would be packed with the blocks
        if swap is not None and (
            not wanted or (swap.device, swap.pinned) != (how.device, how.pinned)
        ):
            self.close()
        if not wanted:
            return None
        if self._swap is None:
            self._swap = Swap(blocks, how.swapped, how.device, how.ahead, how.pinned)
        else:
            self._swap.arrange(how.swapped, how.ahead)
        return self._swap

    def _wear(self, loras: Sequence[LoraUse], name: Hashable) -> None:
        """Puts LoRAs on, others off. What of packed weights they change is packed anew."""
        if name == self._worn and bool(loras) == (self._live is not None):
            return
        self._take_off()
        if loras:
            self._live = LiveLoras(self.model, loras, self.model.dtype)
            self._worn = name
            if self._swap is not None:
                self._swap.take_in()

    def _take_off(self) -> None:
        if self._live is not None:
            self._live.remove()
            self._live, self._worn = None, None

    def _left(self, how: Arrangement, swap: Swap | None) -> Places:
        """Weights that are not on the device while it runs."""
        left = set() if swap is None else set(swap.places)
        for name in how.offloaded:
            part = getattr(self.model, name, None)
            if isinstance(part, nn.Module):
                keep_on_device(part, "cpu")
                left |= places_of(part)
        return left


@contextmanager
def running(
    model: Transformer, attention: str, how: Compiling | None, folder: Path | None
) -> Iterator[None]:
    """The model's ways for a job: of attention; and its blocks compiled, if that is wished."""
    model.attention_mode = attention
    if how is None:
        yield
        return
    device = model.patch_embedding.weight.device
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else (0, 0)
    if reason := refusal(how, model, device, capability):
        warn(f"torch.compile was left out: {reason}.")
        yield
        return
    with compiled(how, folder) as run:
        model.run = run
        model.run_around = called if how.only_blocks else run
        try:
            yield
        finally:
            model.run = model.run_around = called
