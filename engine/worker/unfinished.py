"""Latents of runs that are not over, and of those that were: kept on disk under their recipe."""

import hashlib
import json
import os
import time
from contextlib import suppress
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import Any

from safetensors.torch import save

from engine.errors import WeightsError
from engine.files import write_whole
from engine.media.info import fingerprint
from engine.models.samplers import State
from engine.models.wan.denoising import Kept
from engine.models.weights import read_tensors

EVERY_SECONDS = 10.0  # between two writes of a run that goes on
LIMIT_BYTES = 4_000_000_000  # of all that is kept
SUFFIX = ".safetensors"


class Unfinished:
    """What is kept of one run. A folder that does not take it is no error."""

    def __init__(self, folder: Path, recipe: dict[str, Any]) -> None:
        text = json.dumps(recipe, sort_keys=True, default=str)
        name = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        self._path = folder / f"{name}{SUFFIX}"
        self._last: Kept | None = None
        self._written = -inf  # the first step is written at once

    def found(self) -> Kept | None:
        """What an earlier run of the same recipe left."""
        if not self._path.is_file():
            return None
        try:
            kept = Kept.of({name: t.clone() for name, t in read_tensors(self._path).items()})
        except (WeightsError, KeyError, ValueError):  # damaged: the run begins anew
            return None
        with suppress(OSError):
            os.utime(self._path)
        return kept

    def put(self, kept: Kept) -> None:
        """The state after a step; written now and then."""
        self._last = kept
        if time.monotonic() - self._written > EVERY_SECONDS:
            self.flush()

    def finish(self, kept: Kept) -> None:
        """The end of a run: only its latents are needed from now on."""
        self._last = Kept(State(kept.state.latents, kept.state.done), {})
        self.flush()

    def flush(self) -> None:
        """Writes what is not written yet."""
        if self._last is None:
            return
        tensors = {name: t.detach().cpu().contiguous() for name, t in self._last.tensors().items()}
        self._last = None
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, save(tensors))
            self._trim()
        self._written = time.monotonic()

    def _trim(self) -> None:
        """Removes what was used longest ago until the rest is within the limit."""
        files = []
        for path in self._path.parent.glob(f"*{SUFFIX}"):
            with suppress(FileNotFoundError):
                fact = path.stat()
                files.append((fact.st_mtime_ns, fact.st_size, path))
        held = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if held <= LIMIT_BYTES:
                return
            if path != self._path:
                path.unlink(missing_ok=True)
                held -= size


def identity(path: Path) -> list[str]:
    """What weights hold, by their size and samples of them; an index stands for its files."""
    files = [path]
    if path.name.endswith(".safetensors.index.json"):
        shards = set(json.loads(path.read_bytes())["weight_map"].values())
        files += [path.parent / name for name in sorted(shards)]
    facts = [(file, file.stat()) for file in files]
    return [_fingerprint(file, fact.st_size, fact.st_mtime_ns) for file, fact in facts]


@lru_cache(maxsize=256)
def _fingerprint(path: Path, size: int, changed: int) -> str:
    return fingerprint(path)
