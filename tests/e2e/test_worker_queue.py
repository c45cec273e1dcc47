"""The queue with real children; and an editor that is killed."""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from desktop.job_entry import State, read
from desktop.jobs import FILE, JobQueue
from engine.jobs import SelfTestJob
from tests.support.workers import is_running, kill, wait_until

LONG = 100_000
PATIENCE_MS = 60_000


@pytest.fixture
def queue(tmp_path: Path, qtbot: QtBot) -> Iterator[JobQueue]:
    one = JobQueue(tmp_path, tmp_path / "logs")
    yield one
    pids = one.pids
    one.close()
    assert not any(map(is_running, pids))


def until(queue: JobQueue, qtbot: QtBot, job: SelfTestJob, *states: State) -> None:
    def reached() -> bool:
        entry = queue.entry(job.id)
        return entry is not None and entry.state in states

    qtbot.waitUntil(reached, timeout=PATIENCE_MS)


def test_jobs_of_both_roles_run_side_by_side(queue: JobQueue, qtbot: QtBot) -> None:
    jobs = [SelfTestJob(role=role, steps=5) for role in ("media", "gpu", "media", "gpu")]
    for job in jobs:
        queue.add(job)
    for job in jobs:
        until(queue, qtbot, job, State.DONE)
    assert len(queue.pids) == 2  # one warm child for each
    first, second = queue.entries[0], queue.entries[2]
    assert first.result is not None
    assert second.result is not None
    assert first.result.keys == second.result.keys
    assert first.preview.startswith(b"\xff\xd8")
    assert first.started <= first.ended <= second.started


def test_a_killed_child_leaves_the_queue_going_and_the_retry_gives_the_same(
    queue: JobQueue, qtbot: QtBot
) -> None:
    job, following = SelfTestJob(role="media", steps=30), SelfTestJob(role="media", steps=30)
    queue.add(job)
    queue.add(following)
    qtbot.waitUntil(lambda: queue.entries[0].done > 2, timeout=PATIENCE_MS)
    (pid,) = queue.pids
    kill(pid)
    until(queue, qtbot, job, State.FAILED)
    assert queue.entries[0].message == "The worker stopped unexpectedly."
    until(queue, qtbot, following, State.DONE)
    queue.retry(job.id)
    until(queue, qtbot, job, State.DONE)
    results = [one.result.keys for one in queue.entries if one.result is not None]
    assert len(results) == 2
    assert results[0] == results[1]


def test_cancel_and_close_in_the_middle(tmp_path: Path, qtbot: QtBot) -> None:
    queue = JobQueue(tmp_path, tmp_path / "logs")
    first, second = (SelfTestJob(role="media", steps=LONG, step_ms=5) for _ in range(2))
    queue.add(first)
    queue.add(second)
    qtbot.waitUntil(lambda: queue.entries[0].done > 2, timeout=PATIENCE_MS)
    queue.cancel(first.id)
    until(queue, qtbot, first, State.CANCELLED)
    until(queue, qtbot, second, State.RUNNING)
    pids = queue.pids
    queue.close()
    assert not any(map(is_running, pids))
    assert [one.state for one in read(tmp_path / FILE)[0]] == [State.CANCELLED, State.WAITING]


EDITOR = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from desktop.jobs import JobQueue, State
from engine.jobs import SelfTestJob

app = QCoreApplication([])
folder = Path(sys.argv[1])
queue = JobQueue(folder, folder / "logs")
for role in ("media", "gpu"):
    queue.add(SelfTestJob(role=role, steps=100000, step_ms=5))
def tell(_):
    if all(one.done > 2 for one in queue.entries):
        queue.entry_changed.disconnect(tell)
        print(*queue.pids, flush=True)
queue.entry_changed.connect(tell)
app.exec()
"""


def test_a_killed_editor_leaves_no_child_and_its_queue_goes_on(
    tmp_path: Path, qtbot: QtBot
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", EDITOR, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as editor:
        assert editor.stdout is not None
        pids = [int(pid) for pid in editor.stdout.readline().split()]
        assert len(pids) == 2
        wait_until(lambda: (tmp_path / FILE).exists() and len(read(tmp_path / FILE)[0]) == 2)
        editor.kill()
        editor.wait()
        assert wait_until(lambda: not any(map(is_running, pids))) < 2.0
    queue = JobQueue(tmp_path, tmp_path / "logs")
    assert [one.state for one in queue.entries] == [State.WAITING, State.WAITING]
    qtbot.waitUntil(lambda: queue.entries[0].done > 2, timeout=PATIENCE_MS)
    queue.close()
