"""Where FlashVSR's time goes: a chunk's parts, by events on the device."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from engine.models.flashvsr import transformer as networks
from engine.models.flashvsr.colour import recoloured, strengthened
from engine.models.flashvsr.noise import seeded_noise
from engine.models.flashvsr.pipeline import (
    CELL,
    Models,
    Settings,
    Stepping,
    steps,
)
from engine.models.flashvsr.preparation import Placement, fitted, signal, to_picture
from tests.benchmarks.card_timing import event, settle
from tests.benchmarks.flashvsr_models import Clip

PARTS = (
    *("preparation", "projection", "linears", "sparse attention", "mask", "prompt attention"),
    *("transformer", "decoder", "colour"),
)

SHOWN = tuple("rest of the transformer" if x == "transformer" else x for x in PARTS)
FUNCTIONS = {"block_mask": "mask", "block_sparse_attention": "sparse attention"}
PRODUCTS = {"addmm", "mm", "linear", "_scaled_mm", "_addmm_activation"}
WARM = 3  # chunks before the measured ones


class Regions:
    """Spans of time by name, one in another; a name's time is without that of what is inside."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._open: list[tuple[str, Any, float]] = []
        self._spans: list[tuple[str, str, Any, Any]] = []
        self.host: dict[str, float] = {}  # seconds of this process, of what lies outermost

    @property
    def innermost(self) -> str:
        """The name of the region that we are in."""
        return self._open[-1][0] if self._open else ""

    def begin(self, name: str) -> None:
        """From here on."""
        self._open.append((name, self._now(), time.perf_counter()))

    def end(self) -> None:
        """To here."""
        name, begun, host = self._open.pop()
        self._spans.append((name, self.innermost, begun, self._now()))
        if not self._open:
            self.host[name] = self.host.get(name, 0.0) + time.perf_counter() - host

    @contextmanager
    def region(self, name: str) -> Iterator[None]:
        """All that is done inside."""
        self.begin(name)
        try:
            yield
        finally:
            self.end()

    def clear(self) -> None:
        """Forgets what was."""
        self._spans.clear()
        self.host.clear()

    def seconds(self) -> dict[str, float]:
        """By name."""
        settle(self._device)
        found: dict[str, float] = {}
        for name, outside, begun, ended in self._spans:
            length = self._length(begun, ended)
            found[name] = found.get(name, 0.0) + length
            if outside:
                found[outside] = found.get(outside, 0.0) - length
        return found

    def _now(self) -> Any:
        if self._device.type != "cuda":
            return time.perf_counter()
        now = event()
        now.record()
        return now

    def _length(self, begun: Any, ended: Any) -> float:
        if self._device.type != "cuda":
            return float(ended - begun)
        return float(begun.elapsed_time(ended)) / 1000


class _Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tells products of matrices and dense attention apart from the transformer's rest."""

    def __init__(self, regions: Regions) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._regions = regions

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs the operation, in a region of its own where it is one of those."""
        name = str(func.overloadpacket.__name__)
        part = "linears" if name in PRODUCTS else ""
        if name.startswith("_scaled_dot_product"):
            part = "prompt attention"
        if not part or self._regions.innermost != "transformer":
            return func(*args, **(kwargs or {}))
        with self._regions.region(part):
            return func(*args, **(kwargs or {}))


def split(
    models: Models,
    stream: Stepping,
    place: Placement,
    settings: Settings,
    chunks: int,
    clip: Clip,
) -> dict[str, float]:
    """Milliseconds of a steady chunk by PARTS; "noise" is the host's; "chunk" is all, by the clock.

    Everything runs on one stream, one part after another; in an ordinary run the decoder and the
    colour fix of a chunk run beside the next chunk.
    """
    device = models.device
    regions = Regions(device)
    channels = models.transformer.config.in_dim
    drawn = seeded_noise(0, channels, place.height // CELL, place.width // CELL)

    def frames() -> Iterator[Tensor]:
        for picture in clip.pictures(0, clip.count):
            with regions.region("preparation"):
                frame = fitted(picture.to(device), place)
            yield frame

    def noise(first: int, count: int) -> Tensor:
        with regions.region("noise"):
            return drawn(first, count)

    begun = 0.0
    with _observed(models, regions), torch.no_grad():
        chain = steps(stream, frames(), noise)
        for number, step in enumerate(chain):
            pieces = iter(step.pieces)
            while True:
                with regions.region("decoder"):
                    piece = next(pieces, None)
                if piece is None:
                    break
                with regions.region("colour"):
                    like = signal(place.restored(piece.source))
                    fixed = recoloured(place.restored(piece.frames), like, settings.colour)
                    mixed = strengthened(fixed, like, settings.strength, settings.band)
                    for frame in mixed[0].unbind(1):
                        to_picture(frame).to("cpu", non_blocking=True)
            if number == WARM - 1:
                settle(device)
                regions.clear()
                begun = time.perf_counter()
            if number == WARM - 1 + chunks:
                break
        found = regions.seconds()
    whole = time.perf_counter() - begun
    host = regions.host.get("noise", 0.0)
    per_chunk = {name: 1000 * found.get(name, 0.0) / chunks for name in PARTS}
    return per_chunk | {"noise": 1000 * host / chunks, "chunk": 1000 * whole / chunks}


@contextmanager
def _observed(models: Models, regions: Regions) -> Iterator[None]:
    """The networks' modules and the transformer's functions report to `regions`."""
    with ExitStack() as stack:
        for name in ("projector", "transformer", "decoder"):
            module = getattr(models, name)
            part = "projection" if name == "projector" else name
            for handle in _hooked(module, part, regions):
                stack.callback(handle.remove)
        for function, part in FUNCTIONS.items():
            if hasattr(networks, function):
                observed = _reporting(getattr(networks, function), part, regions)
                stack.enter_context(patch.object(networks, function, observed))
        stack.enter_context(_Products(regions))
        yield


def _hooked(module: nn.Module, part: str, regions: Regions) -> list[Any]:
    before = module.register_forward_pre_hook(lambda *_: regions.begin(part))
    after = module.register_forward_hook(lambda *_: regions.end())
    return [before, after]


def _reporting(work: Callable[..., Tensor], part: str, regions: Regions) -> Callable[..., Tensor]:
    def observed(*inputs: Any, **named: Any) -> Tensor:
        with regions.region(part):
            return work(*inputs, **named)

    return observed
