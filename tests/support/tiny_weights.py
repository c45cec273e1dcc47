"""Checkpoints built as the published ones are, a few numbers wide, in the same file formats."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.library.signatures import Shape, signatures
from engine.library.structure import unstacked

TEXT = 20  # width of the tiny transformer's text, and of its prompt
SIZES = {  # published -> tiny
    "wan2.1_t2v_1.3b": {1536: 12, 9216: 72, 8960: 16, 4096: TEXT, 256: 8},
    "wan2.2_i2v_a14b": {5120: 12, 30720: 72, 13824: 16, 4096: TEXT, 256: 8},
    "flashvsr_projection": {2048: 10, 3072: 14, 1536: 12},
    "flashvsr_decoder": {512: 16, 256: 8, 128: 4, 1024: 32},
    "wan2.1_vae": {96: 4, 192: 8, 384: 16, 768: 32, 1152: 48},
}


def tiny(kind: str, layout: str, layers: int = 2) -> dict[str, Shape]:
    """The tensors of `kind`, with `layers` in a stack."""
    sizes = SIZES[kind]
    made = {}
    for name, shape in unstacked(signatures()[kind][layout]).items():
        small = tuple(sizes.get(axis, axis) for axis in shape)
        for layer in range(layers if "*" in name else 1):
            made[name.replace("*", str(layer))] = small
    return made


def write(
    path: Path, tensors: Mapping[str, Shape], *, bits: int = 16, mark: bytes = b"", cut: int = 0
) -> Path:
    """A safetensors file of zeros, `mark` at its end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table: dict[str, Any] = {}
    at = 0
    for name, shape in tensors.items():
        size = bits // 8
        for axis in shape:
            size *= axis
        dtype = {8: "F8_E4M3", 16: "BF16", 32: "F32"}[bits]
        table[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(table).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at - cut)
        if mark:
            file.seek(-len(mark), 2)
            file.write(mark)
    return path


def torch_file(path: Path, tensors: Mapping[str, Shape]) -> Path:
    """The same as PyTorch saves it; a lone tensor, named "", without a name."""
    torch = pytest.importorskip("torch")
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {name: torch.zeros(shape, dtype=torch.bfloat16) for name, shape in tensors.items()}
    torch.save(made.get("", made), path)
    return path


def flashvsr(folder: Path, *, prompt: Path | None = None, vae: bool = False) -> Path:
    """The folder as it is published; `prompt`: elsewhere than beside the others."""
    tensors = tiny("wan2.1_t2v_1.3b", "wan")
    write(folder / "diffusion_pytorch_model_streaming_dmd.safetensors", tensors, bits=32)
    torch_file(folder / "LQ_proj_in.ckpt", tiny("flashvsr_projection", "flashvsr"))
    torch_file(folder / "TCDecoder.ckpt", tiny("flashvsr_decoder", "flashvsr"))
    torch_file(prompt or folder / "posi_prompt.pth", {"": (1, 6, TEXT)})
    if vae:
        torch_file(folder / "Wan2.1_VAE.pth", tiny("wan2.1_vae", "wan"))
    return folder
