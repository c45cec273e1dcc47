"""The queue's rules, with children that do what the test says."""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from pytestqt.qtbot import QtBot

from desktop.job_entry import HISTORY, Entry, State, lane_of, read
from desktop.jobs import FILE, JobQueue
from engine.jobs import (
    DownloadJob,
    EffectJob,
    ExportJob,
    ExportOptions,
    Job,
    JobResult,
    SelfTestJob,
)
from engine.timeline.effects import new_use
from engine.timeline.model import Project
from engine.timeline.time import encode_value
from engine.worker.messages import (
    Event,
    Failed,
    Finished,
    Gone,
    JobCancelled,
    Preview,
    Progress,
)
from tests.support.timelines import asset, clip, project, video
from tests.support.workers import ScriptedClient


class Desk:
    """A queue with its scripted children and what it has signalled."""

    def __init__(self, folder: Path, qtbot: QtBot) -> None:
        self._qtbot = qtbot
        self.clients: list[ScriptedClient] = []
        self.queue = JobQueue(folder, folder / "logs", make_client=self._make)
        self.finished: list[str] = []
        self.failed: list[str] = []
        self.queue.finished.connect(self.finished.append)
        self.queue.failed.connect(self.failed.append)

    def _make(self, role: str, on_event: Callable[[Event], None]) -> ScriptedClient:
        client = ScriptedClient(role, on_event)
        self.clients.append(client)
        return client

    def add(self, *jobs: Job) -> None:
        for job in jobs:
            self.queue.add(job)

    def until(self, test: Callable[[], bool]) -> None:
        self._qtbot.waitUntil(test, timeout=5000)

    def state(self, job: Job) -> State | None:
        entry = self.queue.entry(job.id)
        return None if entry is None else entry.state

    def until_state(self, job: Job, state: State) -> None:
        self.until(lambda: self.state(job) is state)

    def say(self, job: Job, event: Event) -> None:
        next(one for one in reversed(self.clients) if job.id in one.jobs).say(event)

    def finish(self, job: Job) -> None:
        self.until_state(job, State.RUNNING)
        self.say(job, Finished(job=job.id, result=JobResult(frames=3)))
        self.until_state(job, State.DONE)


@pytest.fixture
def desk(tmp_path: Path, qtbot: QtBot) -> Iterator[Desk]:
    made = Desk(tmp_path, qtbot)
    yield made
    made.queue.close()
    assert all(one.is_stopped for one in made.clients)


def self_test() -> SelfTestJob:
    return SelfTestJob(role="media")


def effect(name: str = "a") -> EffectJob:
    return EffectJob(
        title="Restyle", subject=name, asset=asset(name), uses=(new_use("restyle"),), cache="c"
    )


def export(name: str = "a") -> ExportJob:
    made = project([asset(name)], video(clip(name, 0, 1)))
    return ExportJob(project=made, options=ExportOptions(), output="o.mp4", cache="c")


def states(desk: Desk) -> list[State]:
    return [one.state for one in desk.queue.entries]


def test_one_effect_one_export_and_one_gpu_job_run_at_a_time(desk: Desk) -> None:
    jobs: list[Job] = [
        self_test(),
        effect("a"),
        export("x"),
        export("y"),
        SelfTestJob(),
        SelfTestJob(),
    ]
    desk.add(*jobs)
    desk.until(lambda: states(desk).count(State.RUNNING) == 3)
    assert [lane_of(job) for job in jobs] == ["effect", "effect", "export", "export", "gpu", "gpu"]
    assert [desk.state(jobs[place]) for place in (0, 2, 4)] == [State.RUNNING] * 3
    assert sorted(one.role for one in desk.clients) == ["gpu", "media", "media"]


def test_an_idle_child_gives_its_memory_back_when_asked(desk: Desk) -> None:
    first, second = SelfTestJob(), SelfTestJob()
    desk.add(first)
    desk.until_state(first, State.RUNNING)
    assert not desk.queue.release()
    assert desk.clients[0].is_alive
    desk.finish(first)
    assert desk.queue.release()
    desk.until(lambda: desk.clients[0].is_stopped)
    assert desk.queue.release()  # there is none: nothing to do
    desk.add(second)
    desk.finish(second)
    assert len(desk.clients) == 2


