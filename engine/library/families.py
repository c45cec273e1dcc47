"""What each family has, lacks and must not use, told from a scan."""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from engine.library.catalog import (
    FAMILIES,
    FLASHVSR_HASHES,
    KINDS,
    V1_0,
    V1_1,
    WAN,
    Family,
    Part,
)
from engine.library.found import (
    FamilyReport,
    PartReport,
    Scan,
    State,
    Weights,
    gigabytes,
    looked_in,
)
from engine.library.scan import ALIKE

TRANSFORMER, PROJECTION = "flashvsr_transformer", "flashvsr_projection"
WHICH = "Both look alike; which is it?"
LOOKALIKE = "May be an expert of Wan2.2: these look the same."
OF_2_2 = re.compile(r"wan[ ._-]?2[._]2|(high|low)[ ._-]?noise", re.IGNORECASE)


class Told(msgspec.Struct, frozen=True):
    """A file with what it is for: `kind` of the catalog, `version` of FlashVSR or ""."""

    weights: Weights
    kind: str
    version: str = ""


def reports(scan: Scan, words: Mapping[str, str] | None = None) -> list[FamilyReport]:
    """One for each family. `words`: folder or file -> one of catalog.WORDS, by the person."""
    files = told(scan, words or {})
    return [_family(family, files, scan) for family in FAMILIES]


def told(scan: Scan, words: Mapping[str, str]) -> list[Told]:
    """Tells FlashVSR's files from Wan's, and 1.0 from 1.1, by hash, by word, by neighbours.

    FlashVSR's transformer has the tensors of Wan2.1 T2V 1.3B, so it is known by its projection
    in the same folder. A hash that is known outweighs a word; the word for a folder says nothing
    where several files may be the transformer, then each file needs its own.
    """
    homes = {_home(file) for file in scan.weights if file.kind == PROJECTION}
    sure = {file.path: _sure_version(file, words) for file in scan.weights}
    open_ = [file for file in scan.weights if file.kind == ALIKE and not sure[file.path]]
    settled = {_home(f) for f in scan.weights if f.kind == ALIKE and sure[f.path] in (V1_0, V1_1)}
    made = []
    for file in scan.weights:
        home, version = _home(file), sure[file.path]
        said = words.get(home, "")
        if file.kind == PROJECTION:
            version = version or said
            made.append(Told(file, file.kind, version if version != WAN else ""))
        elif file.kind != ALIKE or version == WAN:
            made.append(Told(file, file.kind))
        elif version:
            made.append(Told(file, TRANSFORMER, version))
        elif home in settled or said == WAN or not (said or home in homes):
            made.append(Told(file, file.kind))  # of several, the others are Wan's own
        else:
            is_only = sum(_home(other) == home for other in open_) == 1
            made.append(Told(file, TRANSFORMER, said if is_only else ""))
    return made


def untold(scan: Scan, words: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The folders whose FlashVSR may be 1.0 or 1.1: the person has to say.

    Where several files in a folder may be the transformer, these files.
    """
    asked = []
    files = [file for file in told(scan, words or {}) if not file.version]
    for file in files:
        home = _home(file.weights)
        if file.kind == PROJECTION:
            asked.append(home)
        elif file.kind == TRANSFORMER:
            same = [f for f in files if f.kind == TRANSFORMER and _home(f.weights) == home]
            asked.append(home if len(same) == 1 else file.weights.path)
    return tuple(dict.fromkeys(asked))


def _sure_version(file: Weights, words: Mapping[str, str]) -> str:
    """By its hash, or by a word for this very file."""
    return FLASHVSR_HASHES.get(file.sha256, "") or words.get(file.path, "")


def _home(file: Weights) -> str:
    return str(Path(file.path).parent)


def _family(family: Family, files: list[Told], scan: Scan) -> FamilyReport:
    home = _pair_home(family, files)
    parts = tuple(_part(family, part, files, scan, home) for part in family.parts)
    ready = tuple(
        mode
        for mode in family.modes
        if all(
            part.state is State.FOUND
            for part in parts
            if not part.part.modes or mode in part.part.modes
        )
    )
    return FamilyReport(family, parts, ready)


def _pair_home(family: Family, files: list[Told]) -> str:
    """The first folder with a usable file for every part that has a version, or "".

    Folders with files as published go first.
    """
    versioned = [part for part in family.parts if part.version]
    for file in sorted(files, key=lambda file: file.weights.note != ""):
        home = _home(file.weights)
        here = [item for item in files if _home(item.weights) == home]
        if versioned and all(any(_serves(part, item) for item in here) for part in versioned):
            return home
    return ""


def _serves(part: Part, file: Told) -> bool:
    return file.kind in part.kinds and file.version == part.version and not file.weights.why


def _part(family: Family, part: Part, files: list[Told], scan: Scan, home: str) -> PartReport:
    good = [file.weights for file in files if _serves(part, file)]
    if good:
        good.sort(key=lambda f: (_is_doubtful(f), home not in ("", _home(f)), f.note != ""))
        note = LOOKALIKE if _is_doubtful(good[0]) else good[0].note
        return PartReport(part, State.FOUND, good[0], tuple(good[1:]), note=note)
    alike = [f.weights for f in files if f.kind in part.kinds and not (f.version or f.weights.why)]
    if part.version and alike:
        return PartReport(part, State.UNTOLD, alike[0], tuple(alike[1:]), WHICH)
    why, hint, file = _refusal(family, part, files)
    if file is not None:
        return PartReport(part, State.REFUSED, file, (), why, hint)
    looked = tuple(dict.fromkeys(scan.walked))
    return PartReport(part, State.MISSING, None, (), missing(family, part, looked), "", looked)


def _refusal(family: Family, part: Part, files: list[Told]) -> tuple[str, str, Weights | None]:
    for file in files:
        if file.kind in part.kinds and file.weights.why:
            return file.weights.why, file.weights.hint, file.weights
    for file in files:
        if file.kind in part.kinds and part.version:
            other = next((p for p in family.parts if p.version and p is not part), part)
            beside = [f for f in files if _home(f.weights) == _home(file.weights)]
            if any(_serves(other, f) for f in beside):
                return _mixed(part, file.version), "", file.weights
    for file in files:
        if file.kind in part.refuses:
            name = Path(file.weights.path).name
            why = f"{name} is {KINDS[file.kind].title}. This family needs {part.needs}."
            return why, "", file.weights
    return "", "", None


def _mixed(part: Part, version: str) -> str:
    """`version`: what the file for `part` is instead."""
    transformer, projection = part.version, version
    if part.name == "transformer":
        transformer, projection = version, part.version
    return (
        f"The FlashVSR transformer is {transformer} but its projection is {projection}. "
        "Both must be of one version."
    )


def _is_doubtful(file: Weights) -> bool:
    """Whether its name speaks against it, where the tensors cannot. It only goes to the end."""
    if file.kind != "wan2.1_t2v_14b":
        return False
    return any(OF_2_2.search(name) for name in Path(file.path).parts[-2:])


def missing(family: Family, part: Part, looked: tuple[str, ...]) -> str:
    """«Wan2.1 I2V 14B needs the image encoder CLIP ViT-H (1.3 GB). Looked in ComfyUI / models.»"""
    size = gigabytes(part.sources[0].size_bytes)
    return f"{family.label} needs the {part.inside} ({size}). {looked_in(looked)}"
