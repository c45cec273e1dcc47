"""Reads weights files and fills models with them, strictly; nothing in a file is ever executed.

A file is `.safetensors`, a `.safetensors.index.json` of several, or a weights-only pickle (`.pth`,
`.pt`, `.ckpt`, `.bin`). Whatever is wrong with it is a `WeightsError` that names file and tensor.
"""

import json
import math
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import torch
from torch import Tensor, nn

from engine.errors import WeightsError
from engine.models.loading import Place, Stored, as_dtype, places_of, transfer

M = TypeVar("M", bound=nn.Module)

HEADER_LIMIT_BYTES = 100_000_000  # the format's own
PICKLE_LIMIT_BYTES = 100_000_000  # names and shapes alone; the values lie in other entries
DAMAGED = "The file is damaged or was not downloaded whole. Get it again."
OTHER = "It is the weights of another model, or of another version of it."
_BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "U16": 16,
    "I16": 16,
    "F16": 16,
    "BF16": 16,
    "U32": 32,
    "I32": 32,
    "F32": 32,
    "U64": 64,
    "I64": 64,
    "F64": 64,
    "C64": 64,
}
ORDERS = {4: torch.channels_last, 5: torch.channels_last_3d}
_WRAPPERS = ("state_dict", "model_state_dict", "model")  # what training tools put the tensors in


def read_tensors(path: Path, device: torch.device | str = "cpu") -> Mapping[str, Tensor]:
    """Tensors of a file by name; on the CPU they stay in the file until they are used.

    A pickle that holds one bare tensor gives it the name "".
    """
    try:
        if path.name.endswith(".safetensors.index.json"):
            return _read_shards(path, device)
        if path.suffix in (".safetensors", ".sft"):
            return _read_safetensors(path, device)
        return _read_pickle(path, device)
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read: {error.strerror or error}.", "Is the file still there?"
        ) from error


def load_strict(
    build: Callable[[], M],
    tensors: Mapping[str, Tensor],
    file: str = "",
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    layout: torch.memory_format | None = None,
) -> M:
    """The module that `build` makes, holding `tensors`: all of them, and nothing else.

    It is built on `meta`, so no memory is filled twice. `dtype` converts what is floating, `layout`
    (channels_last) what has four or five dimensions; without them every tensor stays as stored, on
    the CPU in its file. `file` is for the message of a `WeightsError`. The module is in eval mode
    and takes no gradients.
    """
    with torch.device("meta"):
        module = build()
    module.requires_grad_(False).eval()
    expected = module.state_dict()
    _check(expected, tensors, file or "The weights")
    tensors = placed(tensors, dtype, device, layout)
    module.load_state_dict(tensors, strict=True, assign=True)
    own = [*module.named_parameters(), *module.named_buffers()]
    unfilled = [name for name, t in own if t.is_meta and name not in tensors]
    assert not unfilled, f"not part of the state, and so never filled: {unfilled}"
    return module


