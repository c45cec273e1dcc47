"""The same jobs without a window, through the same children: probe, effects, convert, export."""

import argparse
import json
import os
import queue
import re
import signal
import sys
import time
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

import msgspec

from desktop import naming
from desktop.assembling import assembled, project_of, range_of
from desktop.settings import folders, load_settings
from desktop.wording import duration_text, size_text
from engine.errors import (
    Cancelled,
    EditError,
    EffectError,
    EngineError,
    MediaError,
    OutputError,
    ProjectError,
    WorkerError,
)
from engine.jobs import DITHERS, ExportJob, ExportOptions, Format, Job, JobResult, Sound
from engine.timeline.effects import EFFECTS, kind, new_use, parsed
from engine.timeline.model import (
    Asset,
    EffectUse,
    Project,
    new_id,
)
from engine.timeline.project import load_project, save_project
from engine.timeline.time import ZERO, snap
from engine.worker.client import WorkerClient
from engine.worker.messages import (
    Cancel,
    Event,
    Failed,
    Finished,
    Gone,
    JobCancelled,
    Probe,
    Probed,
    Progress,
    Ready,
    Refused,
    Start,
    encode_value,
)

EXIT_CODES = """exit codes:
  0    done
  1    a fault of Reelwright
  2    the command line is wrong: an unknown option, effect, engine or value
  3    an input cannot be read
  4    the output cannot be written
  5    a background process could not be started or ended without an answer
  130  cancelled
"""


def exit_code(error: EngineError) -> int:
    """The documented exit code of an error."""
    match error:
        case MediaError() | ProjectError():
            return 3
        case OutputError():
            return 4
        case WorkerError():
            return 5
        case EffectError() | EditError():
            return 2
        case _:
            return 1


class Bar:
    """A progress bar on a terminal; silent elsewhere."""

    def __init__(self, out: TextIO, quiet: bool) -> None:
        self._out = out
        self._shown = not quiet and out.isatty()
        self._last = 0.0

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        if not self._shown or (now - self._last < 0.1 and progress.done < progress.total):
            return
        self._last = now
        part = progress.done / max(1, progress.total)
        filled = round(part * 28)
        left = (
            f"  {duration_text(progress.seconds_left)} left" if progress.seconds_left >= 0 else ""
        )
        line = f"{progress.stage:<8} {'█' * filled}{'░' * (28 - filled)} {part:4.0%}{left}"
        self._out.write(f"\r{line:<70}")
        self._out.flush()

    def clear(self) -> None:
        if self._shown:
            self._out.write("\r" + " " * 70 + "\r")
            self._out.flush()


class MediaChild:
    """One media child for the length of a command: asks and jobs, one after another."""

    def __init__(self) -> None:
        self._events: queue.Queue[Event] = queue.Queue()
        self._client = WorkerClient("media", self._events.put, folders().logs)
        self._asks = 0
        self.pid = 0

    def __enter__(self) -> "MediaChild":
        self._client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop()

    def _next(self) -> Event:
        event = self._events.get()
        if isinstance(event, Gone):
            raise WorkerError("The worker stopped unexpectedly.", "Try again.")
        if isinstance(event, Ready):
            self.pid = event.pid
        return event

    def probe(self, path: Path) -> Probed:
        """What `path` is. Raises MediaError."""
        self._asks += 1
        self._client.send(Probe(ask=self._asks, path=str(path)))
        while True:
            event = self._next()
            if isinstance(event, Probed) and event.ask == self._asks:
                return event
            if isinstance(event, Refused) and event.ask == self._asks:
                raise MediaError(event.message, event.hint, event.details)

    def asset(self, path: Path) -> Asset:
        """`path` as an asset. Raises MediaError."""
        found = self.probe(path)
        return Asset(new_id(), str(path.resolve()), path.name, found.facts, found.fingerprint)

    def run(self, job: Job, bar: Bar) -> JobResult:
        """Does the job; Ctrl C cancels it. Raises EngineError or Cancelled."""

        def cancel(_signal: int, _frame: FrameType | None) -> None:
            self._client.send(Cancel(job=job.id))

        before = {
            number: signal.signal(number, cancel) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            self._client.send(Start(job=job))
            while True:
                match self._next():
                    case Progress() as progress if progress.job == job.id:
                        bar.show(progress)
                    case Finished(job=done, result=result) if done == job.id:
                        return result
                    case Failed() as failed if failed.job == job.id:
                        raise error_of(failed)
                    case JobCancelled(job=done) if done == job.id:
                        raise Cancelled
                    case _:
                        pass
        finally:
            bar.clear()
            for number, handler in before.items():
                signal.signal(number, handler)


def error_of(failed: Failed) -> EngineError:
    """The error that a child told of, as the class it had there."""
    known = {
        one.__name__: one
        for one in (MediaError, OutputError, ProjectError, EditError, EffectError, WorkerError)
    }
    return known.get(failed.kind, EngineError)(failed.message, failed.hint, failed.details)


# What the words on the command line mean


def seconds(text: str) -> Fraction:
    """ "5", "5.25", "1:05.5", "1:00:05" as exact seconds."""
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text):
        raise argparse.ArgumentTypeError(f"«{text}» is not a time: write 5, 5.25 or 1:05.5")
    total = ZERO
    for part in text.split(":"):
        total = total * 60 + Fraction(part)
    return total


