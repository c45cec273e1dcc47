"""A pickle machine that builds nothing but plain values and descriptions of tensors.

Nothing named in a pickle is ever imported or called: a global is a `Global`, calling it gives an
`Inert`, whatever it is; only PyTorch's own ways to write a tensor are understood, by name.
Opcodes are read by the standard library's `pickletools`, which runs none of them.
"""

import pickletools
from collections.abc import Callable
from typing import BinaryIO, Final

MOST_BYTES = 32 << 20  # of one pickle; a checkpoint of 2,500 tensors takes 300 kB
MOST_STEPS = 1_000_000
LONGEST_NAME = 1000
MOST_COPIES = 1_000_000  # of entries, by all the calls that copy some

STORAGES = {
    "FloatStorage": "F32",
    "DoubleStorage": "F64",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "ByteStorage": "U8",
    "UntypedStorage": "U8",
    "CharStorage": "I8",
    "ShortStorage": "I16",
    "IntStorage": "I32",
    "LongStorage": "I64",
    "BoolStorage": "BOOL",
    "ComplexFloatStorage": "C64",
    "ComplexDoubleStorage": "C128",
}
DTYPES = {
    "float32": "F32",
    "float64": "F64",
    "float16": "F16",
    "bfloat16": "BF16",
    "uint8": "U8",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "bool": "BOOL",
    "complex64": "C64",
    "complex128": "C128",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
}
TENSORS = {  # the function's name -> where its dtype stands among the arguments, if it has one
    "torch._utils._rebuild_tensor": None,
    "torch._utils._rebuild_tensor_v2": None,
    "torch._utils._rebuild_tensor_v3": 6,
}
WRAPPERS = {"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"}


class Unreadable(ValueError):
    """The pickle is not one, or is larger than any that is honest."""


