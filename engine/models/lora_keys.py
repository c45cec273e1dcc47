"""Whose tensor a key of a LoRA file is: every spelling in use, resolved by looking it up.

A spelling is never undone by rules, because names hold dots and underscores themselves: every name
of the model is written in each way, and the key, less its prefixes, must be one of them.
"""

import re
from collections.abc import Iterable, Iterator
from enum import Enum

from engine.models.wan.names import COMPILED, diffusers_name

PREFIXES = (
    *("base_model.model.", "pipe.dit.", "model.", "diffusion_model.", "transformer.", "unet."),
    *("dit.", "module.", "lora_unet_", "lora_transformer_", "lycoris_", "_"),
)
IMAGE = re.compile(
    r"[kv]_img|img_emb|add_[kv]_proj|norm_added_k|image_embedder"  # the second are diffusers'
)
_RULES = (
    ("down", re.compile(r"(?:\.lora_(?:A|down)(?:\.[^.]+)?|[._]lora\.down)\.weight$")),
    ("up", re.compile(r"(?:\.lora_(?:B|up)(?:\.[^.]+)?|[._]lora\.up)\.weight$")),
    ("alpha", re.compile(r"\.alpha$")),
    ("weight", re.compile(r"\.diff$")),
    ("bias", re.compile(r"\.diff_b$")),
    ("modulation", re.compile(r"\.diff_m$")),
    (
        "other",
        re.compile(
            r"\.(?:dora_scale|lora_magnitude_vector|lora_mid|hada_|lokr_|oft_|reshape_weight"
            r"|set_weight|[wb]_norm|lora_(?:A|B|up|down)\.(?:[^.]+\.)?bias)[^/]*$"
        ),
    ),
)


class Reason(Enum):
    """Why tensors of a LoRA are left out; {} is how many, and what follows them some of them."""

    IMAGE = "{} for image layers, which this model does not have and does not need"
    CHANNELS = "{} for a patch embedding with another number of channels"
    SIZE = "{} for layers of another size"
    HALF = "{} without the other half"
    TWICE = "{} for what another tensor of the file changes already"
    METHOD = "{} of a method other than LoRA (DoRA, LoHa, LoKr and the like)"
    UNKNOWN = "{} for no layer of this model"


def split(key: str) -> tuple[str, str]:
    """The layer as the key spells it, and the role: "" where the key is none of a LoRA's."""
    for role, rule in _RULES:
        if found := rule.search(key):
            return key[: found.start()], role
    return key, ""


class Spellings:
    """The names of a model's parameters in every spelling."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = dict.fromkeys(names)
        self._of: dict[str, str] = {}
        for name in self._names:
            for whole in (name, name.rpartition(".")[0]):  # a parameter, and whose it is
                for spelling in (whole, diffusers_name(whole) or whole):
                    self._of.setdefault(spelling, whole)
                    self._of.setdefault(spelling.replace(".", "_"), whole)

    def parameter(self, layer: str, role: str) -> str | None:
        """The parameter that a tensor in this role changes, or None where there is none."""
        last = role if role in ("bias", "modulation") else "weight"
        for spelling in less_prefixes(layer):
            whole = self._of.get(spelling)
            for name in (f"{whole}.{last}", whole if role == "weight" else None):
                if name in self._names:
                    return name
        return None


def less_prefixes(layer: str) -> Iterator[str]:
    """The layer's spelling, and what is left of it as prefixes go one by one."""
    layer = layer.replace(COMPILED, "")
    yield layer
    while True:
        prefix = next((p for p in PREFIXES if layer.startswith(p)), None)
        if prefix is None:
            return
        layer = layer.removeprefix(prefix)
        yield layer
