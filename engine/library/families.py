"""What each family has, lacks and must not use, told from a scan."""

import re
from collections import Counter
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
from engine.library.scan import ALIKE, OTHER_WIDTHS
from engine.models.wan.experts import HIGH, LOW, expert_of

TRANSFORMER, PROJECTION = "flashvsr_transformer", "flashvsr_projection"
WHICH = "Both look alike; which is it?"
WHICH_EXPERT = "Both experts look alike; which is it?"
LOOKALIKE = "May be an expert of Wan2.2: these look the same."
OF_2_2 = re.compile(r"wan[ ._-]?2[._]2", re.IGNORECASE)
OF_2_1 = re.compile(r"taew(an)?[ ._-]?2[._]?1", re.IGNORECASE)  # alike but for their training
T2V = "wan2.1_t2v_14b"
# What files are by their tensors -> what they are if they are an expert.
EXPERTS = {T2V: "wan2.2_t2v_a14b", "wan2.2_i2v_a14b": "wan2.2_i2v_a14b"}


class Told(msgspec.Struct, frozen=True):
    """A file with what it is for: `kind` of the catalog, `version` of FlashVSR or "", `expert` of
    Wan2.2 or "".
    """

    weights: Weights
    kind: str
    version: str = ""
    expert: str = ""


def reports(scan: Scan, words: Mapping[str, str] | None = None) -> list[FamilyReport]:
    """One for each family. `words`: folder or file -> one of catalog.WORDS, by the person."""
    files = told(scan, words or {})
    return [_family(family, files, scan) for family in FAMILIES]


def told(scan: Scan, words: Mapping[str, str]) -> list[Told]:
    """Tells FlashVSR's files from Wan's, and 1.0 from 1.1, by hash, by word, by neighbours; and
    Wan2.2's experts from Wan2.1 and from each other, by word and by name.

    FlashVSR's transformer has the tensors of Wan2.1 T2V 1.3B, so it is known by its projection
    in the same folder. A hash that is known outweighs a word; the word for a folder says nothing
    where several files may be the transformer, then each file needs its own.
    """
    experts = _experts(scan, words)
    words = {path: word for path, word in words.items() if word not in (HIGH, LOW)}
    homes = {_home(file) for file in scan.weights if file.kind == PROJECTION}
    sure = {file.path: _sure_version(file, words) for file in scan.weights}
    open_ = [file for file in scan.weights if file.kind == ALIKE and not sure[file.path]]
    settled = {_home(f) for f in scan.weights if f.kind == ALIKE and sure[f.path] in (V1_0, V1_1)}
    made = []
    for file in scan.weights:
        if file.path in experts:
            made.append(experts[file.path])
            continue
        if file.kind == "taehv" and OF_2_1.search(Path(file.path).name):
            made.append(Told(file, "wan_tiny_decoder"))
            continue
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


def _experts(scan: Scan, words: Mapping[str, str]) -> dict[str, Told]:
    """Wan2.2's files. A word for a folder is for the only one of them in it.

    What looks like Wan2.1 and is not called an expert is Wan2.1's.
    """
    kinds = {file.path: _expert_kind(file) for file in scan.weights}
    files = [file for file in scan.weights if kinds[file.path]]
    there = Counter(_home(file) for file in files)
    made = {}
    for file in files:
        home = _home(file)
        word = words.get(file.path) or (words.get(home, "") if there[home] == 1 else "")
        expert = word if word in (HIGH, LOW) else expert_of(Path(file.path))
        is_like_2_1 = file.kind in (ALIKE, T2V)
        if not is_like_2_1 or (expert and word != WAN):
            made[file.path] = Told(file, kinds[file.path], expert=expert)
    return made


def _expert_kind(file: Weights) -> str:
    """The kind that the file is if it is an expert; "" for what cannot be one."""
    if file.kind == ALIKE and file.note == OTHER_WIDTHS:  # of no published size
        return EXPERTS[T2V]
    return EXPERTS.get(file.kind, "")


def untold(scan: Scan, words: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The folders whose FlashVSR may be 1.0 or 1.1: the person has to say.

    Where several files in a folder may be the transformer, these files; and files that may be
    either expert of Wan2.2.
    """
    asked = []
    files = [file for file in told(scan, words or {}) if not (file.version or file.expert)]
    for file in files:
        home = _home(file.weights)
        if file.kind in EXPERTS.values() and not file.weights.why:
            asked.append(file.weights.path)
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
    """The first folder with a usable file for every part of which there are look-alikes, or "".

    Folders with files as published go first.
    """
    versioned = [part for part in family.parts if part.version or part.expert]
    for file in sorted(files, key=lambda file: file.weights.note != ""):
        home = _home(file.weights)
        here = [item for item in files if _home(item.weights) == home]
        if versioned and all(any(_serves(part, item) for item in here) for part in versioned):
            return home
    return ""


def _serves(part: Part, file: Told) -> bool:
    is_it = (file.version, file.expert) == (part.version, part.expert)
    return file.kind in part.kinds and is_it and not file.weights.why


def _part(family: Family, part: Part, files: list[Told], scan: Scan, home: str) -> PartReport:
    good = [file.weights for file in files if _serves(part, file)]
    if good:
        good.sort(key=lambda f: (_is_doubtful(f), home not in ("", _home(f)), f.note != ""))
        note = LOOKALIKE if _is_doubtful(good[0]) else good[0].note
        return PartReport(part, State.FOUND, good[0], tuple(good[1:]), note=note)
    open_ = [file for file in files if not (file.version or file.expert or file.weights.why)]
    alike = [file.weights for file in open_ if file.kind in part.kinds]
    if (part.version or part.expert) and alike:
        which = WHICH_EXPERT if part.expert else WHICH
        return PartReport(part, State.UNTOLD, alike[0], tuple(alike[1:]), which)
    why, hint, file = _refusal(family, part, files)
    if file is not None:
        return PartReport(part, State.REFUSED, file, (), why, hint)
    looked = tuple(dict.fromkeys(scan.walked))
    return PartReport(part, State.MISSING, None, (), missing(family, part, looked), "", looked)


def _refusal(family: Family, part: Part, files: list[Told]) -> tuple[str, str, Weights | None]:
    for file in files:
        is_other = file.expert not in ("", part.expert)
        if file.kind in part.kinds and file.weights.why and not is_other:
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
    if file.kind != T2V:
        return False
    return any(OF_2_2.search(name) for name in Path(file.path).parts[-2:])


def missing(family: Family, part: Part, looked: tuple[str, ...]) -> str:
    """«Wan2.1 I2V 14B needs the image encoder CLIP ViT-H (1.3 GB). Looked in ComfyUI / models.»"""
    size = gigabytes(part.sources[0].size_bytes)
    return f"{family.label} needs the {part.inside} ({size}). {looked_in(looked)}"
