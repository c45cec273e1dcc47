"""Jobs of Generate: checked, named, put into the queue with the place of their result."""

from pathlib import Path

from PySide6.QtCore import QObject

from desktop import generating, naming
from desktop.exporting import export_folder
from desktop.generating import Landing
from desktop.job_entry import IS_OVER
from desktop.parts import Parts
from desktop.presenters.generate_results import GenerateResults
from desktop.settings import with_prompt
from engine.errors import OutputError, WeightsError
from engine.jobs import GenerateJob, ModelFiles
from ui.generate_form import STILL, Form
from ui.notice import Notice


class GenerateJobs(QObject):
    """Makes jobs of what is filled in."""

    def __init__(self, parts: Parts, results: GenerateResults) -> None:
        super().__init__(parts.window)
        self._parts = parts
        self._results = results
        self._weights_notices: dict[int, str] = {}
        parts.window.notices.action_requested.connect(self._act)

    def make(self, form: Form, place: Landing | None) -> bool:
        """Queues a form, once for each variation; says whether it could be.

        `place`: on the timeline, None for the playhead.
        """
        editor, engines = self._parts.editor, self._parts.engines
        if engines.reason:
            editor.refused.emit(f"Generating {engines.reason}.", "")
            return False
        fault = generating.fault_of(form)
        if fault:
            editor.refused.emit(fault, "")
            return False
        try:
            models = self._parts.weights.files_of(generating.families_of(form))
        except WeightsError as error:
            notice = self._parts.tell("warning", error.message, (("weights", "Get"),))
            self._weights_notices[notice.id] = generating.families_of(form)[0]
            return False
        try:
            for variation in range(form.variations):
                self._queue(form, models, variation, place)
        except OutputError as error:
            self._parts.tell("error", f"{error.message} {error.hint}", (), error.details)
            return False
        settings = self._parts.settings
        settings.change(prompts=with_prompt(settings.value, form.prompt.strip()))
        return True

    def _queue(self, form: Form, models: ModelFiles, variation: int, place: Landing | None) -> None:
        """Puts one job into the queue; of several the first takes the place on the timeline."""
        parts = self._parts
        project = parts.editor.path
        beside = export_folder(parts.settings.value, None) if project is None else project.parent
        folder = beside / "Generated"
        suffix = "png" if form.tab == STILL else "mp4"
        promised = [
            Path(one.job.output).name
            for one in parts.queue.entries
            if isinstance(one.job, GenerateJob) and one.state not in IS_OVER
        ]
        output = naming.numbered(naming.made(folder), generating.name_of(form), suffix, promised)
        job = generating.job_of(
            form, models, parts.settings.value, parts.folders, output, variation
        )
        if not form.to_media and variation == 0:
            at = Landing(sequence=parts.editor.sequence.id, at=parts.editor.playhead)
            self._results.place(job.id, place or at)
        parts.queue.add(job)

    def _act(self, notice: Notice, key: str) -> None:
        family = self._weights_notices.pop(notice.id, None)
        if family is not None and key == "weights":
            self._parts.engines.weights_wanted.emit(family)