def frame_rate(text: str) -> Fraction:
    """ "25", "29.97", "30000/1001" as an exact rate."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = ZERO
    if not 0 < rate <= 1000:
        raise argparse.ArgumentTypeError(f"«{text}» is not a frame rate: write 25 or 30000/1001")
    usual = Fraction(round(rate) * 1000, 1001)  # 29.97 means 30000/1001
    return usual if "." in text and abs(rate - usual) < Fraction(1, 200) else rate


def whole_number(low: int, high: int) -> Any:
    """An argparse type: an integer from low to high."""

    def read(text: str) -> int:
        if not re.fullmatch(r"\d+", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"«{text}» is not a whole number from {low} to {high}")
        return int(text)

    return read


def clip_of(text: str) -> tuple[Path, Fraction | None, Fraction | None]:
    """ "A.mp4@5-10": the file and its in and out point in seconds; both may be left out."""
    if Path(text).exists():
        return Path(text), None, None
    match = re.fullmatch(r"(.+)@([\d:.]*)-([\d:.]*)", text)
    if match is None:
        return Path(text), None, None
    start, end = (seconds(one) if one else None for one in match.groups()[1:])
    return Path(match.group(1)), start, end


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="reelwright",
        description="Reelwright, a timeline video editor. Without a command the window opens.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, text: str, **more: Any) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, **more)
        made.add_argument("--json", action="store_true", help="print one JSON object for machines")
        return made

    probe = command("probe", "Say what a media file is.")
    probe.add_argument("file", type=Path)

    command("effects", "List the effects, their engines and parameters.")

    effect = command("effect", "Put one effect on a file.")
    effect.add_argument("name", metavar="NAME", help=", ".join(one.name for one in EFFECTS))
    effect.add_argument("input", type=Path, metavar="IN")
    effect.add_argument("output", metavar="OUT")
    effect.add_argument("--engine", default="", help="see `reelwright effects`")
    effect.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a parameter of the engine"
    )
    _export_options(effect)

    convert = command("convert", "Make a GIF or MP4 of a file: loop, ping-pong, cut, scale.")
    convert.add_argument("input", type=Path, metavar="IN")
    convert.add_argument("output", metavar="OUT", help="a file, or a folder")
    _export_options(convert)

    assemble = command(
        "assemble",
        "Make a project from clips: A.mp4@5-10 is A.mp4 from 5 s to 10 s.",
        epilog=(
            "--dissolve SECONDS makes a cross-dissolve at the cut where it stands: between two "
            "clips at that cut, after the last clip at the last cut, before the first clip at "
            "every cut. Each dissolve shortens the film by its length."
        ),
    )
    assemble.add_argument("output", type=Path, metavar="OUT.reel")
    assemble.add_argument("clips", nargs="+", metavar="CLIP[@IN-OUT]")
    assemble.add_argument("--dissolve", metavar="SECONDS", help="a cross-dissolve, see below")

    export = command("export", "Export a project.")
    export.add_argument("project", type=Path, metavar="PROJECT")
    export.add_argument("output", metavar="OUT", help="a file, or a folder")
    _export_options(export)
    return top


def _export_options(to: argparse.ArgumentParser) -> None:
    to.add_argument("--ping-pong", action="store_true", help="forward, then back")
    to.add_argument(
        "--loop",
        type=whole_number(0, 100_000),
        default=0,
        metavar="N",
        help="0 for ever (MP4: once), 1 once, n plays n times (default: 0)",
    )
    to.add_argument(
        "--fps", type=frame_rate, metavar="F", help="default: every source frame, its own delay"
    )
    to.add_argument("--width", type=whole_number(16, 16384), metavar="W", help="in pixels")
    to.add_argument("--in", dest="start", type=seconds, metavar="T", help="in point, 5.25 or 1:05")
    to.add_argument("--out", dest="end", type=seconds, metavar="T", help="out point")
    to.add_argument("--sound", choices=[one.value for one in Sound], default=Sound.KEPT.value)
    to.add_argument("--prefix", metavar="P", help="write P_001, P_002, … in the folder OUT")
    to.add_argument("--format", choices=[one.value for one in Format], help="default: by OUT's end")
    to.add_argument("--no-save", action="store_true", help="render to the cache only and say where")
    to.add_argument("--crf", type=whole_number(0, 51), default=20, help="MP4 quality (default: 20)")
    to.add_argument(
        "--colours", type=whole_number(2, 256), default=256, help="GIF palette (default: 256)"
    )
    to.add_argument("--dither", choices=[one for one, _ in DITHERS], default="sierra2_4a")


# Commands


def run(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code. Never shows a traceback."""
    arguments, dissolves = _dissolves(arguments)
    chosen = parser().parse_args(arguments)
    as_json = bool(getattr(chosen, "json", False))
    try:
        match chosen.command:
            case "probe":
                answer = probe_command(chosen.file)
            case "effects":
                answer = effects_command(as_json)
            case "effect":
                answer = effect_command(chosen)
            case "convert":
                answer = convert_command(chosen)
            case "assemble":
                answer = assemble_command(chosen, dissolves)
            case _:
                answer = export_command(chosen)
    except Cancelled:
        return _fail(as_json, "Cancelled; nothing was written.", "", 130)
    except EngineError as error:
        return _fail(as_json, error.message, error.hint, exit_code(error))
    except KeyboardInterrupt:
        return _fail(as_json, "Cancelled; nothing was written.", "", 130)
    return _tell(json.dumps(answer, ensure_ascii=False) if as_json else answer["text"])


