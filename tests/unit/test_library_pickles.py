"""Hostile pickles: nothing runs, nothing fills the memory, nothing takes long."""

import builtins
import io
import os
import pickle
import pickletools
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import WeightsError
from engine.library.archives import LEGACY_MAGIC
from engine.library.headers import read_header
from engine.library.pickles import INERT, Bounded, Unreadable, load

HEAD = b"\x80\x02"


def loaded(data: bytes) -> object:
    return load(Bounded(io.BytesIO(data)))


class Call:
    """Pickles as a call of `function`, which a careless reader makes."""

    def __init__(self, function: Callable[..., Any], *arguments: object, state: object = None):
        self.how = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.how


class Stateful:
    """Pickles with BUILD; a careless reader calls `__setstate__`."""

    ran = 0

    def __getstate__(self) -> dict[str, str]:
        return {"state": "x"}

    def __setstate__(self, state: object) -> None:
        Stateful.ran += 1


def bombs(mark: Path) -> dict[str, object]:
    touch = f"open({str(mark)!r}, 'w').close()"
    return {
        "os.system": Call(os.system, f"echo x > {mark}"),
        "eval": Call(eval, f"__import__('pathlib').Path({str(mark)!r}).touch()"),
        "exec": Call(exec, touch),
        "builtins.open": Call(open, str(mark), "w"),
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "nested": Call(Call, Call(exec, touch), Call(exec, touch)),
        "in arguments": {"w": Call(dict, [("a", Call(exec, touch))])},
        "state": Call(Stateful, state={"a": Call(exec, touch)}),
        "setstate": Stateful(),
        "map": Call(list, Call(map, exec, [touch])),
    }


NAMES = list(bombs(Path("x")))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", NAMES)
def test_a_bomb_does_not_go_off(tmp_path: Path, name: str, protocol: int) -> None:
    mark = tmp_path / "ran"
    Stateful.ran = 0
    data = pickle.dumps({"w": 1, "bomb": bombs(mark)[name]}, protocol)
    value = loaded(data)
    assert isinstance(value, dict)
    assert value["w"] == 1
    assert not mark.exists()
    assert Stateful.ran == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_bomb_in_a_file_does_not_go_off(tmp_path: Path, name: str, form: str) -> None:
    mark, path = tmp_path / "ran", tmp_path / "bomb.ckpt"
    Stateful.ran = 0
    data = pickle.dumps(bombs(mark)[name], 2)
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("bomb/data.pkl", data)
    else:
        numbers = pickle.dumps(1001, 2) + pickle.dumps({}, 2)
        path.write_bytes(LEGACY_MAGIC + numbers + data + pickle.dumps([], 2))
    with pytest.raises(WeightsError, match=r"bomb\.ckpt holds no tensors"):
        read_header(path)
    assert not mark.exists()
    assert Stateful.ran == 0


def test_the_bombs_are_live(tmp_path: Path) -> None:
    """Else the tests above would prove nothing."""
    mark = tmp_path / "ran"
    pickle.loads(pickle.dumps(bombs(mark)["exec"]))
    assert mark.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"ios\nsystem\n.",  # INST outside a mark
        b"(S'echo x'\nios\nsystem\n.",
        b"(cos\nsystem\nS'echo x'\no.",  # OBJ
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x06echo x\x85R.",
        b"\x80\x02cos\nsystem\n)\x81.",
        b"\x80\x04cos\nsystem\n)}\x92.",
        b"\x80\x02\x82\x01.",  # EXT1
        b"Pos.system\n.",  # PERSID
    ],
)
def test_every_way_to_name_a_function_is_inert(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> object:
        raise AssertionError("something was imported")

    monkeypatch.setattr(os, "system", never)
    monkeypatch.setattr(pickle, "loads", never)
    monkeypatch.setattr(builtins, "__import__", never)
    try:
        value = loaded(data)
    except Unreadable:
        return
    finally:
        monkeypatch.undo()
    assert value is INERT


def test_every_opcode_is_known_or_refused() -> None:
    for opcode in pickletools.opcodes:
        data = opcode.code.encode("latin-1") + b"\x01\0\0\0\0\0\0\0\n1\n."
        try:
            loaded(HEAD + b"(N" + data)
        except Unreadable:
            continue


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"(" * 150_000 + b"t" * 150_000 + b".",
        HEAD + b"]" * 150_000 + b"a" * 149_999 + b".",
        HEAD + b")" + b"\x85" * 300_000 + b".",
        HEAD + b"}" + b")" + b"\x85" * 200_000 + b"Ns.",  # as a key, hashed to its depth
        HEAD + b"ccollections\nOrderedDict\n" + b"\x85R" * 50_000 + b".",
        b"".join((HEAD, b"ctorch._tensor\n_rebuild_from_type_v2\n(", b"N" * 4, b"tR."))
        + b"ctorch._tensor\n_rebuild_from_type_v2\n" * 1000,
    ],
)
def test_depth_does_not_end_the_program(data: bytes) -> None:
    try:
        loaded(data)
    except Unreadable:
        return


