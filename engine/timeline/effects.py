"""The effect table: families, engines, parameters. Inspector, command line and tests read it."""

from enum import StrEnum

import msgspec

from engine.errors import EffectError
from engine.timeline.model import EffectUse, new_id
from engine.timeline.parameters import (
    Parameter,
    ParameterKind,
    Value,
    checked_value,
    choice,
    flag,
    integer,
    number,
    parsed,
    percent,
    seed,
)

__all__ = [
    "EFFECTS",
    "EffectKind",
    "Engine",
    "Parameter",
    "ParameterKind",
    "Reach",
    "Value",
    "checked",
    "defaults",
    "is_known",
    "kind",
    "needs_gpu",
    "new_use",
    "parsed",
]


class Reach(StrEnum):
    """How far the frames of a result depend on one another: it decides the baked units."""

    FRAME = "frame"  # each on itself
    STREAM = "stream"  # a state runs along; restarts on the grid and at cuts
    WHOLE = "whole"  # all frames are made together


class Engine(msgspec.Struct, frozen=True):
    """One way of doing an effect. `version` rises with any change of its pixels."""

    name: str
    label: str
    note: str  # one plain sentence on what it is and is not
    role: str  # the child that runs it: "media" or "gpu"
    reach: Reach
    version: int
    parameters: tuple[Parameter, ...]
    warm_up: int = 0  # frames before a unit that are computed and dropped
    family: str = ""  # of weights that it needs (engine.library.catalog), "" for none
    mode: str = ""  # of that family

    def parameter(self, name: str) -> Parameter:
        for one in self.parameters:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self.parameters)
        raise EffectError(f"{self.label} has no parameter «{name}».", f"It has {known}.")


class EffectKind(msgspec.Struct, frozen=True):
    """A family of engines that do one thing for the person."""

    name: str
    label: str
    icon: str
    help: str
    engines: tuple[Engine, ...]  # the default one first

    def engine(self, name: str = "") -> Engine:
        """The named engine, or the default one."""
        if not name:
            return self.engines[0]
        for one in self.engines:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self.engines)
        raise EffectError(f"{self.label} has no engine «{name}».", f"It has {known}.")


WARM_UP = 12  # of the restyle engines: by then a carried picture has forgotten how it began

STRENGTH = percent("strength", "Strength", 100, "How much of the new style shows over the source.")
STEADINESS = percent(
    "steadiness",
    "Steadiness",
    95,
    "How much is carried along the motion from frame to frame: 0 flickers, 100 is calmest.",
)

PAINTERLY = Engine(
    "painterly",
    "Painterly",
    "Brush strokes that follow the shapes, carried along the motion. Runs on the CPU.",
    "media",
    Reach.STREAM,
    2,
    (
        STRENGTH,
        number(
            "brush",
            "Brush size",
            4.0,
            1.0,
            10.0,
            "1 paints with a fine brush, 10 with a broad one; it grows with the picture.",
            step=0.1,
        ),
        percent("stroke", "Stroke length", 60, "How far a stroke runs along the shapes."),
        percent("detail", "Detail", 40, "How much of faces, edges and small things is kept."),
        percent("relief", "Relief", 35, "How thick the paint lies: light on the bristle marks."),
        percent("colour", "Colour", 120, "100 keeps the colours, 0 is grey, 200 glows.", high=200),
        STEADINESS,
        seed("Another number gives other bristle marks."),
    ),
    WARM_UP,
)

INK = Engine(
    "ink",
    "Ink drawing",
    "Pen lines and hatching on tinted paper, carried along the motion. Runs on the CPU.",
    "media",
    Reach.STREAM,
    2,
    (
        STRENGTH,
        number(
            "line",
            "Line width",
            3.0,
            1.0,
            10.0,
            "1 is a fine pen, 10 a broad brush; it grows with the picture.",
            step=0.1,
        ),
        percent("detail", "Detail", 50, "How many lines are drawn: more finds fainter edges."),
        choice(
            "shading",
            "Shading",
            "hatch",
            "How dark parts are filled.",
            ("none", "None"),
            ("wash", "Wash"),
            ("hatch", "Hatching"),
        ),
        percent("tone", "Tone", 55, "How dark the shading is, and how far into the light it goes."),
        number(
            "spacing",
            "Spacing",
            5.0,
            1.0,
            10.0,
            "How far apart the hatching lines lie.",
            step=0.1,
            shown_if=("shading", "hatch"),
        ),
        percent("colour", "Colour", 0, "How much of the source's colour shows, like a thin wash."),
        choice(
            "ink",
            "Ink",
            "black",
            "The colour of the pen.",
            ("black", "Black"),
            ("sepia", "Sepia"),
            ("blue", "Blue"),
        ),
        choice(
            "paper",
            "Paper",
            "cream",
            "The colour of the paper.",
            ("white", "White"),
            ("cream", "Cream"),
            ("grey", "Grey"),
            ("blue", "Pale blue"),
        ),
        STEADINESS,
    ),
    WARM_UP,
)

