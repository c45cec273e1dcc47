"""What weights are on disk: walks the named folders, recognises files, remembers what they were."""

import hashlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.errors import WeightsError
from engine.files import write_whole
from engine.library import comfy
from engine.library.folders import Entry, Root, Sort, Walk, roots, sort_of
from engine.library.found import NOTHING, FolderFacts, Scan, Weights
from engine.library.headers import inspect
from engine.library.recognise import match, precision, unlike
from engine.library.tensors import GET_AGAIN, Form
from engine.progress import Report, Silent

VERSION = 3  # of what is remembered; recognising more than before makes a new one
PIECE = 4 << 20
MOST_REMEMBERED = 20_000  # files that are not there now
OTHER_WIDTHS = "Of other widths than the published one."
TEXT_WIDTH = 4096  # of the published transformers
ALIKE = "wan2.1_t2v_1.3b"  # as which FlashVSR's transformer is recognised
TOLD_BY_HASH = {ALIKE: "fp32", "flashvsr_projection": "bf16"}  # as published


class _Known(msgspec.Struct):
    """What is remembered of a file; good while each of `stamps` (path, size, time) holds."""

    stamps: list[tuple[str, int, int]]
    weights: Weights


class _KnownPaths(msgspec.Struct):
    stamp: tuple[int, int]
    groups: dict[str, dict[str, str]]


class _Memory(msgspec.Struct):
    version: int = VERSION
    files: dict[str, _Known] = {}
    paths: dict[str, _KnownPaths] = {}


class Step(NamedTuple):
    """How far a scan is: `stage` "scan" with files, "hash" with bytes of one file."""

    stage: str
    done: int
    total: int


def scan(folders: Sequence[Path], memory: Path, report: Report | None = None) -> Scan:
    """Looks through `folders`, in the order they shall be searched.

    `memory` is a file of ours: a file of the same size and time as then is not opened again.
    """
    scanner = Scanner(memory)
    report = report or Silent()
    for step in scanner.steps(folders):
        report.step(*step)
    return scanner.found


class Scanner:
    """A scan in small steps, for who has other work between them."""

    def __init__(self, memory: Path) -> None:
        self.file = memory
        self.found = Scan((), (), (), {}, 0, 0)
        self.old = _remembered(memory)
        self.new = _Memory()
        self.read = 0
        self.walk = Walk()

    def steps(self, folders: Sequence[Path]) -> Iterator[Step]:
        """Each step is one file, or a piece of one; afterwards `found` holds the answer."""
        places: list[Root] = []
        sorts: dict[Path, Sort] = {}
        for folder in dict.fromkeys(path.expanduser().absolute() for path in folders):
            sorts[folder] = sort_of(folder)
            places += roots(folder, self._paths, self.walk.problems)
        entries: list[Entry] = []
        for root in places:
            for entry in self.walk.files(root):
                entries.append(entry)
                yield Step("scan", 0, len(entries))
        # Indexes first: what they bring is no file of its own.
        entries.sort(key=lambda entry: not entry.path.name.endswith(".index.json"))
        made: dict[Path, Weights] = {}
        taken: set[str] = set()
        for done, entry in enumerate(entries):
            yield Step("scan", done, len(entries))
            if str(entry.path) not in taken:
                made[entry.path] = self._weights(entry)
                taken.update(made[entry.path].parts)
        yield Step("scan", len(entries), len(entries))
        self._remember(places)  # what follows takes long and may be cut off
        yield from self._tell(made, entries)
        self._remember(places)
        _recognise_prompts(made)
        self.found = self._scan(made, entries, places, sorts)

    def _scan(
        self,
        made: Mapping[Path, Weights],
        entries: list[Entry],
        places: list[Root],
        sorts: Mapping[Path, Sort],
    ) -> Scan:
        order = {root.path: place for place, root in enumerate(places)}
        ranks = {path: _rank(path, order) for path in made}
        found = [made[path] for path in sorted(made, key=lambda path: (ranks[path], str(path)))]
        files = [entry for entry in entries if not entry.path.name.endswith(".index.json")]
        return Scan(
            folders=tuple(self._facts(folder, sort, files) for folder, sort in sorts.items()),
            weights=tuple(item for item in found if item.kind or item.why),
            walked=tuple(str(root.path) for root in places),
            problems={str(path): why for path, why in self.walk.problems.items()},
            others=sum(not (item.kind or item.why) for item in found),
            read=self.read,
        )

    def _facts(self, folder: Path, sort: Sort, files: list[Entry]) -> FolderFacts:
        mine = [entry for entry in files if entry.named == folder]
        return FolderFacts(
            path=str(folder),
            sort=str(sort),
            files=len(mine),
            size_bytes=sum(entry.size for entry in mine),
            problem=self.walk.problems.get(folder, ""),
        )

    def _weights(self, entry: Entry) -> Weights:
        known = self.old.files.get(str(entry.path))
        if known is None or not _holds(known, entry):
            self.read += 1
            weights = _opened(entry)
            known = _Known([(str(entry.path), entry.size, entry.mtime)], weights)
            for part in weights.parts:
                with suppress(OSError):
                    facts = Path(part).stat()
                    known.stamps.append((part, facts.st_size, facts.st_mtime_ns))
        self.new.files[str(entry.path)] = known
        return msgspec.structs.replace(known.weights, named=str(entry.named))

    def _tell(self, made: dict[Path, Weights], entries: list[Entry]) -> Iterator[Step]:
        """Hashes files of FlashVSR that only their hash can tell apart, each once."""
        if not any(weights.kind == "flashvsr_projection" for weights in made.values()):
            return
        for entry in entries:
            weights = made.get(entry.path, NOTHING)
            is_published = TOLD_BY_HASH.get(weights.kind) == weights.precision
            if is_published and not (
                weights.sha256 or weights.parts or weights.why or weights.note
            ):
                sha256 = yield from _hashed(entry)
                made[entry.path] = msgspec.structs.replace(weights, sha256=sha256)
                self.new.files[str(entry.path)].weights = made[entry.path]

    def _paths(self, path: Path) -> comfy.Groups:
        """What an extra_model_paths.yaml says. Raises PathsError, OSError."""
        facts = path.stat()
        stamp = facts.st_size, facts.st_mtime_ns
        known = self.old.paths.get(str(path))
        if known is None or known.stamp != stamp:
            self.read += 1
            if facts.st_size > comfy.MOST_BYTES:
                raise comfy.PathsError("it is too large")
            try:
                groups = comfy.parsed(path.read_text(encoding="utf-8"))
            except UnicodeDecodeError as error:
                raise comfy.PathsError("it is not text in UTF-8") from error
            known = _KnownPaths(stamp, groups)
        self.new.paths[str(path)] = known
        return known.groups

    def _remember(self, places: list[Root]) -> None:
        # What lies elsewhere is kept: the disk may be back next time, and hashing takes long.
        walked = {root.path for root in places if root.path.is_dir()}
        for path, known in list(self.old.files.items())[-MOST_REMEMBERED:]:
            if not walked & {*Path(path).parents}:
                self.new.files.setdefault(path, known)
        if self.new != self.old:
            with suppress(OSError):  # the next scan is slow again, and that is all
                self.file.parent.mkdir(parents=True, exist_ok=True)
                write_whole(self.file, msgspec.json.encode(self.new))


