"""Recorded cases: config, inputs, weights made from their names, and the outputs to match."""

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

SLICES = re.compile(r"\[((?:\.\.\.|:)\s*,[^\]]*:[^\]]*)\]")


def fill(key: str, shape: Sequence[int], seed: int = 0) -> NDArray[np.float32]:
    """The float32 values that every case uses for the tensor called `key`.

    RandomState of crc32("seed:key"): matrices and kernels are normal / sqrt(fan in); vectors and
    scalars are 1 + n / 10 for a gain (named weight, gamma, scale), n / 10 for a bias.
    """
    stream = np.random.RandomState(zlib.crc32(f"{seed}:{key}".encode()))
    normal = stream.standard_normal(tuple(shape)).astype(np.float32)
    if sum(size != 1 for size in shape) >= 2:
        gain = np.float32(max(prod(shape[1:]), 1) ** -0.5)
        return np.asarray(normal * gain, np.float32)
    small = np.float32(0.1) * normal
    is_gain = key.endswith(("weight", "gamma", "scale"))
    return np.asarray(1 + small if is_gain else small, np.float32)


@dataclass(frozen=True)
class Case:
    """One recorded case. `about` is its whole case.json; `expected` may be empty."""

    name: str
    about: dict[str, Any]
    inputs: dict[str, Tensor]
    expected: dict[str, Tensor]

    @property
    def config(self) -> dict[str, Any]:
        """The sizes and settings of the case."""
        config: dict[str, Any] = self.about["config"]
        return config

    @property
    def seed(self) -> int:
        """The seed of its made tensors."""
        return int(self.about.get("seed", 0))

    def weights(self, prefix: str = "") -> dict[str, Tensor]:
        """The made weights whose name starts with `prefix`, under their names without it."""
        return {
            name.removeprefix(prefix): torch.from_numpy(fill(name, shape, self.seed))
            for name, shape in self.about["tensors"].items()
            if name.startswith(prefix)
        }

    def sampled(self, output: str, value: Tensor) -> Tensor:
        """`value` as the description of `output` samples it: "[..., 1::3, 0::2]" and the like."""
        found = SLICES.search(self.described(output))
        return value if found is None else value[parsed_slices(found[1])]

    def described(self, output: str) -> str:
        """What case.json says of an output: "chunk2.y" may stand there as "chunkN.y (N>0)"."""
        texts: dict[str, str] = self.about["outputs"]
        if output in texts:
            return texts[output]
        pattern = re.sub(r"\d+", "N", output, count=1)
        for key, text in texts.items():
            names = [name.strip().split(" ")[0] for name in key.split("/")]
            if output in names or pattern in names:
                return text
        return ""


def parsed_slices(text: str) -> tuple[Any, ...]:
    """The index that "..., 1::3, ::2" writes."""
    index: list[Any] = []
    for part in (part.strip() for part in text.split(",")):
        if part == "...":
            index.append(...)
        else:
            index.append(slice(*(int(n) if n.strip() else None for n in part.split(":"))))
    return tuple(index)


def read_case(folder: Path) -> Case:
    """The case in `folder`: case.json and io.safetensors."""
    about = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    arrays = load_file(folder / "io.safetensors")
    inputs = {k.removeprefix("in."): v for k, v in arrays.items() if k.startswith("in.")}
    for key, how in about.get("made", {}).items():
        shape = how["shape"]
        flat = fill(f"in.{key}", [prod(shape)], int(about.get("seed", 0)))
        made = np.asarray(np.float32(10 * how["std"]) * flat, np.float32)
        inputs[key] = torch.from_numpy(made.reshape(shape))
    expected = {k.removeprefix("out."): v for k, v in arrays.items() if k.startswith("out.")}
    return Case(folder.name, about, inputs, expected)
