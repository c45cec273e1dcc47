"""The same jobs without a window, through the same children: probe, effects, convert, export."""

import argparse
import json
import os
import sys
import time
from contextlib import suppress
from fractions import Fraction
from io import TextIOWrapper
from pathlib import Path
from traceback import format_exc
from typing import Any

import msgspec

from desktop import naming
from desktop.assembling import assembled, project_of, range_of
from desktop.child import Bar, MediaChild
from desktop.cli_generate import generate_command
from desktop.cli_models import bake_models
from desktop.cli_weights import weights_command
from desktop.options import UsageError, clip_of, dissolves_of, parser, spelled_out
from desktop.settings import folders, load_settings
from desktop.wording import size_text
from engine.errors import (
    Cancelled,
    EditError,
    EffectError,
    EngineError,
    MediaError,
    OutputError,
    ProjectError,
    WeightsError,
    WorkerError,
)
from engine.jobs import ExportJob, ExportOptions, Format, Sound
from engine.timeline.effects import EFFECTS, kind, new_use, parsed
from engine.timeline.model import (
    Asset,
    EffectUse,
    Project,
)
from engine.timeline.project import load_project, save_project
from engine.timeline.time import ZERO, encode_value, snap
from engine.worker.logs import new_log


def exit_code(error: EngineError) -> int:
    """The documented exit code of an error."""
    match error:
        case MediaError() | ProjectError() | WeightsError():
            return 3
        case OutputError():
            return 4
        case WorkerError():
            return 5
        case EffectError() | EditError():
            return 2
        case _:
            return 1


