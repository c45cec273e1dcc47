"""Wan as an engine of effects on clips: Restyle from clip to clip, and Image to video."""

from fractions import Fraction
from math import ceil, floor

import msgspec

from engine.generation import FRAMES, Mode, published
from engine.models.wan.experts import is_pair
from engine.timeline.effect_kinds import Engine, Reach
from engine.timeline.model import EffectUse
from engine.timeline.parameters import (
    Parameter,
    ParameterKind,
    Value,
    choice,
    integer,
    number,
    seed,
    text,
)
from engine.wan_parameters import NO_PIXELS, PARAMETERS
from engine.wan_rules import RATE

MEANS = tuple(sorted(NO_PIXELS))
STEPS = 30  # in place of the published 50: little is gained by the rest
# What pictures in a clip's place, a run in parts and files of its own ask for.
_OF_PICTURES = (
    *("start_latent_strength", "end_latent_strength", "noise_aug_strength"),
    *("clip_strength", "clip_last_strength", "clip_crop"),
)
_OF_FILES = ("fit", "crf", "start_step", "end_step", "lead_in", "colour_match")
_MOST = {"steps": 100, "cfg": 15.0, "shift": 20.0}  # beyond which a slider has no room for the rest
_OF_PAIRS = ("cfg_low", "boundary")
_OF_LAST = ("end_latent_strength", "clip_last_strength")

# What is no parameter of Wan's table.
OWN = frozenset(("prompt", "negative", "loras", "size", "every", "frames", "seed", "at"))

PROMPT = text(
    "prompt",
    "Prompt",
    "",
    "What is to be seen, and in which style. A few plain sentences work best.",
    lines=3,
)
NEGATIVE = text(
    "negative",
    "Negative prompt",
    "",
    "What is not to be seen. Empty: the usual list of faults.",
    lines=2,
    advanced=True,
)
LORAS = Parameter(
    "loras",
    "LoRA",
    ParameterKind.LORAS,
    "",
    "Files that change the model, a line each: ink.safetensors@0.8, or @1:0-9 in some blocks.",
    advanced=True,
)
SIZE = choice(
    "size",
    "Size",
    "480p",
    "How large the result is, in the source’s shape. Upscale it afterwards for more.",
    ("240p", "240p, a draft"),
    ("480p", "480p"),
    ("720p", "720p"),
)
EVERY = choice(
    "every",
    "Frames",
    "source",
    "Which frames are made; those between follow the source’s motion. Fewer are quicker.",
    ("source", "Every frame"),
    ("half", "Every second"),
    ("16", f"{RATE} a second"),
)
LENGTH = integer(
    "frames",
    "Length",
    FRAMES,
    5,
    1001,
    f"Of the video, at {RATE} frames a second; 81 is what the model knows best.",
    unit="frames",
)
AT = number(
    "at",
    "Picture at",
    0.0,
    0.0,
    86400.0,
    "Of a video: the moment whose picture is used.",
    step=0.04,
    unit="s",
    advanced=True,
)


def fault_of(use: EffectUse) -> str:
    """Why Wan would make nothing of an effect as it is, "" where it would; and of any other."""
    names = {one.name for one in (*WAN_RESTYLE_ENGINES, *WAN_IMAGE_ENGINES)}
    if use.engine in names and not str(use.values.get("prompt", "")).strip():
        return "Write a prompt first."
    return ""


def every_of(every: str, count: int, rate: Fraction) -> tuple[int, ...]:
    """Which of `count` pictures at about `rate` a second are made; the first and the last are."""
    step = {"half": Fraction(2), "16": max(Fraction(1), rate / RATE)}.get(every, Fraction(1))
    numbers = range(ceil((count - 1) / step))
    return (*(floor(number * step) for number in numbers), count - 1)


def _table(mode: Mode, family: str, without: tuple[str, ...]) -> tuple[Parameter, ...]:
    """The parameters of Wan, each with the value that its model was published with."""
    width, height = 832, 480
    usual: dict[str, Value] = {**published(mode, family, width, height), "steps": STEPS}
    if mode is Mode.VIDEO:  # a clip may be as long as it likes
        usual["context_schedule"] = "static_standard"
    hidden = {*without, *(() if is_pair(family) else _OF_PAIRS)}
    return tuple(
        msgspec.structs.replace(
            one,
            default=usual.get(one.name, one.default),
            maximum=_MOST.get(one.name, one.maximum),
        )
        for one in PARAMETERS
        if one.name not in hidden
    )


def _ordered(*parameters: Parameter) -> tuple[Parameter, ...]:
    """What everybody sets first, then the rest, each in its order."""
    return tuple(sorted(parameters, key=lambda one: one.advanced))


def _restyle(family: str, label: str, note: str) -> Engine:
    table = _table(Mode.VIDEO, family, (*_OF_PICTURES, *_OF_FILES))
    strength = next(one for one in table if one.name == "denoise_strength")
    rest = (one for one in table if one is not strength)
    return Engine(
        family,
        label,
        note,
        "gpu",
        Reach.WHOLE,
        1,
        _ordered(PROMPT, strength, SIZE, EVERY, *rest, seed(OTHER), NEGATIVE, LORAS),
        family=family,
        mode=Mode.VIDEO,
        means=MEANS,
    )


def _image(family: str, label: str, note: str) -> Engine:
    table = _table(Mode.IMAGE, family, ("denoise_strength", *_OF_LAST, *_OF_FILES))
    return Engine(
        family,
        label,
        note,
        "gpu",
        Reach.WHOLE,
        1,
        _ordered(PROMPT, LENGTH, SIZE, *table, seed(OTHER), NEGATIVE, LORAS, AT),
        family=family,
        mode=Mode.IMAGE,
        means=MEANS,
    )


OTHER = "Another number gives another result."
WAN_RESTYLE_ENGINES = (
    _restyle(
        "wan2.1-t2v-1.3b",
        "Wan2.1 1.3B",
        "Repaints the clip as the prompt says. Generative; the small model, for 8 GB and up.",
    ),
    _restyle(
        "wan2.1-t2v-14b",
        "Wan2.1 14B",
        "Repaints the clip as the prompt says. Generative; the large model, slower and finer.",
    ),
    _restyle(
        "wan2.2-t2v-a14b",
        "Wan2.2 A14B",
        "Repaints the clip as the prompt says. Generative; two large models in turn.",
    ),
)
WAN_IMAGE_ENGINES = (
    _image(
        "wan2.1-i2v-14b",
        "Wan2.1 I2V 14B",
        "Brings the picture to life as the prompt says. Generative.",
    ),
    _image(
        "wan2.2-i2v-a14b",
        "Wan2.2 I2V A14B",
        "Brings the picture to life as the prompt says. Generative; two large models in turn.",
    ),
)
