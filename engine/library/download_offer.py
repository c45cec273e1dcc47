"""What a download would fetch, known before it: size, licence, source, place and room."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit

import msgspec

from engine.errors import WeightsError
from engine.jobs import DownloadJob
from engine.library.catalog import FAMILIES, HUB, Family, Part, Source
from engine.library.found import gigabytes


class DownloadError(WeightsError):
    """Weights could not be fetched. `kept`: a sentence on what of them is here, or ""."""

    def __init__(self, message: str, hint: str = "", details: str = "", kept: str = "") -> None:
        super().__init__(message, hint, details)
        self.kept = kept


class Places(msgspec.Struct, frozen=True):
    """Where files are asked for: the publishers' own addresses, or a mirror with their layout."""

    hub: str = "https://huggingface.co"
    github: str = "https://github.com"


class Offer(msgspec.Struct, frozen=True):
    """`folder`: the person's. `size_bytes`: about. `kept_bytes`: here from an earlier try."""

    family: str
    part: str
    source: Source
    url: str
    folder: Path
    target: Path
    kept_bytes: int
    free_bytes: int | None

    @property
    def size_bytes(self) -> int:
        return self.source.size_bytes

    @property
    def line(self) -> str:
        """«1.3 GB from Wan-AI on Hugging Face, Apache-2.0, into weights / vae. 318 GB free.»"""
        origin = self.source.line.replace(" · ", ", ")
        place = " / ".join((self.folder.name, *self.target.parent.relative_to(self.folder).parts))
        kept = f"{share(self.kept_bytes, self.size_bytes)} are kept. " if self.kept_bytes else ""
        free = "" if self.free_bytes is None else f"{size_text(self.free_bytes)} free."
        return f"{size_text(self.size_bytes)} from {origin}, into {place}. {kept}{free}".rstrip()

    @property
    def by_hand(self) -> str:
        """Where the file must lie for who fetches it otherwise."""
        return f"By hand: get {self.target.name} from {self.source.page}, put it at {self.target}."

    @property
    def part_path(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def note_path(self) -> Path:
        """What is known of the part: its address, ETag and whole length."""
        return self.target.with_name(f"{self.target.name}.part.json")


def offer(
    family: Family, part: Part, folder: Path, *, label: str = "", places: Places | None = None
) -> Offer:
    """What fetching `part` into `folder` means. Asks the disk, not the network.

    `label`: of the source, where there is a choice; the first otherwise.
    """
    sources = [source for source in part.sources if source.label == label]
    source = (sources or list(part.sources))[0]
    target = folder / part.folder / PurePosixPath(source.file).name
    made = Offer(
        family=family.label,
        part=part.label,
        source=source,
        url=address(source, places or Places()),
        folder=folder,
        target=target,
        kept_bytes=0,
        free_bytes=free_bytes(target),
    )
    return msgspec.structs.replace(made, kept_bytes=_size(made.part_path))


def offers(job: DownloadJob) -> tuple[Offer, ...]:
    """What a download means, file by file. Raises DownloadError where nothing is known of it."""
    places = Places(hub=job.mirror) if job.mirror else Places()
    family = next((one for one in FAMILIES if one.name == job.family), None)
    known = {part.name: part for part in family.parts} if family is not None else {}
    if family is None or not job.parts or any(name not in known for name in job.parts):
        raise DownloadError(f"It is not known where {job.subject or job.family} comes from.")
    folder = Path(job.folder)
    return tuple(
        offer(family, known[name], folder, label=job.labels.get(name, ""), places=places)
        for name in job.parts
    )


def words_of(job: DownloadJob) -> dict[str, str]:
    """What a download knows of its files that they do not tell: folder -> version."""
    family = next(one for one in FAMILIES if one.name == job.family)
    parts = [part for part in family.parts if part.name in job.parts]
    return {
        str(Path(job.folder) / part.folder): part.version
        for part in parts
        if part.version and not part.sources[0].sha256
    }


def kept_text(wanted: Sequence[Offer]) -> str:
    """«4.8 of 14.3 GB are kept.» of all files together, "" where nothing has come yet."""
    kept = sum(max(_size(item.target), _size(item.part_path)) for item in wanted)
    total = max(sum(item.size_bytes for item in wanted), kept)
    return f"{share(kept, total)} are kept." if kept else ""


def address(source: Source, places: Places) -> str:
    """Where `source` is fetched. Raises DownloadError where `places` names no such place."""
    is_hub = source.page.startswith(HUB)
    base = (places.hub if is_hub else places.github).rstrip("/")
    try:
        is_address = urlsplit(base).scheme in ("http", "https") and bool(urlsplit(base).hostname)
    except ValueError:
        is_address = False
    if not is_address:
        raise DownloadError(f"«{base}» is no address to download from.", "Change the mirror.")
    way = "resolve" if is_hub else "raw"
    return f"{base}/{source.repository}/{way}/main/{quote(source.file)}"


def check_room(offers: tuple[Offer, ...]) -> None:
    """Raises DownloadError where the offers together do not fit."""
    disks: dict[object, list[Offer]] = {}
    for item in offers:
        if _size(item.target) == 0:
            disks.setdefault(_disk(item.target), []).append(item)
    for items in disks.values():
        left = (max(item.size_bytes - _size(item.part_path), 0) for item in items)
        check_fits(items[0], sum(left))


def check_fits(item: Offer, needs_bytes: int) -> None:
    """Raises DownloadError: «Not enough room: needs 14.3 GB, 9.1 GB free in …»."""
    free = free_bytes(item.target)
    if free is not None and needs_bytes > free:
        place = " / ".join(item.folder.parts[-2:]).replace("/ / ", "/ ")
        raise DownloadError(
            f"Not enough room: needs {size_text(needs_bytes)}, {size_text(free)} free in {place}.",
            f"Choose another folder. {item.by_hand}",
        )


def free_bytes(path: Path) -> int | None:
    """Of the disk on which `path` is, or will be; None where the system does not tell."""
    for folder in path.parents:
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return None


def size_text(size_bytes: int) -> str:
    """«318 GB», «1.3 GB», «4.2 MB»."""
    return f"{size_bytes / 1e9:.0f} GB" if size_bytes >= 99.95e9 else gigabytes(size_bytes)


def share(done_bytes: int, total_bytes: int) -> str:
    """«4.8 of 14.3 GB», «2.0 MB of 0.6 GB»."""
    done, total = size_text(done_bytes), size_text(total_bytes)
    if total_bytes >= 100_000_000 and done_bytes >= 50_000_000:
        done = f"{done_bytes / 1e9:.1f} GB"
    return f"{done.split()[0] if done.split()[1] == total.split()[1] else done} of {total}"


def _disk(path: Path) -> object:
    """What files on one disk share."""
    for folder in path.parents:
        with suppress(OSError):
            return folder.stat().st_dev
    return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
