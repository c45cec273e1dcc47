"""Files into Media: folders opened, every file probed by the media child, refusals told once."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from desktop.service import MediaService
from engine.timeline.model import Asset, MediaFacts, new_id
from engine.worker.messages import Event, Probe, Probed, Refused

PICTURES = (".gif", ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
FILMS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv")
SOUNDS = (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac")
SUFFIXES = frozenset(PICTURES + FILMS + SOUNDS)  # what is taken out of folders
MOST = 2000  # files taken from folders at once

Then = Callable[[tuple[Asset, ...]], None]


class Import:
    """One gesture: the files of a drop or a dialog, in order."""

    def __init__(self, paths: list[Path], then: Then) -> None:
        self.paths = paths
        self.then = then
        self.found: dict[Path, Asset] = {}
        self.refused: dict[Path, tuple[str, str]] = {}  # message, details

    @property
    def is_over(self) -> bool:
        return len(self.found) + len(self.refused) == len(self.paths)


class Importer(QObject):
    """Probes files and hands over those that can be read."""

    reading_changed = Signal()
    refused = Signal(object)  # Import, with at least one refusal
    facts_came = Signal(str, object)  # path; MediaFacts, or the sentence of a refusal

    def __init__(self, service: MediaService, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._service = service
        self._running: list[Import] = []
        self._known: dict[tuple[str, int, int], Probed] = {}  # path, size, time of change

    @property
    def reading(self) -> tuple[str, ...]:
        """The paths that are being read, in order."""
        return tuple(
            str(path)
            for one in self._running
            for path in one.paths
            if path not in one.found and path not in one.refused
        )

    def bring(self, paths: list[str], then: Then) -> None:
        """Probes files and the media in folders; `then` gets what can be read, in order."""
        files = expanded(paths)
        if not files:
            return
        one = Import(files, then)
        self._running.append(one)
        self.reading_changed.emit()
        for path in files:

            def answer(event: Event, path: Path = path) -> None:
                self._answer(one, path, event)

            self.facts(str(path), answer)

    def facts(self, path: str, answer: Callable[[Event], None]) -> None:
        """Asks what a file is; answered with Probed or Refused, at once where it is known."""
        key = _state(path)
        known = self._known.get(key) if key else None
        if known is not None:
            answer(known)
            return

        def remember(event: Event) -> None:
            if isinstance(event, Probed) and key:
                self._known[key] = event
            answer(event)

        self._service.ask(lambda number: Probe(ask=number, path=path), remember)

    def look(self, paths: list[str]) -> None:
        """For a drag over the window: tells facts by `facts_came` as they come."""
        for path in expanded(paths)[:50]:

            def tell(event: Event, path: str = str(path)) -> None:
                match event:
                    case Probed(facts=facts):
                        self.facts_came.emit(path, facts)
                    case Refused(message=message):
                        self.facts_came.emit(path, message)
                    case _:
                        pass

            self.facts(str(path), tell)

    def _answer(self, one: Import, path: Path, event: Event) -> None:
        match event:
            case Probed():
                one.found[path] = Asset(
                    new_id(), str(path), path.name, event.facts, event.fingerprint
                )
            case Refused():
                one.refused[path] = (event.message, event.details or event.hint)
            case _:
                return
        if one.is_over:
            self._running.remove(one)
            if one.found:
                one.then(tuple(one.found[path] for path in one.paths if path in one.found))
            if one.refused:
                self.refused.emit(one)
        self.reading_changed.emit()


def refusal_sentence(one: Import) -> str:
    """What the notice says of files that could not be read."""
    good, bad = len(one.found), len(one.refused)
    if bad == 1:
        message = next(iter(one.refused.values()))[0]
        if good:
            others = "The other file is" if good == 1 else f"The other {good} files are"
            return f"{message} {others} in Media."
        return message
    return f"{bad} of {good + bad} files cannot be read."


def expanded(paths: list[str]) -> list[Path]:
    """The files themselves, and of folders the media in them, sorted by name; each once."""
    found: dict[Path, None] = {}
    for text in paths:
        path = Path(text).absolute()
        if path.is_dir():
            inside = (one for one in sorted(path.rglob("*")) if one.suffix.lower() in SUFFIXES)
            for one in inside:
                if len(found) >= MOST:
                    break
                if one.is_file() and not any(part.startswith(".") for part in one.parts[-3:]):
                    found[one] = None
        else:
            found[path] = None
    return list(found)


def _state(path: str) -> tuple[str, int, int] | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return path, status.st_size, status.st_mtime_ns


def same_medium(assets: tuple[Asset, ...], facts: MediaFacts, fingerprint: str) -> Asset | None:
    """The asset of the bin that has this very content, if there is one."""
    for asset in assets:
        if asset.fingerprint == fingerprint and asset.facts == facts:
            return asset
    return None
