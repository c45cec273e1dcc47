"""A row of the queue as a value, and how rows are kept over restarts."""

import logging
import time
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from engine.jobs import DownloadJob, EffectJob, ExportJob, GenerateJob, Job, JobResult
from engine.timeline.effects import needs_gpu
from engine.timeline.model import Project
from engine.timeline.time import decode_value, encode_value

VERSION = 1  # of the file
HISTORY = 100  # rows that are over


class State(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    STOPPING = "stopping"  # cancelled, the child has not answered yet
    FAILED = "failed"
    DONE = "done"
    CANCELLED = "cancelled"


IS_OVER = frozenset({State.DONE, State.CANCELLED})
IS_ACTIVE = frozenset({State.RUNNING, State.STOPPING})


# Of stages that take much more or less time than others beside them.
WEIGHTS = {"text": 0.2, "image": 0.2, "denoise": 8.0}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A job and what is known of it. Times are seconds since 1970, 0 for not yet."""

    job: Job
    state: State = State.WAITING
    stage: str = ""
    done: int = 0  # of `total` in `stage`
    total: int = 0
    stages: tuple[str, ...] = ()
    seconds_left: float = -1.0
    preview: bytes = b""  # JPEG
    label: str = ""  # of the preview
    message: str = ""
    hint: str = ""
    details: str = ""
    kept: str = ""
    kind: str = ""  # class of the error
    result: JobResult | None = None
    started: float = 0.0
    ended: float = 0.0
    note: str = ""  # why it waits

    @property
    def id(self) -> str:
        return self.job.id

    @property
    def fraction(self) -> float:
        """How much is done, 0 to 1, each stage counted by about the time it takes."""
        if self.state is State.DONE:
            return 1.0
        if self.total <= 0:
            return 0.0
        if isinstance(self.job, DownloadJob):  # to verify is short beside it
            return 1.0 if self.stage == "verify" else min(1.0, self.done / self.total)
        stages = self.stages or (self.stage,)
        weights = [WEIGHTS.get(stage, 1.0) for stage in stages]
        at = stages.index(self.stage) if self.stage in stages else 0
        done = sum(weights[:at]) + weights[at] * self.done / self.total
        return min(1.0, done / sum(weights))


def renewed(entry: Entry) -> Entry:
    """The entry as it was when it was added."""
    return Entry(job=entry.job)


def finished(entry: Entry, result: JobResult) -> Entry:
    """The entry of a job that is done; the project of an export is let go."""
    job = entry.job
    if isinstance(job, ExportJob):
        job = msgspec.structs.replace(job, project=Project())
    return msgspec.structs.replace(
        entry,
        job=job,
        state=State.DONE,
        seconds_left=0.0,
        result=result,
        ended=time.time(),
        note="",
    )


def lane_of(job: Job) -> str:
    """Which of the queue's children runs a job: "effect", "export", "gpu" or "download"."""
    match job:
        case ExportJob():
            return "export"
        case DownloadJob():
            return "download"
        case EffectJob():
            return "gpu" if needs_gpu(job.uses) else "effect"
        case GenerateJob():
            return "gpu"
        case _:
            return "gpu" if job.role == "gpu" else "effect"


def blocker(entry: Entry, ahead: list[Entry]) -> Entry | None:
    """The effect that an export must wait for, else both would make the same frames."""
    if not isinstance(entry.job, ExportJob):
        return None
    assets = {asset.id for asset in entry.job.project.assets}
    for one in ahead:
        is_open = one.state is State.WAITING or one.state in IS_ACTIVE
        if is_open and isinstance(one.job, EffectJob) and one.job.asset.id in assets:
            return one
    return None


class _File(msgspec.Struct):
    version: int
    paused: bool = False
    entries: list[msgspec.Raw] = []


def write(path: Path, entries: list[Entry], paused: bool) -> None:
    """Saves the queue; the file is whole at any time. Raises OSError."""
    rows: list[Any] = [
        one if one.state is State.DONE else msgspec.structs.replace(one, preview=b"")
        for one in entries
    ]
    data = msgspec.json.encode(
        {"version": VERSION, "paused": paused, "entries": rows}, enc_hook=encode_value
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.replace(path)


def read(path: Path) -> tuple[list[Entry], bool, Path | None]:
    """The saved rows, whether the queue was paused, and where a damaged file was put aside.

    Rows that are sound are kept whatever the others are; what was running waits again.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return [], False, None
    except OSError as error:
        logging.warning("the queue cannot be read: %s", error)
        return [], False, None
    entries: list[Entry] = []
    faults: list[str] = []
    paused = False
    try:
        file = msgspec.json.decode(data, type=_File)
        paused = file.paused
        if file.version != VERSION:
            faults.append(f"version {file.version}")
        else:
            for row in file.entries:
                _read_row(row, entries, faults)
    except (msgspec.DecodeError, RecursionError) as error:
        faults.append(str(error))
    if not faults:
        return entries, paused, None
    aside = path.with_name(f"{path.stem}-damaged{path.suffix}")
    logging.warning("the queue's file is damaged, see %s: %s", aside, "; ".join(faults[:5]))
    try:
        aside.write_bytes(data)
    except OSError as error:
        logging.warning("%s cannot be written: %s", aside, error)
        return entries, paused, None
    return entries, paused, aside


def _read_row(row: msgspec.Raw, entries: list[Entry], faults: list[str]) -> None:
    try:
        entry = msgspec.json.decode(row, type=Entry, dec_hook=decode_value)
    except (msgspec.DecodeError, RecursionError) as error:
        faults.append(str(error))
        return
    if any(one.id == entry.id for one in entries):
        faults.append(f"{entry.id} is there twice")
    elif entry.state is State.RUNNING:
        entries.append(renewed(entry))
    elif entry.state is State.STOPPING:
        entries.append(msgspec.structs.replace(entry, state=State.CANCELLED))
    else:
        entries.append(entry)
