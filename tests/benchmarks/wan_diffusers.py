"""Wan in diffusers, with our random weights: the reference that runs beside ours.

It is no part of what the application needs: where it cannot be imported, its rows are left out.
"""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from engine.models.wan.config import VaeConfig
from engine.models.wan.names import diffusers_name
from engine.models.wan.transformer import Transformer
from engine.models.wan.vae import Vae
from engine.models.wan.vae_names import vae_tensors
from tests.benchmarks.table import Unavailable
from tests.benchmarks.wan_models import Inputs, Velocity

NAME = "diffusers"
TOKENS = 512  # of a prompt; a shorter one is filled up with zeros


def module(name: str) -> Any:
    """One of its modules. Raises Unavailable."""
    try:
        return import_module(f"diffusers.models.{name}")
    except (ImportError, RuntimeError, AttributeError) as error:  # it raises RuntimeError too
        first = str(error).strip().splitlines()[0]
        raise Unavailable(f"diffusers is not here: {first}.") from error


def version() -> str:
    """Its own, and what is said where it is not there."""
    try:
        return str(import_module("diffusers").__version__)
    except ImportError:
        return "not installed"


def transformer(ours: Transformer) -> Any:
    """As its loader makes it in the dtype of ours: tensors are shared, but for what it widens."""
    found, config = module("transformers.transformer_wan"), ours.config
    with torch.device("meta"):
        made = found.WanTransformer3DModel(
            patch_size=config.patch,
            num_attention_heads=config.heads,
            attention_head_dim=config.head_dim,
            in_channels=config.in_dim,
            out_channels=config.out_dim,
            text_dim=config.text_dim,
            freq_dim=config.freq_dim,
            ffn_dim=config.ffn_dim,
            num_layers=config.layers,
            eps=config.eps,
            image_dim=config.image_dim or None,
            added_kv_proj_dim=config.dim if config.image_dim else None,
            pos_embed_seq_len=config.image_positions or None,
        )
    device = ours.patch_embedding.weight.device
    wide = made._keep_in_fp32_modules
    state = {}
    for name, tensor in ours.state_dict().items():
        theirs = diffusers_name(name)
        assert theirs is not None, name
        is_wide = any(part in theirs.split(".") for part in wide)
        state[theirs] = tensor.float() if is_wide else tensor
    made.load_state_dict(state, strict=True, assign=True)
    made.rope = found.WanRotaryPosEmbed(config.head_dim, config.patch, 1024).to(device)
    return made.requires_grad_(False).eval()


def velocity_of(theirs: Any, inputs: Inputs, dtype: torch.dtype) -> Velocity:
    """As its pipeline calls it."""
    latents, device = inputs.latents, inputs.latents.device
    if inputs.given is not None:
        latents = torch.cat([latents, inputs.given], dim=1)
    latents = latents.to(dtype)
    texts = []
    for text in inputs.texts:
        rows = text.new_zeros(1, TOKENS, text.shape[1])
        rows[0, : len(text)] = text
        texts.append(rows.to(dtype))
    image = None if inputs.image is None else inputs.image.to(dtype)
    timestep = inputs.timestep.to(device)

    def one(role: int) -> Tensor:
        found: Tensor = theirs(
            hidden_states=latents,
            timestep=timestep,
            encoder_hidden_states=texts[role],
            encoder_hidden_states_image=image,
            return_dict=False,
        )[0]
        return found

    return one


def vae(ours: Vae, dtype: torch.dtype, is_last: bool = False) -> Any:
    """Copies in `dtype`; `is_last`: channels last."""
    found, config = module("autoencoders.autoencoder_kl_wan"), ours.config
    with torch.device("meta"):
        made = found.AutoencoderKLWan(
            base_dim=config.dim,
            z_dim=config.z_dim,
            dim_mult=list(config.dim_mult),
            num_res_blocks=config.num_res_blocks,
            temperal_downsample=list(config.temporal_downsample),
        )
    theirs, state = dict(made.state_dict()), ours.state_dict()
    names = {id(tensor): name for name, tensor in theirs.items()}
    filled = {}
    for name, tensor in vae_tensors(theirs).items():
        filled[names[id(tensor)]] = state[name].to(dtype).reshape(tensor.shape)
    made.load_state_dict(filled, strict=True, assign=True)
    if is_last:
        for layer in made.modules():
            if isinstance(layer, torch.nn.Conv3d):
                layer.weight.data = layer.weight.data.to(memory_format=torch.channels_last_3d)
    return made.requires_grad_(False).eval()


def decoded(theirs: Any, latents: Tensor, config: VaeConfig, dtype: torch.dtype) -> Tensor:
    """Frames (1, 3, F, H, W) in -1..1 of normalised latents."""
    mean, std = (torch.tensor(of, device=latents.device) for of in (config.mean, config.std))
    z = latents * std.view(1, -1, 1, 1, 1) + mean.view(1, -1, 1, 1, 1)
    found: Tensor = theirs.decode(z.to(dtype), return_dict=False)[0]
    return found
