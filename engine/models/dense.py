"""Dense attention in one of several modes: torch's kernels, our own in 8 bits, or a package's."""

import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.errors import EngineError
from engine.models.kernels import unavailable

Run = Callable[[Tensor, Tensor, Tensor], Tensor]

# Against attention in float32: the root of the mean square of the difference, as a part of the
# result's own. Rounding the shares and the result to bfloat16 alone gives about 0.003.
TOLERANCE_HALF, TOLERANCE_FULL = 0.01, 1e-4
TOLERANCE_ROUGH = 0.1  # modes of 8 bits give 0.01 to 0.04; what is more is no attention

# Another mode must be so much faster than torch's own choice to become the default: less than
# that may be chance, and the choice should be the same tomorrow.
WORTH_CHANGING = 1.1


# Queries, keys and heads of the self-test, 128 channels each: enough to see a wrong result, and so
# many that a card is busy for longer than a launch takes (0.7 ms on the fastest).
SELF_TEST = (512, 1024, 12)
TIMED = (8192, 8192, 12)


class Mode(NamedTuple):
    """A way to compute attention; `reason`: why it cannot be used here, empty if it can."""

    name: str
    label: str
    reason: str


class _Kind(NamedTuple):
    """`oldest`: the first compute capability that the package's makers name.

    `on_cards`: torch has it for CUDA alone. `is_own`: one of our kernels. What else can be known is
    found by trying.
    """

    label: str
    run: Run
    package: str = ""
    function: str = ""
    oldest: tuple[int, int] = (0, 0)
    is_exact: bool = True
    on_cards: bool = False
    is_own: bool = False


def attention(q: Tensor, k: Tensor, v: Tensor, mode: str = "sdpa", *, mends: bool = True) -> Tensor:
    """Softmax attention, scale 1 / sqrt(D). q: (B, L, N, D); k, v: (B, S, N, D) -> (B, L, N, D).

    Raises EngineError for a mode that cannot be used with these, with the reason. An 8-bit mode
    whose result is not finite is computed again by sdpa, and `take_warnings` says so. That waits
    for the device: who calls often turns `mends` off and asks `mended` once, at the end.
    """
    kind = _kind(mode)
    if reason := _unusable(mode, q.device):
        raise EngineError(f"Attention mode {mode} cannot be used: {reason}.", "Choose sdpa.")
    if kind.package and q.dtype not in (torch.float16, torch.bfloat16):
        raise EngineError(
            f"Attention mode {mode} takes 16-bit numbers, and these are {_dtype(q)}.",
            "Choose sdpa, or precision bf16.",
        )
    run = _run_apart if kind.package or kind.is_own else _run
    out = run(kind, q, k, v)
    return mended(out, mode, lambda: _sdpa(q, k, v)) if mends else out


def _run(kind: _Kind, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return kind.run(q, k, v)


def mended(out: Tensor, mode: str, again: Callable[[], Tensor]) -> Tensor:
    """What came of attention in `mode`; if it is an 8-bit one and gave what is not finite, `again`.

    `again`: the same by sdpa. That it was needed is said by `take_warnings`.
    """
    kind = _kind(mode)
    if kind.is_exact or bool(out.isfinite().all()):
        return out
    exact = again()
    if bool(exact.isfinite().all()):
        sentence = f"{kind.label}, gave numbers that are not finite; sdpa computed them again."
        warn(sentence)
    return exact


_run_apart = _run


def keep_apart(disable: Callable[[Any], Any]) -> None:
    """From here on packages and our own kernels are called by what `disable` makes of the call.

    torch cannot compile into them.
    """
    global _run_apart
    _run_apart = disable(_run)


def modes(device: torch.device) -> list[Mode]:
    """Every mode in the order of the menu, each tried once per process on this device."""
    return [Mode(name, kind.label, _unusable(name, device)) for name, kind in _KINDS.items()]


def default_mode(device: torch.device, dtype: torch.dtype = torch.bfloat16) -> str:
    """The fastest exact mode that gives right results on this card; found once per process.

    On a processor, on cards other than CUDA's and on those before sm_80, which have one fast
    kernel, it is sdpa. An 8-bit mode is never chosen.
    """
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 0):
        return "sdpa"
    return _fastest(_indexed(device), dtype)


def exact_mode(mode: str, device: torch.device) -> str:
    """The mode, or the default where it is of 8 bits: for few keys, where that gains nothing."""
    return mode if _kind(mode).is_exact else default_mode(device)


