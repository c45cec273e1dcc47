"""What a media child does about weights: looks through folders, fetches files."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.jobs import DownloadJob, JobResult
from engine.library.download import Progress, download
from engine.library.download_offer import DownloadError, kept_text, offers
from engine.library.families import reports, untold
from engine.library.scan import Scanner
from engine.progress import Report
from engine.worker.messages import Event, Scanning, ScanWeights, WeightsFound

TELL_SECONDS = 0.1


def found(ask: ScanWeights, send: Callable[[Event], None]) -> Iterator[None]:
    """A scan, one file or piece of a file at a step."""
    scanner, told = Scanner(Path(ask.memory)), 0.0
    for stage, done, total in scanner.steps([Path(folder) for folder in ask.folders]):
        now = time.monotonic()
        if now - told >= TELL_SECONDS:
            told = now
            send(Scanning(ask=ask.ask, stage=stage, done=done, total=total))
        yield
    scan = scanner.found
    send(
        WeightsFound(
            ask=ask.ask,
            reports=tuple(reports(scan, ask.words)),
            folders=scan.folders,
            problems=scan.problems,
            untold=untold(scan, ask.words),
            others=scan.others,
        )
    )


def fetched(job: DownloadJob, report: Report) -> JobResult:
    """Fetches the files of a job. Raises DownloadError and Cancelled; what came is kept."""
    began = time.monotonic()
    wanted = offers(job)
    last = wanted[-1].target.name
    whole = [0, sum(item.size_bytes for item in wanted)]

    def tell(progress: Progress) -> None:
        if progress.stage == "verify" and progress.name == last:
            report.step("verify", progress.done_bytes, progress.total_bytes)
            return
        if progress.stage != "verify":  # between two files the bar stands still
            whole[:] = progress.done_bytes, progress.total_bytes
        report.step("download", *whole)

    try:
        paths = download(wanted, tell)
    except DownloadError as error:
        error.kept = kept_text(wanted)
        raise
    return JobResult(
        output=str(paths[-1].parent),
        size_bytes=sum(path.stat().st_size for path in paths),
        seconds=time.monotonic() - began,
    )
