"""Recorded conditions of pictures: their size, and the mask and latents that the model is given."""

import torch
from torch import Tensor

from engine.models.wan.conditioning import picture_condition, resized
from engine.models.wan.vae import Vae
from engine.models.weights import load_strict
from engine.wan_rules import size_for_area
from tests.golden.case import Case
from tests.golden.registry import runs
from tests.golden.wan_vae import vae_config


@runs("wan_i2v_condition")
def run_condition(case: Case) -> dict[str, Tensor]:
    """One picture, and two."""
    vae = load_strict(lambda: Vae(vae_config(case.config)), case.weights(), case.name)
    first, last = case.inputs["first"], case.inputs["last"]
    width, height = size_for_area(case.config["max_area"], first.shape[-1], first.shape[-2])
    frames = case.config["frames"]
    start, end = resized(first, height, width), resized(last, height, width)
    return {
        "size": torch.tensor([height, width], dtype=torch.float32),
        "resized": start,
        "i2v_y": picture_condition(vae, frames, start)[0],
        "flf_y": picture_condition(vae, frames, start, end)[0],
    }
