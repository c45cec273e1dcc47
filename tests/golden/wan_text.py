"""The recorded cases of Wan's two encoders: text, and the picture that a clip begins with."""

import torch
from torch import Tensor

from engine.models.text.prompts import encode_ids, padded_rows
from engine.models.text.umt5 import UMT5Config
from engine.models.text.weights import load_umt5
from engine.models.wan.image_encoder import ImageEncoderConfig, encode_images, prepared
from engine.models.wan.image_weights import load_image_encoder
from tests.golden.case import Case
from tests.golden.registry import runs


@runs("wan_umt5_encoder")
def run_text(case: Case) -> dict[str, Tensor]:
    """Every position under the mask; and each prompt at its own length, then zeros."""
    config = case.config
    sizes = UMT5Config(
        vocab=config["vocab"],
        dim=config["dim"],
        dim_attn=config["dim_attn"],
        dim_ffn=config["dim_ffn"],
        heads=config["num_heads"],
        layers=config["num_layers"],
        buckets=config["num_buckets"],
        max_distance=config.get("max_distance", 128),
    )
    encoder = load_umt5(case.weights(), sizes, case.name)
    ids, mask = case.inputs["ids"].long(), case.inputs["mask"] > 0
    rows = [encode_ids(encoder, row[there].tolist()) for row, there in zip(ids, mask, strict=True)]
    context = torch.stack([padded_rows(found, ids.shape[1]) for found in rows])
    return {"hidden": encoder(ids, mask), "context": context}


@runs("wan_clip_vision")
def run_picture(case: Case) -> dict[str, Tensor]:
    """One picture, squashed; what the last block would add is recorded too."""
    config = case.config
    sizes = ImageEncoderConfig(
        image=config["image_size"],
        patch=config["patch_size"],
        dim=config["dim"],
        dim_mlp=round(config["dim"] * config.get("mlp_ratio", 4)),
        heads=config["num_heads"],
        layers=config["num_layers"],
    )
    encoder = load_image_encoder(case.weights(), sizes, case.name)
    image = case.inputs["image"]
    pixels = prepared(image[None], sizes.image)
    return {
        "pixels": pixels,
        "tokens": encode_images(encoder, [image]),
        "last": encoder(pixels, blocks=sizes.layers),
    }
