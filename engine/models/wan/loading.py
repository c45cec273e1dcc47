"""The files of a Wan model to its parts: whatever layout they have, and only if they fit together.

A set of files is the transformer, the text encoder, the VAE and, for models that look at pictures,
the image encoder. Wan 2.2 has two transformers, for high noise and then for low.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.errors import WeightsError
from engine.models.eight_bits import eight_bits, load_eight_bits
from engine.models.lora import Lora, LoraUse, read_lora, shapes_of
from engine.models.resident import Key, key_of
from engine.models.text.prompts import TextEncoder
from engine.models.text.tokens import Tokenizer, find_tokenizer
from engine.models.text.umt5 import UMT5
from engine.models.text.weights import umt5_config, umt5_tensors
from engine.models.wan.config import TransformerConfig, VaeConfig
from engine.models.wan.experts import HIGH, LOW, SECOND, TITLES, expert_of, is_pair
from engine.models.wan.image_encoder import ImageEncoder, ImageEncoderConfig
from engine.models.wan.image_weights import (
    image_encoder_config,
    image_encoder_tensors,
    load_image_encoder,
)
from engine.models.wan.names import published, refuse_others
from engine.models.wan.pipeline import WanModels
from engine.models.wan.quantised import load_quantised
from engine.models.wan.transformer import Transformer
from engine.models.wan.vae import Vae
from engine.models.wan.vae_names import vae_tensors
from engine.models.wan.weights import (
    about,
    load_transformer,
    transformer_config,
    vae_config,
    variants,
)
from engine.models.weights import load_strict, read_tensors

PARTS = ("transformer", "low", "text", "image", "vae")
TOKEN = "patch_embedding.weight"

Device = torch.device | str | None
Files = Mapping[str, Path]


@dataclass(frozen=True)
class Facts:
    """What the headers of a set of files tell. `variant`: as published, "" for other sizes.

    `is_pair`: there are two experts, of one config.
    """

    transformer: TransformerConfig
    variant: str
    image: ImageEncoderConfig | None
    is_pair: bool = False

    @property
    def modes(self) -> tuple[str, ...]:
        """What can be made: "t2v", "t2i", "v2v", "i2v", "flf2v"."""
        config = self.transformer
        if config.in_dim == config.out_dim:
            return ("t2v", "t2i", "v2v")
        return ("flf2v",) if config.image_positions else ("i2v", "flf2v")


class LoraFile(NamedTuple):
    """A LoRA as a person chooses it: a strength, or one for each step; in some blocks or all.

    `expert`: HIGH or LOW, "" for both.
    """

    path: Path
    strength: float | tuple[float, ...] = 1.0
    blocks: frozenset[int] | None = None
    expert: str = ""


def facts(files: Files, family: str = "") -> Facts:
    """Of a set of files, by their headers alone.

    `family`: that they were chosen for; for one of Wan 2.1 a file may be called like an expert.
    Raises WeightsError for a file of another model, and for parts that do not fit together.
    """
    path = _path(files, "transformer")
    config = _config(path)
    has_both = SECOND in files
    _check_pair(files, config, family)
    if has_both and _config(files[SECOND]) != config:
        raise WeightsError(
            f"{path.name} and {files[SECOND].name} do not belong together: their sizes differ.",
            "Choose both experts of one model of Wan 2.2.",
        )
    text = _path(files, "text")
    _fit(text, umt5_config(umt5_tensors(read_tensors(text), str(text))).dim, path, config.text_dim)
    image = None
    if config.image_dim:
        eyes = _path(files, "image")
        named = image_encoder_tensors(read_tensors(eyes), str(eyes))
        image = image_encoder_config(named, _eyes_about(eyes))
        _fit(eyes, image.dim, path, config.image_dim)
    _check_vae(_path(files, "vae"))
    return Facts(config, _variant(config, path, has_both), image, has_both)


def _check_pair(files: Files, config: TransformerConfig, family: str) -> None:
    """Raises WeightsError where an expert of Wan 2.2 lacks the other, or is in its place.

    A person may know a file better than its name: where one alone speaks against it, it is taken.
    """
    path, roles = files["transformer"], {part: expert_of(files[part]) for part in files}
    if SECOND not in files:
        is_called_so = roles["transformer"] and not family.startswith("wan2.1")
        if is_called_so or config.is_expert_of_pictures or is_pair(family):
            lacks = TITLES[HIGH if roles["transformer"] == LOW else LOW]
            raise WeightsError(
                f"{path} is an expert of Wan 2.2, which is run in a pair: the {lacks} is missing.",
                f"Choose the {lacks} of the same model beside it.",
            )
        return
    hint = f"Choose the {TITLES[HIGH]} and the {TITLES[LOW]} of one model."
    if path.absolute() == files[SECOND].absolute():
        raise WeightsError(f"{path} is chosen for both experts of Wan 2.2.", hint)
    first, second = roles["transformer"], roles[SECOND]
    if first and first == second:
        raise WeightsError(
            f"{path} and {files[SECOND]} both are the {TITLES[first]} of Wan 2.2.", hint
        )
    if (first, second) == (LOW, HIGH):
        raise WeightsError(
            f"{path} is the {TITLES[LOW]} of Wan 2.2, and {files[SECOND]} the {TITLES[HIGH]}: they "
            "are in each other’s place.",
            "Exchange them.",
        )


def _config(path: Path) -> TransformerConfig:
    """Of a transformer that can be run. Raises WeightsError."""
    tensors = _transformer_tensors(path)
    if TOKEN not in tensors:
        raise WeightsError(
            f"{path} is no transformer of Wan: it has no {TOKEN}.",
            "Choose a text-to-video, image-to-video or first-and-last-frame model of Wan.",
        )
    config = transformer_config(tensors, about(path))
    if config.out_dim != VaeConfig().z_dim:
        raise WeightsError(
            f"{path} is Wan 2.2 TI2V 5B or like it: it makes {config.out_dim} channels, for a VAE "
            "that is not supported.",
            "Choose a model of Wan 2.1, or Wan 2.2 A14B.",
        )
    return config


def load(
    files: Files,
    device: torch.device | str,
    dtype: torch.dtype,
    *,
    vae_dtype: torch.dtype | None = None,
    quantization: str = "disabled",
    waits: bool = False,
) -> WanModels:
    """All parts. Where they wait, each comes to `device` only for its stage."""
    known = facts(files)
    place = None if waits else device
    return WanModels(
        transformer_model=load_diffusion(files["transformer"], dtype, place, quantization),
        vae_model=load_vae(files["vae"], vae_dtype or dtype, place),
        text_encoder=load_text(files["text"], dtype, place),
        image_encoder=load_image(files["image"], dtype, place) if known.image else None,
        low_model=load_diffusion(files[SECOND], dtype, place, quantization)
        if known.is_pair
        else None,
        device=torch.device(device),
    )


def load_diffusion(
    path: Path,
    dtype: torch.dtype,
    device: Device = None,
    quantization: str = "disabled",
    merged: Sequence[LoraUse] = (),
) -> Transformer:
    """The transformer, LoRAs merged into it; what a file has in 8 bits stays so."""
    tensors = _transformer_tensors(path)
    config = transformer_config(tensors, about(path))
    if merged or quantization != "disabled" or eight_bits(tensors) is not None:
        return load_quantised(
            tensors, config, str(path), dtype, device, quantization=quantization, loras=merged
        )
    return load_transformer(tensors, config, str(path), dtype, device)


def lora_uses(chosen: Sequence[LoraFile], config: TransformerConfig) -> list[LoraUse]:
    """LoRAs for a transformer of these sizes. Raises WeightsError for one that does not fit."""
    try:
        keys = [key_of([one.path], None, "cpu") for one in chosen]
    except OSError as error:
        raise WeightsError(
            f"{error.filename} cannot be read: {error.strerror}.", "Is the file still there?"
        ) from error
    return [
        LoraUse(_lora(key, config), one.strength, one.blocks)
        for one, key in zip(chosen, keys, strict=True)
    ]


@lru_cache(maxsize=16)
def _lora(key: Key, config: TransformerConfig) -> Lora:
    """Read and matched once, as long as the file is not changed; its values stay in the file."""
    path = Path(key.files[0][0])
    with torch.device("meta"):
        shapes = shapes_of(Transformer(config))
    return read_lora(read_tensors(path), shapes, path.name)


def load_text(
    path: Path, dtype: torch.dtype, device: Device = None, tokenizer: Tokenizer | None = None
) -> TextEncoder:
    """The text encoder; what a file has in 8 bits stays so. Its tokenizer is in it or near it."""
    tensors = umt5_tensors(read_tensors(path), str(path))
    config = umt5_config(tensors)
    if eight_bits(tensors) is not None:
        model = load_eight_bits(lambda: UMT5(config), tensors, str(path), dtype, device)
    else:
        model = load_strict(lambda: UMT5(config), tensors, str(path), dtype, device)
    return TextEncoder(model, tokenizer or tokenizer_of(path))


def tokenizer_of(path: Path) -> Tokenizer:
    """The tokenizer that belongs to a file of the text encoder. Raises WeightsError."""
    tensors = read_tensors(path)
    return find_tokenizer(path, tensors, umt5_config(umt5_tensors(tensors, str(path))).vocab)


def load_image(path: Path, dtype: torch.dtype, device: Device = None) -> ImageEncoder:
    """The image encoder."""
    named = image_encoder_tensors(read_tensors(path), str(path))
    config = image_encoder_config(named, _eyes_about(path))
    return load_image_encoder(named, config, str(path), dtype, device)


def load_vae(path: Path, dtype: torch.dtype, device: Device = None) -> Vae:
    """Both halves of the VAE."""
    tensors = vae_tensors(read_tensors(path), str(path))
    config = vae_config(tensors)
    return load_strict(lambda: Vae(config), tensors, str(path), dtype, device)


def _transformer_tensors(path: Path) -> Mapping[str, Tensor]:
    tensors = read_tensors(path)
    refuse_others(tensors, str(path))
    return published(tensors, str(path))


def _path(files: Files, part: str) -> Path:
    names = {
        "transformer": "transformer",
        "text": "text encoder UMT5-XXL",
        "image": "image encoder CLIP ViT-H",
        "vae": "VAE of Wan 2.1",
    }
    if part not in files:
        raise WeightsError(f"The {names[part]} is missing.", "Get it in Preferences, Weights.")
    return files[part]


def _fit(path: Path, has: int, transformer: Path, wants: int) -> None:
    if has != wants:
        raise WeightsError(
            f"{path} gives {has} numbers for each piece, and {transformer.name} takes {wants}.",
            "It belongs to another model. Wan 2.1 needs UMT5-XXL and CLIP ViT-H.",
        )


def _check_vae(path: Path) -> None:
    tensors = vae_tensors(read_tensors(path), str(path))
    conv = tensors.get("conv2.weight")
    if conv is None or conv.dim() != 5:
        raise WeightsError(f"{path} is no VAE of Wan.", "It needs Wan2.1_VAE.pth.")
    if conv.shape[0] != VaeConfig().z_dim:
        raise WeightsError(
            f"{path} is Wan’s VAE for 2.2.", "Wan 2.1 and Wan 2.2 A14B need Wan2.1_VAE.pth."
        )


def _eyes_about(path: Path) -> dict[str, Any]:
    """The config.json beside an image encoder, if it is its own and not a transformer's."""
    told = about(path)
    is_own = "vision_config" in told or told.get("model_type") == "clip_vision_model"
    return told if is_own else {}


def _variant(config: TransformerConfig, path: Path, has_both: bool) -> str:
    """The published model; of two that only their training tells, the one that the name tells."""
    start = "wan2.2" if has_both else "wan2.1"
    known = [name for name in variants(config) if name.startswith(start)]
    sized = [name for name in known if name.endswith("_720p") == ("720" in path.name)]
    return next(iter([*sized, *known]), "")
