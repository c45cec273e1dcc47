"""Wan's published VAE file to a model, strictly; its sizes are read from its shapes."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from engine.models.wan.config import VAE_VARIANTS, VaeConfig
from engine.models.wan.vae import DECODER_TENSORS, VaeDecoder
from engine.models.weights import load_strict, part

Dtype = torch.dtype | None


def vae_config(tensors: Mapping[str, Tensor]) -> VaeConfig:
    """Its narrowest width; all else is Wan 2.1's. What does not fit, the strict loader tells."""
    published = VAE_VARIANTS["wan2.1_vae"]
    head = tensors.get("decoder.head.2.weight")
    return published if head is None or head.dim() != 5 else replace(published, dim=head.shape[1])


def load_vae_decoder(
    tensors: Mapping[str, Tensor], config: VaeConfig, file: str = "", dtype: Dtype = None
) -> VaeDecoder:
    """Wan2.1_VAE.pth, the half that decodes. The other half may be there or not."""
    return load_strict(lambda: VaeDecoder(config), part(tensors, DECODER_TENSORS), file, dtype)
