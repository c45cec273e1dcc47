"""Tensors of a PyTorch file, zip or legacy, from its pickle; the numbers are not read."""

import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from engine.errors import WeightsError
from engine.library.pickles import MOST_BYTES, Bounded, Unreadable, View, load
from engine.library.tensors import (
    BITS,
    MOST_TENSORS,
    Form,
    Header,
    Tensor,
    checked_name,
    checked_shape,
    damaged,
    shown,
)

LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
MOST_DIRECTORY_BYTES = 8 << 20  # of a zip's list of contents; some 100 bytes for each tensor
_TOO_MUCH = MOST_DIRECTORY_BYTES + 1
MOST_ENTRIES = 200_000
MOST_VISITS = 1_000_000
MOST_LEVELS = 6  # of tables in tables: {"state_dict": {"module": {…}}}


def zip_header(path: Path, file: BinaryIO, size: int) -> Header:
    """Raises WeightsError."""
    try:
        archive = zipfile.ZipFile(_Frugal(file))
    except Unreadable as error:
        raise damaged(path, str(error)) from error
    except (zipfile.BadZipFile, OSError, ValueError, struct.error, NotImplementedError):
        return _cut_zip(path, file, size)
    with archive:
        entries = archive.infolist()
        if len(entries) > MOST_ENTRIES:
            raise damaged(path, "its list of contents is too large")
        pickle = next((e for e in entries if _is_main(e.filename)), None)
        if pickle is None:
            raise _no_tensors(path)
        value = _zipped_pickle(path, archive, pickle)
        prefix = pickle.filename.removesuffix("data.pkl")
        room = {
            entry.filename.removeprefix(prefix + "data/"): entry.file_size
            for entry in entries
            if entry.header_offset + entry.file_size <= archive.start_dir
        }
    views = _views(path, value)
    return _header(path, Form.ZIP, size, views, _ending_early(path, views, room))


def legacy_header(path: Path, file: BinaryIO, size: int) -> Header:
    """Raises WeightsError."""
    stream = Bounded(file)
    try:
        for _ in ("magic number", "version", "the writer's system"):
            load(stream)
        value = load(stream)
    except Unreadable as error:
        raise damaged(path, str(error)) from error
    views = _views(path, value)
    try:
        keys = load(stream)
    except Unreadable:
        keys = []
    room = _legacy_room(file, size, keys, views) if isinstance(keys, list) else {}
    return _header(path, Form.LEGACY, size, views, _ending_early(path, views, room))


def _zipped_pickle(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> object:
    # Only as it lies: PyTorch never compresses it, and a small entry could swell to anything.
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > MOST_BYTES:
        raise damaged(path, "its list of tensors is too large")
    try:
        with archive.open(entry) as data:
            return load(Bounded(data))  # type: ignore[arg-type]
    except Unreadable as error:
        raise damaged(path, str(error)) from error
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise damaged(path, "its list of tensors cannot be read") from error


class _Frugal:
    """A file that a zip's reader cannot make fill the memory, whatever the zip says of itself."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, count: int = -1) -> bytes:
        data = self._file.read(min(count, _TOO_MUCH) if count >= 0 else _TOO_MUCH)
        if len(data) >= _TOO_MUCH:
            raise Unreadable("its list of contents is too large")
        return data


def _cut_zip(path: Path, file: BinaryIO, size: int) -> Header:
    """A zip without its end: the pickle comes first in the file, so the names may be there."""
    file.seek(0)
    start = file.read(30)
    try:
        name_size, extra_size = struct.unpack_from("<HH", start, 26)
        name = file.read(name_size)
        file.seek(extra_size, 1)
        if not _is_main(name.decode("utf-8", "replace")):
            raise damaged(path, "its end is missing")
        stream = Bounded(file)
        views = _views(path, load(stream))
        at = file.tell()
    except (Unreadable, struct.error) as error:
        raise damaged(path, "its end is missing") from error
    room: dict[str, int] = {}
    sizes = {view.storage.key: _storage_bytes(view) for view in views.values()}
    for key in sorted(sizes, key=lambda key: (len(key), key)):  # they lie in the order 0, 1, …, 10
        at += sizes[key]
        if at > size:
            break
        room[key] = sizes[key]
    said = _ending_early(path, views, room) or f"{path.name} is damaged: its end is missing."
    return _header(path, Form.ZIP, size, views, said)


def _legacy_room(
    file: BinaryIO, size: int, keys: list[object], views: Mapping[str, View]
) -> dict[str, int]:
    """Bytes of each storage that is whole, by walking from one length to the next."""
    widths = {view.storage.key: BITS[view.storage.dtype] // 8 for view in views.values()}
    room: dict[str, int] = {}
    for key in keys[:MOST_ENTRIES]:
        lengths = file.read(8)
        if not isinstance(key, str) or len(lengths) < 8:
            break
        elements = int.from_bytes(lengths, "little")
        width = widths.get(key)
        if width is None:  # of something that is no tensor: where it ends is not known
            break
        end = file.tell() + elements * width
        if end > size:
            break
        room[key] = elements * width
        file.seek(end)
    return room


def _views(path: Path, value: object) -> dict[str, View]:
    """Every tensor in tables in tables, by its names joined with dots."""
    found: dict[str, View] = {}
    for visits, (name, item) in enumerate(_walk(value)):
        if visits > MOST_VISITS or len(found) > MOST_TENSORS:
            raise damaged(path, "it has too many entries")
        if isinstance(item, View):
            checked_shape(path, name, item.shape)
            found[checked_name(path, name)] = item
    if not found:
        raise _no_tensors(path)
    return found


def _walk(value: object) -> Iterator[tuple[str, object]]:
    waiting: list[Iterator[tuple[str, object]]] = [iter([("", value)])]
    while waiting:
        entry = next(waiting[-1], None)
        if entry is None:
            waiting.pop()
            continue
        yield entry
        name, item = entry
        if isinstance(item, dict) and len(waiting) <= MOST_LEVELS:
            waiting.append(_entries(name, item))


def _entries(name: str, table: dict[object, object]) -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        yield (f"{name}.{key}" if name else str(key)), value


def _ending_early(path: Path, views: Mapping[str, View], room: Mapping[str, int]) -> str:
    """The sentence that names the first tensor which is not all there; "" when all are."""
    for name, view in views.items():
        bits = BITS.get(view.dtype, 8)
        if view.end and max(_storage_bytes(view), view.end * bits // 8) > room.get(
            view.storage.key, 0
        ):
            return f"{path.name} is damaged: tensor {shown(name)} ends early."
    return ""


def _storage_bytes(view: View) -> int:
    return view.storage.elements * BITS[view.storage.dtype] // 8


def _is_main(name: str) -> bool:
    return name.count("/") <= 1 and name.rpartition("/")[2] == "data.pkl"


def _no_tensors(path: Path) -> WeightsError:
    return WeightsError(
        f"{path.name} holds no tensors by name.",
        "Only plain weights are read, not whole saved programs.",
    )


def _header(path: Path, form: Form, size: int, views: Mapping[str, View], damage: str) -> Header:
    return Header(
        path=path,
        form=form,
        tensors={name: Tensor(view.dtype, view.shape) for name, view in views.items()},
        files=(path,),
        size_bytes=size,
        damage=damage,
    )
