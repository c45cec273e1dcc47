"""A LoRA as a person writes it down: the file, how strong, in which of the blocks."""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.errors import EffectError, WeightsError
from engine.jobs import LoraChoice
from engine.models.wan.experts import HIGH, LOW
from engine.timeline.parameters import MOST_LETTERS

MOST_BLOCKS = 200
EXPERTS = (HIGH, LOW)
_STRENGTH = r"-?\d+(?:\.\d+)?"
_WORDS = re.compile(
    rf"(?P<path>.+)@(?P<strengths>{_STRENGTH}(?:,{_STRENGTH})*)(?::(?P<blocks>[\d, -]+))?"
)


def lora_of(text: str) -> LoraChoice:
    """ "style.safetensors@0.8"; @1,1,0.5 for each step; @1:0-9,20 in some blocks only; "high=…" or
    "low=…" before it for one expert of Wan2.2.

    Raises WeightsError for a file that is not there, EffectError for what is no list of blocks.
    """
    choice = read_lora(text)
    path = Path(choice.path).expanduser().absolute()
    if not path.is_file():
        raise WeightsError(f"«{choice.path}» is not there.", "Name a file that is.")
    return msgspec.structs.replace(choice, path=str(path))


def loras_of(text: str) -> tuple[LoraChoice, ...]:
    """Those of several lines, as `lora_of`."""
    return tuple(lora_of(line) for line in lines_of(text))


def read_lora(text: str) -> LoraChoice:
    """What the words say, whether or not there is such a file. Raises EffectError."""
    expert, equals, rest = text.partition("=")
    if equals and expert in EXPERTS:
        return msgspec.structs.replace(read_lora(rest), expert=expert)
    found = _WORDS.fullmatch(text)
    if found is None:
        return LoraChoice(path=text)
    return LoraChoice(
        path=found["path"],
        strength=numbers(found["strengths"]),
        blocks=_some(found["blocks"]) if found["blocks"] else (),
    )


def lora_words(choice: LoraChoice) -> str:
    """The opposite of `read_lora`."""
    strengths = ",".join(f"{one:g}" for one in choice.strength)
    blocks = block_words(choice.blocks).replace(" ", "")
    expert = f"{choice.expert}=" if choice.expert else ""
    return f"{expert}{choice.path}@{strengths}" + (f":{blocks}" if blocks else "")


def lines_of(text: str) -> list[str]:
    """The lines that say something."""
    return [line.strip() for line in text[:MOST_LETTERS].splitlines() if line.strip()]


def _some(text: str) -> tuple[int, ...]:
    found = blocks_of(text)
    if found is None:
        raise EffectError(f"«{text}» is no list of blocks.", "Write 0-9,20.")
    return found


def numbers(text: str) -> tuple[float, ...]:
    """ "6,6,1". Raises EffectError."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise EffectError(f"«{text}» is no list of numbers.", "Write 6,6,1.") from None


def blocks_of(text: str) -> tuple[int, ...] | None:
    """«0-9, 20» as numbers of blocks in order; None where it is no list of them."""
    found: set[int] = set()
    for part in (one.strip() for one in text.replace(";", ",").split(",")):
        if not part:
            continue
        ends = re.fullmatch(r"(\d{1,3})(?:\s*[-\u2013]\s*(\d{1,3}))?", part)
        if not ends:
            return None
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if last < first or last >= MOST_BLOCKS:
            return None
        found |= set(range(first, last + 1))
    return tuple(sorted(found))


def block_words(blocks: Sequence[float]) -> str:
    """Numbers of blocks as they are typed, runs of them together: «0-9, 20»."""
    runs: list[list[int]] = []
    for one in map(int, blocks):
        if runs and one == runs[-1][1] + 1:
            runs[-1][1] = one
        else:
            runs.append([one, one])
    return ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in runs)