CARTOON = Engine(
    "cartoon",
    "Cartoon",
    "Flat colours and dark outlines, carried along the motion. Runs on the CPU.",
    "media",
    Reach.STREAM,
    2,
    (
        STRENGTH,
        percent("flatness", "Flatness", 60, "How far fine texture is smoothed away."),
        integer("colours", "Colour steps", 7, 2, 16, "How many steps lead from dark to light."),
        percent(
            "softness",
            "Softness",
            25,
            "How softly one step of colour meets the next.",
            advanced=True,
        ),
        percent("outline", "Outlines", 80, "How dark the outlines are."),
        number(
            "line",
            "Line width",
            3.0,
            1.0,
            10.0,
            "1 draws fine outlines, 10 broad ones; they grow with the picture.",
            step=0.1,
        ),
        percent("detail", "Detail", 45, "How many outlines are drawn: more finds fainter edges."),
        percent("colour", "Colour", 130, "100 keeps the colours, 0 is grey, 200 glows.", high=200),
        STEADINESS,
    ),
    WARM_UP,
)

CAMERA_MOVE = Engine(
    "camera-move",
    "Camera move",
    "A camera glides over the still picture. Not generative: nothing in it moves by itself.",
    "media",
    Reach.FRAME,
    1,
    (
        number("seconds", "Length", 3.0, 0.1, 600.0, "How long the video is.", step=0.1, unit="s"),
        number("fps", "Frame rate", 25.0, 1.0, 120.0, "Frames a second.", step=1.0, unit="fps"),
        choice(
            "move",
            "Move",
            "push-in",
            "Where the camera goes.",
            ("push-in", "Push in"),
            ("pull-out", "Pull out"),
            ("pan-left", "Pan left"),
            ("pan-right", "Pan right"),
            ("pan-up", "Pan up"),
            ("pan-down", "Pan down"),
            ("diagonal", "Diagonal"),
            ("sway", "Sway"),
        ),
        percent("amount", "Amount", 25, "How far the camera goes.", high=200),
        choice(
            "easing",
            "Easing",
            "smooth",
            "How the camera starts and stops.",
            ("smooth", "Smooth"),
            ("linear", "Even"),
            ("ease-in", "Slow start"),
            ("ease-out", "Slow end"),
        ),
        flag("loop", "Loop", False, "Comes back to the first frame, so that it plays for ever."),
        percent("focus_x", "Focus across", 50, "What it looks at: 0 is left, 100 is right."),
        percent("focus_y", "Focus down", 50, "What it looks at: 0 is the top, 100 the bottom."),
        choice(
            "size",
            "Size",
            "source",
            "The long side of the video in pixels.",
            ("source", "Source"),
            ("1280", "1280"),
            ("1920", "1920"),
            ("3840", "3840"),
        ),
        number(
            "at",
            "Picture at",
            0.0,
            0.0,
            86400.0,
            "Of a video: the moment whose picture is used.",
            step=0.04,
            unit="s",
            advanced=True,
        ),
    ),
)


def scale(default: str) -> Parameter:
    """How an Upscale's size is told: a factor, or exactly."""
    return choice(
        "scale",
        "Scale",
        default,
        "How much larger the picture becomes.",
        ("2", "2×"),
        ("3", "3×"),
        ("4", "4×"),
        ("size", "Size"),
    )


SIZE = (
    integer("width", "Width", 1920, 16, 8192, "In pixels.", unit="px", shown_if=("scale", "size")),
    integer(
        "height", "Height", 1080, 16, 8192, "In pixels.", unit="px", shown_if=("scale", "size")
    ),
    choice(
        "fit",
        "Fit",
        "crop",
        "What happens where the shapes differ.",
        ("crop", "Crop"),
        ("bars", "Bars"),
        ("stretch", "Stretch"),
        shown_if=("scale", "size"),
    ),
)

LANCZOS = Engine(
    "lanczos",
    "Lanczos",
    "Sharp resampling with deblocking, on the CPU. It invents no detail.",
    "media",
    Reach.FRAME,
    1,
    (
        scale("2"),
        *SIZE,
        percent("deblock", "Deblocking", 30, "Smooths compression blocks and ringing first."),
        percent("detail", "Detail", 40, "Brings out fine detail afterwards."),
    ),
)

