"""Reads what a weights file holds: names, shapes and dtypes, never a tensor, and without torch."""

from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from engine.errors import WeightsError
from engine.files import reason
from engine.library.archives import LEGACY_MAGIC, legacy_header, zip_header
from engine.library.tensors import (
    BITS,
    GET_AGAIN,
    MOST_TENSORS,
    Form,
    Header,
    Tensor,
    checked_name,
    checked_shape,
    damaged,
    shown,
)

MOST_HEADER_BYTES = 16 << 20  # of JSON; a checkpoint of 2,500 tensors takes 300 kB
MOST_SHARDS = 1000


class _Entry(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def read_header(path: Path) -> Header:
    """What the file at `path` holds; for the index of a sharded model, what all shards hold.

    Raises WeightsError that names the file, and the tensor where one is not whole.
    """
    header = inspect(path)
    if header.damage:
        raise WeightsError(header.damage, GET_AGAIN)
    return header


def inspect(path: Path) -> Header:
    """As `read_header`, but where the names can be read and a tensor is cut off, says so in
    `damage`, so that it is still known what the file was. Raises WeightsError.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would never answer
            raise WeightsError(f"{path.name} is not a file.")
        with path.open("rb") as file:
            return _inspect(path, file)
    except OSError as error:
        raise _unread(path, error) from error


def _unread(path: Path, error: OSError) -> WeightsError:
    return WeightsError(f"Cannot read {path.name}: {reason(error)}.")


def _inspect(path: Path, file: BinaryIO, inside: Path | None = None) -> Header:
    """`inside`: the index that names this file, which is then no index itself."""
    start = file.read(64)
    size = file.seek(0, 2)
    file.seek(0)
    if start.startswith(b"PK\x03\x04"):
        return zip_header(path, file, size)
    if start.startswith(LEGACY_MAGIC):
        return legacy_header(path, file, size)
    if start[8:9] == b"{" and start[5:8] == b"\0\0\0":
        return _safetensors(path, file, size)
    if inside is None and start.lstrip()[:1] == b"{":
        return _shards(path, file, size)
    raise _foreign(path, start, size)


def _foreign(path: Path, start: bytes, size: int) -> WeightsError:
    text = start.lstrip().lower()
    if size == 0:
        return damaged(path, "it is empty")
    if start.startswith(b"GGUF"):
        return WeightsError(
            f"{path.name} is a GGUF file. These are not read.", "Get the safetensors form."
        )
    if text.startswith(b"version https://git-lfs"):
        return WeightsError(
            f"{path.name} is a note of Git LFS, not the weights themselves.", GET_AGAIN
        )
    if text.startswith((b"<!doctype", b"<html")):
        return WeightsError(f"{path.name} is a web page, not weights.", GET_AGAIN)
    if not any(start):
        return damaged(path, "it begins with nothing but zeros")
    return WeightsError(f"{path.name} is not a weights file.", "Safetensors and PyTorch are read.")


def _safetensors(path: Path, file: BinaryIO, size: int) -> Header:
    """A length in 8 bytes, that much JSON, then the numbers."""
    length = int.from_bytes(file.read(8), "little")
    if length > MOST_HEADER_BYTES:
        raise damaged(path, "its header is larger than any that is honest")
    if length > size - 8:
        raise damaged(path, "its header is cut off")
    try:
        table = msgspec.json.decode(file.read(length), type=dict[str, msgspec.Raw])
        notes = _notes(table.pop("__metadata__", None))
        if len(table) > MOST_TENSORS:
            raise damaged(path, "it has too many entries")
        entries = {
            checked_name(path, name): msgspec.json.decode(entry, type=_Entry)
            for name, entry in table.items()
        }
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise damaged(path, "its header cannot be read") from error
    damage = _placed(path, entries, size - 8 - length)
    return Header(
        path=path,
        form=Form.SAFETENSORS,
        tensors={
            name: Tensor(entry.dtype, checked_shape(path, name, entry.shape))
            for name, entry in entries.items()
        },
        files=(path,),
        size_bytes=size,
        metadata=notes,
        damage=damage,
    )


def _notes(raw: msgspec.Raw | None) -> dict[str, str]:
    if raw is not None:
        with suppress(msgspec.MsgspecError):
            return msgspec.json.decode(raw, type=dict[str, str])
    return {}


def _placed(path: Path, entries: dict[str, _Entry], room: int) -> str:
    """Checks that the tensors lie one behind the other and fill the file to its end.

    The sentence for a file cut off; raises WeightsError where the header lies.
    """
    at = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        begin, end = entry.data_offsets
        if begin != at or end < begin:
            raise damaged(path, f"tensor {shown(name)} lies where another one lies, or none")
        bits = BITS.get(entry.dtype)
        elements = Tensor("", checked_shape(path, name, entry.shape)).elements
        if bits is not None and (elements * bits + 7) // 8 != end - begin:
            raise damaged(path, f"tensor {shown(name)} has another size than its shape")
        at = end
    if at > room:
        ending = (n for n, e in entries.items() if e.data_offsets[1] > room)
        first = min(ending, key=lambda name: entries[name].data_offsets)
        return f"{path.name} is damaged: tensor {shown(first)} ends early."
    if at < room:
        raise damaged(path, "it is longer than its header says")
    return ""


def _shards(path: Path, file: BinaryIO, size: int) -> Header:
    """The index of a model in several files: {"weight_map": {tensor: file beside it}}."""
    if size > MOST_HEADER_BYTES:
        raise WeightsError(f"{path.name} is not a weights file.")
    try:
        index = msgspec.json.decode(file.read(), type=_Index)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path.name} is not the index of a model.") from error
    names = sorted(set(index.weight_map.values()))
    if len(index.weight_map) > MOST_TENSORS or len(names) > MOST_SHARDS:
        raise damaged(path, "it has too many entries")
    shards: dict[str, Header] = {}
    for name in names:
        if not name.isprintable() or name in ("", "..") or set(name) & set("/\\:"):
            raise damaged(path, f"it names a file elsewhere, {shown(name)}")
        shards[name] = _shard(path, name)
    tensors: dict[str, Tensor] = {}
    for tensor, name in index.weight_map.items():
        if tensor not in shards[name].tensors:
            raise damaged(path, f"tensor {shown(tensor)} is not in {name}")
        tensors[checked_name(path, tensor)] = shards[name].tensors[tensor]
    return Header(
        path=path,
        form=Form.SHARDS,
        tensors=tensors,
        files=(path, *(shard.path for shard in shards.values())),
        size_bytes=size + sum(shard.size_bytes for shard in shards.values()),
        damage=next((shard.damage for shard in shards.values() if shard.damage), ""),
    )


def _shard(index: Path, name: str) -> Header:
    shard = index.with_name(name)
    if not shard.is_file():
        raise WeightsError(
            f"{name} is missing, a part of {index.name}.", f"It belongs into {index.parent}."
        )
    try:
        with shard.open("rb") as file:
            return _inspect(shard, file, inside=index)
    except OSError as error:
        raise _unread(shard, error) from error
