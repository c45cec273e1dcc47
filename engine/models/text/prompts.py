"""Prompts to rows, each prompt once: what was encoded before is kept in memory and on disk."""

import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from engine.errors import WeightsError
from engine.files import write_whole
from engine.models.resident import Key
from engine.models.text.tokens import LENGTH, Tokenizer, cleaned
from engine.models.text.umt5 import UMT5
from engine.models.weights import read_tensors
from engine.progress import Report

ROWS = "rows"  # the only tensor of a kept file
VERSION = "1"  # of how a prompt becomes rows; another one makes the kept files stale


@dataclass(frozen=True)
class TextEncoder:
    """What turns a prompt into rows."""

    model: UMT5
    tokenizer: Tokenizer


def encode_prompt(encoder: TextEncoder, text: str, report: Report | None = None) -> Tensor:
    """The prompt's rows, (L, C) with L at most 512, where the model is.

    At the prompt's own length: padding would be masked, and costs up to a hundred times the work.
    """
    return encode_ids(encoder.model, encoder.tokenizer.ids(text), report)


def encode_ids(model: UMT5, ids: list[int], report: Report | None = None) -> Tensor:
    """The rows of pieces that were cut before, their end among them."""
    device = model.token_embedding.weight.device
    rows: Tensor = model(torch.tensor(ids, device=device)[None], report=report)[0]
    return rows


def padded_rows(rows: Tensor, length: int = LENGTH) -> Tensor:
    """(L, C) -> (length, C): zeros after the rows, as a transformer takes them."""
    return torch.cat([rows, rows.new_zeros(length - rows.shape[0], rows.shape[1])])


class PromptCache:
    """Rows of prompts within a budget of memory, and in a folder within one of disk.

    Whoever was used least recently goes first. A folder that does not take a file is no error.
    """

    def __init__(
        self, memory_bytes: int, folder: Path | None = None, disk_bytes: int = 1 << 28
    ) -> None:
        self.memory_bytes = memory_bytes
        self.folder = folder
        self.disk_bytes = disk_bytes
        self._rows: dict[str, Tensor] = {}  # the least recently used first
        self._lock = threading.Lock()

    def rows(self, text: str, encoder: Key, make: Callable[[], Tensor]) -> Tensor:
        """The rows of `text`, on the CPU: kept ones, or else those that `make` gives.

        `encoder`: the key of what `make` encodes with, its tokenizer's file among its files.
        Texts that are equal once cleaned are one. So `make` may load the encoder only when called.
        """
        name = hashlib.sha256(repr((VERSION, cleaned(text), encoder)).encode()).hexdigest()
        with self._lock:
            found = self._rows.pop(name, None)
        if found is None:
            found = self._read(name)
        if found is None:
            found = make().detach().cpu().contiguous()
            self._write(name, found)
        self._keep(name, found)
        return found

    @property
    def bytes(self) -> int:
        """What is held in memory."""
        with self._lock:
            return sum(rows.nbytes for rows in self._rows.values())

    def _keep(self, name: str, rows: Tensor) -> None:
        with self._lock:
            self._rows[name] = rows
            held = sum(kept.nbytes for kept in self._rows.values())
            while held > self.memory_bytes:
                oldest = next(iter(self._rows))
                held -= self._rows.pop(oldest).nbytes

    def _read(self, name: str) -> Tensor | None:
        if self.folder is None:
            return None
        path = self._path(self.folder, name)
        if not path.is_file():
            return None
        try:
            rows = read_tensors(path)[ROWS].clone()  # not mapped: the file may be removed
        except (WeightsError, KeyError):  # damaged: it is made anew
            return None
        with suppress(OSError):
            os.utime(path)
        return rows

    def _write(self, name: str, rows: Tensor) -> None:
        if self.folder is None or rows.nbytes > self.disk_bytes:
            return
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._path(self.folder, name), save({ROWS: rows}))
            self._trim(self.folder)

    def _trim(self, folder: Path) -> None:
        """Removes the files used least recently, until the rest is within the budget."""
        files = []
        for path in folder.glob("*.safetensors"):
            with suppress(FileNotFoundError):  # another process removed it
                fact = path.stat()
                files.append((fact.st_mtime_ns, fact.st_size, path))
        held = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if held <= self.disk_bytes:
                return
            path.unlink(missing_ok=True)
            held -= size

    @staticmethod
    def _path(folder: Path, name: str) -> Path:
        return folder / f"{name}.safetensors"
