"""The rows of the page of weights, made of what a scan, the offers and the queue say."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from desktop.job_entry import Entry, State
from desktop.wording import duration_text
from engine.library.catalog import Part
from engine.library.download_offer import Offer, free_bytes, share, size_text
from engine.library.folders import Sort
from engine.library.found import FamilyReport, FolderFacts, PartReport, Weights
from engine.library.found import State as Found
from ui.weights_rows import (
    ATTENTION,
    FAILED,
    FOUND,
    MISSING,
    PAUSED,
    READY,
    REFUSED,
    RUNNING,
    STOPPING,
    UNTOLD,
    WAITING,
    AskRow,
    DownloadRow,
    FamilyRow,
    FolderRow,
    PartRow,
)

STATES = {
    Found.FOUND: FOUND,
    Found.UNTOLD: UNTOLD,
    Found.REFUSED: REFUSED,
    Found.MISSING: MISSING,
}
SHOWN = {
    State.WAITING: WAITING,
    State.RUNNING: RUNNING,
    State.STOPPING: STOPPING,
    State.FAILED: FAILED,
}
VERSIONS = (("1.0", "v1.0"), ("1.1", "v1.1"))  # words of engine.library, as they are shown
WAN = ("wan", "Wan2.1")
EXPERTS = (("high", "High"), ("low", "Low"))
SHORT = 4  # letters of what a part needs that fit on its button: «Get 2.1»
Offers = Callable[[str, str], tuple[Offer, ...]]  # family, part


@runtime_checkable
class Download(Protocol):
    """A job that fetches parts of a family, by the family's name or label."""

    id: str
    family: str


def place(path: str) -> str:
    """«ComfyUI / models»: the end of a path, short enough for a row."""
    parts = [part for part in Path(path).parts if part != Path(path).anchor]
    return " / ".join(parts[-2:]) or path


# Folders


def used_folders(reports: Iterable[FamilyReport]) -> set[str]:
    """The folders, as they were named, in which something was found that serves."""
    parts = (part for report in reports for part in report.parts)
    return {file.named for part in parts for file in (part.found, *part.others) if file is not None}


def folder_row(facts: FolderFacts, download_folder: str, is_used: bool = False) -> FolderRow:
    """A folder of the person's; the one that downloads go to says how much room is left.

    `is_used`: something was recognised in it.
    """
    is_download = bool(download_folder) and Path(facts.path) == Path(download_folder)
    kind, problem = facts.sort, ""
    if facts.sort == Sort.MISSING:
        problem = "" if is_download else "It is not there."  # the first download makes it
    elif facts.problem:
        problem = f"It cannot be read: {facts.problem}."
    free = free_bytes(Path(facts.path) / "x") if is_download else None
    is_known = is_used or facts.sort in (Sort.COMFY, Sort.HUB)
    chip = "Download folder" if is_download else "Recognised" if is_known and not problem else ""
    return FolderRow(
        path=facts.path,
        name=place(facts.path),
        kind="Downloads go here" if is_download else kind[:1].upper() + kind[1:],
        files=facts.files,
        size_text=size_text(facts.size_bytes) if facts.files else "",
        free_text="" if free is None else f"{size_text(free)} free",
        chip=chip,
        problem=problem,
        is_download=is_download,
    )


# Families


def family_row(
    report: FamilyReport, offers: Offers, untold: Sequence[str] = (), needs: str = ""
) -> FamilyRow:
    """A family without its download. `needs`: «from 8 GB of GPU memory», "" where unknown."""
    family = report.family
    counted = [part for part in report.parts if counts(report, part.part)]
    lacking = [part for part in counted if part.state is Found.MISSING]
    only_lacking = all(part.state in (Found.FOUND, Found.MISSING) for part in counted)
    wanted = tuple(offer for part in lacking for offer in offers(family.name, part.part.name)[:1])
    can_get = not report.ready and only_lacking and len(wanted) == len(lacking) > 0
    sizes = sum(part.found.size_bytes for part in report.parts if part.found is not None)
    if can_get:
        total = size_text(sum(offer.size_bytes for offer in wanted))
        need = " · ".join((f"{len(lacking)} missing", total, _licence(wanted)))
    else:
        size = size_text(sizes) if report.ready and sizes else ""
        need = " · ".join(filter(None, (size, needs)))
    return FamilyRow(
        name=family.name,
        label=family.label,
        purpose=family.purpose,
        need=need,
        chip=report.line,
        chip_kind=READY if report.ready else ATTENTION,
        parts=tuple(part_row(report, part, offers) for part in report.parts),
        asks=_asks(report, untold),
        can_get=can_get,
        offer_line=all_line(wanted) if can_get else "",
        by_hand="\n".join(offer.by_hand for offer in wanted),
    )


def counts(report: FamilyReport, part: Part) -> bool:
    """Whether the usual way to run the family needs the part."""
    return not part.modes or report.family.modes[0] in part.modes


def lacking_parts(report: FamilyReport) -> tuple[str, ...]:
    """What Get all fetches: the missing parts that the usual way needs."""
    return tuple(
        part.part.name
        for part in report.parts
        if part.state is Found.MISSING and counts(report, part.part)
    )


