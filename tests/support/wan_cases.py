"""A recorded run of the whole pipeline as files that the command line takes."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.golden.case import Case


@dataclass(frozen=True)
class Written:
    """The arguments of `generate` for a case."""

    arguments: list[str]
    words: str
    negative: str


def write_case(case: Case, folder: Path) -> Written:
    """The case's weights as a checkpoint, its pieces as words, its noise and picture as files.

    Heads cannot be told by shapes, so each folder has a config.json, as published ones have.
    """
    c = case.config
    parts = {"transformer": "dit", "text": "text_encoder", "vae": "vae"}
    if "clip" in c:
        parts["image"] = "clip"
    arguments = []
    for part, prefix in parts.items():
        place = folder / part
        place.mkdir(parents=True)
        tensors = case.weights(f"{prefix}/")
        if part == "transformer":
            path = place / "diffusion_pytorch_model.safetensors"
            save_file(tensors, path)
        else:
            path = place / f"{part}.pth"
            torch.save(tensors, path)
        arguments += ["--file", f"{part}={path}"]
    _write_json(folder / "transformer", {key: c["dit"][key] for key in ("num_heads", "text_len")})
    if "clip" in c:
        heads = {"num_attention_heads": c["clip"]["num_heads"]}
        _write_json(folder / "image", {"vision_config": heads})
    _write_tokenizer(folder / "text" / "tokenizer.json", c["text_encoder"]["vocab"])
    noise = folder / "noise.safetensors"
    save_file({"noise": case.inputs["noise"]}, noise)
    arguments += ["--samples", str(noise), "--steps", str(c["steps"])]
    arguments += ["--set", f"shift={c['shift']}", "--set", f"cfg={c['cfg']}"]
    arguments += ["--set", f"scheduler={c['solver']}"]
    if "image" in case.inputs:
        picture = folder / "first.png"
        _write_deep(picture, case.inputs["image"].numpy())
        arguments += ["--image", str(picture), "--area", str(c["max_area"])]
    return Written(arguments, _words(case, "ids"), _words(case, "neg_ids"))


def _write_json(folder: Path, values: dict[str, object]) -> None:
    (folder / "config.json").write_text(json.dumps(values), "utf-8")


def _write_tokenizer(path: Path, size: int) -> None:
    """One that knows a word for every piece: w2, w3, …"""
    words = {"<pad>": 0, "</s>": 1} | {f"w{number}": number for number in range(2, size)}
    made = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    path.write_text(made.to_str(), "utf-8")


def _write_deep(path: Path, values: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> None:
    """(3, H, W) in -1..1 as a PNG of 16 bits."""
    levels = np.rint((values.astype(np.float64) + 1) / 2 * 65535).astype(np.uint16)
    assert cv2.imwrite(str(path), np.ascontiguousarray(levels.transpose(1, 2, 0)[:, :, ::-1]))


def _words(case: Case, name: str) -> str:
    """Pieces without their end as words."""
    there = case.inputs[name.replace("ids", "mask")][0] > 0
    return " ".join(f"w{int(number)}" for number in case.inputs[name][0][there][:-1])
