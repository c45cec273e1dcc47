"""A copy of weights in the type they run in, beside the original: the next load converts nothing.

The copy knows size and time of the files it was made from; where they differ it is not used.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from engine.errors import WeightsError
from engine.models.loading import Stored, as_dtype, places_of, transfer
from engine.models.weights import read_header, read_tensors

MARK = ".reelwright-"  # in the name of every copy; the library passes these by
NOTE = "reelwright"  # the key in the header under which the copy says what it was made from
SPARE_BYTES = 1 << 30  # stays free on the disk
STALE_SECONDS = 3600  # an unfinished copy that old is nobody's
_SHORT = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
_FORMAT = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.float32: "F32",
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float64: "F64",
}


def converted(path: Path, dtype: torch.dtype, allowed: bool) -> Path:
    """The file to read for `path` in `dtype`: a copy that is there and valid, else `path`.

    Where it is `allowed`, a missing copy is made, whole or not at all; a folder or disk that does
    not take it is no error. Raises WeightsError for what is wrong with `path` itself.
    """
    copy = copy_of(path, dtype)
    try:
        origin = _origin(path)
    except OSError:
        return path  # reading it says what is wrong
    if _made_from(copy) == origin:
        return copy
    if not allowed:
        return path
    tensors = read_tensors(path)
    if not _is_worth_it(tensors, dtype):
        return path
    try:
        _clear(copy)
        _write(copy, tensors, dtype, origin)
    except OSError:
        return path
    return copy


def copy_of(path: Path, dtype: torch.dtype) -> Path:
    """Where the copy of `path` lies, whether it is there or not."""
    return path.with_name(f"{path.name}{MARK}{_SHORT[dtype]}.safetensors")


def _origin(path: Path) -> str:
    """Size and time of every file that `path` stands for, as text."""
    files = [path]
    if path.name.endswith(".index.json"):
        with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
            files += [path.parent / name for name in sorted(_shards(path))]
    facts = [file.stat() for file in files]
    return json.dumps([[fact.st_size, fact.st_mtime_ns] for fact in facts])


def _shards(path: Path) -> set[str]:
    return {str(name) for name in json.loads(path.read_bytes())["weight_map"].values()}


def _made_from(copy: Path) -> str:
    """What the copy says it was made from; "" where there is none, or a damaged one."""
    try:
        return read_header(copy)[1].get(NOTE, "")
    except (OSError, WeightsError):
        return ""


def _is_worth_it(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> bool:
    """Something is to be converted, and nothing is of a type that takes more than a cast."""
    types = {tensor.dtype for tensor in tensors.values()}
    return types <= _FORMAT.keys() and any(
        tensor.is_floating_point() and tensor.dtype != dtype for tensor in tensors.values()
    )


def _write(copy: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype, origin: str) -> None:
    """Writes beside `copy` and renames, so the copy is whole or not there. Raises OSError."""
    header: dict[str, object] = {"__metadata__": {NOTE: origin, "format": "pt"}}
    # Larger values first, so that all of them begin at a multiple of their size.
    order = sorted(tensors, key=lambda name: -as_dtype(tensors[name], dtype).itemsize)
    at = 0
    for name in order:
        tensor = tensors[name]
        kind = as_dtype(tensor, dtype)
        end = at + tensor.numel() * kind.itemsize
        shape = list(tensor.shape)
        header[name] = {"dtype": _FORMAT[kind], "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    if shutil.disk_usage(copy.parent).free < at + SPARE_BYTES:
        raise OSError("the disk is too full for a copy")
    handle, name = tempfile.mkstemp(".part", f".{copy.name}.", copy.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name in order:
                file.write(_values(name, tensors, dtype))
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.replace(copy)
    finally:
        part.unlink(missing_ok=True)


def _values(name: str, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> memoryview:
    """One tensor's bytes as they lie in the copy."""
    places = places_of(tensors)
    one = Stored({name: tensors[name]}, {name: places[name]} if name in places else {})
    values = transfer(one, torch.device("cpu"), dtype)[name]
    return values.view(-1).view(torch.uint8).numpy().data


def _clear(copy: Path) -> None:
    """Removes what a process that was killed left of the same copy."""
    for part in copy.parent.glob(f".{copy.name}.*.part"):
        if part.stat().st_mtime < time.time() - STALE_SECONDS:
            part.unlink(missing_ok=True)
