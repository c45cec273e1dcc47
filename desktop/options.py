"""What the words on the command line mean: the commands, their options, times and rates."""

import argparse
import os
import re
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

from desktop.wording import own_version
from engine.jobs import DITHERS, Format, Sound
from engine.library.catalog import WORDS
from engine.timeline.effects import EFFECTS
from engine.timeline.time import ZERO
from engine.wan_parameters import PARAMETERS

EXIT_CODES = """exit codes:
  0    done
  1    a fault of Reelwright
  2    the command line is wrong: an unknown option, effect, engine or value
  3    an input cannot be read, or weights are missing, damaged or cannot be fetched
  4    the output cannot be written
  5    a background process could not be started or ended without an answer
  130  cancelled
"""

GENERATES = "parameters for --set, with their usual values:\n" + "\n".join(
    f"  {one.name}={one.default}  {one.help}" for one in PARAMETERS
)


class UsageError(Exception):
    """The words on the command line cannot be understood."""

    def __init__(self, command: str, usage: str, message: str) -> None:
        super().__init__(message)
        self.command = command
        self.usage = usage


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Leaves it to the command line how to tell it."""
        raise UsageError(self.prog, self.format_usage(), message)


def seconds(text: str) -> Fraction:
    """ "5", "5.25", "1:05.5", "1:00:05" as exact seconds."""
    if not re.fullmatch(r"(\d+:){0,2}(\d+(\.\d*)?|\.\d+)", text):
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
    return usual if "." in text and usual and abs(rate - usual) < Fraction(1, 200) else rate


def whole_number(low: int, high: int) -> Any:
    """An argparse type: an integer from low to high."""

    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"«{text}» is not a whole number from {low} to {high}")
        return int(text)

    return read


def clip_of(text: str) -> tuple[Path, Fraction | None, Fraction | None]:
    """ "A.mp4@5-10": the file and its in and out point in seconds; both may be left out."""
    if os.path.exists(text):  # noqa: PTH110  (a name too long to be one is no error here)
        return Path(text), None, None
    match = re.fullmatch(r"(.+)@([\d:.]*)-([\d:.]*)", text)
    if match is None:
        return Path(text), None, None
    start, end = (seconds(one) if one else None for one in match.groups()[1:])
    return Path(match.group(1)), start, end


def still_of(text: str) -> tuple[Path, Fraction]:
    """ "A.mp4@5.5": the file, and the time in it; 0 where it is left out."""
    match = re.fullmatch(r"(.+)@([\d:.]+)", text)
    if match is None or os.path.exists(text):  # noqa: PTH110  (as above)
        return Path(text), ZERO
    return Path(match.group(1)), seconds(match.group(2))


def picture_size(text: str) -> tuple[int, int]:
    """ "832x480" as width and height."""
    match = re.fullmatch(r"(\d{2,4})[x×](\d{2,4})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"«{text}» is not a size: write 832x480")
    return int(match.group(1)), int(match.group(2))


def picture_area(text: str) -> int:
    """ "480p", "720p", or a number of pixels."""
    usual = {"480p": 832 * 480, "720p": 1280 * 720}
    return usual.get(text.lower()) or int(whole_number(256, 16_000_000)(text))


def per_cent(text: str) -> float:
    """ "70", "70 %" or "0.7" as 70."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?) ?%?", text)
    value = float(match.group(1)) if match else -1.0
    if "." in text and "%" not in text and 0 <= value <= 1:
        value *= 100
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"«{text}» is not a strength: write 0 to 100")
    return value


