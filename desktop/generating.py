"""From what is filled in to what is made: modes, presets, jobs, names, landing places."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import msgspec

from desktop import naming
from desktop.settings import Folders, Settings
from engine import wan_rules
from engine.generation import FAMILIES, Mode, resolved, shape_of
from engine.jobs import GenerateJob, LoraChoice, ModelFiles, NeuralOptions, SourcePicture
from engine.models.wan.distilled import Distilled, distilled
from engine.models.wan.experts import ROLES, is_pair
from engine.timeline import edits
from engine.timeline.edits import Placement
from engine.timeline.model import Asset, Clip, Sequence, TrackKind, new_id
from engine.timeline.parameters import Value
from engine.timeline.time import Time, TimeRange, snap
from engine.wan_parameters import PARAMETERS
from ui.generate_form import CUSTOM, PICTURE, STILL, Form, PictureGiven

FAST_STEPS, BALANCED_STEPS = 10, 20
LOOP_FRAMES = 9  # of the shortest clip that windows run round
SUBJECT = 48  # letters of a prompt that name a job
FILE_LETTERS = 40  # of a prompt that name a file
LATENTS = ".latents.safetensors"  # the end of the file's name where they are kept
KINDS = {
    Mode.TEXT: "Text to video",
    Mode.IMAGE: "Image to video",
    Mode.ENDS: "Image to video",
    Mode.STILL: "Text to image",
    Mode.VIDEO: "Restyle",
}
# What presets fill in; the rest stays as the person has it.
PRESET_FIELDS = (
    "steps",
    "shift",
    "cfg",
    "cfg_low",
    "boundary",
    "scheduler",
    "teacache",
    "rel_l1_thresh",
)
RUN = frozenset(("steps", "shift", "cfg", "scheduler"))
OF_PAIRS = frozenset(("cfg_low", "boundary"))  # other models have no use for them
# What a plan chooses where nobody did.
MEANS = frozenset(
    (
        "base_precision",
        "quantization",
        "vae_precision",
        "load_device",
        "blocks_to_swap",
        "keep_keys",
        "vae_tiling",
        "encode_chunk",
        "decode_chunk",
        "batched_cfg",
    )
)


class Landing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the result of a job goes. `track`: "" for the first that is free there.

    `room`: the length of the gap it fills, None for its own length.
    """

    sequence: str
    at: Fraction
    track: str = ""
    room: Fraction | None = None


def mode_of(form: Form) -> Mode:
    """What is made of what."""
    if form.tab == STILL:
        return Mode.STILL
    if form.tab != PICTURE:
        return Mode.TEXT
    return Mode.ENDS if form.last is not None else Mode.IMAGE


def size_of(form: Form) -> tuple[int, int]:
    """The size of the result, in pixels."""
    given = form.first if form.tab == PICTURE else None
    source = (given.width, given.height) if given is not None else None
    width, height = (form.width, form.height) if form.tab == PICTURE or form.width else (832, 480)
    shape = shape_of(mode_of(form), width, height, max(1, form.frames), source)
    return shape.width, shape.height


def families_of(form: Form) -> tuple[str, ...]:
    """The models that may make it, the best first."""
    all_of = FAMILIES[mode_of(form)]
    return (form.family,) if form.family in all_of else all_of


def distilled_of(form: Form, models: ModelFiles | None) -> Distilled | None:
    """How a distilled file of the run is meant to be run, None where there is none."""
    names = [Path(models.files[part]).name for part in ROLES if models and part in models.files]
    names += [one.name for one in form.loras]
    return next(filter(None, map(distilled, names)), None)


