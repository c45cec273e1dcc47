"""`reelwright weights`: what weights there are, which folders count, and fetching what lacks."""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from desktop.child import Bar, MediaChild
from desktop.options import UsageError
from desktop.settings import Settings, folders, load_settings, save_settings
from desktop.weights_places import (
    absolute,
    download_folder,
    make_own,
    memory_file,
    mirror,
    offered,
    searched,
)
from engine.errors import Cancelled, WeightsError
from engine.jobs import DownloadJob
from engine.library.catalog import FAMILIES, Family
from engine.library.download_offer import Offer, kept_text, offer, offers, size_text, words_of
from engine.library.found import FamilyReport, PartReport, State
from engine.worker.messages import WeightsFound

Answer = dict[str, Any]


def weights_command(chosen: argparse.Namespace) -> Answer:
    """Does what `reelwright weights …` says. Raises EngineError, UsageError and Cancelled."""
    settings = load_settings()
    match chosen.action:
        case "add":
            _change(settings, weights_folders=_with(settings.weights_folders, chosen.folders))
        case "remove":
            _change(settings, weights_folders=_without(settings.weights_folders, chosen.folder))
        case "say":
            word = {str(_there(chosen.path)): chosen.word}
            _change(settings, weights_words=settings.weights_words | word)
        case "scan":
            memory_file(folders()).unlink(missing_ok=True)
        case "get":
            return _get(chosen, settings)
        case _:
            pass
    with MediaChild() as child:
        return _listing(look(child, Bar(sys.stderr, chosen.json)))


def look(
    child: MediaChild,
    bar: Bar,
    more: Sequence[Path] = (),
    words: Mapping[str, str] | None = None,
) -> WeightsFound:
    """What weights there are; the folders `more` count first, and `words` too, this once.

    Raises WeightsError.
    """
    settings, places = load_settings(), folders()
    make_own(places)
    named = searched(settings, places, more)
    said = settings.weights_words | dict(words or {})
    return child.weights(named, str(memory_file(places)), said, bar)


def _change(settings: Settings, **values: Any) -> None:
    save_settings(replace(settings, **values))


def _there(path: Path) -> Path:
    found = absolute(path)
    if not found.exists():
        raise WeightsError(f"«{path}» is not there.", "Name a folder or file that is.")
    return found


def _with(named: tuple[str, ...], paths: Iterable[Path]) -> tuple[str, ...]:
    for path in paths:
        if not _there(path).is_dir():
            raise WeightsError(f"«{path}» is no folder.", "Name the folder it lies in.")
        named = (*named, str(absolute(path)))
    return tuple(dict.fromkeys(named))


def _without(named: tuple[str, ...], path: Path) -> tuple[str, ...]:
    gone = str(absolute(path))
    if gone not in named:
        known = f"Named are {', '.join(named)}." if named else "No folder is named."
        raise WeightsError(f"«{path}» is not among the folders.", known)
    return tuple(one for one in named if one != gone)


# What there is


def _listing(found: WeightsFound) -> Answer:
    settings, places = load_settings(), folders()
    target = download_folder(settings, places)
    lines = ["Folders, in the order they are searched:"]
    for one in found.folders:
        facts = one.sort
        if one.files:
            files = "file" if one.files == 1 else "files"
            facts = f"{one.sort}, {one.files} {files}, {size_text(one.size_bytes)}"
        downloads = ", downloads go here" if one.path == str(target) else ""
        lines.append(f"  {one.path}: {facts}{downloads}")
    lines += [f"  {path}: {why}" for path, why in found.problems.items()]
    others = offered(settings, places)
    lines += [f"  not named, but there: {path}" for path in others]
    for report in found.reports:
        family = report.family
        lines.append(f"{family.name}: {family.label}, for {family.purpose}: {report.line}")
        for part in report.parts:
            lines += [f"  {line}" for line in _part_lines(family, part, target)]
    return {
        "text": "\n".join(lines),
        "folders": msgspec.to_builtins(found.folders),
        "download_folder": str(target),
        "offered": list(others),
        "families": [_family(report, target) for report in found.reports],
        "problems": found.problems,
        "untold": list(found.untold),
        "others": found.others,
    }


def _part_lines(family: Family, part: PartReport, target: Path) -> list[str]:
    label = part.part.label
    modes = f" (for {', '.join(part.part.modes)})" if part.part.modes else ""
    lines = [f"{label}{modes}: {part.state.value}"]
    if part.found is not None:
        size = size_text(part.found.size_bytes)
        lines[0] += f", {part.found.path} ({part.found.precision}, {size})"
    said = " ".join(filter(None, (part.why, part.hint, part.note)))
    if said and part.state is not State.MISSING:
        lines.append(f"  {said}")
    if part.state is State.UNTOLD and part.found is not None:
        place = Path(part.found.path) if part.part.expert else Path(part.found.path).parent
        word = part.part.expert or part.part.version
        lines.append(f"  Say it: reelwright weights say '{place}' {word}")
    if part.state is State.MISSING:
        one = offer(family, part.part, target)
        lines[0] += f", {size_text(one.size_bytes)}, {one.source.line}, belongs at {one.target}"
    return lines


