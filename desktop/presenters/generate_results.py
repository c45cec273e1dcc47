"""What generating has made: onto the timeline, or into Media where its place is gone."""

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from desktop import generating
from desktop.generating import Landing
from desktop.imports import same_medium
from desktop.job_entry import Entry
from desktop.landings import Landings
from desktop.parts import Parts
from desktop.recipes import Recipes
from engine.jobs import GenerateJob
from engine.timeline import edits
from engine.timeline.model import Asset, Clip, Project, new_id
from engine.worker.messages import Event, Probed


class GenerateResults(QObject):
    """Takes in what finished jobs have made, whether or not the panel is open."""

    changed = Signal()  # which places are taken, or which results are on their way

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._parts = parts
        self._landings = Landings(parts.folders.data)
        self._recipes = Recipes(parts.folders.data)
        self._arriving: set[str] = set()  # jobs that are done and whose files are being read
        parts.queue.finished.connect(self._finished)

    def place(self, job: str, landing: Landing) -> None:
        """Says where the result of a job goes; without it, into Media."""
        self._landings.put(job, landing)
        self.changed.emit()

    def place_of(self, job: str) -> Landing | None:
        """Where the result of a job will go; None for Media."""
        return self._landings.get(job)

    def recipe_of(self, path: str) -> GenerateJob | None:
        """What a file was generated with; None where it is not known."""
        return self._recipes.get(path)

    def is_arriving(self, job: str) -> bool:
        """Whether a job is done and its result not yet where it goes."""
        return job in self._arriving

    def _finished(self, job_id: str) -> None:
        entry = self._parts.queue.entry(job_id)
        if entry is None or not isinstance(entry.job, GenerateJob) or entry.result is None:
            return
        self._recipes.put(entry.job)
        path = entry.result.output
        found = entry
        self._arriving.add(job_id)

        def answer(event: Event) -> None:
            self._arriving.discard(job_id)
            if isinstance(event, Probed):
                self._arrived(found, path, event)
            else:
                self._parts.tell("error", f"{Path(path).name} cannot be read.")
            self.changed.emit()

        self._parts.importer.facts(path, answer)

    def _arrived(self, entry: Entry, output: str, probed: Probed) -> None:
        """Puts the result on the timeline, or into Media where its place is gone."""
        editor = self._parts.editor
        path = Path(output)
        fresh = Asset(
            new_id(), str(path), path.name, probed.facts, probed.fingerprint, made_by="generate"
        )
        asset = same_medium(editor.project.assets, probed.facts, probed.fingerprint) or fresh
        landing = self._landings.take(entry.id)
        is_here = landing is not None and any(
            one.id == landing.sequence for one in editor.project.sequences
        )
        placed: list[Clip] = []

        def edit(project: Project) -> Project:
            project = edits.add_assets(project, (asset,))
            if landing is None or not is_here:
                return project
            project = edits.set_up(project, asset)
            sequence, clip = generating.landed(
                project.sequence(landing.sequence),
                asset,
                landing,
                editor.targets,
                self._parts.commands.still_seconds,
            )
            placed.extend([clip] if clip is not None else [])
            return edits.on_sequence(project, landing.sequence, lambda _one: sequence)

        editor.apply(f"Generate {asset.name}", edit)
        if landing is None:
            self._parts.tell("done", f"{asset.name} is in Media.")
        elif not placed:
            self._parts.tell("warning", f"{asset.name} is in Media: its place is gone.")
