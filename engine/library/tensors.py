"""What is known of a weights file without its numbers: names, shapes, dtypes."""

from collections.abc import Mapping
from enum import StrEnum
from math import prod
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.errors import WeightsError

MOST_TENSORS = 100_000  # in one file; the largest published ones have some thousands
MOST_AXES = 16
GET_AGAIN = "Get it again."
BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
    "C64": 64,
    "C128": 128,
}


class Tensor(NamedTuple):
    """`dtype` as safetensors spells it: F32, BF16, F8_E4M3."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        return prod(self.shape)


class Form(StrEnum):
    SAFETENSORS = "safetensors"
    SHARDS = "shards"
    ZIP = "zip"
    LEGACY = "legacy"


class Header(msgspec.Struct, frozen=True):
    """`tensors`: by name; nested tables are joined by dots; a bare tensor has the name "".

    `files`: all that belong to it (more than one: shards). `damage`: a sentence, where the names
    can be read but not every tensor is whole; `read_header` raises it.
    """

    path: Path
    form: Form
    tensors: Mapping[str, Tensor]
    files: tuple[Path, ...]
    size_bytes: int
    metadata: Mapping[str, str] = {}
    damage: str = ""


def damaged(path: Path, what: str) -> WeightsError:
    """`what`: the end of the sentence, "its header is cut off"."""
    return WeightsError(f"{path.name} is damaged: {what}.", GET_AGAIN)


def checked_shape(path: Path, name: str, shape: object) -> tuple[int, ...]:
    """A shape as a file states it. Raises WeightsError where it cannot be one."""
    if isinstance(shape, list | tuple) and len(shape) <= MOST_AXES:
        axes = tuple(shape)
        if all(type(axis) is int and 0 <= axis < 1 << 48 for axis in axes):
            return axes
    raise damaged(path, f"tensor {shown(name)} has an impossible shape")


def checked_name(path: Path, name: object) -> str:
    """A tensor's name as a file states it. Raises WeightsError where it is no text."""
    if isinstance(name, str) and len(name) <= 1000 and name.isprintable():
        return name
    raise damaged(path, "a tensor's name is no text")


def shown(name: str) -> str:
    """A name of unknown origin, short enough for a sentence."""
    return name if len(name) <= 80 else name[:77] + "…"
