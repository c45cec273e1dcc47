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
    sizes: dict[str, int]  # by kind of device
    users: int = 0
    is_kept: bool = True  # else it goes with its last user

    @property
    def size(self) -> int:
        return sum(self.sizes.values())


class Resident:
    """Loaded models by key, within budgets; who was used least recently goes first.

    `budget_bytes`: of a card's memory. `host_bytes`: of the computer's, where models wait for the
    card; by default as much. Models that have a `close` are closed before they are dropped.
    """

    def __init__(self, budget_bytes: int, host_bytes: int | None = None) -> None:
        self.budget_bytes = budget_bytes
        self.host_bytes = budget_bytes if host_bytes is None else host_bytes
        self._entries: dict[Hashable, _Entry] = {}  # the least recently used first
        self._lock = threading.Lock()
        self._loading = threading.Lock()

    @contextmanager
    def use(
        self,
        key: Hashable,
        load: Callable[[], M],
        expected_bytes: int = 0,
        device: torch.device | str = "cpu",
    ) -> Iterator[M]:
        """The models of `key`, loaded if they are not there; they stay while they are used.

        `load` must give the same type for the same key. Room for `expected_bytes` on `device` is
        made before it, room for the rest after it.
        """
        with self._loading:
            entry = self._taken(key)
            if entry is None:
                self._shrink({torch.device(device).type: expected_bytes})
                models = load()
                entry = _Entry(models, bytes_by_device(models), 1)
                with self._lock:
                    self._entries[key] = entry
                self._shrink()
        try:
            yield cast(M, entry.models)
        finally:
            goes = None
            with self._lock:
                entry.users -= 1
                if not entry.users:
                    entry.sizes = bytes_by_device(entry.models)  # a job may have moved some
                    if not entry.is_kept:
                        self._entries = {k: e for k, e in self._entries.items() if e is not entry}
                        goes = entry
            del entry
            if goes is not None:
                _close(goes.models)
                del goes
                empty_cache()
            self._shrink()

    def free(self, wanted_bytes: int) -> int:
        """Drops models that no job uses until `wanted_bytes` are free; gives the bytes dropped."""
        return self._dropped(lambda dropped, _: dropped < wanted_bytes)

    def clear(self) -> int:
        """Drops every model, those in use as soon as their jobs end; gives the bytes dropped."""
        with self._lock:
            for entry in self._entries.values():
                entry.is_kept = False
        return self._dropped(lambda *_: True)

    @property
    def bytes(self) -> int:
        """What all models take."""
        with self._lock:
            return sum(entry.size for entry in self._entries.values())

    def bytes_on(self, kind: str) -> int:
        """What all models take of a kind of device: "cuda", "cpu"."""
        with self._lock:
            return sum(entry.sizes.get(kind, 0) for entry in self._entries.values())

    def _taken(self, key: Hashable) -> _Entry | None:
        with self._lock:
            entry = self._entries.pop(key, None)
            if entry is not None:
                entry.users += 1
                self._entries[key] = entry  # now the most recently used
            return entry

    def _shrink(self, wanted: Mapping[str, int] | None = None) -> None:
        """Drops unused models until each kind of memory is within its budget, less `wanted`."""

        def is_too_much(_: int, entry: _Entry) -> bool:
            for kind, size in entry.sizes.items():
                budget = self.host_bytes if kind == "cpu" else self.budget_bytes
                held = sum(one.sizes.get(kind, 0) for one in self._entries.values())
                if size and held > budget - (wanted or {}).get(kind, 0):
                    return True
            return False

        self._dropped(is_too_much)

    def _dropped(self, goes: Callable[[int, _Entry], bool]) -> int:
        """Drops unused models, the oldest first, that `goes` says of, given the bytes so far."""
        dropped = 0
        while True:
            with self._lock:
                unused = [(k, e) for k, e in self._entries.items() if not e.users]
                key, entry = next((one for one in unused if goes(dropped, one[1])), (None, None))
                del unused
                if entry is None:
                    break
                del self._entries[key]
            _close(entry.models)
            dropped += entry.size
            del entry  # so that nothing here keeps it
        if dropped:
            empty_cache()
        return dropped


def model_bytes(models: object) -> int:
    """Bytes of all parameters and buffers in modules, tensors, and what holds them."""
    return sum(bytes_by_device(models).values())


def bytes_by_device(models: object) -> dict[str, int]:
    """The same for each kind of device."""
    sizes: dict[str, int] = {}
    seen = set()
    for tensor in _tensors(models):
        storage = tensor.untyped_storage()
        place = str(tensor.device), storage.data_ptr()
        if place not in seen:
            seen.add(place)
            sizes[tensor.device.type] = sizes.get(tensor.device.type, 0) + storage.nbytes()
    return sizes


def _close(models: object) -> None:
    """Gives back what models hold beside their tensors, such as memory that is pinned."""
    close = getattr(models, "close", None)
    if close is not None:
        close()


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
