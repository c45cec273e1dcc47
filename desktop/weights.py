"""The weights on this machine as the window knows them: scanned by the media child, got by jobs."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from desktop.job_entry import IS_OVER, State
from desktop.jobs import JobQueue
from desktop.service import MediaService
from desktop.settings import Folders, SettingsStore
from desktop.weights_places import (
    absolute,
    download_folder,
    make_own,
    memory_file,
    mirror,
    offered,
    searched,
)
from engine.jobs import DownloadJob, ModelFiles
from engine.library import choice
from engine.library.found import FamilyReport, FolderFacts
from engine.timeline.effects import Engine, is_known, kind
from engine.timeline.model import EffectUse
from engine.worker.messages import Event, Refused, Scanning, ScanWeights, WeightsFound

if TYPE_CHECKING:
    from engine.library.download_offer import Offer


class WeightsLibrary(QObject):
    """What was found last, and what the person does about it. Nothing is looked for before `scan`.

    `reports`: one for each family. `problems`: path -> why it could not be read. `untold`: folders
    and files whose version the person has to say, by `say`. `failure`: why the last scan failed.
    """

    changed = Signal()  # what was found, or whether a scan runs
    progressed = Signal(str, int, int)  # of a scan: "scan" with files, "hash" with bytes

    def __init__(
        self,
        service: MediaService,
        queue: JobQueue,
        settings: SettingsStore,
        folders: Folders,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._service = service
        self._queue = queue
        self._settings = settings
        self._places = folders
        self._ask = 0  # of the scan that runs
        self._is_due = False  # another scan, after it
        self.reports: tuple[FamilyReport, ...] = ()
        self.folders: tuple[FolderFacts, ...] = ()
        self.problems: dict[str, str] = {}
        self.untold: tuple[str, ...] = ()
        self.others = 0
        self.failure = ""
        queue.finished.connect(self._finished)
        service.failed.connect(lambda *_: self._fail("The weights cannot be looked through."))

    @property
    def is_scanning(self) -> bool:
        return self._ask != 0

    @property
    def download_folder(self) -> Path:
        return download_folder(self._settings.value, self._places)

    @property
    def offered(self) -> tuple[str, ...]:
        """Folders of other programs on this system, to be added if the person likes."""
        return offered(self._settings.value, self._places)

    def scan(self) -> None:
        """Looks through all folders; while a scan runs, again after it."""
        if self.is_scanning:
            self._is_due = True
            return
        settings = self._settings.value
        make_own(self._places)
        self._ask = self._service.ask(
            lambda number: ScanWeights(
                ask=number,
                folders=searched(settings, self._places),
                memory=str(memory_file(self._places)),
                words=settings.weights_words,
            ),
            self._answer,
        )
        self.changed.emit()

    def _answer(self, event: Event) -> None:
        match event:
            case Scanning():
                self.progressed.emit(event.stage, event.done, event.total)
            case WeightsFound():
                self.reports, self.folders = event.reports, event.folders
                self.problems, self.untold = event.problems, event.untold
                self.others, self.failure = event.others, ""
                self._end()
            case Refused():
                self._fail(event.message)
            case _:
                pass

    def _fail(self, message: str) -> None:
        if self.is_scanning:
            self._service.forget(self._ask)
            self.failure = message
            self._end()

    def _end(self) -> None:
        self._ask = 0
        if self._is_due:
            self._is_due = False
            self.scan()
        else:
            self.changed.emit()

    # What the person does

    def add_folder(self, path: str | Path) -> None:
        """Puts a folder at the end of those that are searched."""
        self._set_folders((*self._settings.value.weights_folders, str(absolute(path))))

    def remove_folder(self, path: str | Path) -> None:
        """Searches a folder no more; nothing on disk changes."""
        gone = absolute(path)
        if str(gone) == self._settings.value.weights_download:
            self._settings.change(weights_download="")
        kept = (one for one in self._settings.value.weights_folders if absolute(one) != gone)
        self._set_folders(kept)

    def _set_folders(self, paths: Iterable[str]) -> None:
        self._settings.change(weights_folders=tuple(dict.fromkeys(paths)))
        self.scan()

    def set_download_folder(self, path: str | Path) -> None:
        """Where downloads go from now on; "" is our own folder. The one before is searched on."""
        before, named = self.download_folder, self._settings.value.weights_folders
        self._settings.change(weights_download=str(absolute(path)) if path else "")
        self._set_folders((*named, str(before)) if before.is_dir() else named)

    def say(self, path: str | Path, word: str) -> None:
        """What a folder or file is: "1.0", "1.1" or "wan"; "" takes it back."""
        words = dict(self._settings.value.weights_words)
        words.pop(str(absolute(path)), None)
        self._say(words | ({str(absolute(path)): word} if word else {}))

    def _say(self, words: Mapping[str, str]) -> None:
        self._settings.change(weights_words=dict(words))
        self.scan()

    # Downloads

    def download(
        self, family: str, parts: Sequence[str], labels: Mapping[str, str] | None = None
    ) -> DownloadJob:
        """The job that fetches `parts`, for `offers` and `get`. `labels`: part -> source."""
        found = next((one.family.label for one in self.reports if one.family.name == family), "")
        return DownloadJob(
            subject=found or family,
            family=family,
            parts=tuple(parts),
            folder=str(self.download_folder),
            labels=dict(labels or {}),
            mirror=mirror(self._settings.value),
        )

    def offers(self, job: DownloadJob) -> "tuple[Offer, ...]":
        """What a download means, to be shown before it: size, licence, source, place, room.

        Raises DownloadError.
        """
        from engine.library.download_offer import offers

        return offers(job)

    def get(self, job: DownloadJob) -> str:
        """Puts a download into the queue; the id of the job that fetches these files."""
        same = next((one for one in self._downloads() if _is_same(one, job)), None)
        if same is None:
            self._queue.add(job)
        return (same or job).id

    def downloading(self, family: str) -> tuple[str, ...]:
        """The jobs in the queue, not over, that fetch files of a family."""
        return tuple(job.id for job in self._downloads() if job.family == family)

    def _downloads(self) -> list[DownloadJob]:
        ended = IS_OVER | {State.FAILED}
        entries = (one for one in self._queue.entries if one.state not in ended)
        return [one.job for one in entries if isinstance(one.job, DownloadJob)]

    def _finished(self, job_id: str) -> None:
        entry = self._queue.entry(job_id)
        if entry is not None and isinstance(entry.job, DownloadJob):
            from engine.library.download_offer import words_of

            self._say(words_of(entry.job) | self._settings.value.weights_words)

    # What effects need

    def models_for(self, uses: Iterable[EffectUse]) -> tuple[ModelFiles, ...]:
        """The files that baking `uses` needs. Raises WeightsError that says what lacks."""
        known = (use for use in uses if is_known(use))
        return choice.models_for(self.reports, [kind(u.kind).engine(u.engine) for u in known])

    def files_of(self, families: Sequence[str]) -> ModelFiles:
        """All files of the first of `families` that is ready. Raises WeightsError."""
        return choice.family_files(self.reports, families)

    def nearest(self, families: Sequence[str]) -> tuple[str, int]:
        """The family that lacks least, and about how much must be got of it."""
        known = [one for name in families for one in self.reports if one.family.name == name]
        found = [
            (sum(one.part.sources[0].size_bytes for one in report.parts if one.found is None), i)
            for i, report in enumerate(known)
        ]
        if not found:
            return (families[0] if families else ""), 0
        size, place = min(found)
        return known[place].family.name, size

    def is_ready(self, engine: Engine) -> bool:
        return choice.is_ready(self.reports, engine)

    def lacking(self, engine: Engine) -> str:
        """The sentence that says what is missing, refused or to be told; "" where nothing is."""
        return choice.lacking(self.reports, engine)

    def missing_bytes(self, engine: Engine) -> int:
        return choice.missing_bytes(self.reports, engine)

    def missing_parts(self, engine: Engine) -> tuple[str, ...]:
        """What `download` is to fetch for an engine."""
        return choice.missing_parts(self.reports, engine)


def _is_same(one: DownloadJob, other: DownloadJob) -> bool:
    return (one.family, one.folder, one.labels) == (
        other.family,
        other.folder,
        other.labels,
    ) and set(other.parts) <= set(one.parts)
