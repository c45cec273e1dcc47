"""Exports from the window: where they go, under which fresh name, and what is told at the end."""

from pathlib import Path

import msgspec
from PySide6.QtCore import QObject, QStandardPaths, Signal

from desktop import naming
from desktop.editor import Editor
from desktop.job_entry import IS_ACTIVE, Entry, State
from desktop.jobs import JobQueue
from desktop.settings import Folders, Settings
from desktop.wording import size_text
from engine.jobs import ExportJob, ExportOptions
from engine.timeline.model import Project, Sequence

replace = msgspec.structs.replace


def export_folder(settings: Settings, project: Path | None) -> Path:
    """Where exports go: the chosen folder, else Exports beside the project, else Videos."""
    if settings.export_folder:
        return Path(settings.export_folder)
    if project is not None:
        return project.parent / "Exports"
    videos = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.MoviesLocation)
    return Path(videos or Path.home()) / "Reelwright"


def project_name(path: Path | None) -> str:
    """The name on the title and in exported files."""
    return path.stem if path is not None else "Untitled"


class Exports(QObject):
    """Starts exports, knows the running one, tells of finished ones."""

    changed = Signal()
    finished = Signal(object, bool)  # Entry, saved
    failed = Signal(object)  # Entry

    def __init__(
        self, editor: Editor, queue: JobQueue, folders: Folders, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._editor = editor
        self._queue = queue
        self._folders = folders
        self._unsaved: set[str] = set()  # jobs whose result stays in the cache
        queue.entry_changed.connect(lambda _id: self.changed.emit())
        queue.entries_changed.connect(self.changed)
        queue.finished.connect(self._finish)
        queue.failed.connect(self._fail)

    @property
    def running(self) -> Entry | None:
        """The export that runs or waits, the first of them."""
        return next(
            (
                one
                for one in self._queue.entries
                if isinstance(one.job, ExportJob)
                and (one.state in IS_ACTIVE or one.state is State.WAITING)
            ),
            None,
        )

    def start(
        self, options: ExportOptions, folder: Path, prefix: str, save: bool, limit: int
    ) -> str:
        """Queues an export of the sequence; gives the job's id. Raises OutputError."""
        project: Project = self._editor.project
        sequence: Sequence = self._editor.sequence
        suffix = options.format.value
        if save:
            output = self._fresh(naming.made(folder), prefix, suffix)
        else:
            output = naming.cached_render(self._folders.cache, prefix, suffix)
        job = ExportJob(
            title=f"Export {suffix.upper()}",
            subject=output.name,
            project=_used(project, sequence),
            sequence=sequence.id,
            options=options,
            output=str(output),
            cache=str(self._folders.cache),
            cache_limit_bytes=limit,
        )
        if not save:
            self._unsaved.add(job.id)
        self._queue.add(job)
        return job.id

    def _fresh(self, folder: Path, prefix: str, suffix: str) -> Path:
        """A name that neither a file nor an export in the queue has."""
        promised = {
            Path(one.job.output).name
            for one in self._queue.entries
            if isinstance(one.job, ExportJob) and one.state in (State.RUNNING, State.WAITING)
        }
        return naming.numbered(folder, prefix, suffix, promised)

    def _finish(self, entry_id: str) -> None:
        entry = self._queue.entry(entry_id)
        if entry is not None and isinstance(entry.job, ExportJob):
            self.finished.emit(entry, entry.job.id not in self._unsaved)

    def _fail(self, entry_id: str) -> None:
        entry = self._queue.entry(entry_id)
        if entry is not None and isinstance(entry.job, ExportJob):
            self.failed.emit(entry)


def done_sentence(entry: Entry) -> str:
    """ "sunset_loop_004.gif is ready: 7.6 MB." """
    result = entry.result
    size = f": {size_text(result.size_bytes)}" if result is not None else ""
    return f"{entry.job.subject} is ready{size}."


def _used(project: Project, sequence: Sequence) -> Project:
    """The project with only what the sequence needs, so that a queue of exports stays small."""
    ids = {clip.asset for track in sequence.tracks for clip in track.clips}
    return replace(
        project,
        assets=tuple(asset for asset in project.assets if asset.id in ids),
        sequences=(sequence,),
    )