def _family(report: FamilyReport, target: Path) -> Answer:
    family = report.family
    return {
        "name": family.name,
        "label": family.label,
        "purpose": family.purpose,
        "state": report.line,
        "ready": list(report.ready),
        "parts": [_part(family, part, target) for part in report.parts],
    }


def _part(family: Family, part: PartReport, target: Path) -> Answer:
    made: Answer = {
        "name": part.part.name,
        "label": part.part.label,
        "modes": list(part.part.modes),
        "state": part.state.value,
        "why": part.why,
        "hint": part.hint,
        "note": part.note,
    }
    if part.found is not None:
        made |= {
            "path": part.found.path,
            "precision": part.found.precision,
            "size_bytes": part.found.size_bytes,
            "others": [one.path for one in part.others],
        }
    if part.state in (State.MISSING, State.REFUSED):
        made["get"] = _offered(offer(family, part.part, target))
    return made


def _offered(one: Offer) -> Answer:
    return {
        "size_bytes": one.size_bytes,
        "repository": one.source.repository,
        "page": one.source.page,
        "licence": one.source.licence,
        "url": one.url,
        "path": str(one.target),
        "kept_bytes": one.kept_bytes,
    }


# Fetching


def _get(chosen: argparse.Namespace, settings: Settings) -> Answer:
    family = next((one for one in FAMILIES if one.name == chosen.family), None)
    if family is None:
        known = ", ".join(one.name for one in FAMILIES)
        raise _wrong(f"there is no family «{chosen.family}»; there are {known}")
    known = ", ".join(part.name for part in family.parts)
    for name in chosen.part:
        if not any(part.name == name for part in family.parts):
            raise _wrong(f"{family.label} has no part «{name}»; it has {known}")
    labels = [one.label for part in family.parts for one in part.sources if one.label]
    if chosen.source and chosen.source not in labels:
        known = f"it has {', '.join(labels)}" if labels else "it has one of each part"
        raise _wrong(f"{family.label} has no source «{chosen.source}»; {known}")
    bar = Bar(sys.stderr, chosen.json)
    with MediaChild() as child:
        parts = chosen.part or _lacking(look(child, bar), family)
        if not parts:
            return {"text": f"{family.label} is all there.", "files": [], "state": "Ready"}
        folder = absolute(chosen.to) if chosen.to else download_folder(settings, folders())
        job = DownloadJob(
            subject=family.label,
            family=family.name,
            parts=tuple(dict.fromkeys(parts)),
            folder=str(folder),
            labels=dict.fromkeys(parts, chosen.source),
            mirror=chosen.mirror or mirror(settings),
        )
        wanted = offers(job)
        if not _agreed(wanted, chosen):
            return {"text": "Nothing was fetched.", "files": [], "state": ""}
        try:
            child.run(job, bar)
        except Cancelled:
            raise Cancelled(kept_text(wanted) or "nothing has come yet.") from None
        _note_down(settings, job)
        state = next(one for one in look(child, bar).reports if one.family == family).line
    files = [str(one.target) for one in wanted]
    text = "\n".join([*files, f"{family.label}: {state}"])
    return {"text": text, "files": files, "state": state, "child": child.pid}


def _lacking(found: WeightsFound, family: Family) -> list[str]:
    """What the usual way to run the family needs and must be got."""
    report = next(one for one in found.reports if one.family == family)
    return [
        one.part.name
        for one in report.parts
        if one.state in (State.MISSING, State.REFUSED)
        and (not one.part.modes or family.modes[0] in one.part.modes)
    ]


def _agreed(wanted: Sequence[Offer], chosen: argparse.Namespace) -> bool:
    """Shows size, licence, source and place; asks, where there is somebody to be asked."""
    if not chosen.json:
        for one in wanted:
            sys.stderr.write(f"{one.part}: {one.line}\n")
    if chosen.yes:
        return True
    if chosen.json or not sys.stdin.isatty():
        raise _wrong("nobody is there to be asked; add --yes to fetch them")
    size = size_text(sum(one.size_bytes - one.kept_bytes for one in wanted))
    sys.stderr.write(f"Fetch {size}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _note_down(settings: Settings, job: DownloadJob) -> None:
    """The folder counts from now on, and what is in it need not be told by the person."""
    places = [Path(place) for place in searched(settings, folders())]
    folder = Path(job.folder)
    named = settings.weights_folders
    if not any(folder == place or place in folder.parents for place in places):
        named = (*named, job.folder)
    words = words_of(job) | settings.weights_words
    _change(settings, weights_folders=named, weights_words=words)


def _wrong(message: str) -> UsageError:
    return UsageError("reelwright weights get", "", message[0].upper() + message[1:])