class Global:
    """A name in some module, and no more than the name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name: Final = name


class Inert:
    """What an unknown call would have made."""

    __slots__ = ()


class Storage:
    """A run of numbers elsewhere in the file. `elements` is counted in `dtype`."""

    __slots__ = ("dtype", "elements", "key")

    def __init__(self, dtype: str, key: str, elements: int) -> None:
        self.dtype: Final = dtype
        self.key: Final = key
        self.elements: Final = elements


class View:
    """A tensor over a storage; `end` is how far it reaches in it, in elements of `dtype`."""

    __slots__ = ("dtype", "end", "shape", "storage")

    def __init__(self, dtype: str, shape: tuple[int, ...], storage: Storage, end: int) -> None:
        self.dtype: Final = dtype
        self.shape: Final = shape
        self.storage: Final = storage
        self.end: Final = end


class Bounded:
    """Reads at most `limit` bytes of `file`; asking for more is an error, not an allocation."""

    def __init__(self, file: BinaryIO, limit: int = MOST_BYTES) -> None:
        self._file = file
        self._left = limit

    def read(self, count: int) -> bytes:
        if not 0 <= count <= self._left:
            raise Unreadable("it is cut off or states impossible sizes")
        data = self._file.read(count)
        self._left -= len(data)
        return data

    def readline(self) -> bytes:
        line = self._file.readline(min(self._left, 1 << 16))
        self._left -= len(line)
        return line


INERT: Final = Inert()
MARK: Final = Inert()


def load(stream: Bounded) -> object:
    """The value of the pickle at the stream's place, which then stands behind it.

    Raises Unreadable.
    """
    try:
        return _Machine().run(stream)
    except Unreadable:
        raise
    except (ValueError, LookupError, TypeError, EOFError, OverflowError, RecursionError) as error:
        raise Unreadable("its list of tensors cannot be read") from error


class _Machine:
    def __init__(self) -> None:
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}
        self.copies = 0

    def run(self, stream: Bounded) -> object:
        for steps, (opcode, argument, _) in enumerate(pickletools.genops(stream)):  # type: ignore[arg-type]
            if steps >= MOST_STEPS:
                raise Unreadable("it has too many entries")
            if opcode.name == "STOP":
                break
            act = _ACTS.get(opcode.name)
            if act is None:
                raise Unreadable(f"it has a part of an unknown sort ({opcode.name})")
            act(self, argument)
        return self.pop()

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> object:
        value = self.stack.pop()
        if value is MARK:
            raise Unreadable("its parts are out of order")
        return value

    def pop_marked(self) -> list[object]:
        """All that was pushed since the last mark. Each step pops what steps have pushed."""
        items: list[object] = []
        while (value := self.stack.pop()) is not MARK:
            items.append(value)
        items.reverse()
        return items

    def store(self, pairs: list[object]) -> None:
        """Puts keys and values, in turn, into the table on top of the stack."""
        table = self.stack[-1]
        if not isinstance(table, dict):
            return
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if _is_key(key):
                table[key] = value

    def append(self, items: list[object]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)

    def name(self, module: object, name: object) -> None:
        if not (_is_key(module) and _is_key(name)):
            raise Unreadable("it names a part by something that is no name")
        self.push(Global(f"{module}.{name}"))

    def call(self, function: object, arguments: object) -> object:
        """What the call gives where it is one of PyTorch's tensors or a table; else INERT."""
        if not (isinstance(function, Global) and isinstance(arguments, tuple)):
            return INERT
        name = function.name
        if name == "torch._tensor._rebuild_from_type_v2" and len(arguments) == 4:
            inner, _, arguments, _ = arguments
            if not (isinstance(inner, Global) and isinstance(arguments, tuple)):
                return INERT
            name = inner.name
        if name in TENSORS:
            return _view(arguments, TENSORS[name])
        if name in WRAPPERS and arguments:
            return arguments[0]
        if name == "torch.Size" and len(arguments) == 1:
            return arguments[0]
        if name == "collections.OrderedDict":
            return self.table(arguments)
        return INERT

    def table(self, arguments: tuple[object, ...]) -> dict[object, object]:
        made: dict[object, object] = {}
        pairs = arguments[0] if len(arguments) == 1 else []
        if isinstance(pairs, list):
            self.copies += len(pairs)
            if self.copies > MOST_COPIES:
                raise Unreadable("it has too many entries")
            for pair in pairs:
                if isinstance(pair, list | tuple) and len(pair) == 2 and _is_key(pair[0]):
                    made[pair[0]] = pair[1]
        return made

    def persistent(self, pid: object) -> object:
        """A storage, from ("storage", its type, its key, the device, its elements, …)."""
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage"):
            return INERT
        kind, key, elements = pid[1], pid[2], pid[4]
        if not isinstance(kind, Global) or type(elements) is not int:
            return INERT
        if not isinstance(key, str) or not _is_key(key):
            return INERT
        package, _, last = kind.name.rpartition(".")
        dtype = STORAGES.get(last) or DTYPES.get(last)
        if dtype is None or not package.startswith("torch") or not 0 <= elements < 1 << 48:
            return INERT
        return Storage(dtype, key, elements)


def _view(arguments: tuple[object, ...], dtype_at: int | None) -> object:
    """(storage, offset, size, stride, …) -> View; INERT where it is anything else."""
    if len(arguments) < 4:
        return INERT
    storage, offset, size, stride = arguments[:4]
    if not isinstance(storage, Storage) or type(offset) is not int or offset < 0:
        return INERT
    if not (_axes(size) and _axes(stride)):
        return INERT
    assert isinstance(size, tuple)
    assert isinstance(stride, tuple)
    if len(size) != len(stride):
        return INERT
    dtype = storage.dtype
    if dtype_at is not None:
        stated = arguments[dtype_at] if len(arguments) > dtype_at else None
        if not isinstance(stated, Global):
            return INERT
        dtype = DTYPES.get(stated.name.removeprefix("torch."), stated.name[:40])
    reach = sum((axis - 1) * step for axis, step in zip(size, stride, strict=True))
    return View(dtype, size, storage, 0 if 0 in size else offset + reach + 1)


def _is_key(value: object) -> bool:
    """Whether it may name something: only a short text, cheap to hash and to compare.

    A tuple would be hashed to its depth by code that does not count, a vast number each time.
    """
    return isinstance(value, str) and len(value) <= LONGEST_NAME


def _axes(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) <= 16
        and all(type(axis) is int and 0 <= axis < 1 << 48 for axis in value)
    )


_Act = Callable[[_Machine, object], None]


def _literal(machine: _Machine, argument: object) -> None:
    machine.push(argument)