def parser() -> argparse.ArgumentParser:
    """The whole command line. Its `parse_args` raises UsageError."""
    top = _Parser(
        prog="reelwright",
        description="Reelwright, a timeline video editor. Without a command the window opens.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"Reelwright {own_version()}")
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
    effect.add_argument(
        "--weights",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="look for weights there too, this once",
    )
    _export_options(effect)

    _generate_options(
        command(
            "generate",
            "Make a clip or a picture from words, pictures or another clip.",
            epilog=GENERATES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )

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

    _weights_actions(command("weights", "List the weights of models, name folders, fetch files."))
    return top


def _weights_actions(to: argparse.ArgumentParser) -> None:
    to.set_defaults(action="")
    actions = to.add_subparsers(dest="action", metavar="ACTION")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=text, description=text)
        # no default: what stands before the action would be lost
        made.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
        return made

    action("list", "List folders and families: what is found, missing, refused.")
    action("scan", "The same, and look at every file anew.")
    add = action("add", "Look for weights in more folders, ComfyUI's for one.")
    add.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    remove = action("remove", "Look there no more; nothing on disk changes.")
    remove.add_argument("folder", type=Path, metavar="FOLDER")
    say = action("say", "Say which FlashVSR or expert of Wan2.2 a folder or file is: look-alikes.")
    say.add_argument("path", type=Path, metavar="FOLDER")
    say.add_argument("word", choices=WORDS, help="wan: it is Wan2.1's own; high, low: of Wan2.2")
    get = action("get", "Fetch what a family lacks, after size, licence and source are shown.")
    get.add_argument("family", metavar="FAMILY", help="see `reelwright weights`")
    get.add_argument("--part", action="append", default=[], help="only this one")
    get.add_argument("--source", default="", metavar="LABEL", help="where there is a choice: fp8")
    get.add_argument("--yes", action="store_true", help="do not ask")
    get.add_argument("--to", type=Path, metavar="FOLDER", help="default: the download folder")
    get.add_argument("--mirror", default="", metavar="URL", help="instead of Hugging Face")


def _generate_options(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "output",
        type=Path,
        metavar="OUT",
        help="a name that ends in .mp4, .mkv (without loss), .png or .jpg",
    )
    to.add_argument("--prompt", default="", metavar="TEXT", help="what is to be seen")
    to.add_argument("--negative", metavar="TEXT", help="what is not to be seen")
    to.add_argument("--image", type=still_of, metavar="FILE[@T]", help="the first picture")
    to.add_argument("--last", type=still_of, metavar="FILE[@T]", help="the last picture")
    to.add_argument("--video", type=clip_of, metavar="FILE[@IN-OUT]", help="a clip to repaint")
    to.add_argument("--strength", type=per_cent, metavar="P", help="of the repainting, 0 to 100")
    to.add_argument("--size", type=picture_size, metavar="WxH", help="default: shaped as given")
    to.add_argument("--area", type=picture_area, metavar="N", help="480p, 720p, or pixels")
    to.add_argument("--frames", type=whole_number(1, 5001), metavar="N", help="1 makes a picture")
    to.add_argument(
        "--fps", type=frame_rate, metavar="F", help="default: 16, as the models learned"
    )
    to.add_argument("--seed", type=whole_number(0, 2**31 - 1), default=0, metavar="N")
    to.add_argument("--steps", type=whole_number(1, 1000), metavar="N")
    to.add_argument("--model", default="", metavar="FAMILY", help="see `reelwright weights`")
    to.add_argument(
        "--weights",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="look for weights there too, this once",
    )
    to.add_argument(
        "--file",
        action="append",
        default=[],
        metavar="PART=FILE",
        help="use this very file as transformer, low (Wan2.2's second), text, image, vae, preview",
    )
    to.add_argument(
        "--lora",
        action="append",
        default=[],
        metavar="FILE[@S]",
        help="with a strength, or one a step; high=FILE, low=FILE: for one expert of Wan2.2",
    )
    to.add_argument("--samples", default="", metavar="FILE", help="latents to go on from, or noise")
    to.add_argument("--latents", default="", metavar="FILE", help="write the latents there too")
    to.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a parameter, see below"
    )


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


def dissolves_of(arguments: list[str]) -> tuple[list[str], dict[int, Fraction]]:
    """Takes `--dissolve S` out of an assemble line: number of clips before it → seconds.

    Key -1 stands for every cut, key 0 is never used. Raises UsageError.
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


def spelled_out(name: str, text: str) -> dict[str, str]:
    """`scale=3x` and `scale=1280x720` (or `size=…`) as the table's own parameters."""
    size = re.fullmatch(r"(\d+)[x×](\d+)", text)
    if name in ("scale", "size") and size is not None:
        return {"scale": "size", "width": size.group(1), "height": size.group(2)}
    if name == "scale":
        return {name: text.rstrip("x×")}
    return {name: text}
