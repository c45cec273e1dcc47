"""Whether tensors are built as a published model is, at other widths and another depth."""

import re
from collections.abc import Iterator, Mapping

from engine.library.signatures import Shape, Signature

FIXED = 48  # axes up to this are kernels, patches, channels of pictures and latents: no widths
LAYERS = 8  # so many alike make a stack, whose depth is free
FACTORS = (2, 3, 4, 6)  # by which an axis is wider than another: doubled channels, q k v in one

_NUMBER = re.compile(r"(.*?\.|)(\d+)(\..+)")


def unstacked(signature: Signature) -> dict[str, Shape]:
    """The tensors with one layer for each stack, its number written `*`. Order is kept."""
    stacks = {start: layers for start, layers in _stacks(signature) if layers >= LAYERS}
    return _without(signature, stacks)


def widths(inside: Mapping[str, Shape], signature: Signature) -> Mapping[int, int] | None:
    """Published size -> size here, where `inside` has the tensors of `signature` and no others.

    Sizes that are equal as published must be equal here. None where it is not built like that.
    """
    wanted = unstacked(signature)
    starts = {name.partition("*")[0] for name in wanted if "*" in name}
    found = dict(_stacks(inside, starts))
    if starts - found.keys() or any(not layers for layers in found.values()):
        return None
    given = _without(inside, found)
    if wanted.keys() != given.keys():
        return None
    # Of biases and the like first: they say how wide each layer is.
    names = sorted(wanted, key=lambda name: len(wanted[name]))
    sizes: dict[int, int] = {}
    for name in names:
        if len(wanted[name]) != len(given[name]):
            return None
        for published, here in zip(wanted[name], given[name], strict=True):
            if not _agrees(published, here, sizes):
                return None
    return sizes


def _agrees(published: int, here: int, sizes: dict[int, int]) -> bool:
    if published <= FIXED or here < 1:
        return published == here
    if sizes.setdefault(published, here) == here:
        return True
    parts = ((published // factor, factor) for factor in FACTORS if published % factor == 0)
    return any(sizes.get(part, 0) * factor == here for part, factor in parts)


def _stacks(
    tensors: Mapping[str, Shape], starts: set[str] | None = None
) -> Iterator[tuple[str, int]]:
    """What stands before the number of a layer -> how many layers, all alike; 0 where not alike."""
    layers: dict[str, dict[int, dict[str, Shape]]] = {}
    for name, shape in tensors.items():
        parsed = _NUMBER.fullmatch(name)
        if parsed is not None and (starts is None or parsed[1] in starts):
            layers.setdefault(parsed[1], {}).setdefault(int(parsed[2]), {})[parsed[3]] = shape
    for start, by_number in layers.items():
        is_row = by_number.keys() == set(range(len(by_number)))
        is_alike = all(layer == by_number.get(0) for layer in by_number.values())
        yield start, len(by_number) if is_row and is_alike else 0


def _without(tensors: Mapping[str, Shape], stacks: Mapping[str, int]) -> dict[str, Shape]:
    made = {}
    for name, shape in tensors.items():
        parsed = _NUMBER.fullmatch(name)
        if parsed is None or parsed[1] not in stacks:
            made[name] = shape
        elif parsed[2] == "0":
            made[f"{parsed[1]}*{parsed[3]}"] = shape
    return made