def test_a_download_runs_beside_the_others_and_goes_on_after_a_restart(
    desk: Desk, tmp_path: Path
) -> None:
    fetch, other = (DownloadJob(family=name, parts=("vae",), folder="/w") for name in "ab")
    made, out = effect("a"), export("b")
    desk.add(made, out, fetch, other)
    desk.until(lambda: states(desk).count(State.RUNNING) == 3)
    assert desk.state(other) is State.WAITING
    desk.say(fetch, Progress(job=fetch.id, stage="download", done=3 << 40, total=4 << 40))
    desk.until(lambda: desk.queue.entries[2].fraction == 0.75)
    desk.say(fetch, Progress(job=fetch.id, stage="verify", done=1, total=4))
    desk.until(lambda: desk.queue.entries[2].stage == "verify")
    assert desk.queue.entries[2].fraction == 1.0
    desk.queue.save()
    saved = read(tmp_path / FILE)[0]
    assert [one.job for one in saved[2:]] == [fetch, other]
    assert {one.state for one in saved} == {State.WAITING}


def test_the_next_job_goes_to_the_same_warm_child(desk: Desk) -> None:
    first, second = self_test(), self_test()
    desk.add(first, second)
    desk.finish(first)
    desk.finish(second)
    assert desk.finished == [first.id, second.id]
    assert [one.jobs for one in desk.clients] == [[first.id, second.id]]


def test_an_export_waits_for_the_effect_on_its_media(desk: Desk) -> None:
    made, other, out = effect("a"), export("b"), export("a")
    desk.add(made, out, other)
    desk.until_state(other, State.RUNNING)
    entry = desk.queue.entry(out.id)
    assert entry is not None
    assert (entry.state, entry.note) == (State.WAITING, "Waits for Restyle of a.")
    desk.finish(other)
    desk.finish(made)
    desk.until_state(out, State.RUNNING)
    entry = desk.queue.entry(out.id)
    assert entry is not None
    assert entry.note == ""


def test_progress_and_preview_show(desk: Desk) -> None:
    job = self_test()
    desk.add(job)
    desk.until_state(job, State.RUNNING)
    desk.say(
        job,
        Progress(
            job=job.id,
            stage="encode",
            done=1,
            total=4,
            stages=("effects", "encode"),
            seconds_left=9,
        ),
    )
    desk.say(job, Preview(job=job.id, label="Frame 1 of 4", jpeg=b"x"))
    desk.until(lambda: desk.queue.entries[0].preview == b"x")
    entry = desk.queue.entries[0]
    assert (entry.stage, entry.done, entry.seconds_left) == ("encode", 1, 9)
    assert (entry.fraction, entry.label) == (0.625, "Frame 1 of 4")


def test_cancel_shows_stopping_until_the_child_answers(desk: Desk) -> None:
    job, following = self_test(), self_test()
    desk.add(job, following)
    desk.until_state(job, State.RUNNING)
    desk.queue.cancel(job.id)
    desk.queue.cancel(job.id)
    assert desk.state(job) is State.STOPPING
    assert desk.clients[0].cancels == [job.id]
    desk.say(job, JobCancelled(job=job.id))
    desk.until_state(job, State.CANCELLED)
    desk.until_state(following, State.RUNNING)
    assert desk.failed == []


def test_a_job_that_ended_before_the_cancel_came_is_done(desk: Desk) -> None:
    job = self_test()
    desk.add(job)
    desk.until_state(job, State.RUNNING)
    desk.queue.cancel(job.id)
    desk.say(job, Finished(job=job.id, result=JobResult()))
    desk.until_state(job, State.DONE)


def test_a_dead_child_fails_its_job_and_the_queue_goes_on(desk: Desk) -> None:
    job, following = self_test(), self_test()
    desk.add(job, following)
    desk.until_state(job, State.RUNNING)
    desk.clients[0].die()
    desk.until_state(job, State.FAILED)
    desk.until_state(following, State.RUNNING)
    assert desk.failed == [job.id]
    assert len(desk.clients) == 2
    desk.finish(following)
    desk.queue.retry(job.id)
    desk.finish(job)
    assert [one.id for one in desk.queue.entries] == [following.id, job.id]


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_what_a_dead_child_has_half_written_is_removed(
    desk: Desk, tmp_path: Path, is_cancelled: bool
) -> None:
    target, part = tmp_path / "o.mp4", tmp_path / ".o.mp4.part"
    target.write_bytes(b"the old one")
    job = msgspec.structs.replace(export(), output=str(target))
    desk.add(job)
    desk.until_state(job, State.RUNNING)
    part.write_bytes(b"half of it")
    if is_cancelled:
        desk.queue.cancel(job.id)
        desk.say(job, JobCancelled(job=job.id))
        desk.until_state(job, State.CANCELLED)
    else:
        desk.clients[0].die()
        desk.until_state(job, State.FAILED)
    assert not part.exists()
    assert target.read_bytes() == b"the old one"


