"""The engines of Upscale."""

from engine.timeline.effect_kinds import Engine, Reach
from engine.timeline.parameters import Parameter, choice, flag, integer, number, percent, seed


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
    integer(
        "width", "Width", 1920, 16, 8192, "In pixels.", unit="px", shown_if=("scale", ("size",))
    ),
    integer(
        "height", "Height", 1080, 16, 8192, "In pixels.", unit="px", shown_if=("scale", ("size",))
    ),
    choice(
        "fit",
        "Fit",
        "crop",
        "What happens where the shapes differ.",
        ("crop", "Crop"),
        ("bars", "Bars"),
        ("stretch", "Stretch"),
        shown_if=("scale", ("size",)),
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
