"""Checkpoints in the published file formats with random weights and small widths."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from engine.models.flashvsr.config import DecoderConfig, ProjectorConfig, TransformerConfig
from engine.models.flashvsr.decoder import TinyDecoder
from engine.models.flashvsr.projector import Projector
from engine.models.flashvsr.transformer import Transformer
from engine.models.wan.config import VaeConfig
from engine.models.wan.vae import Vae

TRANSFORMER = "diffusion_pytorch_model_streaming_dmd.safetensors"
PROJECTION, DECODER, VAE = "LQ_proj_in.ckpt", "TCDecoder.ckpt", "Wan2.1_VAE.pth"
PROMPT = "posi_prompt.pth"


def write_flashvsr(
    folder: Path, *, dim: int = 128, layers: int = 2, seed: int = 0, vae: bool = False
) -> Path:
    """The five files of FlashVSR (four without the VAE), as its publishers name them."""
    folder.mkdir(parents=True, exist_ok=True)
    transformer = TransformerConfig(
        dim=dim, heads=dim // 128, ffn_dim=2 * dim, text_dim=24, freq_dim=16, layers=layers
    )
    save_file(_weights(Transformer(transformer), seed), folder / TRANSFORMER)
    projector = ProjectorConfig("v1.1", hidden1=24, hidden2=32, out_dim=dim)
    torch.save(_weights(Projector(projector), seed + 1), folder / PROJECTION)
    torch.save(_weights(TinyDecoder(DecoderConfig((12, 10, 8, 6))), seed + 2), folder / DECODER)
    if vae:
        torch.save(_weights(Vae(VaeConfig(dim=8)), seed + 3), folder / VAE)
    draw = torch.Generator().manual_seed(seed + 4)
    torch.save(torch.randn(1, 8, 24, generator=draw), folder / PROMPT)
    return folder


def say_heads(folder: Path, heads: int) -> None:
    """The file that Hugging Face's folders have beside a transformer whose heads are no 128."""
    (folder / "config.json").write_text(json.dumps({"num_heads": heads}), "utf-8")


def _weights(module: nn.Module, seed: int) -> dict[str, Any]:
    """Random weights under the module's names, small enough for its results to stay in range."""
    draw = torch.Generator().manual_seed(seed)
    made = {}
    for name, tensor in module.state_dict().items():
        fan_in = max(1, tensor[0].numel()) if tensor.dim() > 1 else 16
        made[name] = torch.randn(tensor.shape, generator=draw) / fan_in**0.5
        if name.endswith(("norm_q.weight", "norm_k.weight", "norm3.weight", "gamma")):
            made[name] = 1 + 0.1 * made[name]
    return made