def test_what_an_ended_child_still_says_is_not_heard(desk: Desk) -> None:
    job, following = self_test(), self_test()
    desk.add(job, following)
    desk.until_state(job, State.RUNNING)
    desk.clients[0].die()
    desk.until_state(following, State.RUNNING)
    desk.clients[0].say(Finished(job=following.id, result=JobResult()))
    desk.clients[0].say(Gone(expected=True))
    desk.clients[1].say(Progress(job=following.id, stage="effects", done=1, total=2))
    desk.until(lambda: desk.queue.entries[1].done == 1)
    assert desk.state(following) is State.RUNNING


def test_a_failure_keeps_what_the_person_reads(desk: Desk) -> None:
    job = self_test()
    desk.add(job)
    desk.until_state(job, State.RUNNING)
    desk.say(
        job, Failed(job=job.id, message="m", hint="h", details="d", kept="k", kind="MediaError")
    )
    desk.until_state(job, State.FAILED)
    entry = desk.queue.entries[0]
    assert (entry.message, entry.hint, entry.details, entry.kept) == ("m", "h", "d", "k")
    desk.queue.retry(job.id)
    assert desk.queue.entries[0].message == ""


def test_pause_lets_the_running_job_end_first(desk: Desk) -> None:
    job, following = self_test(), self_test()
    desk.add(job, following)
    desk.until_state(job, State.RUNNING)
    desk.queue.pause()
    desk.finish(job)
    assert desk.state(following) is State.WAITING
    desk.queue.resume()
    desk.until_state(following, State.RUNNING)


def test_waiting_jobs_are_moved_removed_and_put_back(desk: Desk) -> None:
    desk.queue.pause()
    jobs = [self_test() for _ in range(4)]
    desk.add(*jobs)

    def order() -> list[int]:
        return [
            next(i for i, job in enumerate(jobs) if job.id == one.id) for one in desk.queue.entries
        ]

    desk.queue.move(jobs[3].id, 1)
    assert order() == [0, 3, 1, 2]
    desk.queue.move(jobs[0].id, 99)
    assert order() == [3, 1, 2, 0]
    removed = desk.queue.remove(jobs[1].id)
    assert order() == [3, 2, 0]
    assert removed is not None
    desk.queue.restore(removed, 1)
    desk.queue.restore(removed, 1)
    assert order() == [3, 1, 2, 0]


def test_moving_leaves_what_runs_and_what_is_over_in_place(desk: Desk) -> None:
    jobs = [self_test() for _ in range(3)]
    desk.add(*jobs)
    desk.until_state(jobs[0], State.RUNNING)
    desk.queue.move(jobs[2].id, 0)
    assert [one.id for one in desk.queue.entries] == [jobs[0].id, jobs[2].id, jobs[1].id]
    desk.queue.move(jobs[0].id, 2)
    assert [one.id for one in desk.queue.entries] == [jobs[0].id, jobs[2].id, jobs[1].id]


def test_removing_a_running_job_cancels_it(desk: Desk) -> None:
    job = self_test()
    desk.add(job)
    desk.until_state(job, State.RUNNING)
    assert desk.queue.remove(job.id) is None
    assert desk.state(job) is State.STOPPING


def test_cancel_all_waiting_and_clear_done(desk: Desk) -> None:
    jobs = [self_test() for _ in range(3)]
    desk.add(*jobs)
    desk.until_state(jobs[0], State.RUNNING)
    desk.queue.cancel_waiting()
    assert states(desk) == [State.RUNNING, State.CANCELLED, State.CANCELLED]
    desk.finish(jobs[0])
    desk.queue.clear_done()
    assert desk.queue.entries == ()


