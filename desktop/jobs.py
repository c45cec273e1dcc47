"""The queue: which jobs wait, run and are over; starts, cancels, retries them in children."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from PySide6.QtCore import QObject, Qt, QTimer, Signal

from desktop.job_entry import (
    HISTORY,
    IS_ACTIVE,
    IS_OVER,
    Entry,
    State,
    blocker,
    finished,
    lane_of,
    read,
    renewed,
    write,
)
from engine.errors import WorkerError
from engine.jobs import ExportJob, Job
from engine.media.part import remove_part
from engine.worker.client import Client, WorkerClient
from engine.worker.messages import (
    Cancel,
    Device,
    Event,
    Failed,
    Finished,
    Gone,
    JobCancelled,
    Preview,
    Progress,
    Start,
    Started,
)

__all__ = ["Entry", "JobQueue", "State"]

FILE = "jobs.json"
ROLES = {
    "effect": "media",
    "export": "media",
    "gpu": "gpu",
    "download": "media",
}  # lane: role of its child
_SAVE_MS = 200
_WARM_MS = 120_000  # an idle child is kept that long for the next job
_WARM_GPU_MS = 900_000  # with its models in memory

MakeClient = Callable[[str, Callable[[Event], None]], Client]


@dataclass
class _Lane:
    """Runs one job at a time in a child of its own."""

    name: str
    cool: QTimer
    client: Client | None = None
    generation: int = 0  # of the client; events of older ones are not heard
    running: str = ""  # job id
    retired: list[Client] = field(default_factory=list)


class JobQueue(QObject):
    """All rows in order. Every signal comes on the thread of the window."""

    entries_changed = Signal()  # rows, their order or a state
    entry_changed = Signal(str)  # anything of one row
    finished = Signal(str)
    failed = Signal(str)
    device_changed = Signal(object)  # Device of the gpu child, once it runs

    _came = Signal(str, int, object)

    def __init__(
        self,
        folder: Path,
        logs: Path,
        parent: QObject | None = None,
        make_client: MakeClient | None = None,
    ) -> None:
        """`folder`: where the queue is kept over restarts. What waits in it starts by itself."""
        super().__init__(parent)
        self._path = folder / FILE
        self._make_client = make_client or (
            lambda role, on_event: WorkerClient(role, on_event, logs)
        )
        self._is_closed = False
        self._lanes = {
            name: _Lane(name, self._timer(_WARM_GPU_MS if name == "gpu" else _WARM_MS))
            for name in ROLES
        }
        for lane in self._lanes.values():
            lane.cool.timeout.connect(lambda name=lane.name: self._retire(self._lanes[name]))
        self._came.connect(self._take, Qt.ConnectionType.QueuedConnection)
        self._saver = self._timer(_SAVE_MS)
        self._saver.timeout.connect(self.save)
        self._entries, self._is_paused, self.damaged_file = read(self._path)
        if self.damaged_file is not None:
            self._save_soon()
        self._starter = self._timer(0)
        self._starter.timeout.connect(self._schedule)
        self._starter.start()

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._entries)

    def entry(self, job_id: str) -> Entry | None:
        return next((one for one in self._entries if one.id == job_id), None)

    @property
    def is_paused(self) -> bool:
        return self._is_paused

    @property
    def pids(self) -> tuple[int, ...]:
        """The children that live."""
        clients = (lane.client for lane in self._lanes.values())
        return tuple(one.pid for one in clients if one is not None and one.pid and one.is_alive)

    def pid_of(self, job_id: str) -> int | None:
        """The process that runs a job, None where none does."""
        for lane in self._lanes.values():
            if lane.running == job_id and lane.client is not None:
                return lane.client.pid
        return None

    # What the person does

    def add(self, job: Job, index: int | None = None) -> None:
        """Puts a job at the end, or at a place among all rows."""
        self.restore(Entry(job=job), index)

    def restore(self, entry: Entry, index: int | None = None) -> None:
        """Puts back a row that `remove` has given."""
        if self.entry(entry.id) is not None:
            return
        place = len(self._entries) if index is None else index
        self._entries.insert(place, entry)
        self._rearranged()

    def cancel(self, job_id: str) -> None:
        """Stops a running job, or takes a waiting one out of turn."""
        entry = self.entry(job_id)
        if entry is None:
            return
        if entry.state is State.WAITING:
            self._change(entry, state=State.CANCELLED, ended=time.time(), note="")
            self._rearranged()
        elif entry.state is State.RUNNING:
            client = self._lanes[lane_of(entry.job)].client
            self._change(entry, state=State.STOPPING)
            self._rearranged()
            if client is not None:
                self._send(client, Cancel(job=job_id))

    def retry(self, job_id: str) -> None:
        """Lets a failed or cancelled job wait again, at the end."""
        entry = self.entry(job_id)
        if entry is not None and entry.state in (State.FAILED, State.CANCELLED):
            self._entries.remove(entry)
            self._entries.append(renewed(entry))
            self.entry_changed.emit(job_id)
            self._rearranged()

    def remove(self, job_id: str) -> Entry | None:
        """Takes a row away and gives it; a running job is cancelled instead."""
        entry = self.entry(job_id)
        if entry is None:
            return None
        if entry.state in IS_ACTIVE:
            self.cancel(job_id)
            return None
        self._entries.remove(entry)
        self._rearranged()
        return entry

    def move(self, job_id: str, index: int) -> None:
        """Puts a waiting job at a place among the waiting ones."""
        waiting = [one for one in self._entries if one.state is State.WAITING]
        moved = next((one for one in waiting if one.id == job_id), None)
        if moved is None:
            return
        waiting.remove(moved)
        waiting.insert(max(0, index), moved)
        order = iter(waiting)
        self._entries = [
            next(order) if one.state is State.WAITING else one for one in self._entries
        ]
        self._rearranged()

    def pause(self) -> None:
        """Starts nothing more; what runs goes on to its end."""
        self._is_paused = True
        self._rearranged()

    def resume(self) -> None:
        self._is_paused = False
        self._rearranged()

    def clear_done(self) -> None:
        """Takes away the rows that are done or were cancelled."""
        self._entries = [one for one in self._entries if one.state not in IS_OVER]
        self._rearranged()

    def cancel_waiting(self) -> None:
        for entry in self.entries:
            if entry.state is State.WAITING:
                self._change(entry, state=State.CANCELLED, ended=time.time(), note="")
        self._rearranged()

    def warm_up(self, lane_name: str = "gpu") -> None:
        """Starts a lane's child before there is a job, so that it tells what it computes on."""
        lane = self._lanes[lane_name]
        if not self._is_closed and (lane.client is None or not lane.client.is_alive):
            with suppress(WorkerError):  # the job that needs it says so
                self._child(lane)
                lane.cool.start()

    def release(self, lane_name: str = "gpu") -> bool:
        """Ends a lane's child and gives back all that it holds; False while it is at work."""
        lane = self._lanes[lane_name]
        if lane.running:
            return False
        lane.cool.stop()
        self._retire(lane)
        return True

    def save(self) -> None:
        """Writes the queue to disk now."""
        self._saver.stop()
        try:
            write(self._path, self._entries, self._is_paused)
        except OSError as error:
            logging.warning("the queue cannot be saved: %s", error)

    def close(self) -> None:
        """Saves and ends all children; what ran waits at the next start."""
        if self._is_closed:
            return
        self._is_closed = True
        self.save()
        for lane in self._lanes.values():
            self._retire(lane)
        for lane in self._lanes.values():
            for client in lane.retired:
                client.stop()

    # Running

    def _schedule(self) -> None:
        """Starts what can be started."""
        if self._is_closed:
            return
        for index, entry in enumerate(list(self._entries)):
            if entry.state is not State.WAITING:
                continue
            other = blocker(entry, self._entries[:index])
            note = "" if other is None else f"Waits for {other.job.title} of {other.job.subject}."
            if note != entry.note:
                entry = self._change(entry, note=note)
            lane = self._lanes[lane_of(entry.job)]
            if not lane.running and other is None and not self._is_paused:
                self._begin(lane, entry)

    def _begin(self, lane: _Lane, entry: Entry) -> None:
        lane.cool.stop()
        lane.running = entry.id
        self._change(entry, state=State.RUNNING, started=time.time())
        try:
            self._child(lane).send(Start(job=entry.job))
        except WorkerError as error:
            self._end(
                lane,
                Failed(
                    job=entry.id,
                    message=error.message,
                    hint=error.hint,
                    details=error.details,
                    kind=WorkerError.__name__,
                ),
            )
        self.entries_changed.emit()
        self._save_soon()

    def _child(self, lane: _Lane) -> Client:
        """The lane's child, a new one where there is none. Raises WorkerError."""
        if lane.client is not None and lane.client.is_alive:
            return lane.client
        self._retire(lane)
        lane.generation += 1
        generation, name = lane.generation, lane.name
        client = self._make_client(
            ROLES[name], lambda event: self._came.emit(name, generation, event)
        )
        client.start()
        lane.client = client
        return client

    def _retire(self, lane: _Lane) -> None:
        """Ends the lane's child without waiting for it."""
        if lane.client is None or (lane.running and lane.client.is_alive and not self._is_closed):
            return
        client, lane.client = lane.client, None
        ending = threading.Thread(target=client.stop, name=f"end of {lane.name}")
        ending.start()
        lane.retired = [one for one in lane.retired if one.is_alive] + [client]

    def _send(self, client: Client, request: Cancel) -> None:
        try:
            client.send(request)
        except WorkerError:
            return  # it is gone; its Failed or JobCancelled is on the way

    def _take(self, lane_name: str, generation: int, event: Event) -> None:
        lane = self._lanes[lane_name]
        if self._is_closed or generation != lane.generation:
            return
        match event:
            case Progress():
                self._change_running(
                    event.job,
                    stage=event.stage,
                    done=event.done,
                    total=event.total,
                    stages=event.stages,
                    seconds_left=event.seconds_left,
                )
            case Preview():
                self._change_running(event.job, preview=event.jpeg, label=event.label)
            case Started():
                self._change_running(event.job, started=time.time())
            case Finished() | Failed() | JobCancelled():
                self._end(lane, event)
            case Device() if lane_name == "gpu":
                self.device_changed.emit(event)
            case Gone():
                self._retire(lane)
            case _:
                pass

    def _end(self, lane: _Lane, event: Finished | Failed | JobCancelled) -> None:
        """Notes how a job has ended and goes on with the next."""
        if lane.running == event.job:
            lane.running = ""
            lane.cool.start()
        entry = self.entry(event.job)
        if entry is None:
            return
        if isinstance(entry.job, ExportJob) and not isinstance(event, Finished):
            remove_part(Path(entry.job.output))  # a child that was killed could not do it
        match event:
            case Finished():
                self._put(entry, finished(entry, event.result))
                self.finished.emit(event.job)
            case Failed():
                self._change(
                    entry,
                    state=State.FAILED,
                    message=event.message,
                    hint=event.hint,
                    details=event.details,
                    kept=event.kept,
                    kind=event.kind,
                    ended=time.time(),
                )
                self.failed.emit(event.job)
            case JobCancelled():
                self._change(entry, state=State.CANCELLED, ended=time.time())
        self._forget_old()
        self._rearranged()

    # Rows

    def _change_running(self, job_id: str, **facts: Any) -> None:
        entry = self.entry(job_id)
        if entry is not None and entry.state in IS_ACTIVE:
            self._change(entry, **facts)

    def _change(self, entry: Entry, **facts: Any) -> Entry:
        changed = msgspec.structs.replace(entry, **facts)
        self._put(entry, changed)
        return changed

    def _put(self, entry: Entry, changed: Entry) -> None:
        place = next(index for index, one in enumerate(self._entries) if one.id == entry.id)
        self._entries[place] = changed
        self.entry_changed.emit(changed.id)

    def _rearranged(self) -> None:
        self.entries_changed.emit()
        self._save_soon()
        # not at once: who has just added a job may still be in the middle of its own work
        self._starter.start()

    def _save_soon(self) -> None:
        """Within `_SAVE_MS`, however often things change."""
        if not self._saver.isActive():
            self._saver.start()

    def _forget_old(self) -> None:
        over = [one for one in self._entries if one.state in IS_OVER]
        for old in over[: max(0, len(over) - HISTORY)]:
            self._entries.remove(old)

    def _timer(self, interval_ms: int) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(interval_ms)
        return timer
