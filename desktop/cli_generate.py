"""`reelwright generate`: a clip or a picture from words, pictures or another clip."""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from desktop.child import Bar, Child, MediaChild
from desktop.cli_weights import look
from desktop.settings import folders, load_settings
from desktop.weights_places import absolute
from desktop.wording import size_text
from engine.errors import EffectError, MediaError, WeightsError
from engine.generation import AREA, FAMILIES, FRAMES, RATE, Mode, parameter
from engine.jobs import GenerateJob, ModelFiles, SourceClip, SourcePicture
from engine.library.catalog import FAMILIES as KNOWN
from engine.library.choice import family_files
from engine.lora_words import lora_of, numbers
from engine.models.wan.experts import FIRST, SECOND, expert_of
from engine.timeline.parameters import Value, parsed
from engine.timeline.time import ZERO, TimeRange

PARTS = ("transformer", "low", "text", "image", "vae", "preview")
STILLS = (".png", ".jpg", ".jpeg")
SUBJECT = 48  # letters of a prompt that name a job


def generate_command(chosen: argparse.Namespace) -> dict[str, Any]:
    """Does what the command line says. Raises EngineError and Cancelled."""
    started = time.monotonic()
    mode = mode_of(chosen)
    bar = Bar(sys.stderr, chosen.json)
    models = _models(chosen, mode, bar)
    job = job_of(chosen, mode, models)
    with Child("gpu") as gpu:
        result = gpu.run(job, bar)
        pid = gpu.pid
    took = time.monotonic() - started
    notes = "".join(f"\n{note}" for note in result.notes)
    frames = "frame" if result.frames == 1 else "frames"
    return {
        "text": f"{chosen.output}: {result.frames} {frames}, {float(result.duration):.3f} s, "
        f"{size_text(result.size_bytes)}, in {took:.1f} s{notes}",
        "output": str(chosen.output),
        "mode": mode.value,
        "model": models.family,
        "frames": result.frames,
        "duration_seconds": float(result.duration),
        "size_bytes": result.size_bytes,
        "steps_made": result.made,
        "seconds": round(took, 3),
        "notes": list(result.notes),
        "child": pid,
    }


def mode_of(chosen: argparse.Namespace) -> Mode:
    """What is made of what, by what is given."""
    if chosen.video is not None:
        return Mode.VIDEO
    if chosen.last is not None:
        return Mode.ENDS
    if chosen.image is not None:
        return Mode.IMAGE
    is_still = chosen.output.suffix.lower() in STILLS or chosen.frames == 1
    return Mode.STILL if is_still else Mode.TEXT


def job_of(chosen: argparse.Namespace, mode: Mode, models: ModelFiles) -> GenerateJob:
    """The job of the command line. Raises EffectError for values that cannot be."""
    settings = load_settings()
    width, height = chosen.size or (0, 0)
    values = _values(chosen)
    guidance, timesteps = (_list(chosen.set, name) for name in ("cfg", "timesteps"))
    return GenerateJob(
        subject=chosen.prompt[:SUBJECT],
        mode=mode,
        prompt=chosen.prompt,
        negative=chosen.negative,
        width=width,
        height=height,
        area=chosen.area or AREA,
        frames=1 if mode is Mode.STILL else chosen.frames or FRAMES,
        rate=chosen.fps or RATE,
        seed=chosen.seed,
        first=_picture(chosen.image),
        last=_picture(chosen.last),
        video=_clip(chosen.video),
        values=values,
        guidance=guidance,
        timesteps=timesteps,
        loras=tuple(lora_of(text) for text in chosen.lora),
        samples=str(_there(Path(chosen.samples))) if chosen.samples else "",
        latents=str(absolute(chosen.latents)) if chosen.latents else "",
        models=models,
        options=settings.neural,
        output=str(absolute(chosen.output)),
        cache=str(folders().cache),
        cache_limit_bytes=settings.cache_limit_bytes,
    )


def _models(chosen: argparse.Namespace, mode: Mode, bar: Bar) -> ModelFiles:
    """The files to use: those named outright, the others as found. Raises WeightsError."""
    known = [one.name for one in KNOWN if one.name.startswith("wan")]
    if chosen.model and chosen.model not in known:
        raise WeightsError(
            f"There are no models «{chosen.model}».", f"There are {', '.join(known)}."
        )
    named = dict(_part(text) for text in chosen.file)
    families = (chosen.model,) if chosen.model else _families(mode, named)
    if _parts_of(families[0]) <= named.keys():
        return ModelFiles(family=families[0], files=named)
    with MediaChild() as child:
        found = look(child, bar, chosen.weights)
    models = family_files(found.reports, families, named)
    return msgspec.structs.replace(models, files={**models.files, **named})


def _families(mode: Mode, named: Mapping[str, str]) -> tuple[str, ...]:
    """Those of the mode that named files may be of: experts are Wan2.2's, all others are not."""
    if not {FIRST, SECOND} & named.keys():
        return FAMILIES[mode]
    is_pair = SECOND in named or bool(expert_of(Path(named[FIRST])))
    return tuple(name for name in FAMILIES[mode] if (SECOND in _parts_of(name)) == is_pair)


def _parts_of(family: str) -> set[str]:
    parts = (part for one in KNOWN if one.name == family for part in one.parts)
    return {part.name for part in parts if not part.modes}


def _part(text: str) -> tuple[str, str]:
    part, equals, path = text.partition("=")
    if not equals or part not in PARTS:
        raise EffectError(f"«{text}» is not PART=FILE.", f"Parts are {', '.join(PARTS)}.")
    return part, str(_there(Path(path)))


def _there(path: Path) -> Path:
    found = absolute(path)
    if not found.is_file():
        raise WeightsError(f"«{path}» is not there.", "Name a file that is.")
    return found


def _values(chosen: argparse.Namespace) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for pair in chosen.set:
        name, equals, text = pair.partition("=")
        if not equals:
            raise EffectError(f"«{pair}» is not KEY=VALUE.", "Write --set shift=5.")
        if name == "timesteps" or (name == "cfg" and "," in text):
            continue
        values[name] = parsed(parameter(name), text)
    if chosen.steps is not None:
        values["steps"] = chosen.steps
    if chosen.strength is not None:
        values["denoise_strength"] = chosen.strength
    return values


def _list(pairs: list[str], wanted: str) -> tuple[float, ...]:
    """The numbers of `--set NAME=6,6,1`; () where there is no list."""
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name == wanted and (wanted != "cfg" or "," in text):
            return numbers(text)
    return ()


def _picture(given: Any) -> SourcePicture | None:
    if given is None:
        return None
    path, at = given
    return SourcePicture(path=str(_readable(path)), time=at)


def _clip(given: Any) -> SourceClip | None:
    if given is None:
        return None
    path, start, end = given
    found = str(_readable(path))
    if start is None and end is None:
        return SourceClip(path=found)
    with MediaChild() as child:
        length = child.probe(path).facts.duration
    start, end = start or ZERO, min(end or length, length)
    if end <= start:
        raise EffectError(f"Nothing of {path.name} is left between in and out point.", "")
    return SourceClip(path=found, range=TimeRange(start, end - start))


def _readable(path: Path) -> Path:
    found = absolute(path)
    if not found.is_file():
        raise MediaError(f"«{path.name}» is not there.", "Name a file that is.")
    return found
