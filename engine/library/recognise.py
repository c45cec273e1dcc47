"""Says what a weights file is from the names and shapes of its tensors; its name never counts.

First exactly as published; then built like that at other widths and another depth.
"""

import re
from collections.abc import Mapping

import msgspec

from engine.library.catalog import KINDS, Kind
from engine.library.signatures import Shape, Signature, signatures
from engine.library.structure import widths
from engine.library.tensors import Header, Tensor, shown

PREFIXES = (
    "",
    "model.diffusion_model.",
    "diffusion_model.",
    "model.",
    "module.",
    "transformer.",
    "state_dict.",
    "state_dict.model.",
    "state_dict.module.",
    "model_state.",
    "first_stage_model.",
    "vae.",
    "text_encoder.",
    "image_encoder.",
)
# What may lie beside the tensors of a model without making it another one.
BESIDE = re.compile(
    r"(.*\.)?(scale_weight|weight_scale|scale_input|input_scale|comfy_quant|scaled_fp8"
    r"|spiece_model|position_ids|log_scale|logit_scale)"
    r"|textual\..*|text_model\..*|text_projection\..*|encoder\.embed_tokens\.weight"
)
ANYTHING_BESIDE = {"flashvsr_decoder"}  # the published loader ignores what it does not know
MAY_LACK = {"visual_projection.weight"}  # unused; some files of the image encoder leave it out
SAME = {"shared.weight": "encoder.embed_tokens.weight"}  # shards may hold either
LIKE = 0.6  # of a model's tensors must be there for the file to be likened to it

# Told by some tensors alone: models that no family uses, so that they can be refused by name, and
# tiny decoders, whose files hold an encoder or not.
# None: any size on this axis.
TELLS: Mapping[str, Mapping[str, tuple[int | None, ...]]] = {
    "wan2.2_vae": {
        "encoder.conv1.weight": (None, 12, 3, 3, 3),
        "conv2.weight": (48, 48, 1, 1, 1),
    },
    "wan2.2_vae_diffusers": {
        "encoder.conv_in.weight": (None, 12, 3, 3, 3),
        "post_quant_conv.weight": (48, 48, 1, 1, 1),
    },
    "taehv": {
        "decoder.1.weight": (256, 16, 3, 3),
        "decoder.17.conv.4.weight": (64, 64, 3, 3),
        "decoder.22.weight": (3, 64, 3, 3),
    },
    "wan_vace": {"vace_blocks.0.before_proj.weight": (None, None)},
    "wan_animate": {"pose_patch_embedding.weight": (None, None, None, None, None)},
}
# Widths that only happen to be equal as published: the last one stands for itself here.
APART: Mapping[str, Signature] = {
    "flashvsr_decoder": {
        "decoder.22.weight": (129, 128, 3, 3),
        "decoder.24.weight": (129, 129, 3, 3),
        "decoder.26.weight": (3, 129, 3, 3),
    }
}
SCALED = re.compile(r"(.*\.)?(scaled_fp8|scale_weight|weight_scale)")


class Match(msgspec.Struct, frozen=True):
    """`layout`: how the tensors are named (engine.library.signatures); `prefix`: before each.

    `widths`: sizes as published -> here, where they are others.
    """

    kind: Kind
    layout: str
    prefix: str = ""
    widths: Mapping[int, int] = {}


def recognised(header: Header) -> Kind | None:
    """What the file is, None for what is not known."""
    found = match(header)
    return found.kind if found else None


def match(header: Header) -> Match | None:
    """As `recognised`, with how the tensors are named."""
    tensors = _plain(header.tensors)
    for prefix in PREFIXES:
        inside = _inside(tensors, prefix)
        if not inside:
            continue
        for tell, shapes in TELLS.items():
            if all(_fits(inside.get(name), shape) for name, shape in shapes.items()):
                kind = tell.removesuffix("_diffusers")
                return Match(KINDS[kind], "wan" if kind == tell else "diffusers", prefix)
        for kind, layouts in signatures().items():
            for layout, signature in layouts.items():
                if _starts(inside, signature) and not _difference(kind, inside, signature):
                    return Match(KINDS[kind], layout, prefix)
    return _of_other_widths(tensors)