FLASHVSR = (
    scale("4"),
    *SIZE,
    number(
        "sparse_ratio",
        "Quality",
        2.0,
        1.5,
        2.2,
        "How much each part of the picture sees of the others: higher is better and slower.",
        step=0.1,
    ),
    integer(
        "local_range",
        "Stability",
        11,
        9,
        11,
        "How far each part sees: 11 is steadier, 9 is sharper.",
    ),
    percent(
        "strength",
        "Strength",
        100,
        "How much of the result shows over the source, enlarged without it.",
    ),
    choice(
        "colour_fix",
        "Colour fix",
        "wavelet",
        "Whose colours the result has: Wavelet takes the source's soft tones, AdaIN its averages.",
        ("none", "None"),
        ("adain", "AdaIN"),
        ("wavelet", "Wavelet"),
    ),
    choice(
        "band",
        "Strength on",
        "whole",
        "What Strength works on: the whole picture, or only its fine detail.",
        ("whole", "Whole"),
        ("high", "High band"),
        advanced=True,
    ),
    number(
        "kv_ratio",
        "Memory of frames",
        3.0,
        2.0,
        6.0,
        "How far it remembers, in steps of eight frames: higher is steadier and takes more memory.",
        step=1.0,
        advanced=True,
    ),
    flag(
        "whole_clip",
        "Whole clip",
        False,
        "Never begins anew, as published. A stopped render then starts from the first frame.",
        advanced=True,
    ),
    seed("Another number gives other fine texture."),
)


def _flashvsr(version: str, mode: str, note: str) -> Engine:
    return Engine(
        f"flashvsr-{version}-{mode}",
        f"FlashVSR {version} {mode}",
        note,
        "gpu",
        Reach.STREAM,
        1,
        FLASHVSR,
        24,
        family=f"flashvsr-{version}",
        mode=mode,
    )


_TINY = "Neural super-resolution that follows the motion, with its fast decoder."
_FULL = "Neural super-resolution with Wan's decoder: slower, a little finer."
_OLDER = " The first version: sharper on stills, less steady."
FLASHVSR_ENGINES = (
    _flashvsr("1.1", "tiny", _TINY),
    _flashvsr("1.1", "full", _FULL),
    _flashvsr("1.0", "tiny", _TINY + _OLDER),
    _flashvsr("1.0", "full", _FULL + _OLDER),
)

EFFECTS: tuple[EffectKind, ...] = (
    EffectKind(
        "restyle",
        "Restyle",
        "restyle",
        "Redraws the clip in another style.",
        (PAINTERLY, INK, CARTOON),
    ),
    EffectKind(
        "image-to-video",
        "Image to video",
        "image_to_video",
        "Makes a moving shot from one picture.",
        (CAMERA_MOVE,),
    ),
    EffectKind(
        "upscale",
        "Upscale",
        "upscale",
        "Makes the picture larger and cleaner.",
        (LANCZOS, *FLASHVSR_ENGINES),
    ),
)


def kind(name: str) -> EffectKind:
    """The family called `name`. Raises EffectError."""
    for one in EFFECTS:
        if one.name == name:
            return one
    raise EffectError(
        f"There is no effect «{name}».", f"There are {', '.join(one.name for one in EFFECTS)}."
    )


def is_known(use: EffectUse) -> bool:
    """Whether this program can compute `use`; a third party's effect is kept but not computed."""
    return any(
        one.name == use.kind and any(engine.name == use.engine for engine in one.engines)
        for one in EFFECTS
    )


def needs_gpu(uses: tuple[EffectUse, ...]) -> bool:
    """Whether one of the effects that count is made by the gpu child."""
    known = (use for use in uses if use.enabled and is_known(use))
    return any(kind(use.kind).engine(use.engine).role == "gpu" for use in known)


def defaults(engine: Engine) -> dict[str, Value]:
    """Every parameter with its default."""
    return {one.name: one.default for one in engine.parameters}


def checked(engine: Engine, values: dict[str, Value]) -> dict[str, Value]:
    """`values` over the defaults, each of its parameter's type and range. Raises EffectError."""
    result = defaults(engine)
    for name, value in values.items():
        result[name] = checked_value(engine.parameter(name), value)
    return result


def new_use(
    kind_name: str, engine_name: str = "", values: dict[str, Value] | None = None
) -> EffectUse:
    """A use of an effect with every value spelled out."""
    engine = kind(kind_name).engine(engine_name)
    return EffectUse(new_id(), kind_name, engine.name, checked(engine, values or {}))
