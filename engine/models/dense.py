"""Dense attention in one of several modes: torch's own kernels, or a package's."""

import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from time import perf_counter
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.errors import EngineError

Run = Callable[[Tensor, Tensor, Tensor], Tensor]

# Against attention in float32: the root of the mean square of the difference, as a part of the
# result's own. Rounding the shares and the result to bfloat16 alone gives about 0.003.
TOLERANCE_HALF, TOLERANCE_FULL = 0.01, 1e-4

# Another mode must be so much faster than torch's own choice to become the default: less than
# that may be chance, and the choice should be the same tomorrow.
WORTH_CHANGING = 1.1


# Queries, keys and heads of the self-test, 128 channels each: a piece of a real model's size.
SELF_TEST = (2048, 4096, 12)


class Mode(NamedTuple):
    """A way to compute attention; `reason`: why it cannot be used here, empty if it can."""

    name: str
    label: str
    reason: str


class _Kind(NamedTuple):
    """`oldest`: the first compute capability that the package's makers name.

    `on_cards`: torch has it for CUDA alone. What else can be known is found by trying.
    """

    label: str
    run: Run
    package: str = ""
    function: str = ""
    oldest: tuple[int, int] = (0, 0)
    is_exact: bool = True
    on_cards: bool = False


def attention(q: Tensor, k: Tensor, v: Tensor, mode: str = "sdpa") -> Tensor:
    """Softmax attention, scale 1 / sqrt(D). q: (B, L, N, D); k, v: (B, S, N, D) -> (B, L, N, D).

    Raises EngineError for a mode that cannot be used with these, with the reason. An 8-bit mode
    whose result is not finite is computed again by sdpa, and `take_warnings` says so.
    """
    kind = _kind(mode)
    if reason := _unusable(mode, q.device):
        raise EngineError(f"Attention mode {mode} cannot be used: {reason}.", "Choose sdpa.")
    if kind.package and q.dtype not in (torch.float16, torch.bfloat16):
        raise EngineError(
            f"Attention mode {mode} takes 16-bit numbers, and these are {_dtype(q)}.",
            "Choose sdpa, or precision bf16.",
        )
    return _call_package(kind, q, k, v) if kind.package else kind.run(q, k, v)


def _by_package(kind: _Kind, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    out = kind.run(q, k, v)
    return out if kind.is_exact else _finite(out, q, k, v, kind.label)


_call_package = _by_package


def keep_packages_out(disable: Callable[[Any], Any]) -> None:
    """From here on packages are called by what `disable` makes: torch cannot compile into them."""
    global _call_package
    _call_package = disable(_by_package)


def modes(device: torch.device) -> list[Mode]:
    """Every mode in the order of the menu, each tried once per process on this device."""
    return [Mode(name, kind.label, _unusable(name, device)) for name, kind in _KINDS.items()]


def default_mode(device: torch.device, dtype: torch.dtype = torch.bfloat16) -> str:
    """The fastest exact mode that gives right results on this card; found once per process.

    On a processor and on cards other than CUDA's it is sdpa. An 8-bit mode is never chosen.
    """
    return "sdpa" if device.type != "cuda" else _fastest(_indexed(device), dtype)


def take_warnings() -> tuple[str, ...]:
    """What went wrong and was mended since the last call, each sentence once."""
    found = tuple(_warnings)
    _warnings.clear()
    return found


def warn(sentence: str) -> None:
    """Something went wrong and was mended: `take_warnings` tells it."""
    _warnings[sentence] = None


_warnings: dict[str, None] = {}


def _finite(out: Tensor, q: Tensor, k: Tensor, v: Tensor, label: str) -> Tensor:
    if bool(out.isfinite().all()):
        return out
    exact = _sdpa(q, k, v)
    if bool(exact.isfinite().all()):
        sentence = f"{label} gave numbers that are not finite; these were computed again by sdpa."
        warn(sentence)
    return exact


def _sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)


def _sdpa_by(backend: SDPBackend) -> Run:
    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with sdpa_kernel(backend):
            return _sdpa(q, k, v)

    return run


