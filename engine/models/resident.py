"""Models that stay loaded between jobs, so that the second job starts at once."""

import dataclasses
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn

from engine.models.memory import empty_cache

M = TypeVar("M")


class Key(NamedTuple):
    """What makes loaded models the same: their files as they are now, type, device, options."""

    files: tuple[tuple[str, int, int], ...]
    dtype: torch.dtype | None
    device: str
    options: tuple[Hashable, ...]


def key_of(
    files: Iterable[Path],
    dtype: torch.dtype | None,
    device: torch.device | str,
    options: Iterable[Hashable] = (),
) -> Key:
    """The key of models out of `files`; a file that was changed makes another. Raises OSError."""
    facts = [(path, path.stat()) for path in files]
    known = tuple((str(path.absolute()), fact.st_size, fact.st_mtime_ns) for path, fact in facts)
    return Key(known, dtype, str(torch.device(device)), tuple(options))


@dataclasses.dataclass
class _Entry:
    models: object
    size: int
    users: int = 0
    is_kept: bool = True  # else it goes with its last user


class Resident:
    """Loaded models by key, within `budget_bytes`; who was used least recently goes first."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self._entries: dict[Hashable, _Entry] = {}  # the least recently used first
        self._lock = threading.Lock()
        self._loading = threading.Lock()

    @contextmanager
    def use(self, key: Hashable, load: Callable[[], M], expected_bytes: int = 0) -> Iterator[M]:
        """The models of `key`, loaded if they are not there; they stay while they are used.

        `load` must give the same type for the same key. Room for `expected_bytes` is made before
        it, room for the rest after it.
        """
        with self._loading:
            entry = self._taken(key)
            if entry is None:
                self._shrink(self.budget_bytes - expected_bytes)
                models = load()
                entry = _Entry(models, model_bytes(models), 1)
                with self._lock:
                    self._entries[key] = entry
                self._shrink(self.budget_bytes)
        try:
            yield cast(M, entry.models)
        finally:
            with self._lock:
                entry.users -= 1
                if not entry.users and not entry.is_kept:
                    self._entries = {k: e for k, e in self._entries.items() if e is not entry}
                    del entry
            self._shrink(self.budget_bytes)

    def free(self, wanted_bytes: int) -> int:
        """Drops models that no job uses until `wanted_bytes` are free; gives the bytes dropped."""
        return self._shrink(self.bytes - wanted_bytes)

    def clear(self) -> int:
        """Drops every model, those in use as soon as their jobs end; gives the bytes dropped."""
        with self._lock:
            for entry in self._entries.values():
                entry.is_kept = False
        return self._shrink(0)

    @property
    def bytes(self) -> int:
        """What all models take."""
        with self._lock:
            return sum(entry.size for entry in self._entries.values())

    def _taken(self, key: Hashable) -> _Entry | None:
        with self._lock:
            entry = self._entries.pop(key, None)
            if entry is not None:
                entry.users += 1
                self._entries[key] = entry  # now the most recently used
            return entry

    def _shrink(self, most: int) -> int:
        """Drops unused models until at most `most` bytes are held."""
        dropped = 0
        with self._lock:
            held = sum(entry.size for entry in self._entries.values())
            for key, entry in list(self._entries.items()):
                if held - dropped > most and not entry.users:
                    dropped += entry.size
                    del self._entries[key]
                del entry  # so that nothing here keeps it
        if dropped:
            empty_cache()
        return dropped


def model_bytes(models: object) -> int:
    """Bytes of all parameters and buffers in modules, tensors, and what holds them."""
    storages = {
        (str(tensor.device), tensor.untyped_storage().data_ptr()): tensor.untyped_storage().nbytes()
        for tensor in _tensors(models)
    }
    return sum(storages.values())


def _tensors(models: object) -> Iterator[Tensor]:
    if isinstance(models, Tensor):
        yield models
    elif isinstance(models, nn.Module):
        yield from models.parameters()
        yield from models.buffers()
    elif isinstance(models, Mapping):
        for value in models.values():
            yield from _tensors(value)
    elif isinstance(models, tuple | list):
        for value in models:
            yield from _tensors(value)
    elif dataclasses.is_dataclass(models):
        for field in dataclasses.fields(models):
            yield from _tensors(getattr(models, field.name))