def preset_values(preset: str, form: Form, family: str, told: Distilled | None) -> dict[str, Value]:
    """Every parameter of a preset. A distilled file sets its own steps, shift and guidance."""
    values = resolved({}, mode_of(form), family, *size_of(form))
    if told is not None:
        more = {"fast": 1, "balanced": 1.5, "best": 2}.get(preset, 1)
        values |= {
            "steps": round(told.steps * more),
            "shift": told.shift,
            "cfg": told.guidance,
            "cfg_low": told.guidance,
            "scheduler": "euler",
        }
    elif preset == "fast":
        # For what it may leave out of two experts' steps nothing is published.
        values |= {"steps": FAST_STEPS, "teacache": not is_pair(family)}
    elif preset == "balanced":
        values |= {"steps": BALANCED_STEPS}
    return {name: values[name] for name in PRESET_FIELDS}


def with_preset(form: Form, preset: str, family: str, told: Distilled | None) -> Form:
    """The form as a preset fills it; what no preset knows stays."""
    usual = resolved({}, mode_of(form), family, *size_of(form))
    values = {**usual, **form.values, **preset_values(preset, form, family, told)}
    return replace(form, preset=preset, values=values)


def is_preset(form: Form, family: str, told: Distilled | None) -> bool:
    """Whether the form still is as its preset filled it."""
    if form.preset == CUSTOM:
        return False
    wanted = preset_values(form.preset, form, family, told)
    return all(form.values.get(name) == value for name, value in wanted.items())


def chosen_values(
    form: Form, family: str, values: Mapping[str, Value] | None = None
) -> dict[str, Value]:
    """What a job is told: the run itself, and what is not as published.

    The rest is left to the plan, as which numbers are computed with and what waits where.
    """
    usual = resolved({}, mode_of(form), family, *size_of(form))
    given = form.values if values is None else values
    run = RUN | OF_PAIRS if is_pair(family) else RUN
    idle = (OF_PAIRS if form.tab == PICTURE else OF_PAIRS | {"lead_in"}) - run
    given = {name: value for name, value in given.items() if name not in idle}
    return {name: value for name, value in given.items() if name in run or value != usual.get(name)}


