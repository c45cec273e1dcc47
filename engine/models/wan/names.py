"""Names of the transformer's tensors: as Wan-AI published them, and as diffusers renamed them.

The map is one to one. A name may be a tensor's or a module's (as LoRA files have them).
"""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from engine.errors import WeightsError
from engine.models.loading import Stored, places_of
from engine.models.weights import renamed

PREFIXES = ("model.diffusion_model.", "diffusion_model.", "model.")
COMPILED = "_orig_mod."  # what torch.compile puts before the names inside

_BLOCK = re.compile(r"(blocks\.\d+\.)(.+)")

# Modules and parameters: the published name, and diffusers'.
_IN_BLOCK = {
    **{
        f"{ours}.{mine}": f"{theirs}.{other}"
        for ours, theirs in (("self_attn", "attn1"), ("cross_attn", "attn2"))
        for mine, other in (
            ("q", "to_q"),
            ("k", "to_k"),
            ("v", "to_v"),
            ("o", "to_out.0"),
            ("norm_q", "norm_q"),
            ("norm_k", "norm_k"),
        )
    },
    "cross_attn.k_img": "attn2.add_k_proj",
    "cross_attn.v_img": "attn2.add_v_proj",
    "cross_attn.norm_k_img": "attn2.norm_added_k",
    "norm3": "norm2",
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
    "modulation": "scale_shift_table",
}
_OUTSIDE = {
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "img_emb.proj.0": "condition_embedder.image_embedder.norm1",
    "img_emb.proj.1": "condition_embedder.image_embedder.ff.net.0.proj",
    "img_emb.proj.3": "condition_embedder.image_embedder.ff.net.2",
    "img_emb.proj.4": "condition_embedder.image_embedder.norm2",
    "img_emb.emb_pos": "condition_embedder.image_embedder.pos_embed",
    "patch_embedding": "patch_embedding",
    "head.head": "proj_out",
    "head.modulation": "scale_shift_table",
}
_BLOCK_BACK = {theirs: ours for ours, theirs in _IN_BLOCK.items()}
_OUTSIDE_BACK = {theirs: ours for ours, theirs in _OUTSIDE.items()}


def diffusers_name(name: str) -> str | None:
    """The name that diffusers gives to a published name; None if it has none."""
    return _mapped(name, _IN_BLOCK, _OUTSIDE)


def published_name(name: str) -> str | None:
    """The published name of one of diffusers'; None if it has none."""
    return _mapped(name, _BLOCK_BACK, _OUTSIDE_BACK)


def published(tensors: Mapping[str, Tensor], file: str = "") -> Mapping[str, Tensor]:
    """A transformer's tensors under their published names, whichever way the file names them.

    Where names have a prefix, what lies outside it (a VAE, a text encoder) is left out. A tensor
    without a place in the map keeps its name, for the strict loader to tell. Raises WeightsError.
    """
    tensors = _plain(tensors, file)
    if any(name.startswith("condition_embedder.") for name in tensors):
        names = {name: after for name in tensors if (after := published_name(name)) is not None}
        return renamed(tensors, {a: b for a, b in names.items() if a != b}, file)
    return tensors


def _plain(tensors: Mapping[str, Tensor], file: str) -> Mapping[str, Tensor]:
    """The tensors without prefix, and without what compiling put into their names."""
    prefix = _prefix(tensors)
    if not prefix and not any(COMPILED in name for name in tensors):
        return tensors
    names = {
        name: name.replace(COMPILED, "").removeprefix(prefix)
        for name in tensors
        if name.replace(COMPILED, "").startswith(prefix)
    }
    places = places_of(tensors)
    inside = Stored(
        {name: tensors[name] for name in names},
        {name: place for name, place in places.items() if name in names},
    )
    return renamed(inside, {a: b for a, b in names.items() if a != b}, file)


def _prefix(names: Iterable[str]) -> str:
    """What stands before the names of the transformer's tensors."""
    known = {name.replace(COMPILED, "") for name in names}
    for prefix in ("", *PREFIXES):
        if f"{prefix}patch_embedding.weight" in known:
            return prefix
    return ""


def _mapped(name: str, in_block: Mapping[str, str], outside: Mapping[str, str]) -> str | None:
    found = _BLOCK.fullmatch(name)
    start, rest = found.groups() if found else ("", name)
    table = in_block if found else outside
    if rest in table:
        return start + table[rest]
    module, _, last = rest.rpartition(".")
    return f"{start}{table[module]}.{last}" if module in table else None


def refuse_others(tensors: Mapping[str, Tensor], file: str = "") -> None:
    """Raise WeightsError for files that look alike, with what they are."""
    where = file or "The weights"
    has_patches = any(name.endswith("patch_embedding.weight") for name in tensors)
    if any(".vace_blocks." in f".{name}" for name in tensors):
        what = (
            "a VACE model" if has_patches else "the part of a VACE model that goes beside another"
        )
        raise WeightsError(f"{where} is {what}, which is not supported.", _PLAIN)
    if any(name.endswith("pose_patch_embedding.weight") for name in tensors):
        raise WeightsError(f"{where} is Wan Animate, which is not supported.", _PLAIN)


_PLAIN = "Choose a text-to-video, image-to-video or first-and-last-frame model of Wan."
