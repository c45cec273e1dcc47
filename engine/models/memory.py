"""Memory of a device: what is free, what was used at most, and its end told in a sentence."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from engine import memory
from engine.errors import OutOfMemory

HINT = "Choose a smaller size or smaller tiles, or close other programs that hold memory."
# How the allocators of torch and of the libraries below it word it.
_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
_UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_TRIED = re.compile(r"tried to allocate (\d+(?:\.\d+)?) ?(bytes|[KMGT]iB)", re.IGNORECASE)


@contextmanager
def memory_told(device: torch.device | str, needed_bytes: int = 0) -> Iterator[None]:
    """What torch raises for want of memory becomes OutOfMemory, once the memory is given back.

    `needed_bytes`: what the plan expects; without it, what was held and the block that failed.
    """
    device = torch.device(device)
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_want_of_memory(error):
            raise
        held, free = _held_and_free(device)
        needed = max(needed_bytes, held + _tried(str(error)))
        # The frames between here and there would keep their tensors for as long as the error lives.
        traceback.clear_frames(error.__traceback__)
        empty_cache()
        raise OutOfMemory(
            _sentence(device, needed, held + free), HINT, str(error)[:4000]
        ) from error


def _held_and_free(device: torch.device) -> tuple[int, int]:
    """What torch holds, and what the rest of the card would still give."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device), torch.cuda.mem_get_info(device)[0]
    return 0, free_bytes(device)


def is_want_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of the device or of the computer."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(word in str(error).lower() for word in _WORDS)


def _tried(text: str) -> int:
    found = _TRIED.search(text)
    if found is None:
        return 0
    unit = next(size for name, size in _UNITS.items() if name.lower() == found[2].lower())
    return int(float(found[1]) * unit)


def _sentence(device: torch.device, needed: int, free: int) -> str:
    what = "Out of memory" if device.type == "cpu" else "Out of GPU memory"
    facts = [f"needed {needed / 1e9:.1f} GB"] if needed else []
    facts += [f"{free / 1e9:.1f} GB free"] if free else []
    return f"{what}: {', '.join(facts)}." if facts else f"{what}."


def free_bytes(device: torch.device | str) -> int:
    """Bytes that a job could take now; 0 where the system does not tell."""
    device = torch.device(device)
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    return memory.machine()[1] if device.type == "cpu" else 0


def reset_peak(device: torch.device | str) -> None:
    """From here on `peak_bytes` counts anew."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        memory.reset_peak()


def peak_bytes(device: torch.device | str) -> int:
    """The most that torch held on the card; on the CPU the most resident memory of the process."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return memory.peak()


def empty_cache() -> None:
    """Gives the card what torch keeps for later; nothing where no card was used."""
    torch.cuda.empty_cache()
