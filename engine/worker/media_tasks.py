"""What a media child does: jobs, and the small asks of the window."""

from collections.abc import Callable

from engine.jobs import EffectJob, ExportJob, Job, JobResult, SelfTestJob
from engine.progress import Report
from engine.worker.device import cpu
from engine.worker.messages import Ask, Device, Event
from engine.worker.self_test import in_plain_python, self_test


class MediaTasks:
    """The media role."""

    def __init__(self, send: Callable[[Event], None]) -> None:
        self._send = send

    def device(self) -> Device:
        return cpu()

    def run(self, job: Job, report: Report) -> JobResult:
        """Does a job on the calling thread. Raises EngineError and Cancelled."""
        match job:
            case EffectJob():
                from engine.render.bake import bake

                return bake(job, report)
            case ExportJob():
                from engine.render.export import export

                return export(job, report)
            case SelfTestJob():
                return self_test(job, report, in_plain_python)

    def ask(self, request: Ask) -> None:
        """Takes a small ask."""