def _constant(value: object) -> _Act:
    return lambda machine, _: machine.push(value)


def _fresh(kind: Callable[[], object]) -> _Act:
    return lambda machine, _: machine.push(kind())


def _nothing(machine: _Machine, argument: object) -> None:
    """For what is said about the pickle itself."""


def _tuple(count: int) -> _Act:
    def act(machine: _Machine, _: object) -> None:
        items = [machine.pop() for _ in range(count)]
        machine.push(tuple(reversed(items)))

    return act


def _marked(make: Callable[[list[object]], object]) -> _Act:
    return lambda machine, _: machine.push(make(machine.pop_marked()))


def _dict(machine: _Machine, _: object) -> None:
    pairs = machine.pop_marked()
    machine.push({})
    machine.store(pairs)


def _set_item(machine: _Machine, _: object) -> None:
    value, key = machine.pop(), machine.pop()
    machine.store([key, value])


def _set_items(machine: _Machine, _: object) -> None:
    pairs = machine.pop_marked()
    machine.store(pairs)


def _append(machine: _Machine, _: object) -> None:
    item = machine.pop()
    machine.append([item])


def _appends(machine: _Machine, _: object) -> None:
    items = machine.pop_marked()
    machine.append(items)


def _add_items(machine: _Machine, _: object) -> None:
    machine.pop_marked()  # a set: none of its members is a tensor of a name


def _pop(machine: _Machine, _: object) -> None:
    machine.stack.pop()


def _dup(machine: _Machine, _: object) -> None:
    machine.push(machine.stack[-1])


def _pop_mark(machine: _Machine, _: object) -> None:
    machine.pop_marked()


def _get(machine: _Machine, argument: object) -> None:
    assert isinstance(argument, int)
    machine.push(machine.memo[argument])


def _put(machine: _Machine, argument: object) -> None:
    assert isinstance(argument, int)
    machine.memo[argument] = machine.stack[-1]


def _memoize(machine: _Machine, _: object) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _global(machine: _Machine, argument: object) -> None:
    module, _, name = str(argument).partition(" ")
    machine.name(module, name)


def _stack_global(machine: _Machine, _: object) -> None:
    name, module = machine.pop(), machine.pop()
    machine.name(module, name)


def _reduce(machine: _Machine, _: object) -> None:
    arguments, function = machine.pop(), machine.pop()
    machine.push(machine.call(function, arguments))


def _new(machine: _Machine, _: object) -> None:
    arguments, kind = machine.pop(), machine.pop()
    machine.push(machine.call(kind, arguments))


def _new_with_names(machine: _Machine, _: object) -> None:
    machine.pop()
    machine.pop()
    machine.pop()
    machine.push(INERT)


def _instance(machine: _Machine, _: object) -> None:
    machine.pop_marked()
    machine.push(INERT)


def _build(machine: _Machine, _: object) -> None:
    machine.pop()  # the state; what it would have been given to keeps what it has


def _persistent(machine: _Machine, _: object) -> None:
    machine.push(machine.persistent(machine.pop()))


_LITERALS = (
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING "
    "BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8"
)
_ACTS: dict[str, _Act] = {
    **dict.fromkeys(_LITERALS.split(), _literal),
    **dict.fromkeys(("PROTO", "FRAME", "READONLY_BUFFER"), _nothing),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4", "PERSID"), _constant(INERT)),
    **dict.fromkeys(("INST", "OBJ"), _instance),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "MARK": _constant(MARK),
    "EMPTY_TUPLE": _constant(()),
    "EMPTY_LIST": _fresh(list),
    "EMPTY_DICT": _fresh(dict),
    "EMPTY_SET": _constant(INERT),
    "FROZENSET": _marked(lambda _: INERT),
    "LIST": _marked(lambda items: items),
    "TUPLE": _marked(tuple),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "DICT": _dict,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "APPEND": _append,
    "APPENDS": _appends,
    "ADDITEMS": _add_items,
    "POP": _pop,
    "DUP": _dup,
    "POP_MARK": _pop_mark,
    "GET": _get,
    "BINGET": _get,
    "LONG_BINGET": _get,
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": _memoize,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _new,
    "NEWOBJ_EX": _new_with_names,
    "BUILD": _build,
    "BINPERSID": _persistent,
}