def take_warnings() -> tuple[str, ...]:
    """What went wrong and was mended since the last call, each sentence once."""
    found = tuple(_warnings)
    _warnings.clear()
    return found


def warn(sentence: str) -> None:
    """Something went wrong and was mended: `take_warnings` tells it."""
    _warnings[sentence] = None


_warnings: dict[str, None] = {}


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


def _int8(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    from engine.models.kernels import int8

    return int8.attention(q, k, v) if int8.fits(q) else _sdpa(q, k, v)


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
    "int8": _Kind("Own kernel, 8 bits", _int8, is_exact=False, is_own=True),
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
    if kind.is_own and (why := unavailable(device)):
        return why
    if kind.on_cards and device.type != "cuda":
        return "it needs a CUDA card"
    if device.type == "cuda" and not torch.version.hip:
        found = torch.cuda.get_device_capability(device)
        if found < kind.oldest:
            return "it needs sm_{}{}, and this card is sm_{}{}".format(*kind.oldest, *found)
    dtype = torch.bfloat16 if kind.package or device.type == "cuda" else torch.float32
    return _trial(kind.run, kind.is_exact, device, dtype)


def _trial(run: Run, is_exact: bool, device: torch.device, dtype: torch.dtype) -> str:
    """Exact modes need not be compared here: `_fastest` does, and takes no wrong one."""
    q, k, v = _sample(device, dtype, *((128, 128, 2) if is_exact else (200, 333, 2)))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            out = run(q, k, v)
            if not is_exact and not _is_near(out, _exact(q, k, v), TOLERANCE_ROUGH):
                return "it gives wrong numbers on this device"
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
    draw = torch.Generator(device).manual_seed(0)
    shapes = ((1, queries, heads, 128), (1, keys, heads, 128), (1, keys, heads, 128))
    q, k, v = (torch.randn(x, generator=draw, device=device).to(dtype) for x in shapes)
    return q, k, v


def _exact(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _sdpa_by(SDPBackend.MATH)(q.float(), k.float(), v.float())


@cache
def _fastest(device: torch.device, dtype: torch.dtype) -> str:
    """The self-test: the fastest right mode, by a margin."""
    sample, large = (_sample(device, dtype, *sizes) for sizes in (SELF_TEST, TIMED))
    wanted = _exact(*sample)
    seconds = {}
    for name, kind in _KINDS.items():
        takes = not kind.package or dtype != torch.float32
        if kind.is_exact and name != "sdpa_math" and takes and not _reason(name, device):
            is_fit = _gives(kind.run, sample, wanted)
            seconds[name] = timed(kind.run, *large) if is_fit else float("inf")
    best = min(seconds, key=lambda x: seconds[x])
    return best if seconds[best] * WORTH_CHANGING < seconds["sdpa"] else "sdpa"


def _gives(run: Run, sample: tuple[Tensor, Tensor, Tensor], wanted: Tensor) -> bool:
    try:
        return is_right(run(*sample), wanted)
    except RuntimeError:
        return False


def timed(run: Run, q: Tensor, k: Tensor, v: Tensor) -> float:
    """Median seconds of a run, after some to warm up; infinite if it fails.

    A card's by its own clock, and runs follow each other: what the host does in between is hidden,
    as in a model.
    """
    device, times = q.device, []
    try:
        for _ in range(2):
            run(q, k, v)
        if device.type == "cuda":
            ends = [_clock() for _ in range(6)]
            with torch.cuda.device(device):  # where events are recorded
                for number, end in enumerate(ends):
                    if number:
                        run(q, k, v)
                    end.record()
            ends[-1].synchronize()
            times = [a.elapsed_time(b) / 1000 for a, b in pairwise(ends)]
        else:
            for _ in range(5):
                started = perf_counter()
                run(q, k, v)
                times.append(perf_counter() - started)
    except RuntimeError:
        return float("inf")
    return float(median(times))


def _clock() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def is_right(found: Tensor, wanted: Tensor) -> bool:
    """Whether a result is the float32 one, to the stated tolerance of its type."""
    return _is_near(
        found, wanted, TOLERANCE_FULL if found.dtype == torch.float32 else TOLERANCE_HALF
    )


def _is_near(found: Tensor, wanted: Tensor, tolerance: float) -> bool:
    difference = (found.float() - wanted).square().mean().sqrt()
    return bool(difference <= tolerance * wanted.square().mean().sqrt())


def _dtype(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