def fill(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> None:
    """Puts some tensors of a module that `load_strict` has made on a device, straight from their
    file: in an order of the caller's, as where some are needed for a moment only."""
    module.load_state_dict(placed(tensors, dtype, device), strict=False, assign=True)


def part(tensors: Mapping[str, Tensor], prefixes: Iterable[str]) -> Mapping[str, Tensor]:
    """The tensors whose names begin with one of `prefixes`."""
    wanted = tuple(prefixes)
    return chosen(tensors, (name for name in tensors if name.startswith(wanted)))


def chosen(tensors: Mapping[str, Tensor], names: Iterable[str]) -> Mapping[str, Tensor]:
    """The tensors of these names."""
    return _stored({name: name for name in names}, tensors)


def shape_of(tensors: Mapping[str, Tensor], name: str, usual: tuple[int, ...]) -> tuple[int, ...]:
    """A tensor's shape; the usual one where the tensor is missing or has other axes."""
    tensor = tensors.get(name)
    is_alike = tensor is not None and tensor.dim() == len(usual) and tensor.numel() > 0
    return tuple(tensor.shape) if tensor is not None and is_alike else usual


def count_of(tensors: Mapping[str, Tensor], prefix: str, usual: int) -> int:
    """How many numbered parts there are: one more than the greatest number."""
    numbers = {
        name.removeprefix(prefix).partition(".")[0] for name in tensors if name.startswith(prefix)
    }
    found = [int(number) for number in numbers if number.isdecimal() and len(number) < 4]
    return max(found) + 1 if found else usual


def renamed(
    tensors: Mapping[str, Tensor], names: Mapping[str, str], file: str = ""
) -> Mapping[str, Tensor]:
    """The tensors under the names of another layout: `names` maps each name that changes.

    A mapped name that is missing, or two tensors under one name, is a `WeightsError`.
    """
    result: dict[str, str] = {}
    for missing in names.keys() - tensors.keys():
        raise _wrong(file or "The weights", missing, "it is missing", OTHER)
    for name in tensors:
        after = names.get(name, name)
        if after in result:
            raise _wrong(file or "The weights", name, f"{after} is there already", OTHER)
        result[after] = name
    return _stored(result, tensors)


def _stored(names: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Stored:
    """Tensors under new names, each with its old one; what is known of their places stays."""
    places = places_of(tensors)
    return Stored(
        {new: tensors[old] for new, old in names.items()},
        {new: places[old] for new, old in names.items() if old in places},
    )


def placed(
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    layout: torch.memory_format | None = None,
) -> dict[str, Tensor]:
    """The tensors as `load_strict` gives them to a module; what is right stays as it is."""
    result = dict(tensors)
    places = places_of(tensors)
    by_ring: dict[str, Tensor] = {}
    there = torch.device(device or "cpu")
    for name, tensor in tensors.items():
        wanted = as_dtype(tensor, dtype)
        if (
            tensor.is_cpu
            and (tensor.device, tensor.dtype) != (there, wanted)
            and (name in places or (there.type == "cuda" and not tensor.is_complex()))
        ):
            by_ring[name] = tensor
        else:
            result[name] = tensor.to(device or tensor.device, wanted)
    known = {name: places[name] for name in by_ring if name in places}
    result.update(transfer(Stored(by_ring, known), there, dtype))
    if layout in ORDERS.values():
        for name, tensor in result.items():
            if tensor.dim() in ORDERS:
                result[name] = tensor.contiguous(memory_format=ORDERS[tensor.dim()])
    return result


def _check(expected: Mapping[str, Tensor], given: Mapping[str, Tensor], file: str) -> None:
    missing = [name for name in expected if name not in given]
    unexpected = [name for name in given if name not in expected]
    if missing:
        raise _wrong(file, missing[0], f"it is missing{_more(missing)}", OTHER)
    if unexpected:
        raise _wrong(file, unexpected[0], f"the model has no such tensor{_more(unexpected)}", OTHER)
    for name, want in expected.items():
        has = given[name]
        if has.shape != want.shape:
            found, needed = list(has.shape), list(want.shape)
            raise _wrong(file, name, f"its shape is {found}, expected {needed}", OTHER)
        if want.is_floating_point() != has.is_floating_point():
            raise _wrong(file, name, f"it holds {has.dtype}, expected {want.dtype}", OTHER)


def _more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more like it)" if len(names) > 1 else ""


def _wrong(file: Path | str, tensor: str, what: str, hint: str = DAMAGED) -> WeightsError:
    name = tensor if len(tensor) <= 200 else f"{tensor[:200]}…"
    return WeightsError(f"{file}: tensor {name!r}: {what}.", hint)


def _read_safetensors(path: Path, device: torch.device | str) -> Stored:
    places, _ = read_header(path)
    name = ""
    try:
        with safetensors.safe_open(path, framework="pt", device=str(device)) as file:
            result: dict[str, Tensor] = {}
            for name in places:
                result[name] = file.get_tensor(name)
            return Stored(result, places)
    except (safetensors.SafetensorError, RuntimeError, ValueError, TypeError) as error:
        raise _wrong(path, name, f"it cannot be read ({error})") from error


def read_header(path: Path) -> tuple[dict[str, Place], dict[str, str]]:
    """Places of the tensors, once everything the header claims is true of the file; its notes."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, HEADER_LIMIT_BYTES):
            raise WeightsError(f"{path} has no safetensors header, or is cut in it.", DAMAGED)
        text = file.read(length)
    try:
        header = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} has a broken header: {error}.", DAMAGED) from error
    if not isinstance(header, dict):
        raise WeightsError(f"{path} has a header that lists no tensors.", DAMAGED)
    notes = header.pop("__metadata__", None)
    ends = []
    places = {}
    for name, entry in header.items():
        begin, end = _check_entry(path, name, entry)
        if end > size - 8 - length:
            over = end - (size - 8 - length)
            raise _wrong(path, name, f"it ends {over} bytes after the end of the file")
        ends.append((begin, end, name))
        places[name] = Place(path, 8 + length + begin, end - begin)
    at = 0
    for begin, end, name in sorted(ends):
        if begin != at:
            raise _wrong(path, name, f"it begins at byte {begin} of the values, expected {at}")
        at = end
    if at != size - 8 - length:
        raise WeightsError(f"{path} holds {size - 8 - length - at} bytes of no tensor.", DAMAGED)
    texts = notes.items() if isinstance(notes, dict) else ()
    return places, {key: text for key, text in texts if isinstance(text, str)}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name stands there twice")
    return result


def _check_entry(path: Path, name: str, entry: object) -> tuple[int, int]:
    """Begin and end in the values; the shape must fill them exactly."""
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(begin), int(end)]}:
            pass
        case _:
            raise _wrong(path, name, "its entry in the header is broken")
    if dtype not in _BITS:
        raise _wrong(path, name, f"its type {dtype[:20]!r} is unknown", OTHER)
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape):
        raise _wrong(path, name, "its shape is broken")
    if not 0 <= begin <= end:
        raise _wrong(path, name, "its place in the file is broken")
    if math.prod(shape) * _BITS[dtype] != 8 * (end - begin):
        raise _wrong(path, name, f"{end - begin} bytes cannot be {dtype} of shape {shape[:8]}")
    return begin, end


def _read_shards(path: Path, device: torch.device | str) -> Stored:
    try:
        places = json.loads(path.read_bytes())["weight_map"]
        shards = sorted(set(places.values()))
        beside = all(Path(shard).name == shard and "\\" not in shard for shard in shards)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is no index of weights: {error!r}.", DAMAGED) from error
    if not beside:
        raise WeightsError(f"{path} names files outside its own folder.", DAMAGED)
    result: dict[str, Tensor] = {}
    found: dict[str, Place] = {}
    for shard in shards:
        if not shard.endswith(".safetensors"):
            raise WeightsError(f"{path} names {shard!r}, which is no safetensors file.", DAMAGED)
        tensors = read_tensors(path.parent / shard, device)
        for name, tensor in tensors.items():
            if places.get(name) != shard:
                raise _wrong(path.parent / shard, name, f"{path.name} does not list it there")
            result[name] = tensor
        found.update(places_of(tensors))
    for name, shard in places.items():
        if name not in result:
            raise _wrong(path.parent / shard, name, f"it is missing, though {path.name} lists it")
    return Stored(result, found)


def _read_pickle(path: Path, device: torch.device | str) -> dict[str, Tensor]:
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\3\4"  # as torch tells the two layouts apart
    if is_zip:
        _check_zip(path)
    # Values go to the device only after the checks, so a lie about sizes is never filled in.
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except OSError:
        raise
    except Exception as error:
        raise WeightsError(
            f"{path} is no file of plain tensors, and was not run.",
            "Get the weights as .safetensors, or from their publisher.",
            details=str(error)[:4000],
        ) from error
    if isinstance(content, Tensor):
        content = {"": content}
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
            break
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds {type(content).__name__}, not tensors by name.", OTHER)
    result: dict[str, Tensor] = {}
    for name, value in content.items():
        if not isinstance(name, str):
            raise WeightsError(f"{path} names an entry by {type(name).__name__}, not text.", OTHER)
        if not isinstance(value, Tensor):
            if value is None or isinstance(value, bool | int | float | str):
                continue  # counters and notes of the training
            raise _wrong(path, name, f"it is {type(value).__name__}, no tensor", OTHER)
        result[name] = _plain(path, name, value).to(device)
    return result


def _check_zip(path: Path) -> None:
    """Entries lie in the file as they are, so nothing unfolds into more than the file's size."""
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
                    raise WeightsError(f"{path} is packed in a way weights never are.", OTHER)
                if entry.filename.endswith(".pkl") and entry.file_size > PICKLE_LIMIT_BYTES:
                    raise WeightsError(f"{path} lists more than any model has.", OTHER)
            if sum(e.file_size for e in archive.infolist()) > path.stat().st_size:
                raise WeightsError(f"{path} claims more bytes than it has.", DAMAGED)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeError) as error:
        raise WeightsError(f"{path} is a broken archive: {error}.", DAMAGED) from error


def _plain(path: Path, name: str, value: Tensor) -> Tensor:
    """The tensor, if each of its elements has its own place in the file."""
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        raise _wrong(path, name, "it is not a plain dense tensor", OTHER)
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise _wrong(path, name, f"the file does not hold all of shape {list(value.shape)[:8]}")
    return value.detach()
