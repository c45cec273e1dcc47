"""What stands in the Generate panel and what is known about it, as values."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction

from PySide6.QtGui import QImage

from engine.timeline.parameters import Value

TEXT, PICTURE, STILL = "text", "picture", "still"
TABS = ((TEXT, "Text to video"), (PICTURE, "Image to video"), (STILL, "Text to image"))
PRESETS = (("fast", "Fast"), ("balanced", "Balanced"), ("best", "Best"))
CUSTOM = "custom"
FIRST, LAST = "first", "last"
DICE = 10_000_000  # random seeds are short enough to be read out


@dataclass(frozen=True)
class PictureGiven:
    """A picture, or the one that a film shows at `time`."""

    path: str
    name: str
    width: int
    height: int
    time: Fraction = Fraction(0)
    asset: str = ""  # of the bin, "" for none


@dataclass(frozen=True)
class LoraGiven:
    """A LoRA with its strength, or one for each step; `blocks`: only in these, () for all.

    `expert`: of Wan2.2, "high" or "low"; "": as the name says, else both.
    """

    path: str
    name: str
    strength: float = 1.0
    by_step: tuple[float, ...] = ()
    blocks: tuple[int, ...] = ()
    expert: str = ""


@dataclass(frozen=True, kw_only=True)
class Form:
    """What the person has filled in.

    `negative`: None where the usual one serves. `width`: 0 for a size shaped as the picture.
    `family`: "" for the first model that is there. `attention`: "" as in Preferences. `values`:
    every parameter by its name. `guidance`: one for each step, () for the parameter's. `timesteps`:
    in place of steps and noise levels. `samples`: a file of latents to go on from.
    """

    tab: str = TEXT
    prompt: str = ""
    negative: str | None = None
    first: PictureGiven | None = None
    last: PictureGiven | None = None
    looped: bool = False
    width: int = 832
    height: int = 480
    frames: int = 81
    seed: int = 0
    variations: int = 1
    preset: str = "balanced"
    family: str = ""
    values: dict[str, Value] = field(default_factory=dict)
    loras: tuple[LoraGiven, ...] = ()
    attention: str = ""
    guidance: tuple[float, ...] = ()
    timesteps: tuple[float, ...] = ()
    samples: str = ""
    keep_latents: bool = False
    to_media: bool = False


@dataclass(frozen=True, kw_only=True)
class Means:
    """What the program knows about a form.

    `models`: families to choose from and their labels. `loop`, `extend`, `fill`: why it cannot
    be, "" where it can. `presets`: a line for each. `note`: what a distilled file has set.
    `size`: the size that the clip will have. `blocks`: of the model. `price`: the plan line.
    `attention`: modes and why one cannot be used. `place`: where on the timeline the result goes.
    `can_fit`: by other means than were chosen. `action`: the words of the button. `reason`: why
    nothing can be made, "" where it can. `experts`: whether the model has two.
    """

    models: tuple[tuple[str, str], ...] = ()
    model: str = ""
    loop: str = ""
    extend: str = ""
    fill: str = ""
    playhead: str = ""
    presets: dict[str, str] = field(default_factory=dict)
    note: str = ""
    size: tuple[int, int] = (832, 480)
    blocks: int = 40
    attention: tuple[tuple[str, str], ...] = ()
    place: str = "At playhead"
    price: str = ""
    fits: bool = True
    can_fit: bool = False
    action: str = "Generate"
    reason: str = ""
    gets_weights: bool = False
    levels: tuple[float, ...] = ()
    experts: bool = False
    pictures: dict[str, QImage | None] = field(default_factory=dict)


def changed(form: Form, name: str, value: object) -> Form:
    """The form with one field changed."""
    change: Callable[..., Form] = replace
    return change(form, **{name: value})