def part_row(report: FamilyReport, part: PartReport, offers: Offers) -> PartRow:
    label = part.part.label
    if not counts(report, part.part):
        label = f"{label}, for {' and '.join(part.part.modes)}"
    state = STATES[part.state]
    if part.found is not None and state in (FOUND, UNTOLD):
        others = [f"Also: {other.path}" for other in part.others]
        if part.found.precision:
            label = f"{label}, {part.found.precision}"
        return PartRow(
            name=part.part.name,
            label=label,
            state=state,
            text=beneath(part.found),
            tip="\n".join(filter(None, (part.found.path, part.note, *others))),
            size_text=size_text(part.found.size_bytes),
        )
    offer = next(iter(offers(report.family.name, part.part.name)), None)
    source = part.part.sources[0]
    text, marked, action = source.line, "", "Get"
    if state == REFUSED:
        text = f"{part.why} {part.hint}".strip()
        name = Path(part.found.path).name if part.found is not None else ""
        marked = name if name and text.startswith(name) else text
        if part.part.needs and len(part.part.needs) <= SHORT:
            action = f"Get {part.part.needs}"
    found = part.found.path if part.found is not None else ""
    by_hand = offer.by_hand if offer is not None else ""
    return PartRow(
        name=part.part.name,
        label=label,
        state=state,
        text=text,
        marked=marked,
        tip="\n".join(filter(None, (part.why, found, by_hand))),
        size_text=size_text(offer.size_bytes if offer is not None else source.size_bytes),
        action=action if offer is not None else "",
        offer_line=offer.line if offer is not None else "",
        by_hand=by_hand,
    )


def beneath(file: Weights) -> str:
    """«diffusion_models / x.safetensors»: where a file lies in the folder that was named."""
    path = Path(file.path)
    try:
        return " / ".join(path.relative_to(file.named).parts)
    except ValueError:
        return " / ".join(path.parts[-2:])


def all_line(offers: Sequence[Offer]) -> str:
    """«6.4 GB in 4 files from … on Hugging Face, Apache-2.0, into weights / …. 318 GB free.»"""
    if len(offers) <= 1:
        return "".join(offer.line for offer in offers)
    total = sum(offer.size_bytes for offer in offers)
    kept = sum(offer.kept_bytes for offer in offers)
    sources = [offer.source.line.partition(" · ")[0] for offer in offers]
    places = [
        " / ".join((offer.folder.name, *offer.target.parent.relative_to(offer.folder).parts))
        for offer in offers
    ]
    kept_text = f" {share(kept, total)} are kept." if kept else ""
    free = min((one.free_bytes for one in offers if one.free_bytes is not None), default=None)
    free_text = "" if free is None else f" {size_text(free)} free."
    return (
        f"{size_text(total)} in {len(offers)} files from {_listed(sources)}, "
        f"{_licence(offers)}, into {_listed(places)}.{kept_text}{free_text}"
    )


def _licence(offers: Iterable[Offer]) -> str:
    licences = {offer.source.licence for offer in offers}
    return licences.pop() if len(licences) == 1 else "see licences"


def _listed(words: Iterable[str]) -> str:
    """«a, b and c», each once."""
    once = list(dict.fromkeys(words))
    return " and ".join(filter(None, (", ".join(once[:-1]), once[-1])))


def _asks(report: FamilyReport, untold: Sequence[str]) -> tuple[AskRow, ...]:
    """What the person has to tell about the files this family found."""
    asks = []
    for path in untold:
        for part in report.parts:
            files = [file.path for file in (part.found, *part.others) if file is not None]
            is_file = path in files
            homes = {str(Path(file).parent) for file in files}
            if part.state is Found.UNTOLD and (is_file or path in homes):
                name = Path(path).name if is_file else place(path)
                choices = (*VERSIONS, WAN) if is_file else VERSIONS
                choices = EXPERTS if part.part.expert else choices
                asks.append(AskRow(path, name, part.why, choices))
                break
    return tuple(asks)


# Downloads


def download_of(entries: Iterable[Entry], report: FamilyReport, paused: set[str]) -> Entry | None:
    """The newest entry that fetches the family and is not over, or was paused."""
    names = (report.family.name, report.family.label)
    found = [
        one
        for one in entries
        if isinstance(one.job, Download)
        and one.job.family in names
        and (one.state in SHOWN or (one.state is State.CANCELLED and one.id in paused))
    ]
    return found[-1] if found else None


def download_row(entry: Entry) -> DownloadRow:
    state = SHOWN.get(entry.state, PAUSED)
    words = {WAITING: "Waiting", STOPPING: "Stopping…", PAUSED: "Paused"}.get(state, "")
    if state == FAILED:
        words = f"{entry.message} {entry.kept}".strip()
    elif state == RUNNING:
        words = "Verifying…" if entry.stage == "verify" else _speed(entry)
    fraction = entry.done / entry.total if entry.total else 0.0
    done = share(entry.done, entry.total) if entry.total else ""
    return DownloadRow(state, fraction, done, words)


def _speed(entry: Entry) -> str:
    """«62 MB/s · 2 min 35 s left»."""
    if entry.seconds_left < 0 or entry.total <= 0:
        return ""
    speed = ""
    if entry.seconds_left > 0:
        speed = f"{(entry.total - entry.done) / entry.seconds_left / 1e6:.0f} MB/s"
    return " · ".join(filter(None, (speed, f"{duration_text(entry.seconds_left)} left")))


def with_download(shown: FamilyRow, entry: Entry | None) -> FamilyRow:
    """The row while the family is being fetched: nothing else of it can be got meanwhile."""
    if entry is None:
        return shown
    parts = tuple(replace(part, action="") for part in shown.parts)
    return replace(shown, download=download_row(entry), parts=parts, can_get=False)
