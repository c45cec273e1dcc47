"""What a scan has found, as values: files, folders, and what each family has of what it needs."""

from enum import StrEnum
from pathlib import Path

import msgspec

from engine.library.catalog import Family, Part


class Weights(msgspec.Struct, frozen=True):
    """A file, or the index of several, that is known for what it is; or why it is not used.

    `kind`: "" where it is not known. `why`: the sentence of the refusal, "" where it may be used.
    `parts`: the files an index brings. `sha256`: only where it tells something, else "".
    `note`: what is unusual of it. `text_width`: of a transformer of other widths than published,
    and of a lone tensor that may be a prompt for it; else 0.
    """

    path: str
    named: str
    size_bytes: int = 0
    kind: str = ""
    layout: str = ""
    prefix: str = ""
    precision: str = ""
    why: str = ""
    hint: str = ""
    parts: tuple[str, ...] = ()
    sha256: str = ""
    note: str = ""
    text_width: int = 0


NOTHING = Weights("", "")


class FolderFacts(msgspec.Struct, frozen=True):
    """A folder the person named. `problem`: ends a sentence, "" where there is none."""

    path: str
    sort: str
    files: int = 0
    size_bytes: int = 0
    problem: str = ""


class Scan(msgspec.Struct, frozen=True):
    """`weights`: known or refused files in search order. `walked`: every folder looked into.

    `problems`: path -> why it could not be read. `others`: files that are something else.
    `read`: how many files had to be opened.
    """

    folders: tuple[FolderFacts, ...]
    weights: tuple[Weights, ...]
    walked: tuple[str, ...]
    problems: dict[str, str]
    others: int
    read: int


class State(StrEnum):
    FOUND = "found"
    UNTOLD = "which is it"
    REFUSED = "refused"
    MISSING = "missing"


class PartReport(msgspec.Struct, frozen=True):
    """`found`: the file to use, also where it is still to be told which it is.

    `others`: more that would serve. `why`: the sentence for the person, "" where it is found.
    `looked`: where, if it is missing. `note`: what cannot be known of a file that is found.
    """

    part: Part
    state: State
    found: Weights | None = None
    others: tuple[Weights, ...] = ()
    why: str = ""
    hint: str = ""
    looked: tuple[str, ...] = ()
    note: str = ""


class FamilyReport(msgspec.Struct, frozen=True):
    """`ready`: the modes that have all they need."""

    family: Family
    parts: tuple[PartReport, ...]
    ready: tuple[str, ...]

    @property
    def line(self) -> str:
        """The chip: «Ready», «1 missing, 1 refused»."""
        if self.ready:
            return "Ready"
        states = [part.state for part in self.parts if self.counts(part.part)]
        counts = (
            (states.count(state), state.value)
            for state in (State.MISSING, State.REFUSED, State.UNTOLD)
        )
        words = [f"{n} {word}" if word != State.UNTOLD else word for n, word in counts if n]
        return ", ".join(words)

    def part(self, name: str) -> PartReport:
        return next(part for part in self.parts if part.part.name == name)

    def counts(self, part: Part) -> bool:
        """Whether the usual way to run the family needs the part."""
        return not part.modes or self.family.modes[0] in part.modes


def looked_in(folders: tuple[str, ...]) -> str:
    """«Looked in ComfyUI / models and Reelwright / weights.»"""
    places = [" / ".join(Path(path).parts[-2:]) for path in folders]
    if len(places) > 3:
        places = [*places[:2], f"{len(places) - 2} more folders"]
    return f"Looked in {listed(places)}." if places else "No folder is named yet."


def listed(words: list[str]) -> str:
    """«a, b and c»."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def gigabytes(size_bytes: int) -> str:
    """«1.3 GB», «4.2 MB»."""
    if size_bytes < 100_000_000:
        return f"{size_bytes / 1e6:.1f} MB"
    return f"{size_bytes / 1e9:.1f} GB"
