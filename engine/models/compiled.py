"""torch.compile for the blocks of a model: one graph for all that are alike, kept on disk.

A compiled block is plain torch: kernels of our own are left out, as the compiler fuses the same
steps itself, so the graph has no breaks but those around attention of a package (FlashAttention,
SageAttention, xFormers), which `fullgraph` refuses. CUDA graphs are skipped by torch for blocks
that write over their input, as Wan's do: modes with them compile, and run as without.
"""

import os
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from engine.errors import Cancelled, EngineError
from engine.models.dense import keep_apart, warn
from engine.models.linear import EIGHT_BITS, Fp8Linear
from engine.models.memory import is_want_of_memory

FOLDER = "TORCHINDUCTOR_CACHE_DIR"  # where torch's own compiler keeps what it made
OLDEST = (7, 0)  # that Triton compiles for
OLDEST_E4M3 = (8, 9)  # that has instructions for this kind of 8 bits
MOST_OF_REASON = 200  # letters


@dataclass(frozen=True)
class Compiling:
    """How blocks are compiled; names as in torch. `most_variants`: of one block, then it is plain.

    `only_blocks`: else what lies before and after the blocks is compiled too. The blocks are never
    one graph: between two of them a run is stopped, and weights come and go.
    """

    backend: str = "inductor"
    fullgraph: bool = False
    mode: str = "default"
    dynamic: bool = False
    most_variants: int = 64
    only_blocks: bool = True


@contextmanager
def compiled(how: Compiling, folder: Path | None = None) -> Iterator["Compiled"]:
    """What runs modules compiled meanwhile. `folder`: where compiled code is kept between runs."""
    run = Compiled(how)
    try:
        import torch._dynamo as dynamo  # takes seconds, so only who compiles waits for it
    except (ImportError, OSError, RuntimeError) as error:
        run.give_up(error)
        yield run
        return
    keep_apart(dynamo.disable)
    if folder is not None:
        os.environ[FOLDER] = str(folder)  # read whenever something is compiled
    with dynamo.config.patch(recompile_limit=how.most_variants):
        yield run


class Compiled:
    """Calls modules by compiled code; after the compiler's first failure as they are written.

    The failure is told by `take_warnings`. Want of memory, Cancelled and EngineError are not
    failures of the compiler, and are raised.
    """

    def __init__(self, how: Compiling) -> None:
        self.is_plain = False  # after a failure
        self._how = how
        self._known: set[Hashable] = set()

    def __call__(self, module: nn.Module, x: Tensor, *rest: Any) -> Tensor:
        """module(x, *rest); x may be written over."""
        if self.is_plain:
            return cast(Tensor, module(x, *rest))
        kinds = tuple((type(one), one.training) for one in module.modules())
        variant = kinds, _kind((x, *rest))
        if variant in self._known:
            return _compiled(self._how)(module, x, *rest)
        before = x.detach().to("cpu", copy=True)  # in case it fails half-way
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what the compiler imports
                found = _compiled(self._how)(module, x, *rest)
        except (Cancelled, EngineError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever compiler, linker or driver may raise
            wants = [inner for inner in _chain(error) if is_want_of_memory(inner)]
            if wants:
                raise wants[-1] from None
            self.give_up(error)
            x.copy_(before)
            return cast(Tensor, module(x, *rest))
        self._known.add(variant)
        return found

    def give_up(self, error: Exception) -> None:
        """From here on modules run as they are written."""
        self.is_plain = True
        warn(f"torch.compile failed, so the run went on without it: {_reason(error)}.")


def refusal(
    how: Compiling, model: nn.Module, device: torch.device, capability: tuple[int, int]
) -> str:
    """Why a model cannot be compiled for a device, known before it is tried; empty if it may be.

    capability: of the card.
    """
    if device.type != "cuda" or how.backend != "inductor":
        return ""
    if find_spec("triton") is None:
        return "Triton is not installed"
    if capability < OLDEST:
        return "this card is too old for Triton"
    eight = [one.form.kind for one in model.modules() if isinstance(one, Fp8Linear)]
    if EIGHT_BITS in eight and capability < OLDEST_E4M3:
        return "this card cannot compile 8-bit weights of the kind e4m3fn, but those of e5m2"
    return ""


@cache
def _compiled(how: Compiling) -> Callable[..., Tensor]:
    """One for each way, so that a second job finds what the first compiled."""
    return torch.compile(
        _called,
        fullgraph=how.fullgraph,
        dynamic=how.dynamic,
        backend=how.backend,
        mode=how.mode if how.backend == "inductor" else None,  # no other backend takes one
    )


def _called(module: nn.Module, x: Tensor, *rest: Any) -> Tensor:
    return cast(Tensor, module(x, *rest))


def _kind(value: Any) -> Hashable:
    """What of an argument decides whether it is compiled anew."""
    match value:
        case Tensor():
            return value.shape, value.dtype, value.device
        case tuple() | list():
            return tuple(_kind(one) for one in value)
        case Mapping():
            return tuple((key, _kind(one)) for key, one in value.items())
        case _:
            return cast(Hashable, value)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, the outermost first."""
    seen: list[BaseException] = []
    inner: BaseException | None = error
    while inner is not None and inner not in seen:
        seen.append(inner)
        yield inner
        inner = getattr(inner, "inner_exception", None) or inner.__cause__


def _reason(error: BaseException) -> str:
    """The first line of what was at the root of it."""
    root = list(_chain(error))[-1]
    line = (str(root).strip() or type(root).__name__).splitlines()[0]
    return line[:MOST_OF_REASON].rstrip(". ")
