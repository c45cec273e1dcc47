"""FlashVSR's published files to models, strictly; sizes are read from shapes.

A checkpoint of other widths loads too, if its files are built as the published ones.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from engine.errors import WeightsError
from engine.models.flashvsr.config import (
    DECODERS,
    PROJECTORS,
    TRANSFORMERS,
    DecoderConfig,
    ProjectorConfig,
    Rule,
    TransformerConfig,
)
from engine.models.flashvsr.decoder import TinyDecoder
from engine.models.flashvsr.pipeline import Models
from engine.models.flashvsr.projector import Projector
from engine.models.flashvsr.transformer import LARGE_LINEARS, Transformer
from engine.models.linear import to_fp8
from engine.models.wan.vae import VaeDecoder
from engine.models.wan.weights import load_vae_decoder, vae_config
from engine.models.weights import chosen, count_of, fill, load_strict, read_tensors, shape_of

Dtype = torch.dtype | None
Mode = Literal["tiny", "full"]

PARTS: dict[str, tuple[str, ...]] = {
    "tiny": ("transformer", "projection", "prompt", "decoder"),
    "full": ("transformer", "projection", "prompt", "vae"),
}
# What the condition needs: its own layers, and the type and place of the patch embedding.
FOR_CONDITION = re.compile(
    r"(text_embedding|time_embedding|time_projection|patch_embedding)\.|.*\.cross_attn\.(k|v|norm_k)\."
)
HEAD = 128  # channels of a head, where nothing tells how many heads there are


def load(
    files: Mapping[str, Path],
    rule: Rule,
    mode: str,
    device: torch.device | str,
    dtype: Dtype,
    attention_mode: str = "sdpa",
    is_narrow: bool = False,
) -> Models:
    """The models of a mode, "tiny" or "full", from the files of its parts (see PARTS).

    `rule` goes with the weights: their files do not tell. A config.json beside the transformer
    tells its heads. The condition is made here, once, and the layers for it are dropped. What is
    missing, damaged or of another model is a WeightsError.
    is_narrow: the transformer's large linear layers in 8 bits.
    """
    for name in PARTS[mode]:
        if name not in files:
            raise WeightsError(
                f"FlashVSR needs its {name}, and no file was named for it.",
                "Name its folder among the folders of weights, or get it.",
            )
    device = torch.device(device)
    tensors = read_tensors(files["transformer"])
    config_ = transformer_config(tensors, _about(files["transformer"]))
    transformer = load_transformer(tensors, config_, str(files["transformer"]))
    projector = _projector(files["projection"], rule, dtype, device)
    decoder: TinyDecoder | VaeDecoder
    if mode == "tiny":
        stored = read_tensors(files["decoder"])
        config = decoder_config(stored)
        decoder = load_decoder(stored, config, str(files["decoder"]), dtype)
        latents, path = config.latent_channels, files["decoder"]
    else:
        stored = read_tensors(files["vae"])
        vae = vae_config(stored)
        decoder = load_vae_decoder(stored, vae, str(files["vae"]), dtype)
        latents, path = vae.z_dim, files["vae"]
    _fit(files["projection"], "tokens", projector.config.out_dim, config_.dim)
    _fit(path, "latents", latents, config_.out_dim)
    prompt = _prompt(files["prompt"], config_.text_dim)
    # First what makes the condition, which then goes; so it leaves few gaps among what stays.
    first = [name for name in tensors if FOR_CONDITION.match(name)]
    fill(transformer, chosen(tensors, first), dtype, device)
    shared = transformer.settle(prompt, device)
    stays = [name for name in tensors if name not in first]
    fill(transformer, chosen(tensors, stays), dtype, device)
    if is_narrow:
        to_fp8(transformer, *LARGE_LINEARS)
    transformer.attend_by(attention_mode)
    return Models(transformer, projector, decoder.to(device), prompt, shared)


def transformer_config(
    tensors: Mapping[str, Tensor], about: Mapping[str, Any] | None = None
) -> TransformerConfig:
    """Sizes by the shapes; heads by `about` (a config.json), else of 128 channels each.

    A size whose tensor is missing is the published one: the strict loader tells what is missing.
    """
    usual, about = TRANSFORMERS["flashvsr"], about or {}
    embedding = shape_of(tensors, "patch_embedding.weight", (usual.dim, usual.in_dim, *usual.patch))
    dim, in_dim, t, h, w = embedding
    out = shape_of(tensors, "head.head.weight", (usual.out_dim * t * h * w, dim))
    heads = about.get("num_heads", max(1, dim // HEAD))
    if not isinstance(heads, int) or heads < 1 or dim % heads or (dim // heads) % 2:
        raise WeightsError(
            f"{heads} heads cannot share the transformer's {dim} channels.",
            "The config.json beside the weights may be of another model.",
        )
    return TransformerConfig(
        dim,
        heads,
        shape_of(tensors, "blocks.0.ffn.0.weight", (usual.ffn_dim, dim))[0],
        in_dim,
        out[0] // (t * h * w),
        shape_of(tensors, "text_embedding.0.weight", (dim, usual.text_dim))[1],
        shape_of(tensors, "time_embedding.0.weight", (dim, usual.freq_dim))[1],
        count_of(tensors, "blocks.", usual.layers),
        patch=(t, h, w),
    )


def projector_config(tensors: Mapping[str, Tensor], rule: Rule) -> ProjectorConfig:
    """Sizes by the shapes, as of the transformer."""
    usual = PROJECTORS["flashvsr_v1"]
    pixels = usual.patch[0] * usual.patch[1]
    first = shape_of(tensors, "conv1.weight", (usual.hidden1, usual.channels * pixels, 4, 3, 3))
    second = shape_of(tensors, "conv2.weight", (usual.hidden2, first[0], 4, 3, 3))
    linear = shape_of(tensors, "linear_layers.0.weight", (usual.out_dim, second[0]))
    return ProjectorConfig(
        rule,
        first[1] // pixels,
        usual.patch,
        first[0],
        second[0],
        linear[0],
        count_of(tensors, "linear_layers.", usual.layers),
    )


def decoder_config(tensors: Mapping[str, Tensor]) -> DecoderConfig:
    """Sizes by the shapes, as of the transformer."""
    usual = DECODERS["flashvsr_tcdecoder"]
    a, b, c, d = usual.channels
    condition = usual.condition_channels
    wide, inputs = shape_of(tensors, "decoder.1.weight", (a, condition + 16, 3, 3))[:2]
    widths = [
        shape_of(tensors, f"decoder.{layer}.weight", (width, 1, 3, 3))[0]
        for layer, width in ((10, b), (16, c), (22, d))
    ]
    return DecoderConfig((wide, widths[0], widths[1], widths[2]), inputs - condition, condition)


def load_transformer(
    tensors: Mapping[str, Tensor], config: TransformerConfig, file: str = "", dtype: Dtype = None
) -> Transformer:
    """diffusion_pytorch_model_streaming_dmd.safetensors."""
    return load_strict(lambda: Transformer(config), tensors, file, dtype)


def load_projector(
    tensors: Mapping[str, Tensor],
    config: ProjectorConfig,
    file: str = "",
    dtype: Dtype = None,
    device: torch.device | None = None,
) -> Projector:
    """LQ_proj_in.ckpt. The rule, v1 or v1.1, is in the config: the file does not tell."""
    projector = load_strict(lambda: Projector(config), tensors, file, dtype, device)
    projector.arrange()
    return projector


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


def _projector(path: Path, rule: Rule, dtype: Dtype, device: torch.device) -> Projector:
    tensors = read_tensors(path)
    return load_projector(tensors, projector_config(tensors, rule), str(path), dtype, device)


def _prompt(path: Path, text_dim: int) -> Tensor:
    tensors = read_tensors(path)
    prompt = tensors.get("")
    if prompt is None or prompt.dim() != 3 or prompt.shape[0] != 1 or prompt.shape[2] != text_dim:
        found = "tensors with names" if prompt is None else f"shape {list(prompt.shape)}"
        raise WeightsError(
            f"{path} is not FlashVSR's prompt: it holds {found}, expected [1, any, {text_dim}].",
            "The file is posi_prompt.pth of FlashVSR's own repository.",
        )
    return prompt


def _about(path: Path) -> dict[str, Any]:
    """The config.json beside a file of weights; empty where there is none."""
    beside = path.with_name("config.json")
    if not beside.is_file():
        return {}
    try:
        about = json.loads(beside.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{beside} cannot be read: {error}.", "Get it again.") from error
    return about if isinstance(about, dict) else {}


def _fit(path: Path, what: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise WeightsError(
            f"{path}: its {what} have {found} channels, the transformer's have {wanted}.",
            "Both must be of one model.",
        )
