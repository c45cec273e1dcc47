"""The recorded whole runs: words, or words and a picture, to frames, by the pipeline's stages."""

from dataclasses import replace

import torch
from torch import Tensor

from engine.models.guidance import Guidance
from engine.models.text.prompts import TextEncoder, encode_ids
from engine.models.text.tokens import Tokenizer
from engine.models.text.umt5 import UMT5Config
from engine.models.text.weights import load_umt5
from engine.models.wan.ask import Ask, Given, Influence, Means, Prompts
from engine.models.wan.denoising import Kept
from engine.models.wan.image_encoder import ImageEncoderConfig
from engine.models.wan.image_weights import load_image_encoder
from engine.models.wan.pipeline import (
    WanModels,
    conditions,
    first_latents,
    frames,
    latents,
)
from engine.models.wan.vae import Vae
from engine.models.weights import load_strict
from engine.progress import Silent
from engine.wan_rules import size_for_area
from tests.golden.case import Case
from tests.golden.registry import runs
from tests.golden.wan_dit import wan_transformer
from tests.golden.wan_vae import vae_config

Outputs = dict[str, Tensor]


@runs("wan_pipeline")
def run_pipeline(case: Case) -> Outputs:
    """A clip; from words alone also one frame of it."""
    models = wan_models(case)
    image = case.inputs.get("image")
    ask = asked(case)
    made_of = Given(first=image, noise=case.inputs["noise"][None])
    outputs = _run(models, case, ask, made_of)
    if image is None:
        one = replace(made_of, noise=case.inputs["noise"][None, :, :1])
        still = _run(models, case, replace(ask, frames=1), one)
        outputs |= {"t2i_latent": still["latents"], "t2i_image": still["frames"]}
    return outputs


def asked(case: Case) -> Ask:
    """What the case's config says."""
    c, noise = case.config, case.inputs["noise"]
    width, height = noise.shape[-1] * 8, noise.shape[-2] * 8
    if "max_area" in c:
        image = case.inputs["image"]
        width, height = size_for_area(c["max_area"], image.shape[-1], image.shape[-2])
    return Ask(
        width=width,
        height=height,
        frames=c.get("frames", 4 * noise.shape[1] - 3),
        steps=c["steps"],
        shift=c["shift"],
        sampler=c["solver"],
        guidance=Guidance(scale=c["cfg"]),
    )


def wan_models(case: Case) -> WanModels:
    """All parts of a case; what its config leaves out is told by the tensors."""
    c = case.config
    text = c["text_encoder"]
    sizes = UMT5Config(
        vocab=text["vocab"],
        dim=text["dim"],
        dim_attn=text["dim_attn"],
        dim_ffn=text["dim_ffn"],
        heads=text["num_heads"],
        layers=text["num_layers"],
        buckets=text["num_buckets"],
        max_distance=text.get("max_distance", 128),
    )
    encoder = load_umt5(case.weights("text_encoder/"), sizes, case.name)
    image = None
    if "clip" in c:
        clip = c["clip"]
        image = load_image_encoder(
            case.weights("clip/"),
            ImageEncoderConfig(
                image=clip["image_size"],
                patch=clip["patch_size"],
                dim=clip["dim"],
                dim_mlp=round(clip["dim"] * clip.get("mlp_ratio", 4)),
                heads=clip["num_heads"],
                layers=clip["num_layers"],
            ),
            case.name,
        )
    return WanModels(
        transformer_model=wan_transformer(case.weights("dit/"), c["dit"], case.name),
        vae_model=load_strict(lambda: Vae(vae_config(c["vae"])), case.weights("vae/"), case.name),
        # A case gives pieces, not words.
        text_encoder=TextEncoder(encoder, Tokenizer(lambda _: [], sizes.vocab, case.name)),
        image_encoder=image,
    )


def _ids(case: Case, name: str) -> list[int]:
    there = case.inputs[name.replace("ids", "mask")][0] > 0
    return [int(number) for number in case.inputs[name][0][there]]


def _run(models: WanModels, case: Case, ask: Ask, made_of: Given) -> Outputs:
    report, means = Silent(), Means()
    with models.text() as encoder:
        rows = [encode_ids(encoder.model, _ids(case, name)) for name in ("ids", "neg_ids")]
    prompts = Prompts((rows[0],), rows[1])
    config = models.transformer_model.config
    made = conditions(models, ask, made_of, Influence(), means, report, config)
    begin = first_latents(ask, made_of, made, config.out_dim)
    steps: list[Kept] = []
    found = latents(models, ask, prompts, made, begin, means, report, steps.append)
    outputs = {
        "context": rows[0],
        "neg_context": rows[1],
        "latents_first_step": steps[0].state.latents[0],
        "latents": found[0],
        "frames": torch.cat(list(frames(models, found, means, report)), dim=1),
    }
    if made.tokens is not None:
        outputs["clip_tokens"] = made.tokens
    if made.given is not None:
        outputs["y"] = made.given[0]
    return outputs
