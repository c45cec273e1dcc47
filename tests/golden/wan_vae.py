"""The causal VAE's recorded cases, as Wan and FlashVSR's full mode call it."""

from typing import Any

import torch
from torch import Tensor

from engine.models.wan.config import VaeConfig
from engine.models.wan.vae import (
    DECODER_TENSORS,
    Tiles,
    Vae,
    VaeDecoder,
    decode,
    decode_stream,
    encode,
)
from engine.models.weights import load_strict, part
from tests.golden.case import Case
from tests.golden.registry import runs


@runs("wan_vae_encode")
def run_encode(case: Case) -> dict[str, Tensor]:
    """Latents of the first so many frames; an output's name says how many."""
    vae = _whole(case)
    video = _batched(case.inputs["video"])
    return {
        name: encode(vae, video[:, :, : _count(name)])[0]
        for name in case.about["outputs"]
        if name.startswith("latent_")
    }


@runs("wan_vae_decode")
def run_decode(case: Case) -> dict[str, Tensor]:
    """Frames of the first so many latents, not clamped; an output's name counts its frames."""
    vae = _whole(case)
    latents = _batched(case.inputs["latent"])
    period = vae.config.period
    outputs = {}
    for name in case.about["outputs"]:
        count = 1 + (_count(name) - 1) // period
        parts = decode_stream(vae, torch.split(latents[:, :, :count], 1, dim=2))
        outputs[name] = torch.cat(list(parts), dim=2)[0]
    return outputs


@runs("wan_vae_tiled")
def run_tiled(case: Case) -> dict[str, Tensor]:
    """Both ways in tiles."""
    vae = _whole(case)
    tiles = Tiles(*case.config["tile"], *case.config["stride"])
    outputs = {}
    if "latent" in case.inputs:
        outputs["decoded"] = decode(vae, _batched(case.inputs["latent"]), tiles=tiles)[0]
    if "video" in case.inputs:
        outputs["encoded"] = encode(vae, _batched(case.inputs["video"]), tiles=tiles)[0]
    return {name: case.sampled(name, value) for name, value in outputs.items()}


@runs("flashvsr_vae_decode")
def run_flashvsr_decode(case: Case) -> dict[str, Tensor]:
    """Latents come in the pieces that the stream of the upscaler gives."""
    vae = _decoder(case)
    latents = case.inputs["latents"]
    pieces = torch.split(latents, case.config.get("latent_split", 1), dim=2)
    frames = torch.cat(list(decode_stream(vae, pieces)), dim=2)
    clamped = decode(vae, latents)
    return {"frames": case.sampled("frames", frames), "clamped_std": clamped.std()[None]}


@runs("flashvsr_vae_tiled")
def run_flashvsr_tiled(case: Case) -> dict[str, Tensor]:
    """Full mode's tiled option."""
    config = case.config
    tiles = Tiles(*config["tile_size_latent"], *config["tile_stride_latent"])
    frames = decode(_decoder(case), case.inputs["latents"], tiles=tiles)
    return {"frames": case.sampled("frames", frames)}


def vae_config(config: dict[str, Any]) -> VaeConfig:
    """The sizes of a case; what it leaves out is as published."""
    sizes: dict[str, Any] = {
        k: config[k] for k in ("dim", "z_dim", "num_res_blocks") if k in config
    }
    if "dim_mult" in config:
        sizes["dim_mult"] = tuple(config["dim_mult"])
    if "temporal_upsample" in config:  # the decoder's order
        sizes["temporal_downsample"] = tuple(reversed(config["temporal_upsample"]))
    return VaeConfig(**sizes)


def _whole(case: Case) -> Vae:
    return load_strict(lambda: Vae(vae_config(case.config)), case.weights(), case.name)


def _decoder(case: Case) -> VaeDecoder:
    """A case may bring the whole file; full mode uses this half of it."""
    tensors = part(case.weights(), DECODER_TENSORS)
    return load_strict(lambda: VaeDecoder(vae_config(case.config)), tensors, case.name)


def _batched(clip: Tensor) -> Tensor:
    """(C, T, H, W), as the cases write a clip, with the batch of one that models take."""
    return clip[None] if clip.ndim == 4 else clip


def _count(name: str) -> int:
    return int(name.rsplit("_", 1)[1])
