"""Every message between the editor and its children; the whole protocol.

Length-prefixed msgpack (4 bytes, big-endian) of one tagged struct. Requests go to the child's
stdin, events come back on a duplicate of its stdout.
"""

from fractions import Fraction
from typing import TypeAlias

import msgspec

from engine.jobs import Job, JobResult
from engine.library.found import FamilyReport, FolderFacts
from engine.timeline.model import Asset, EffectUse, MediaFacts, Project
from engine.timeline.time import TimeRange

PROTOCOL = 1


class _Message(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    pass


# Requests


class Start(_Message, frozen=True, kw_only=True):
    """Runs a job; answered by Started, then Progress and Preview, then exactly one ending."""

    job: Job


class Cancel(_Message, frozen=True, kw_only=True):
    job: str


class Probe(_Message, frozen=True, kw_only=True):
    """Asks what `path` is; answered by Probed or Refused with the same `ask`."""

    ask: int
    path: str


class Strip(_Message, frozen=True, kw_only=True):
    """Asks for thumbnails of a file; each comes as a Thumbnail with the same `ask`, then Done.

    `times`: in the medium's time. `height`: in pixels. `cache`: where to keep and look for them.
    """

    ask: int
    path: str
    fingerprint: str
    times: tuple[Fraction, ...]
    height: int
    cache: str


class Peaks(_Message, frozen=True, kw_only=True):
    """Asks for the waveform of a file; answered by Waveform or Refused."""

    ask: int
    path: str
    fingerprint: str
    cache: str


class Show(_Message, frozen=True, kw_only=True):
    """The project that frames, sound and freshness are about from now on."""

    project: Project
    sequence: str
    cache: str


class ShowFrames(_Message, frozen=True, kw_only=True):
    """Asks for frames of the shown sequence into ring slots, in this order.

    A newer `serial` drops what is left of older ones. `width`, `height`: of the picture wanted.
    Every slot comes back once: in a FrameShown, or in a FramesDropped. `bypass_effects`: the
    sources without their baked effects. `before_slots`: slots for the same times, in that order,
    that take the sources too, each right after its picture.
    """

    serial: int
    times: tuple[Fraction, ...]
    slots: tuple[int, ...]
    width: int
    height: int
    bypass_effects: bool = False
    before_slots: tuple[int, ...] = ()


class ShowSound(_Message, frozen=True, kw_only=True):
    """Asks for `seconds` of the shown sequence's sound; answered by Samples.

    Asks of the same `serial` are answered in order; a newer one drops what waits of older ones.
    """

    serial: int
    start: Fraction
    seconds: Fraction


class Freshness(_Message, frozen=True, kw_only=True):
    """Asks which baked effects of the shown sequence are there; answered by Fresh."""

    ask: int


class TakePictures(_Message, frozen=True, kw_only=True):
    """Asks for what effects make of a medium, as a file of its own; answered by Taken or Refused.

    `count` pictures at `rate`, the last at `at`, in the time of the result. `wanted`: all that is
    shown of it, as `bake` was told.
    """

    ask: int
    asset: Asset
    uses: tuple[EffectUse, ...]
    wanted: TimeRange | None
    at: Fraction
    count: int = 1
    rate: Fraction = Fraction(16)
    cache: str


class ScanWeights(_Message, frozen=True, kw_only=True):
    """Asks what weights lie in `folders`; Scanning tells how far it is, WeightsFound or Refused
    answers.

    `memory`: a file of ours for what is known of files. `words`: folder or file -> what the
    person said it is (engine.library.catalog.WORDS).
    """

    ask: int
    folders: tuple[str, ...]
    memory: str
    words: dict[str, str] = {}


class OpenRing(_Message, frozen=True, kw_only=True):
    """The shared memory for frames: `slots` slots of `slot_bytes` each."""

    name: str
    slots: int
    slot_bytes: int


class Shutdown(_Message, frozen=True, kw_only=True):
    pass


# What is answered beside the running job
Ask: TypeAlias = (
    Probe
    | Strip
    | Peaks
    | Show
    | ShowFrames
    | ShowSound
    | Freshness
    | TakePictures
    | ScanWeights
    | OpenRing
)

Request: TypeAlias = Start | Cancel | Ask | Shutdown


# Events


class Ready(_Message, frozen=True, kw_only=True):
    """First of all: who speaks, and which protocol."""

    protocol: int
    role: str
    pid: int


class Device(_Message, frozen=True, kw_only=True):
    """What the child computes on. `kind`: "cpu" or "cuda".

    `details`: of a media child the graphics cards that the machine has, "" for none; of a gpu
    child its torch and compute capability, or why it does not compute on a card. Of a gpu child
    also `torch`: a line for the person on which build is there and what it sees, and `attention`:
    each mode with why it cannot be used, "" where it can.
    """

    kind: str
    name: str
    total_bytes: int = 0
    free_bytes: int = 0
    details: str = ""
    torch: str = ""
    attention: dict[str, str] = {}


class Started(_Message, frozen=True, kw_only=True):
    job: str


class Progress(_Message, frozen=True, kw_only=True):
    """`stage`: "text", "image", "denoise", "decode", "effects", "encode", "download", "verify".

    `done`, `total`: frames or steps; bytes of a download. `seconds_left`: -1 unknown.
    """

    job: str
    stage: str
    done: int
    total: int
    stages: tuple[str, ...] = ()  # all stages of this job, in order
    seconds_left: float = -1.0


class Preview(_Message, frozen=True, kw_only=True):
    """A small JPEG of what is being made, at least once a second."""

    job: str
    label: str  # "Frame 42 of 100"
    jpeg: bytes


class Finished(_Message, frozen=True, kw_only=True):
    job: str
    result: JobResult


class Failed(_Message, frozen=True, kw_only=True):
    """`kept`: a sentence on what a retry need not make again, or ""."""

    job: str
    message: str
    hint: str = ""
    details: str = ""
    kept: str = ""
    kind: str = "error"  # the class of the error; "WorkerError" when the child died


class JobCancelled(_Message, frozen=True, kw_only=True):
    job: str


class Probed(_Message, frozen=True, kw_only=True):
    ask: int
    facts: MediaFacts
    fingerprint: str


class Taken(_Message, frozen=True, kw_only=True):
    """A picture, or a film whose picture at `time` it is. `is_stale`: not all of it is rendered."""

    ask: int
    path: str
    time: Fraction
    width: int
    height: int
    jpeg: bytes
    is_stale: bool = False


class Refused(_Message, frozen=True, kw_only=True):
    ask: int
    message: str
    hint: str = ""
    details: str = ""


class Thumbnail(_Message, frozen=True, kw_only=True):
    """A JPEG of the picture at `time`."""

    ask: int
    time: Fraction
    jpeg: bytes


class Done(_Message, frozen=True, kw_only=True):
    ask: int


class Waveform(_Message, frozen=True, kw_only=True):
    """`per_second` pairs of bytes a second, (peak, rms), each 0 to 255 of full scale."""

    ask: int
    per_second: int
    data: bytes


class FrameShown(_Message, frozen=True, kw_only=True):
    """A frame lies in `slot` as BGRA rows of `stride` bytes (QImage's Format_RGB32).

    Where nothing at all could be shown, `width` and `height` are 0 and `error` says why.
    """

    serial: int
    time: Fraction
    slot: int
    width: int
    height: int
    stride: int
    stale: bool = False  # shows a source where a baked effect is not there yet
    error: str = ""  # a sentence when something in it could not be decoded


class FramesDropped(_Message, frozen=True, kw_only=True):
    """`slots` of an older ask that will not be written any more."""

    serial: int
    slots: tuple[int, ...]


class Samples(_Message, frozen=True, kw_only=True):
    """48 kHz stereo float32, interleaved. `error`: a sentence when it could not be mixed."""

    serial: int
    start: Fraction
    data: bytes
    error: str = ""


class Span(_Message, frozen=True, kw_only=True):
    """A part of a clip, in record time, and whether its baked effects are there."""

    start: Fraction
    end: Fraction
    fresh: bool


class ClipFreshness(_Message, frozen=True, kw_only=True):
    """`uses`: for each effect use of the clip (by id) whether all it needs is there."""

    clip: str
    spans: tuple[Span, ...]
    uses: dict[str, bool]


class Fresh(_Message, frozen=True, kw_only=True):
    ask: int
    clips: tuple[ClipFreshness, ...]
    cache_bytes: int = 0


class Scanning(_Message, frozen=True, kw_only=True):
    """`stage`: "scan" with files; "hash" with bytes of the file that only its hash can tell."""

    ask: int
    stage: str
    done: int
    total: int


class WeightsFound(_Message, frozen=True, kw_only=True):
    """`problems`: path -> why it could not be read. `untold`: folders and files whose version the
    person has to say. `others`: files that are something else.
    """

    ask: int
    reports: tuple[FamilyReport, ...]
    folders: tuple[FolderFacts, ...]
    problems: dict[str, str]
    untold: tuple[str, ...]
    others: int = 0


class Heartbeat(_Message, frozen=True, kw_only=True):
    pass


class LogLine(_Message, frozen=True, kw_only=True):
    text: str


class Gone(_Message, frozen=True, kw_only=True):
    """The child has ended. Made by the client, never sent; nothing comes after it.

    `expected`: it was told to stop. Else `message` says what happened, `details` is for the log.
    """

    expected: bool
    message: str = ""
    details: str = ""


Event: TypeAlias = (
    Ready
    | Device
    | Started
    | Progress
    | Preview
    | Finished
    | Failed
    | JobCancelled
    | Probed
    | Taken
    | Refused
    | Thumbnail
    | Done
    | Waveform
    | FrameShown
    | FramesDropped
    | Samples
    | Fresh
    | Scanning
    | WeightsFound
    | Heartbeat
    | LogLine
    | Gone
)
