"""Names of the VAE's tensors: as Wan-AI published them, and as diffusers renamed them."""

import re
from collections.abc import Mapping

from torch import Tensor

from engine.models.weights import renamed

_OUTSIDE = {
    "quant_conv": "conv1",
    "post_quant_conv": "conv2",
    "encoder.conv_in": "encoder.conv1",
    "encoder.norm_out": "encoder.head.0",
    "encoder.conv_out": "encoder.head.2",
    "decoder.conv_in": "decoder.conv1",
    "decoder.norm_out": "decoder.head.0",
    "decoder.conv_out": "decoder.head.2",
}
_IN_BLOCK = {
    "norm1": "residual.0",
    "conv1": "residual.2",
    "norm2": "residual.3",
    "conv2": "residual.6",
    "conv_shortcut": "shortcut",
}
_PREFIXES = ("", "first_stage_model.", "vae.", "model.")
_TELLS = ("decoder.head.2.weight", "decoder.conv_out.weight")
_UP = re.compile(r"decoder\.up_blocks\.(\d+)\.(resnets|upsamplers)\.(\d+)\.(.+)")
_MIDDLE = re.compile(r"(encoder|decoder)\.mid_block\.(resnets|attentions)\.(\d)\.(.+)")


def vae_tensors(tensors: Mapping[str, Tensor], file: str = "") -> Mapping[str, Tensor]:
    """The VAE's tensors under their published names, out of either layout, behind any prefix.

    A tensor without a place in the map keeps its name, for the strict loader to tell.
    """
    known = (p for p in _PREFIXES if any(f"{p}{tell}" in tensors for tell in _TELLS))
    prefix = next(known, "")
    plain = {name.removeprefix(prefix) for name in tensors}
    stages = [found for name in plain if (found := _UP.fullmatch(name))]
    each = 1 + max((int(one[3]) for one in stages if one[2] == "resnets"), default=-1)
    names = {name: _published(name.removeprefix(prefix), each) for name in tensors}
    return renamed(tensors, {old: new for old, new in names.items() if old != new}, file)


def _published(name: str, each: int) -> str:
    """`each`: residual blocks of a stage of the decoder; then it is enlarged."""
    if found := _UP.fullmatch(name):
        stage, what, number, rest = found.groups()
        place = int(stage) * (each + 1) + (int(number) if what == "resnets" else each)
        return f"decoder.upsamples.{place}.{_inner(rest)}"
    if found := _MIDDLE.fullmatch(name):
        half, what, number, rest = found.groups()
        return f"{half}.middle.{1 if what == 'attentions' else 2 * int(number)}.{_inner(rest)}"
    if name.startswith("encoder.down_blocks."):
        _, _, number, rest = name.split(".", 3)
        return f"encoder.downsamples.{number}.{_inner(rest)}"
    module, _, last = name.rpartition(".")
    return f"{_OUTSIDE[module]}.{last}" if module in _OUTSIDE else name


def _inner(rest: str) -> str:
    module, _, last = rest.rpartition(".")
    return f"{_IN_BLOCK.get(module, module)}.{last}"