def _hashed(entry: Entry) -> Generator[Step, None, str]:
    """Of the whole file, in hexadecimal; "" where it cannot be read to its end."""
    digest, done = hashlib.sha256(), 0
    try:
        with entry.path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                done += len(piece)
                yield Step("hash", done, entry.size)
    except OSError:
        return ""
    return digest.hexdigest()


def _remembered(path: Path) -> _Memory:
    try:
        memory = msgspec.json.decode(path.read_bytes(), type=_Memory)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return _Memory()
    return memory if memory.version == VERSION else _Memory()


def _holds(known: _Known, entry: Entry) -> bool:
    if not known.stamps or known.stamps[0] != (str(entry.path), entry.size, entry.mtime):
        return False
    for path, size, mtime in known.stamps[1:]:
        try:
            facts = Path(path).stat()
        except OSError:
            return False
        if (facts.st_size, facts.st_mtime_ns) != (size, mtime):
            return False
    # An index that lacked a file may have got it meanwhile: that one is small and read again.
    return not (entry.path.name.endswith(".index.json") and known.weights.why)


def _opened(entry: Entry) -> Weights:
    path, named = str(entry.path), str(entry.named)
    try:
        header = inspect(entry.path)
    except WeightsError as error:
        if entry.path.name.endswith(".index.json") and "is not the index" in error.message:
            return Weights(path, named, entry.size)
        return Weights(path, named, entry.size, why=error.message, hint=error.hint)
    weights = Weights(
        path,
        named,
        header.size_bytes,
        precision=precision(header),
        why=header.damage,
        hint=GET_AGAIN if header.damage else "",
        parts=tuple(map(str, header.files[1:])) if header.form is Form.SHARDS else (),
    )
    found = match(header)
    if found is not None:
        return msgspec.structs.replace(
            weights,
            kind=found.kind.name,
            layout=found.layout,
            prefix=found.prefix,
            note=OTHER_WIDTHS if found.widths else "",
            text_width=found.widths.get(TEXT_WIDTH, 0),
        )
    lone = header.tensors.get("")
    if lone is not None and len(lone.shape) == 3 and lone.shape[0] == 1 and not header.damage:
        return msgspec.structs.replace(weights, text_width=lone.shape[2])
    like = unlike(header)
    if like is None:
        return weights if header.damage else Weights(path, named, entry.size, parts=weights.parts)
    kind, why = like
    if header.damage:
        return msgspec.structs.replace(weights, kind=kind.name)
    return msgspec.structs.replace(weights, kind=kind.name, why=why, hint=_hint(entry.path))


def _recognise_prompts(made: dict[Path, Weights]) -> None:
    """A lone tensor (1, L, D) is a prompt of other widths where only one lies beside FlashVSR's
    projection and a transformer of other widths that takes text of width D.
    """
    homes: dict[Path, list[Path]] = {}
    for path in made:
        homes.setdefault(path.parent, []).append(path)
    for paths in homes.values():
        kinds = {made[path].kind for path in paths}
        wanted = {made[path].text_width for path in paths if made[path].kind == ALIKE} - {0}
        lone = [p for p in paths if not made[p].kind and made[p].text_width in wanted]
        if "flashvsr_projection" in kinds and len(lone) == 1:
            made[lone[0]] = msgspec.structs.replace(
                made[lone[0]], kind="flashvsr_prompt", layout="flashvsr", note=OTHER_WIDTHS
            )


def _rank(path: Path, order: Mapping[Path, int]) -> int:
    """The place of the innermost root that holds `path`."""
    for folder in path.parents:
        if folder in order:
            return order[folder]
    return len(order)


def _hint(path: Path) -> str:
    """What to do about a file that is not all there, or more than that."""
    if "-of-" in path.name:
        return "Keep all its parts and their .index.json in one folder."
    return ""