def _tell(text: str) -> int:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # the reader has seen enough; nothing more is written to it at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _fail(as_json: bool, message: str, hint: str, code: int) -> int:
    if as_json:
        print(json.dumps({"error": message, "hint": hint, "exit_code": code}, ensure_ascii=False))
    else:
        print(f"reelwright: {message} {hint}".rstrip(), file=sys.stderr)
    return code


def _dissolves(arguments: list[str]) -> tuple[list[str], dict[int, Fraction]]:
    """Takes `--dissolve S` out of an assemble line: number of clips before it → seconds.

    Key -1 stands for every cut, key 0 is never used.
    """
    if not arguments or arguments[0] != "assemble":
        return arguments, {}
    rest: list[str] = []
    found: dict[int, Fraction] = {}
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name != "--dissolve":
            rest.append(word)
            continue
        text = value if equals else next(words, "")
        try:
            length = seconds(text)
        except argparse.ArgumentTypeError as error:
            parser().error(f"argument --dissolve: {error}")
        clips = max(0, sum(not one.startswith("-") for one in rest) - 2)
        found[clips or -1] = length
    return rest, found


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
    plain = msgspec.to_builtins(facts, enc_hook=encode_value)
    plain["duration_seconds"] = float(facts.duration)
    return {"text": " · ".join(parts), "path": str(path), "fingerprint": found.fingerprint, **plain}


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
                if one.kind == "flag":
                    span = "on, off"
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
    if engine.role != "media":
        raise EffectError(f"{engine.label} needs a GPU worker.", "Choose another engine.")
    return _convert(chosen, (use,))


def spelled_out(name: str, text: str) -> dict[str, str]:
    """`scale=3x` and `scale=1280x720` (or `size=…`) as the table's own parameters."""
    size = re.fullmatch(r"(\d+)[x×](\d+)", text)
    if name in ("scale", "size") and size is not None:
        return {"scale": "size", "width": size.group(1), "height": size.group(2)}
    if name == "scale":
        return {name: text.rstrip("x×")}
    return {name: text}


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
    save_project(project, chosen.output)
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
    if chosen.start is not None or chosen.end is not None:
        start = snap(chosen.start or ZERO, sequence.rate)
        end = snap(min(chosen.end or sequence.duration, sequence.duration), sequence.rate)
        options = msgspec.structs.replace(options, range=range_of(start, end, chosen.project.name))
    with MediaChild() as child:
        return _export(child, project, options, output, chosen.project.name, chosen)


def _where(chosen: argparse.Namespace) -> tuple[ExportOptions, Path]:
    """The options of the command line, and the final name of the file."""
    target = Path(chosen.output)
    suffix = target.suffix.lower().lstrip(".")
    known = [one.value for one in Format]
    is_folder = (
        chosen.output.endswith(("/", "\\"))
        or target.is_dir()
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
    result = child.run(job, Bar(sys.stderr, chosen.json))
    took = time.monotonic() - started
    notes = "".join(f"\n{note}" for note in result.notes)
    return {
        "text": f"{output}: {result.frames} frames, {float(result.duration):.3f} s, "
        f"{size_text(result.size_bytes)}, in {took:.1f} s{notes}",
        "output": str(output),
        "saved": not chosen.no_save,
        "frames": result.frames,
        "duration_seconds": float(result.duration),
        "size_bytes": result.size_bytes,
        "seconds": round(took, 3),
        "cache_keys": list(result.keys),
        "segments_made": result.made,
        "notes": list(result.notes),
        "child": child.pid,
    }


def main(arguments: list[str]) -> NoReturn:
    """Entry point of the command line."""
    sys.exit(run(arguments))
