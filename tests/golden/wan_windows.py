"""Recorded windows over long clips: their lists, their weights, and the noise they share."""

import torch
from torch import Tensor

from engine.models.noise import seeded
from engine.models.windows import (
    LEAST_WEIGHT,
    Fuse,
    Window,
    fused,
    looped_windows,
    reused_noise,
    standard_windows,
    static_windows,
    window_weights,
)
from tests.golden.case import Case
from tests.golden.registry import runs


@runs("wan_context_windows")
def run_lists(case: Case) -> dict[str, Tensor]:
    """All layouts, as listed: the recorded ones may reach past the last frame."""
    outputs = {}
    for length, size, stride, overlap in case.config["sets"]:
        name = f"L{length}_c{size}"
        outputs[f"static_{name}_o{overlap}"] = table(static_windows(length, size, overlap))
        name = f"{name}_s{stride}_o{overlap}"
        for step in case.config["steps"]:
            asked = (step, length, size, stride, overlap)
            outputs[f"standard_{name}_step{step}"] = table(standard_windows(*asked))
            outputs[f"looped_{name}_step{step}"] = table(looped_windows(*asked))
    return outputs


@runs("wan_context_blend")
def run_blend(case: Case) -> dict[str, Tensor]:
    """Weights and means of static windows."""
    length, size, overlap = (case.config[name] for name in ("length", "size", "overlap"))
    windows = static_windows(length, size, overlap)
    outputs = {"windows": table(windows)}
    fuses: tuple[Fuse, ...] = ("linear", "pyramid")
    for fuse in fuses:
        for looped in (False, True):
            name = f"{fuse}_looped" if looped else fuse
            masks = [window_weights(w, length, overlap, fuse, looped) for w in windows]
            parts = iter(list(zip(windows, case.inputs["preds"], strict=True)))
            outputs[f"mask_{name}"] = torch.stack(masks)
            outputs[f"fused_{name}"] = fused(parts, length, overlap, fuse, looped)
            outputs[f"weight_{name}"] = summed(windows, masks, length)
    return outputs


@runs("wan_freenoise")
def run_freenoise(case: Case) -> dict[str, Tensor]:
    """The noise, and the frame that each came from."""
    noise = case.inputs["noise"]
    size, overlap, seed = (case.config[name] for name in ("size", "overlap", "seed"))
    numbers = torch.arange(float(noise.shape[-3]))[:, None, None]
    return {
        "shuffled": reused_noise(noise, size, overlap, seeded(seed)),
        "source_frame": reused_noise(numbers, size, overlap, seeded(seed)).flatten(),
    }


def table(windows: list[Window]) -> Tensor:
    """Windows as rows, -1 where one is shorter."""
    size = max(map(len, windows))
    rows = [[*window, *[-1] * (size - len(window))] for window in windows]
    return torch.tensor(rows, dtype=torch.float32)


def summed(windows: list[Window], masks: list[Tensor], length: int) -> Tensor:
    """The weight that falls on every frame."""
    total = torch.zeros(length)
    for window, mask in zip(windows, masks, strict=True):
        total[list(window)] += mask.clamp_min(LEAST_WEIGHT)
    return total