def run(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code. Never shows a traceback."""
    as_json = "--json" in arguments
    for out in (sys.stdout, sys.stderr):
        if isinstance(out, TextIOWrapper):  # a name may hold what the terminal cannot show
            out.reconfigure(errors="backslashreplace")
    if any(not _is_text(word) for word in arguments):
        hint = "Rename the file, or its folder."
        return _fail(as_json, "A name on the command line is not written in UTF-8.", hint, 2)
    try:
        return _done(arguments, as_json)
    except UsageError as error:
        if not as_json:
            print(error.usage, end="", file=sys.stderr)
        return _fail(as_json, f"{error}.", f"See `{error.command} --help`.", 2)
    except (Cancelled, KeyboardInterrupt) as error:
        said = str(error) or "nothing was written."
        return _fail(as_json, f"Cancelled; {said}", "", 130)
    except EngineError as error:
        return _fail(as_json, error.message, error.hint, exit_code(error))
    except Exception:  # noqa: BLE001  (the one boundary of this process)
        _note_down(format_exc())
        return _fail(as_json, "Reelwright made a mistake.", f"The log is in {folders().logs}.", 1)


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _note_down(trace: str) -> None:
    with suppress(OSError, WorkerError):
        new_log(folders().logs, "command").write_text(trace, "utf-8")


def _done(arguments: list[str], as_json: bool) -> int:
    """Does what the arguments say and tells the answer."""
    arguments, dissolves = dissolves_of(arguments)
    chosen = parser().parse_args(arguments)
    match chosen.command:
        case "probe":
            answer = probe_command(chosen.file)
        case "effects":
            answer = effects_command(as_json)
        case "effect":
            answer = effect_command(chosen)
        case "generate":
            answer = generate_command(chosen)
        case "convert":
            answer = convert_command(chosen)
        case "assemble":
            answer = assemble_command(chosen, dissolves)
        case "weights":
            answer = weights_command(chosen)
        case _:
            answer = export_command(chosen)
    return _tell(json.dumps(answer, ensure_ascii=False) if as_json else answer["text"])


def _tell(text: str) -> int:
    try:
        print(text, flush=True)
    except OSError as error:
        # nothing more is written at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # whose reader has seen enough
            return _fail(False, f"The answer cannot be written: {error.strerror}.", "", 4)
    return 0


def _fail(as_json: bool, message: str, hint: str, code: int) -> int:
    if as_json:
        print(json.dumps({"error": message, "hint": hint, "exit_code": code}, ensure_ascii=False))
    else:
        print(f"reelwright: {message} {hint}".rstrip(), file=sys.stderr)
    return code


def probe_command(path: Path) -> dict[str, Any]:
    with MediaChild() as child:
        found = child.probe(path)
    facts = found.facts
    parts = [f"{path.name}: {facts.container}"]
    if facts.video:
        one = facts.video
        rate = (
            ""
            if facts.still
            else f", {float(one.rate):.6g} fps{', variable' if one.variable else ''}"
        )
        frames = "" if facts.still else f", {one.frames} frames"
        parts.append(f"{one.codec} {one.width}×{one.height} {one.pixel_format}{rate}{frames}")
    if facts.sound:
        parts.append(
            f"{facts.sound.codec} {facts.sound.sample_rate} Hz, {facts.sound.channels} channels"
        )
    if not facts.still:
        parts.append(f"{float(facts.duration):.3f} s")
    exact = msgspec.to_builtins(facts, enc_hook=encode_value)
    video = facts.video
    plain = {
        "width": video.width if video else None,
        "height": video.height if video else None,
        "frames": video.frames if video else None,
        "fps": float(video.rate) if video and not facts.still else None,
        "duration": float(facts.duration),
        "duration_seconds": float(facts.duration),
        "exact_duration": exact["duration"],
    }
    return {
        "text": " · ".join(parts),
        "path": str(path),
        "fingerprint": found.fingerprint,
        **exact,
        **plain,
    }


def effects_command(as_json: bool) -> dict[str, Any]:
    lines: list[str] = []
    for family in EFFECTS:
        lines.append(f"{family.name}: {family.help}")
        for engine in family.engines:
            default = " (default)" if engine is family.engines[0] else ""
            lines.append(f"  {engine.name}{default}: {engine.note}")
            for one in engine.parameters:
                span = ", ".join(choice for choice, _ in one.choices) or (
                    f"{one.minimum:g} to {one.maximum:g} {one.unit}".rstrip()
                )
                span = {"flag": "on, off", "text": "words", "loras": "files"}.get(one.kind, span)
                lines.append(f"    {one.name}={one.default}  ({span}) {one.help}")
    answer: dict[str, Any] = {"text": "\n".join(lines)}
    if as_json:
        answer = {"effects": msgspec.to_builtins(EFFECTS, enc_hook=encode_value)}
    return answer


def effect_command(chosen: argparse.Namespace) -> dict[str, Any]:
    engine = kind(chosen.name).engine(chosen.engine)
    values = {}
    for pair in chosen.set:
        name, equals, text = pair.partition("=")
        if not equals:
            raise EffectError(
                f"«{pair}» is not KEY=VALUE.", f"Write --set {engine.parameters[0].name}=…"
            )
        for one, value in spelled_out(name, text).items():
            values[one] = parsed(engine.parameter(one), value)
    use = new_use(chosen.name, engine.name, values)
    return _convert(chosen, (use,))


def convert_command(chosen: argparse.Namespace) -> dict[str, Any]:
    return _convert(chosen, ())


def _convert(chosen: argparse.Namespace, uses: tuple[EffectUse, ...]) -> dict[str, Any]:
    options, output = _where(chosen)
    with MediaChild() as child:
        asset = child.asset(chosen.input)
        project = project_of(asset, uses, chosen.start, chosen.end)
        return _export(child, project, options, output, asset.name, chosen)


def assemble_command(chosen: argparse.Namespace, dissolves: dict[int, Fraction]) -> dict[str, Any]:
    if chosen.output.suffix.lower() != ".reel":
        raise EffectError(f"«{chosen.output}» is not a project file.", "End its name with .reel.")
    try:
        wanted = [clip_of(text) for text in chosen.clips]
    except argparse.ArgumentTypeError as error:
        raise EffectError(f"{error}.", "") from None
    with MediaChild() as child:
        found: dict[Path, Asset] = {}
        for path, _, _ in wanted:
            if path not in found:
                found[path] = child.asset(path)
    project = assembled([(found[path], start, end) for path, start, end in wanted], dissolves)
    try:
        save_project(project, chosen.output)
    except ProjectError as error:
        raise OutputError(error.message, error.hint, error.details) from error
    sequence = project.sequence()
    return {
        "text": f"{chosen.output}: {len(wanted)} clips, {float(sequence.duration):.3f} s, "
        f"{sequence.width}×{sequence.height}, {float(sequence.rate):.6g} fps",
        "output": str(chosen.output),
        "clips": len(wanted),
        "duration_seconds": float(sequence.duration),
        "width": sequence.width,
        "height": sequence.height,
        "fps": float(sequence.rate),
    }


def export_command(chosen: argparse.Namespace) -> dict[str, Any]:
    project = load_project(chosen.project)
    missing = next((one for one in project.assets if not Path(one.path).is_file()), None)
    if missing is not None:
        raise MediaError(f"{missing.name} is not where it was: {missing.path}.", "Put it back.")
    sequence = project.sequence()
    options, output = _where(chosen)
    parts = [chosen.project, *(Path(asset.path) for asset in project.assets)]
    if any(_is_same(output, one) for one in parts):
        raise EditError(f"«{output.name}» is part of the project.", "Choose another name.")
    if chosen.start is not None or chosen.end is not None:
        start = snap(chosen.start or ZERO, sequence.rate)
        end = sequence.duration if chosen.end is None else min(chosen.end, sequence.duration)
        end = snap(end, sequence.rate)
        options = msgspec.structs.replace(options, range=range_of(start, end, chosen.project.name))
    with MediaChild() as child:
        return _export(child, project, options, output, chosen.project.name, chosen)


def _is_same(one: Path, other: Path) -> bool:
    with suppress(OSError):  # what is not there is no other file
        return one.samefile(other)
    return False


def _where(chosen: argparse.Namespace) -> tuple[ExportOptions, Path]:
    """The options of the command line, and the final name of the file."""
    target = Path(chosen.output)
    suffix = target.suffix.lower().lstrip(".")
    known = [one.value for one in Format]
    is_folder = (
        chosen.output.endswith(("/", "\\"))
        or os.path.isdir(target)  # noqa: PTH112  (a name too long to be one is no error here)
        or (chosen.prefix is not None and suffix not in known)
    )
    name = chosen.format or (suffix if not is_folder else "")
    if name not in known:
        raise EffectError(
            f"«{chosen.output}» does not say which format to write.",
            f"End it with .{' or .'.join(known)}, or add --format.",
        )
    options = ExportOptions(
        format=Format(name),
        rate=chosen.fps,
        width=chosen.width,
        loop=chosen.loop,
        ping_pong=chosen.ping_pong,
        sound=Sound(chosen.sound),
        crf=chosen.crf,
        colours=chosen.colours,
        dither=chosen.dither,
    )
    if chosen.no_save:
        return options, naming.cached_render(
            folders().cache, chosen.prefix or target.stem or "render", name
        )
    if is_folder or chosen.prefix is not None:
        folder = naming.made(target) if is_folder else target.parent
        prefix = chosen.prefix or Path(getattr(chosen, "input", None) or chosen.project).stem
        return options, naming.numbered(folder, prefix, name)
    return options, target


def _export(
    child: MediaChild,
    project: Project,
    options: ExportOptions,
    output: Path,
    subject: str,
    chosen: argparse.Namespace,
) -> dict[str, Any]:
    started = time.monotonic()
    job = ExportJob(
        subject=subject,
        project=project,
        options=options,
        output=str(output.absolute()),
        cache=str(folders().cache),
        cache_limit_bytes=load_settings().cache_limit_bytes,
    )
    baked = bake_models(child, job, chosen)
    result = child.run(job, Bar(sys.stderr, chosen.json))
    took = time.monotonic() - started
    frames = "frame" if result.frames == 1 else "frames"
    told = (*baked.notes, *result.notes)
    notes = "".join(f"\n{note}" for note in told)
    return {
        "text": f"{output}: {result.frames} {frames}, {float(result.duration):.3f} s, "
        f"{size_text(result.size_bytes)}, in {took:.1f} s{notes}",
        "output": str(output),
        "saved": not chosen.no_save,
        "frames": result.frames,
        "duration_seconds": float(result.duration),
        "size_bytes": result.size_bytes,
        "seconds": round(took, 3),
        "cache_keys": [*baked.keys, *result.keys],
        "segments_made": baked.made + result.made,
        "notes": list(told),
        "child": child.pid,
    }
