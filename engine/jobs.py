"""What a child can be asked to do: complete values that can be queued, saved and replayed."""

from enum import StrEnum
from fractions import Fraction
from typing import TypeAlias

import msgspec

from engine.generation import AREA, FRAMES, RATE, Mode
from engine.timeline.model import Asset, EffectUse, Project, new_id
from engine.timeline.parameters import Value
from engine.timeline.time import TimeRange


class Sound(StrEnum):
    """What an export does with sound; matters beyond OFF only where there is ping-pong."""

    OFF = "off"
    KEPT = "kept"  # ping-pong: forward, then forward again
    MIRRORED = "mirrored"  # ping-pong: the way back is reversed


class Format(StrEnum):
    MP4 = "mp4"
    GIF = "gif"


class ExportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a sequence becomes a file.

    `rate`: None keeps every source frame with its own delay. `width`: None keeps the sequence's
    size; height follows. `loop`: 0 for ever (GIF; once for MP4, which has no such mark), n plays
    n times.
    """

    format: Format = Format.MP4
    range: TimeRange | None = None  # None: the whole sequence
    rate: Fraction | None = None
    width: int | None = None
    loop: int = 0
    ping_pong: bool = False
    sound: Sound = Sound.KEPT
    crf: int = 20  # MP4: libx264's constant rate factor, lower is better
    preset: str = "veryfast"  # MP4: libx264's preset
    colours: int = 256  # GIF
    dither: str = "sierra2_4a"  # GIF: one of DITHERS


DITHERS: tuple[tuple[str, str], ...] = (
    ("none", "None"),
    ("bayer", "Bayer"),
    ("floyd_steinberg", "Floyd-Steinberg"),
    ("sierra2_4a", "Sierra light"),
)


class ModelFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The weights of one family as the library found them: part of the catalog -> file."""

    family: str
    files: dict[str, str]


class NeuralOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the person wishes of models; the memory plan chooses what is left open.

    `precision`: "auto", "fp32", "bf16", "fp8". `attention`: "auto" or a mode of
    engine.models.attention. `limit_bytes`: of the card's memory that may be used, 0: all that is
    free. `keep_converted`: weights may be kept beside the originals as the card wants them.
    """

    precision: str = "auto"
    attention: str = "auto"
    limit_bytes: int = 0
    keep_converted: bool = False


class EffectJob(msgspec.Struct, frozen=True, tag="effect", kw_only=True):
    """Bakes the last of `uses` on `asset` (and the ones before it) into the segment cache.

    `wanted`: the part of the result that is asked for, in the result's own time; None for all.
    """

    id: str = msgspec.field(default_factory=new_id)
    title: str  # "Restyle"
    subject: str  # "sunset_walk.gif"
    asset: Asset
    uses: tuple[EffectUse, ...]
    wanted: TimeRange | None = None
    clip: str = ""  # the clip it was asked for
    cache: str
    cache_limit_bytes: int = 40_000_000_000
    models: tuple[ModelFiles, ...] = ()  # of each family that the effects need
    options: NeuralOptions = NeuralOptions()


class ExportJob(msgspec.Struct, frozen=True, tag="export", kw_only=True):
    """Renders a sequence into the file `output`; effects that are not baked are baked first."""

    id: str = msgspec.field(default_factory=new_id)
    title: str = "Export"  # "Export GIF"
    subject: str = ""
    project: Project
    sequence: str = ""
    options: ExportOptions
    output: str  # the final name; written beside it and renamed
    cache: str
    cache_limit_bytes: int = 40_000_000_000


class SourcePicture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture, or the one that a film shows at a time of its own."""

    path: str
    time: Fraction = Fraction(0)


class SourceClip(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a film, in its own time; None for all of it."""

    path: str
    range: TimeRange | None = None


class LoraChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A LoRA with a strength, or one for each step; `blocks`: only in these, () for all.

    `expert`: of Wan 2.2, "high" or "low"; "": as the file's name says, else both.
    """

    path: str
    strength: tuple[float, ...] = (1.0,)
    blocks: tuple[int, ...] = ()
    expert: str = ""


class GenerateJob(msgspec.Struct, frozen=True, tag="generate", kw_only=True):
    """Makes a clip or a picture from words, pictures or another clip, into the file `output`.

    `negative`: None for the usual one. `width`: 0 for a size shaped as what is given, of `area`
    pixels. `values`: parameters (engine.generation) that are not as published. `guidance`: one for
    each step, in place of the parameter; `timesteps`: a distilled model's own. `samples`: a file of
    latents to go on from, or of noise; `latents`: where those that were made are written.
    """

    id: str = msgspec.field(default_factory=new_id)
    title: str = "Generate"
    subject: str = ""  # the beginning of the prompt
    mode: Mode
    prompt: str = ""
    negative: str | None = None
    width: int = 0
    height: int = 0
    area: int = AREA
    frames: int = FRAMES
    rate: Fraction = RATE
    seed: int = 0
    first: SourcePicture | None = None
    last: SourcePicture | None = None
    video: SourceClip | None = None
    values: dict[str, Value] = {}
    guidance: tuple[float, ...] = ()
    timesteps: tuple[float, ...] = ()
    loras: tuple[LoraChoice, ...] = ()
    samples: str = ""
    latents: str = ""
    models: ModelFiles
    options: NeuralOptions = NeuralOptions()
    output: str  # the final name, .mp4, .mkv (lossless) or .png; written beside it and renamed
    cache: str
    cache_limit_bytes: int = 40_000_000_000


class DownloadJob(msgspec.Struct, frozen=True, tag="download", kw_only=True):
    """Fetches `parts` of a model family into `folder`, what is there already left out.

    `labels`: part -> which of its sources, where there is a choice. `mirror`: of Hugging Face,
    "" for itself.
    """

    id: str = msgspec.field(default_factory=new_id)
    title: str = "Download"
    subject: str = ""  # "FlashVSR 1.1"
    family: str
    parts: tuple[str, ...]
    folder: str
    labels: dict[str, str] = {}
    mirror: str = ""


class SelfTestJob(msgspec.Struct, frozen=True, tag="self-test", kw_only=True):
    """A small computation in `steps` steps that proves a child alive; `crash_at` ends it hard."""

    id: str = msgspec.field(default_factory=new_id)
    title: str = "Self-test"
    subject: str = ""
    role: str = "gpu"  # the child that runs it
    steps: int = 10
    step_ms: int = 20
    crash_at: int = -1


Job: TypeAlias = EffectJob | ExportJob | GenerateJob | DownloadJob | SelfTestJob


class JobResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came out: files, counts and measures for the person and for tests."""

    output: str = ""  # the exported file, the folder of what was fetched
    frames: int = 0
    seconds: float = 0.0  # of work
    size_bytes: int = 0
    duration: Fraction = Fraction(0)  # of the exported film
    keys: tuple[str, ...] = ()  # cache keys of the segments made or found
    made: int = 0  # segments or steps computed by this run
    notes: tuple[str, ...] = ()  # sentences for the person: what was adjusted
