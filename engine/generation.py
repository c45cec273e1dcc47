"""What can be generated and how: modes, parameters and what the models were published with.

Panels, the command line and the gpu child read it.
"""

from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction

import msgspec

from engine import wan_rules
from engine.errors import EffectError
from engine.models.wan.experts import is_pair
from engine.timeline.parameters import Parameter, Value, checked_value
from engine.wan_parameters import PARAMETERS


class Mode(StrEnum):
    """What is made of what."""

    TEXT = "t2v"
    IMAGE = "i2v"
    ENDS = "flf2v"  # from a first and a last picture
    VIDEO = "v2v"
    STILL = "t2i"


AREA = 832 * 480  # pixels of a picture, where nobody said which
FRAMES = 81
RATE = Fraction(wan_rules.RATE)
STRENGTH = 70  # per cent, of a clip made from another

# Everything that a good picture has not: the published default in English.
NEGATIVE = (
    "garish colours, overexposed, static, blurred details, subtitles, style, artwork, painting, "
    "still picture, grey overall, worst quality, low quality, JPEG artefacts, ugly, incomplete, "
    "extra fingers, badly drawn hands, badly drawn face, deformed, disfigured, misshapen limbs, "
    "fused fingers, motionless picture, cluttered background, three legs, many people in the "
    "background, walking backwards"
)
_BEFORE = {Mode.IMAGE: "camera shake, ", Mode.ENDS: "camera cuts, camera shake, "}

# Families in the order in which they are tried; a family may serve what it was not trained for.
FAMILIES: Mapping[Mode, tuple[str, ...]] = {
    Mode.TEXT: ("wan2.2-t2v-a14b", "wan2.1-t2v-14b", "wan2.1-t2v-1.3b"),
    Mode.STILL: ("wan2.1-t2v-14b", "wan2.2-t2v-a14b", "wan2.1-t2v-1.3b"),
    Mode.VIDEO: ("wan2.1-t2v-1.3b", "wan2.1-t2v-14b", "wan2.2-t2v-a14b"),
    Mode.IMAGE: ("wan2.2-i2v-a14b", "wan2.1-i2v-14b"),
    Mode.ENDS: ("wan2.1-flf2v-14b", "wan2.2-i2v-a14b", "wan2.1-i2v-14b"),
}

# Of Wan2.2's two experts. No coefficients are published, and so a tenth of the usual threshold.
_PAIRS: Mapping[str, Mapping[str, Value]] = {
    "t2v": {
        "steps": 40,
        "shift": 12.0,
        "cfg": 4.0,
        "cfg_low": 3.0,
        "boundary": 0.875,
        "rel_l1_thresh": 0.02,
    },
    "i2v": {
        "steps": 40,
        "shift": 5.0,
        "cfg": 3.5,
        "cfg_low": 3.5,
        "boundary": 0.9,
        "rel_l1_thresh": 0.02,
    },
}

_BY_NAME = {one.name: one for one in PARAMETERS}


class Shape(msgspec.Struct, frozen=True):
    """A size and length that the models can make, and sentences on what was changed for it."""

    width: int
    height: int
    frames: int
    notes: tuple[str, ...] = ()


def parameter(name: str) -> Parameter:
    """The parameter called `name`. Raises EffectError."""
    if name not in _BY_NAME:
        raise EffectError(
            f"Generating has no parameter «{name}».", f"There are {', '.join(_BY_NAME)}."
        )
    return _BY_NAME[name]


def negative_of(mode: Mode) -> str:
    """The negative prompt where nobody wrote one."""
    return _BEFORE.get(mode, "") + NEGATIVE


def published(mode: Mode, family: str, width: int, height: int) -> dict[str, Value]:
    """Values that the models were published with, where they are not the table's."""
    if is_pair(family):
        values: dict[str, Value] = dict(_PAIRS["i2v" if "i2v" in family else "t2v"])
    elif mode is Mode.ENDS:
        values = {"steps": 50, "shift": 16.0, "cfg": 5.5}
    elif mode is Mode.IMAGE:
        values = {"steps": 40, "shift": 3.0 if width * height <= AREA else 5.0, "cfg": 5.0}
    elif "1.3b" in family:
        values = {"steps": 50, "shift": 8.0, "cfg": 6.0, "rel_l1_thresh": 0.07}
    else:
        values = {"steps": 50, "shift": 5.0, "cfg": 5.0}
    if mode is Mode.VIDEO:
        values["denoise_strength"] = float(STRENGTH)
    return values


def resolved(
    values: Mapping[str, Value], mode: Mode, family: str, width: int, height: int
) -> dict[str, Value]:
    """Every parameter: `values` over the published ones. Raises EffectError."""
    made = {one.name: one.default for one in PARAMETERS}
    made |= published(mode, family, width, height)
    for name, value in {**values, **alike(values)}.items():
        made[name] = checked_value(parameter(name), value)
    return made


def alike(values: Mapping[str, Value]) -> dict[str, Value]:
    """The guidance of the second expert, where only one was chosen: it is both's."""
    return {"cfg_low": values["cfg"]} if "cfg" in values and "cfg_low" not in values else {}


def shape_of(
    mode: Mode,
    width: int,
    height: int,
    frames: int,
    source: tuple[int, int] | None = None,
    area: int = AREA,
) -> Shape:
    """The nearest good size and length; a width of 0 is for one of `area` shaped as the source."""
    notes = []
    if not width or not height:
        across, down = wan_rules.size_for_area(area, *(source or (832, 480)))
    else:
        across, down = wan_rules.nearest_size(width, height)
        if (across, down) != (width, height):
            notes.append(f"{width} × {height} became {across} × {down}: sides are multiples of 16.")
    length = 1 if mode is Mode.STILL else wan_rules.nearest_length(frames)
    if mode is not Mode.STILL and length != frames:
        notes.append(f"{frames} frames became {length}: lengths are multiples of 4, and one more.")
    return Shape(across, down, length, tuple(notes))