def _flash_attn_2(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    out: Tensor = _function("flash_attn_2")(q, k, v, softmax_scale=q.shape[3] ** -0.5)
    return out


def _flash_attn_3(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    out: Any = _function("flash_attn_3")(q, k, v, softmax_scale=q.shape[3] ** -0.5)
    found: Tensor = out[0] if isinstance(out, tuple) else out  # its early versions add the sums
    return found


def _sageattn(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scale = q.shape[3] ** -0.5
    out: Tensor = _function("sageattn")(q, k, v, tensor_layout="NHD", sm_scale=scale)
    return out


def _xformers(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    out: Tensor = _function("xformers")(q, k, v, scale=q.shape[3] ** -0.5)
    return out


_KINDS = {
    "sdpa": _Kind("PyTorch", _sdpa),
    "sdpa_cudnn": _Kind("PyTorch, cuDNN", _sdpa_by(SDPBackend.CUDNN_ATTENTION), on_cards=True),
    "sdpa_flash": _Kind("PyTorch, flash", _sdpa_by(SDPBackend.FLASH_ATTENTION)),
    "sdpa_efficient": _Kind(
        "PyTorch, memory-efficient", _sdpa_by(SDPBackend.EFFICIENT_ATTENTION), on_cards=True
    ),
    "sdpa_math": _Kind("PyTorch, plain", _sdpa_by(SDPBackend.MATH)),
    "flash_attn_2": _Kind(
        "FlashAttention 2", _flash_attn_2, "flash_attn", "flash_attn_func", (8, 0)
    ),
    "flash_attn_3": _Kind(
        "FlashAttention 3", _flash_attn_3, "flash_attn_interface", "flash_attn_func", (9, 0)
    ),
    "sageattn": _Kind(
        "SageAttention, 8 bits", _sageattn, "sageattention", "sageattn", (8, 0), is_exact=False
    ),
    "xformers": _Kind("xFormers", _xformers, "xformers.ops", "memory_efficient_attention"),
}


def _kind(mode: str) -> _Kind:
    if mode not in _KINDS:
        raise EngineError(f"There is no attention mode {mode!r}.", f"Known: {', '.join(_KINDS)}.")
    return _KINDS[mode]


def _function(mode: str) -> Any:
    kind = _KINDS[mode]
    return getattr(import_module(kind.package), kind.function)


def _unusable(mode: str, device: torch.device) -> str:
    if torch.compiler.is_compiling():  # a mode that does not run is told by the plain block
        return ""
    return _reason(mode, _indexed(device))


def _indexed(device: torch.device) -> torch.device:
    """The same device by its number, so that each card is tried once."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


@cache
def _reason(mode: str, device: torch.device) -> str:
    """Why a mode cannot be used on a device, found by trying; empty if it can."""
    kind = _KINDS[mode]
    if mode == "sdpa":
        return ""
    if kind.package:
        name = kind.package.partition(".")[0]
        if find_spec(name) is None:
            return f"{name} is not installed"
        try:
            _function(mode)
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            return f"{name} is installed, but does not load: {_first_line(error)}"
    if kind.on_cards and device.type != "cuda":
        return "it needs a CUDA card"
    if device.type == "cuda" and not torch.version.hip:
        found = torch.cuda.get_device_capability(device)
        if found < kind.oldest:
            return "it needs sm_{}{}, and this card is sm_{}{}".format(*kind.oldest, *found)
    dtype = torch.bfloat16 if kind.package or device.type == "cuda" else torch.float32
    return _trial(kind.run, device, dtype)


def _trial(run: Run, device: torch.device, dtype: torch.dtype) -> str:
    q, k, v = _sample(device, dtype, 128, 128, 2)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            run(q, k, v)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        except (RuntimeError, ValueError, TypeError, NotImplementedError, AssertionError) as error:
            cause = _first_line(error)
            # torch says why in warnings, and in the error only that no kernel was left.
            if said and cause.startswith("No "):
                cause = str(said[0].message)
            return f"it does not run here: {cause.partition(' (Triggered')[0].rstrip('.')}"
    return ""


def _sample(
    device: torch.device, dtype: torch.dtype, queries: int, keys: int, heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    shapes = ((1, queries, heads, 128), (1, keys, heads, 128), (1, keys, heads, 128))
    q, k, v = (torch.randn(x, generator=draw).to(device, dtype) for x in shapes)
    return q, k, v


@cache
def _fastest(device: torch.device, dtype: torch.dtype) -> str:
    """The self-test: the fastest right mode, by a margin."""
    q, k, v = _sample(device, dtype, *SELF_TEST)
    wanted = _sdpa_by(SDPBackend.MATH)(q.float(), k.float(), v.float())
    seconds = {}
    for name, kind in _KINDS.items():
        takes = not kind.package or dtype != torch.float32
        if kind.is_exact and name != "sdpa_math" and takes and not _reason(name, device):
            seconds[name] = timed(kind.run, q, k, v, wanted)
    best = min(seconds, key=lambda x: seconds[x])
    return best if seconds[best] * WORTH_CHANGING < seconds["sdpa"] else "sdpa"


def timed(run: Run, q: Tensor, k: Tensor, v: Tensor, wanted: Tensor) -> float:
    """Median seconds of a run, after some to warm up; infinite if it is wrong or fails."""
    try:
        if not is_right(run(q, k, v), wanted):
            return float("inf")
    except RuntimeError:
        return float("inf")
    times = []
    for _ in range(8):
        started = perf_counter()
        run(q, k, v)
        if q.device.type == "cuda":
            torch.cuda.synchronize(q.device)
        times.append(perf_counter() - started)
    return sorted(times[3:])[2]


def is_right(found: Tensor, wanted: Tensor) -> bool:
    """Whether a result is the float32 one, to the stated tolerance of its type."""
    tolerance = TOLERANCE_FULL if found.dtype == torch.float32 else TOLERANCE_HALF
    difference = (found.float() - wanted).square().mean().sqrt()
    return bool(difference <= tolerance * wanted.square().mean().sqrt())


def _dtype(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