def _of_other_widths(tensors: dict[str, Shape]) -> Match | None:
    """By structure, the nearest in size: same tensors, same ranks, equal where equal."""
    found: list[tuple[int, Match]] = []
    for prefix in PREFIXES:
        inside = _inside(tensors, prefix)
        for kind, layouts in signatures().items() if len(inside) > 1 else ():
            for layout, signature in layouts.items():
                first = next(iter(signature))
                if len(inside.get(first, inside.get(SAME.get(first, ""), ()))) != len(
                    signature[first]
                ):
                    continue
                signature = {**signature, **APART.get(kind, {})}
                sizes = widths(*_comparable(kind, inside, signature))
                if sizes is not None and any(size != here for size, here in sizes.items()):
                    equal = sum(size == here for size, here in sizes.items())
                    found.append((equal, Match(KINDS[kind], layout, prefix, sizes)))
    return max(found, key=lambda item: item[0])[1] if found else None


def _comparable(
    kind: str, inside: Mapping[str, Shape], signature: Signature
) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Both without what may be there or not."""
    wanted = {name: s for name, s in signature.items() if name in inside or name not in MAY_LACK}
    others = {other: name for name, other in SAME.items() if name in wanted and name not in inside}
    given = {others.get(name, name): shape for name, shape in inside.items()}
    if kind in ANYTHING_BESIDE:
        return {name: shape for name, shape in given.items() if name in wanted}, wanted
    return {n: s for n, s in given.items() if n in wanted or not BESIDE.fullmatch(n)}, wanted


def unlike(header: Header) -> tuple[Kind, str] | None:
    """For a file that is not recognised: what it resembles most, and a sentence why it is not."""
    tensors = _plain(header.tensors)
    best, nearest, why = 0.0, "", ""
    for prefix in PREFIXES:
        inside = _inside(tensors, prefix)
        for kind, layouts in signatures().items() if len(inside) > 1 else ():
            for signature in layouts.values():
                equal = sum(inside.get(name) == shape for name, shape in signature.items())
                is_part = equal == len(inside)  # one shard of several
                share = equal / max(len(signature), 1 if is_part else len(inside))
                if share > best and (share >= LIKE or is_part):
                    best, nearest = share, kind
                    why = _difference(kind, inside, signature)
    if not nearest:
        return None
    return KINDS[nearest], f"{header.path.name} looks like {KINDS[nearest].title}, but {why}."


def precision(header: Header) -> str:
    """How most of the numbers are kept: "bf16", "fp8 scaled"."""
    elements: dict[str, int] = {}
    for tensor in header.tensors.values():
        elements[tensor.dtype] = elements.get(tensor.dtype, 0) + tensor.elements
    most = max(elements, key=lambda dtype: elements[dtype], default="")
    name = {"F32": "fp32", "F16": "fp16", "BF16": "bf16", "I8": "int8", "U8": "8 bit"}.get(
        most, "fp8" if most.startswith("F8") else most.lower()
    )
    scaled = name == "fp8" and any(SCALED.fullmatch(tensor) for tensor in header.tensors)
    return name + " scaled" if scaled else name


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Shape]:
    """Shapes by name, without what torch.compile puts into names."""
    return {name.replace("_orig_mod.", ""): tensor.shape for name, tensor in tensors.items()}


def _inside(tensors: dict[str, Shape], prefix: str) -> dict[str, Shape]:
    """The tensors with this prefix, without it. A file that holds more under it says so."""
    if not prefix:
        return tensors
    start = len(prefix)
    return {name[start:]: shape for name, shape in tensors.items() if name.startswith(prefix)}


def _fits(shape: Shape | None, wanted: tuple[int | None, ...]) -> bool:
    return (
        shape is not None
        and len(shape) == len(wanted)
        and all(w is None or w == axis for axis, w in zip(shape, wanted, strict=True))
    )


def _starts(inside: Mapping[str, Shape], signature: Signature) -> bool:
    """A quick look, before all of it is compared."""
    name = next(iter(signature))
    return inside.get(name, inside.get(SAME.get(name, ""))) == signature[name]


def _difference(kind: str, inside: Mapping[str, Shape], signature: Signature) -> str:
    """The end of a sentence that begins «it looks like …, but»; "" where there is none."""
    lacking = []
    for name, shape in signature.items():
        found = inside.get(name, inside.get(SAME.get(name, "")))
        if found is None:
            if name not in MAY_LACK:
                lacking.append(name)
        elif found != shape:
            return f"tensor {name or 'in it'} is {_size(found)}, not {_size(shape)}"
    if lacking:
        return f"lacks {len(lacking)} of its {len(signature)} tensors, {lacking[0]} for one"
    if kind not in ANYTHING_BESIDE:
        for name in inside:
            if name not in signature and not BESIDE.fullmatch(name):
                return f"holds more than that, {shown(name)} for one"
    return ""


def _size(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "a single number"
