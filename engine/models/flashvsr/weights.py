"""FlashVSR's published files to models, strictly."""

from collections.abc import Mapping

import torch
from torch import Tensor

from engine.models.flashvsr.config import DecoderConfig, ProjectorConfig, TransformerConfig
from engine.models.flashvsr.decoder import TinyDecoder
from engine.models.flashvsr.projector import Projector
from engine.models.flashvsr.transformer import Transformer
from engine.models.weights import load_strict

Dtype = torch.dtype | None


def load_transformer(
    tensors: Mapping[str, Tensor], config: TransformerConfig, file: str = "", dtype: Dtype = None
) -> Transformer:
    """diffusion_pytorch_model_streaming_dmd.safetensors."""
    return load_strict(lambda: Transformer(config), tensors, file, dtype)


def load_projector(
    tensors: Mapping[str, Tensor], config: ProjectorConfig, file: str = "", dtype: Dtype = None
) -> Projector:
    """LQ_proj_in.ckpt. The rule, v1 or v1.1, is in the config: the file does not tell."""
    return load_strict(lambda: Projector(config), tensors, file, dtype)


def load_decoder(
    tensors: Mapping[str, Tensor], config: DecoderConfig, file: str = "", dtype: Dtype = None
) -> TinyDecoder:
    """TCDecoder.ckpt, merged. What else the file holds, an encoder for one, is left out."""
    with torch.device("meta"):
        names = TinyDecoder(config).state_dict().keys()
    known = {name: tensor for name, tensor in tensors.items() if name in names}
    decoder = load_strict(lambda: TinyDecoder(config), known, file)
    decoder.merge()
    return decoder.to(dtype)
