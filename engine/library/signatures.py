"""Which tensors each published model has, kept small: resources/catalog.json.

`{"KIND": {"LAYOUT": {"blocks.{0-29}.ffn.0.bias": [8960], …}}}`. A layout is one way to name the
tensors: `wan` as first published, `diffusers` and `hf` as Hugging Face's libraries rename them.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache

import msgspec

import resources

Shape = tuple[int, ...]
Signature = Mapping[str, Shape]

_RUN = re.compile(r"\{([0-9,-]+)\}")
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


@cache
def signatures() -> Mapping[str, Mapping[str, Signature]]:
    """Kind -> layout -> tensor name -> shape."""
    data = resources.path("catalog.json").read_bytes()
    kinds = msgspec.json.decode(data, type=dict[str, dict[str, dict[str, list[int]]]])
    return {
        kind: {layout: unfolded(folded) for layout, folded in layouts.items()}
        for kind, layouts in kinds.items()
    }


def unfolded(folded: Mapping[str, list[int]]) -> dict[str, Shape]:
    """The tensors one by one."""
    return {name: tuple(shape) for key, shape in folded.items() for name in _names(key)}


def folded(tensors: Mapping[str, Shape]) -> dict[str, list[int]]:
    """The inverse of `unfolded`: tensors alike in all but one number share an entry."""
    runs: dict[tuple[str, str, Shape], list[int]] = {}
    alone: list[tuple[str, Shape]] = []
    for name, shape in tensors.items():
        found = _NUMBER.search(name)
        if found is None:
            alone.append((name, shape))
        else:
            key = (name[: found.start()], name[found.end() :], shape)
            runs.setdefault(key, []).append(int(found[0]))
    made = {name: list(shape) for name, shape in alone}
    for (before, after, shape), numbers in runs.items():
        made[f"{before}{_written(sorted(numbers))}{after}"] = list(shape)
    return made


def _written(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return str(numbers[0])
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return "{" + ",".join(f"{a}-{b}" if a < b else str(a) for a, b in spans) + "}"


def _names(key: str) -> Iterator[str]:
    found = _RUN.search(key)
    if found is None:
        yield key
        return
    for span in found[1].split(","):
        first, _, last = span.partition("-")
        for number in range(int(first), int(last or first) + 1):
            yield f"{key[: found.start()]}{number}{key[found.end() :]}"