def loop_values(frames: int, values: Mapping[str, Value]) -> dict[str, Value]:
    """Windows that run round a clip of `frames`: shorter than it, else nothing closes the loop."""
    window, overlap = int(values["context_frames"]), int(values["context_overlap"])
    if window >= frames:
        latents = wan_rules.latent_frames(frames)
        window = wan_rules.frames_of_latents(max(2, latents * 3 // 4))
    return {
        "context_schedule": "uniform_looped",
        "context_frames": window,
        "context_overlap": min(overlap, max(4, window // 8 * 4)),
    }


def without_means(form: Form) -> Form:
    """The form with what needs memory left to the plan."""
    usual = {one.name: one.default for one in PARAMETERS if one.name in MEANS}
    return replace(form, values={**form.values, **usual})


def has_means(form: Form) -> bool:
    """Whether something that needs memory was chosen by hand."""
    return without_means(form).values != form.values


def lead_in(form: Form) -> int:
    """Frames of a film that lead on, and are not in the result."""
    return int(form.values.get("lead_in", 0))


def fault_of(form: Form) -> str:
    """Why the form makes nothing, "" where it does."""
    if not form.prompt.strip():
        return "Write a prompt first."
    if form.tab == PICTURE and form.first is None:
        return "Give the first frame."
    if form.tab != STILL and not wan_rules.is_good_length(form.frames):
        return "Length is 4n + 1 frames."
    if mode_of(form) in (Mode.IMAGE, Mode.ENDS) and form.frames <= lead_in(form):
        return "The lead-in leaves no frame to make."
    if form.width and not wan_rules.is_good_size(form.width, form.height):
        return "Sides are multiples of 16."
    return ""


def job_of(
    form: Form,
    models: ModelFiles,
    settings: Settings,
    folders: Folders,
    output: Path,
    variation: int = 0,
) -> GenerateJob:
    """The job that makes what is filled in; variations differ by their seed."""
    mode = mode_of(form)
    width, height = size_of(form)
    is_pictured = form.tab == PICTURE
    line = " ".join(form.prompt.split())
    return GenerateJob(
        title=KINDS[mode],
        subject=line if len(line) <= SUBJECT else line[: SUBJECT - 1] + "…",
        mode=mode,
        prompt=form.prompt.strip(),
        negative=form.negative,
        width=width,
        height=height,
        frames=1 if mode is Mode.STILL else form.frames,
        seed=(form.seed + variation) % 2**31,
        first=_source(form.first) if is_pictured else None,
        last=_source(form.last) if is_pictured else None,
        values=chosen_values(form, models.family),
        guidance=form.guidance,
        timesteps=form.timesteps,
        loras=tuple(
            LoraChoice(
                path=one.path,
                strength=one.by_step or (one.strength,),
                blocks=one.blocks,
                expert=one.expert,
            )
            for one in form.loras
        ),
        samples=form.samples,
        latents=str(output.with_suffix(LATENTS)) if form.keep_latents else "",
        models=models,
        options=options_of(form, settings.neural),
        output=str(output),
        cache=str(folders.cache),
        cache_limit_bytes=settings.cache_limit_bytes,
    )


def options_of(form: Form, usual: NeuralOptions) -> NeuralOptions:
    """The person's wishes, with those of the form before them."""
    return msgspec.structs.replace(usual, attention=form.attention) if form.attention else usual


def _source(given: PictureGiven | None) -> SourcePicture | None:
    return SourcePicture(path=given.path, time=given.time) if given is not None else None


def name_of(form: Form) -> str:
    """The beginning of the file's name: the first words of the prompt."""
    words = "".join(one if one.isalnum() else " " for one in form.prompt.lower()).split()
    name = ""
    for word in words:
        if len(name) + len(word) > FILE_LETTERS:
            break
        name += ("_" if name else "") + word
    return naming.safe(name or "generated")


def landed(
    sequence: Sequence, asset: Asset, landing: Landing, targets: frozenset[str], still: Fraction
) -> tuple[Sequence, Clip | None]:
    """The sequence with the clip at its place, where nothing else lies; None where none is free.

    The track of the landing alone may take it; without one, the target, then those above it, and
    at last a new track on top.
    """
    length = still if asset.facts.still else asset.facts.duration
    if landing.room is not None:
        length = min(length, landing.room)
    frames = max(1, round(length * sequence.rate))
    if frames / sequence.rate > length and not asset.facts.still:
        frames = max(1, (length * sequence.rate).__floor__())
    at = snap(landing.at, sequence.rate)
    span = TimeRange(at, Fraction(frames) / sequence.rate)
    pictures = [one for one in sequence.tracks if one.kind is TrackKind.VIDEO and not one.locked]
    if landing.track:
        pictures = [one for one in pictures if one.id == landing.track]
    else:
        first = next((i for i, one in enumerate(pictures) if one.id in targets), 0)
        pictures = pictures[first:]
    free = (one for one in pictures if not any(_meets(clip, span) for clip in one.clips))
    track = next(free, None)
    source = TimeRange(Fraction(0), span.duration)
    clip = Clip(new_id(), asset.id, source, at, name=asset.name)
    if track is None and landing.track:
        return sequence, None
    if track is None:
        sequence = edits.add_track(sequence, TrackKind.VIDEO, "")
        known = [one for one in sequence.tracks if one.kind is TrackKind.VIDEO]
        track = next(one for one in reversed(known) if not one.clips)
    return edits.overwrite(sequence, (Placement(track.id, clip),)), clip


def _meets(clip: Clip, span: TimeRange) -> bool:
    return clip.start < span.end and span.start < clip.end


def gap_at(sequence: Sequence, at: Time, targets: frozenset[str]) -> tuple[str, Clip, Clip] | None:
    """The track and the neighbours of the gap at `at`; None where there is none between two."""
    for track in sorted(sequence.tracks, key=lambda one: one.id not in targets):
        if track.kind is not TrackKind.VIDEO or track.locked:
            continue
        before = [one for one in track.clips if one.end <= at]
        after = [one for one in track.clips if one.start > at]
        is_over = any(one.start <= at < one.end for one in track.clips)
        if before and after and not is_over:
            return track.id, before[-1], after[0]
    return None