def test_a_hundred_rows_of_history_are_kept(desk: Desk) -> None:
    jobs = [self_test() for _ in range(HISTORY + 2)]
    for job in jobs:
        desk.add(job)
        desk.finish(job)
    assert [one.id for one in desk.queue.entries] == [job.id for job in jobs[2:]]


# Over restarts


def reopened(tmp_path: Path, qtbot: QtBot) -> Desk:
    return Desk(tmp_path, qtbot)


def test_a_restart_runs_again_what_ran_and_keeps_the_rest(tmp_path: Path, qtbot: QtBot) -> None:
    desk = Desk(tmp_path, qtbot)
    done, failed, running, waiting = export("d"), self_test(), self_test(), effect("w")
    desk.add(done)
    desk.finish(done)
    desk.add(failed)
    desk.until_state(failed, State.RUNNING)
    desk.say(failed, Failed(job=failed.id, message="m"))
    desk.add(running, waiting)
    desk.until_state(running, State.RUNNING)
    desk.say(running, Preview(job=running.id, label="", jpeg=b"x"))
    desk.until(lambda: desk.queue.entries[2].preview == b"x")
    desk.queue.close()

    entries, _, damaged = read(tmp_path / FILE)
    assert damaged is None
    assert [one.state for one in entries] == [
        State.DONE,
        State.FAILED,
        State.WAITING,
        State.WAITING,
    ]
    assert entries[3].job == waiting
    assert isinstance(entries[0].job, ExportJob)
    assert entries[0].job.project == Project()  # history does not carry whole projects
    assert entries[0].result == JobResult(frames=3)

    again = reopened(tmp_path, qtbot)
    again.until_state(running, State.RUNNING)
    assert states(again) == [State.DONE, State.FAILED, State.RUNNING, State.WAITING]
    again.queue.close()


def test_a_cancel_in_flight_is_not_undone_by_a_restart(tmp_path: Path, qtbot: QtBot) -> None:
    desk = Desk(tmp_path, qtbot)
    job = self_test()
    desk.add(job)
    desk.until_state(job, State.RUNNING)
    desk.queue.cancel(job.id)
    desk.queue.close()
    assert [one.state for one in read(tmp_path / FILE)[0]] == [State.CANCELLED]


def test_a_paused_queue_stays_paused(tmp_path: Path, qtbot: QtBot) -> None:
    desk = Desk(tmp_path, qtbot)
    desk.queue.pause()
    desk.add(self_test())
    desk.queue.close()
    again = reopened(tmp_path, qtbot)
    assert again.queue.is_paused
    assert states(again) == [State.WAITING]
    again.queue.close()


def test_changes_reach_the_disk_by_themselves(desk: Desk, tmp_path: Path) -> None:
    desk.add(self_test())
    desk.until((tmp_path / FILE).exists)
    assert len(read(tmp_path / FILE)[0]) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\x00garbage",
        b"[]",
        b'{"version": 9, "entries": []}',
        b'{"version": 1, "entries": 3}',
        b"[" * 100_000,
        b'{"version": 1, "entries": [{"job": {"type": "effect", "title": 3}}]}',
    ],
)
def test_a_damaged_file_is_put_aside(data: bytes, tmp_path: Path, qtbot: QtBot) -> None:
    (tmp_path / FILE).write_bytes(data)
    desk = reopened(tmp_path, qtbot)
    assert desk.queue.entries == ()
    assert desk.queue.damaged_file is not None
    assert desk.queue.damaged_file.read_bytes() == data
    desk.add(self_test())
    desk.queue.close()
    assert len(read(tmp_path / FILE)[0]) == 1


def test_sound_rows_of_a_damaged_file_are_kept(tmp_path: Path) -> None:
    good = Entry(job=effect())
    bad = '{"job": {"type": "self-test"}, "state": "flying"}'
    row = msgspec.json.encode(good, enc_hook=encode_value).decode()
    (tmp_path / FILE).write_text(f'{{"version": 1, "entries": [{bad}, {row}, {row}]}}', "utf-8")
    entries, _, damaged = read(tmp_path / FILE)
    assert entries == [good]
    assert damaged is not None


def test_a_folder_that_cannot_be_written_does_not_stop_the_queue(
    tmp_path: Path, qtbot: QtBot
) -> None:
    (tmp_path / "file").write_text("in the way")
    desk = Desk(tmp_path / "file", qtbot)
    job = self_test()
    desk.add(job)
    desk.finish(job)
    desk.queue.close()
