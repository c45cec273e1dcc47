"""The effect table: families, engines, parameters. Inspector, command line and tests read it."""

from engine.errors import EffectError
from engine.timeline.effect_kinds import EffectKind, Engine, Reach
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
from engine.timeline.upscale_engines import FLASHVSR_ENGINES, LANCZOS
from engine.timeline.wan_engines import AT, WAN_IMAGE_ENGINES, WAN_RESTYLE_ENGINES

__all__ = [
    "EFFECTS",
    "EffectKind",
    "Engine",
    "Parameter",
    "ParameterKind",
    "Reach",
    "Value",
    "checked",
    "checked_value",
    "defaults",
    "is_known",
    "kind",
    "made_whole",
    "needs_gpu",
    "new_use",
    "parsed",
]


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
            shown_if=("shading", ("hatch",)),
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
        AT,
    ),
)


EFFECTS: tuple[EffectKind, ...] = (
    EffectKind(
        "restyle",
        "Restyle",
        "restyle",
        "Redraws the clip in another style.",
        (PAINTERLY, INK, CARTOON, *WAN_RESTYLE_ENGINES),
    ),
    EffectKind(
        "image-to-video",
        "Image to video",
        "image_to_video",
        "Makes a moving shot from one picture.",
        (CAMERA_MOVE, *WAN_IMAGE_ENGINES),
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


def made_whole(uses: tuple[EffectUse, ...]) -> bool:
    """Whether a chain is made for the part of a medium that a clip shows.

    So it is where an effect makes all pictures together. What has a time of its own is made for all
    of it, and so is what comes before and after.
    """
    if any(use.enabled and use.kind == "image-to-video" for use in uses):
        return False
    return any(is_made_whole(use) for use in uses)


def is_made_whole(use: EffectUse) -> bool:
    """Whether an effect that counts makes all pictures together."""
    if not use.enabled or not is_known(use):
        return False
    return kind(use.kind).engine(use.engine).reach is Reach.WHOLE


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
