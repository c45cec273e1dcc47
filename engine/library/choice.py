"""Which weights the engine of an effect gets, and what is said where some are lacking."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from engine.errors import WeightsError
from engine.jobs import ModelFiles
from engine.library.found import (
    FamilyReport,
    PartReport,
    State,
    gigabytes,
    listed,
    looked_in,
)
from engine.timeline.effects import EFFECTS, Engine

NOT_LOOKED = "The weights have not been looked for yet."


def models_for(
    reports: Sequence[FamilyReport], engines: Iterable[Engine]
) -> tuple[ModelFiles, ...]:
    """The files of each family that `engines` need. Raises WeightsError that says what lacks."""
    files: dict[str, dict[str, str]] = {}
    for engine in engines:
        if not engine.family:
            continue
        if not is_ready(reports, engine):
            raise WeightsError(lacking(reports, engine), "Get it, or choose another folder.")
        chosen = files.setdefault(engine.family, {})
        for part in _needed(reports, engine):
            assert part.found is not None
            chosen[part.part.name] = part.found.path
    return tuple(ModelFiles(family=family, files=chosen) for family, chosen in files.items())


def family_files(
    reports: Sequence[FamilyReport], families: Sequence[str], named: Collection[str] = ()
) -> ModelFiles:
    """All files of the first of `families` that is ready. Raises WeightsError that says what lacks.

    What lacks is told of the family that lacks least. `named`: parts that need not be found.
    """
    known = [one for name in families for one in reports if one.family.name == name]

    def lacking_of(one: FamilyReport) -> list[PartReport]:
        parts = [part for part in one.parts if one.counts(part.part)]
        parts = [part for part in parts if part.part.name not in named]
        return [part for part in parts if part.state is not State.FOUND]

    ready = next((one for one in known if not lacking_of(one)), None)
    if ready is not None:
        there = [part for part in ready.parts if part.state is State.FOUND]
        found = {part.part.name: part.found.path for part in there if part.found is not None}
        return ModelFiles(family=ready.family.name, files=found)
    if not known:
        raise WeightsError(NOT_LOOKED)
    nearest = min(known, key=lambda one: len(lacking_of(one)))
    lacks = lacking_of(nearest)
    refused = [part.why for part in lacks if part.state is State.REFUSED]
    missing = [part for part in lacks if part.state is State.MISSING]
    untold = [part.found for part in lacks if part.state is State.UNTOLD and part.found]
    said = [*refused]
    for name in dict.fromkeys(Path(file.path).name for file in untold):
        said.append(f"{name} may be either expert of Wan2.2. Say which in Preferences, Weights.")
    if missing:
        names = listed([part.part.inside for part in missing])
        size = gigabytes(sum(part.part.sources[0].size_bytes for part in missing))
        where = looked_in(missing[0].looked)
        said.append(f"{nearest.family.label} lacks the {names} ({size}). {where}")
    hint = "Get it, or choose another folder."
    raise WeightsError(" ".join(dict.fromkeys(said)) or NOT_LOOKED, hint)


def is_ready(reports: Sequence[FamilyReport], engine: Engine) -> bool:
    """Whether all that `engine` needs is there; nothing is needed where it has no family."""
    needed = _needed(reports, engine)
    if not engine.family:
        return True
    return bool(needed) and all(part.state is State.FOUND for part in needed)


def missing_parts(reports: Sequence[FamilyReport], engine: Engine) -> tuple[str, ...]:
    """What `engine` needs and must be got, by name."""
    return tuple(part.part.name for part in _needed(reports, engine) if _is_to_get(part))


def missing_bytes(reports: Sequence[FamilyReport], engine: Engine) -> int:
    """Of what must be got, about."""
    parts = (part for part in _needed(reports, engine) if _is_to_get(part))
    return sum(part.part.sources[0].size_bytes for part in parts)


def lacking(reports: Sequence[FamilyReport], engine: Engine) -> str:
    """«Upscale needs the FlashVSR 1.1 prompt (4.2 MB). Looked in …», "" where nothing lacks."""
    if not engine.family:
        return ""
    needed = _needed(reports, engine)
    if not needed:
        return NOT_LOOKED
    said = [part.why for part in needed if part.state is State.REFUSED]
    untold = [part.found for part in needed if part.state is State.UNTOLD and part.found]
    if untold:
        folder = Path(untold[0].path).parent.name
        said.append(f"FlashVSR in {folder} may be 1.0 or 1.1. Both look alike; which is it?")
    missing = [part for part in needed if part.state is State.MISSING]
    if missing:
        label = next(one.family.label for one in reports if one.family.name == engine.family)
        size = gigabytes(sum(part.part.sources[0].size_bytes for part in missing))
        names = listed([part.part.inside for part in missing])
        where = looked_in(missing[0].looked)
        said.append(f"{_doing(reports, engine)} needs the {label} {names} ({size}). {where}")
    return " ".join(dict.fromkeys(said))


def _needed(reports: Sequence[FamilyReport], engine: Engine) -> tuple[PartReport, ...]:
    report = next((one for one in reports if one.family.name == engine.family), None)
    parts = report.parts if report is not None else ()
    return tuple(part for part in parts if not part.part.modes or engine.mode in part.part.modes)


def _is_to_get(part: PartReport) -> bool:
    return part.state in (State.MISSING, State.REFUSED)


def _doing(reports: Sequence[FamilyReport], engine: Engine) -> str:
    """What the person wants to do with `engine`: «Upscale»."""
    effect = next((kind.label for kind in EFFECTS if engine in kind.engines), "")
    purpose = next(one.family.purpose for one in reports if one.family.name == engine.family)
    return effect or purpose.partition(",")[0]