def test_a_table_that_holds_itself(tmp_path: Path) -> None:
    path = tmp_path / "ring.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", HEAD + b"}q\x00X\x01\0\0\0ah\x00s.")
    with pytest.raises(WeightsError, match="holds no tensors"):
        read_header(path)


def test_tables_that_multiply(tmp_path: Path) -> None:
    """A hundred names for one table of a hundred names for one table …"""
    keys = b"".join(b"X\x02\0\0\0" + f"{n:02}".encode() + b"h%c" for n in range(100))
    data = HEAD + b"}q\x00"
    for level in range(6):
        body = keys.replace(b"%c", bytes([level]))
        data += b"}(" + body + b"uq" + bytes([level + 1])
    path = tmp_path / "many.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", data + b".")
    began = time.process_time()
    with pytest.raises(WeightsError, match="too many entries"):
        read_header(path)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"X" + struct.pack("<I", 1 << 31) + b"abc.",
        b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"abc.",
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b".",
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".",
        HEAD + b"\x8b" + struct.pack("<i", 0x7FFFFFFF) + b"1.",
        HEAD + b"\x8b" + struct.pack("<i", -5) + b"1.",
        b"L" + b"9" * 60_000 + b"L\n.",
        HEAD + b"N" * 1_100_000 + b".",
        HEAD + b"h\x05.",
        HEAD + b"(((.",
        HEAD + b"R.",
        HEAD,
        b"",
        HEAD + b"\xff.",
    ],
)
def test_impossible_sizes_and_nonsense_are_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        loaded(data)


def test_copies_of_a_long_list_are_counted() -> None:
    pairs = b"X\x01\0\0\0aN\x86" * 2000
    call = b"ccollections\nOrderedDict\nh\x00\x85R"
    with pytest.raises(Unreadable, match="too many entries"):
        loaded(HEAD + b"](" + pairs + b"eq\x00" + call * 600 + b".")


def test_long_names_are_not_copied() -> None:
    name = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20)
    with pytest.raises(Unreadable, match="no name"):
        loaded(b"\x80\x04" + name + b"q\x00h\x00\x93.")


@pytest.mark.parametrize(
    "arguments",
    [
        b"NK\x00K\x02\x85K\x01\x85",
        b"h\x00K\x00K\x02\x85K\x01K\x01\x86",
        b"h\x00K\x00]K\x01\x85",
        b"h\x00J\xff\xff\xff\xffK\x02\x85K\x01\x85",
        b"h\x00K\x00J\xff\xff\xff\xff\x85K\x01\x85",
        b"h\x00K\x00\x88\x85K\x01\x85",
    ],
)
def test_a_tensor_that_makes_no_sense_is_inert(arguments: bytes) -> None:
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQq\x000"
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR."
    assert loaded(HEAD + storage + call) is INERT


def test_a_bound_is_a_bound() -> None:
    with pytest.raises(Unreadable):
        load(Bounded(io.BytesIO(pickle.dumps(list(range(1000)))), 100))
