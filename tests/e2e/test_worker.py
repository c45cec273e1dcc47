"""Real children: start, work, cancel, silence, crash, garbage, end."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.errors import WorkerError
from engine.jobs import EffectJob, ExportJob, ExportOptions, Job, SelfTestJob
from engine.timeline.effects import new_use
from engine.worker.client import STOPPED, Limits, WorkerClient
from engine.worker.logs import KEPT, new_log
from engine.worker.messages import (
    PROTOCOL,
    Cancel,
    Device,
    Failed,
    Finished,
    Gone,
    Heartbeat,
    JobCancelled,
    Preview,
    Probe,
    Progress,
    Ready,
    Start,
    Started,
)
from tests.support.timelines import asset, clip, project, video
from tests.support.workers import Events, child, is_running, kill, other_python, wait_until

LONG = 100_000  # steps of a job that is ended by the test


@pytest.mark.parametrize("role", ["media", "gpu"])
def test_self_test_runs_from_handshake_to_result(role: str, tmp_path: Path) -> None:
    job = SelfTestJob(role=role, steps=20, step_ms=10)
    with child(role, tmp_path) as (client, events):
        client.send(Start(job=job))
        result = events.wait(Finished).result
        again = SelfTestJob(role=role, steps=20, step_ms=0)
        client.send(Start(job=again))
        other = events.wait(Finished, lambda one: one.job == again.id).result
        assert events.all[0] == Ready(protocol=PROTOCOL, role=role, pid=client.pid or 0)
    order = [type(one) for one in events.all if not isinstance(one, Heartbeat)]
    assert order[:4] == [Ready, Device, Started, Progress]
    assert order[-1] is Gone
    assert (result.frames, result.keys) == (20, other.keys)
    assert events.of(Preview)[0].jpeg.startswith(b"\xff\xd8")
    assert events.of(Gone) == [Gone(expected=True)]
    if role == "gpu":
        assert "torch" in result.notes[0]


@pytest.mark.parametrize("role", ["media", "gpu"])
def test_cancel_is_heeded_within_a_fifth_of_a_second(role: str, tmp_path: Path) -> None:
    job = SelfTestJob(role=role, steps=LONG, step_ms=5)
    with child(role, tmp_path) as (client, events):
        client.send(Start(job=job))
        events.wait(Progress, lambda one: one.done > 3)
        asked = time.monotonic()
        client.send(Cancel(job=job.id))
        taken = events.when(events.wait(JobCancelled)) - asked
        assert events.endings(job.id) == [JobCancelled(job=job.id)]
        after = SelfTestJob(role=role, steps=1)
        client.send(Start(job=after))
        events.wait(Finished, lambda one: one.job == after.id)
    assert taken <= 0.2


def test_cancel_of_a_job_that_waits_in_the_child(tmp_path: Path) -> None:
    first, second = SelfTestJob(steps=LONG, step_ms=5), SelfTestJob(steps=LONG)
    with child("media", tmp_path) as (client, events):
        client.send(Start(job=first))
        client.send(Start(job=second))
        client.send(Cancel(job=second.id))
        client.send(Cancel(job=first.id))
        events.wait(JobCancelled, lambda one: one.job == second.id)
        assert len(events.endings(first.id)) == len(events.endings(second.id)) == 1


def test_a_killed_child_fails_its_job_once(tmp_path: Path) -> None:
    job = SelfTestJob(steps=LONG, step_ms=5)
    with child("media", tmp_path) as (client, events):
        client.send(Start(job=job))
        events.wait(Progress, lambda one: one.done > 3)
        assert client.pid is not None
        kill(client.pid)
        gone = events.wait(Gone)
        assert not client.is_alive
        with pytest.raises(WorkerError):
            client.send(Start(job=SelfTestJob()))
    (failed,) = events.endings(job.id)
    assert isinstance(failed, Failed)
    assert (failed.message, failed.kind) == (STOPPED, "WorkerError")
    assert "exit code" in failed.details
    assert (gone.expected, gone.message) == (False, STOPPED)
    assert events.all[-1] is gone


def test_a_crash_in_native_code_leaves_its_trace_in_the_details(tmp_path: Path) -> None:
    job = SelfTestJob(steps=5, crash_at=2)
    with child("media", tmp_path) as (client, events):
        client.send(Start(job=job))
        failed = events.wait(Failed)
    assert failed.kind == "WorkerError"
    assert "self_test.py" in failed.details
    assert events.endings(job.id) == [failed]


def test_an_unknown_file_is_refused_and_the_child_lives(tmp_path: Path) -> None:
    from engine.worker.messages import Refused

    with child("media", tmp_path) as (client, events):
        client.send(Probe(ask=1, path=str(tmp_path / "nothing.mp4")))
        refused = events.wait(Refused)
        client.send(Start(job=SelfTestJob(steps=1)))
        events.wait(Finished)
    assert "nothing.mp4" in refused.message
    assert "Traceback" not in refused.message


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process by a signal")
def test_a_child_that_goes_silent_is_ended(tmp_path: Path) -> None:
    job = SelfTestJob(steps=LONG, step_ms=5)
    limits = Limits(silence=1.5, terminate=0.2)
    with child("media", tmp_path, limits=limits) as (client, events):
        client.send(Start(job=job))
        events.wait(Started)
        assert client.pid is not None
        os.kill(client.pid, signal.SIGSTOP)
        failed = events.wait(Failed)
    assert "nothing was heard" in failed.details


def test_heartbeats_come_while_a_job_runs(tmp_path: Path) -> None:
    with child("media", tmp_path) as (client, events):
        client.send(Start(job=SelfTestJob(steps=1, step_ms=2500)))
        events.wait(Finished)
    assert len(events.of(Heartbeat)) >= 2


SPEAK = """
import sys, time
def say(body):
    sys.stdout.buffer.write(len(body).to_bytes(4, "big") + body)
    sys.stdout.buffer.flush()
def text(value):
    data = value.encode()
    return bytes([0xd9, len(data)]) + data
def ready(protocol):
    say(bytes([0x84]) + text("type") + text("Ready") + text("protocol") + bytes([protocol])
        + text("role") + text("media") + text("pid") + bytes([1]))
"""


@pytest.mark.parametrize(
    ("speech", "details"),
    [
        ("ready(99); time.sleep(60)", "protocol 99"),
        ("say(b'hello'); time.sleep(60)", "wrong form"),
        ("sys.stdout.buffer.write(bytes(3) + b'x' * 200); sys.stdout.flush()", "wrong form"),
        (
            "sys.stdout.buffer.write(bytes([255]) * 99); sys.stdout.flush(); time.sleep(60)",
            "length",
        ),
        ("say(bytes([0x81]) + text('type') + text('Heartbeat')); time.sleep(60)", "Heartbeat"),
        ("time.sleep(60)", "nothing was heard"),
        ("sys.exit('no engine here')", "no engine here"),
    ],
)
def test_a_child_that_does_not_speak_the_protocol(
    speech: str, details: str, tmp_path: Path
) -> None:
    python = other_python(tmp_path, SPEAK + speech)
    limits = Limits(handshake=1.0 if "nothing" in details else 30.0, terminate=0.2)
    with child("media", tmp_path, python=python, limits=limits) as (client, events):
        job, is_sent = SelfTestJob(), True
        try:
            client.send(Start(job=job))
        except WorkerError:
            is_sent = False  # it has ended already
        gone = events.wait(Gone)
    assert not gone.expected
    assert gone.message == "The worker could not be started."
    assert details in gone.details
    assert len(events.endings(job.id)) == is_sent


@pytest.mark.parametrize(
    "speech",
    [
        "say(b'hello')",
        "say(bytes([0x82]) + text('type') + text('Gone') + text('expected') + bytes([0xc3]))",
    ],
)
def test_garbage_after_the_handshake_ends_the_child(speech: str, tmp_path: Path) -> None:
    code = f"{SPEAK}ready({PROTOCOL}); sys.stdin.buffer.read(9); {speech}; time.sleep(60)"
    with child("media", tmp_path, python=other_python(tmp_path, code)) as (client, events):
        job = SelfTestJob()
        client.send(Start(job=job))
        failed = events.wait(Failed)
        events.wait(Gone)
    assert failed.message == STOPPED
    assert events.endings(job.id) == [failed]


def test_a_child_that_does_not_heed_a_cancel_is_ended(tmp_path: Path) -> None:
    code = f"{SPEAK}ready({PROTOCOL}); time.sleep(60)"
    limits = Limits(cancel=0.4, terminate=0.2)
    python = other_python(tmp_path, code)
    with child("media", tmp_path, python=python, limits=limits) as (client, events):
        job = SelfTestJob()
        client.send(Start(job=job))
        client.send(Cancel(job=job.id))
        events.wait(Gone)
    assert events.endings(job.id) == [JobCancelled(job=job.id)]


def baking_jobs() -> list[Job]:
    one, use = asset("a"), new_use("restyle")
    made = project([one], video(clip("a", 0, 1, effects=(use,))))
    return [
        EffectJob(title="Restyle", subject="a", asset=one, uses=(use,), cache="c"),
        ExportJob(project=made, options=ExportOptions(), output="o.mp4", cache="c"),
    ]


@pytest.mark.parametrize("job", baking_jobs(), ids=["effect", "export"])
def test_a_long_step_of_an_effect_does_not_hold_up_a_cancel(job: Job, tmp_path: Path) -> None:
    code = f"{SPEAK}ready({PROTOCOL}); time.sleep(60)"
    with child("media", tmp_path, python=other_python(tmp_path, code)) as (client, events):
        events.wait(Ready)
        client.send(Start(job=job))
        client.send(Cancel(job=job.id))
        began = time.monotonic()
        taken = events.when(events.wait(JobCancelled)) - began
    assert taken < Limits().cancel / 2


def test_a_missing_interpreter_is_a_worker_error(tmp_path: Path) -> None:
    client = WorkerClient("media", Events(), tmp_path, str(tmp_path / "no python"))
    with pytest.raises(WorkerError, match="could not be started"):
        client.start()
    assert not client.is_alive


def test_a_log_folder_that_cannot_be_made_is_a_worker_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkerError, match="log folder"):
        WorkerClient("media", Events(), tmp_path / "file").start()


def test_old_logs_are_removed(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"worker-gpu-{number:02d}.log").touch()
    log = new_log(tmp_path, "gpu")
    assert log.exists()
    assert len(list(tmp_path.glob("*.log"))) == KEPT


def test_a_broken_request_ends_the_child(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.worker.process", "media"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    with process:
        process.communicate(b"\x00\x00\x00\x05hello", timeout=60)
    assert process.returncode == 0
    assert "wrong form" in (tmp_path / "log").read_text("utf-8")


def test_stop_ends_a_running_job_as_cancelled(tmp_path: Path) -> None:
    job = SelfTestJob(steps=LONG, step_ms=5)
    with child("media", tmp_path) as (client, events):
        client.send(Start(job=job))
        events.wait(Started)
        began = time.monotonic()
        client.stop()
        taken = time.monotonic() - began
        client.stop()  # again does nothing
    assert events.endings(job.id) == [JobCancelled(job=job.id)]
    assert events.all[-1] == Gone(expected=True)
    assert taken < 2


def test_a_child_started_on_a_thread_outlives_it(tmp_path: Path) -> None:
    events = Events()
    client = WorkerClient("media", events, tmp_path)
    thread = threading.Thread(target=client.start)
    thread.start()
    thread.join()
    try:
        events.wait(Heartbeat)
        client.send(Start(job=SelfTestJob(steps=2)))
        events.wait(Finished)
    finally:
        client.stop()


def test_what_a_library_prints_goes_to_the_log(tmp_path: Path) -> None:
    with child("media", tmp_path) as (client, events):
        client.send(Start(job=SelfTestJob(steps=1)))
        events.wait(Finished)
    (log,) = (tmp_path / "logs").glob("worker-media-*.log")
    assert "Self-test" in log.read_text("utf-8")


def test_the_child_works_from_any_folder_with_qt_variables_kept_from_it(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__init__.py").write_text("raise RuntimeError('the wrong engine')\n")
    parent = (
        "import os\n"
        "from engine.worker.spawn import clean_environment\n"
        "assert not [name for name in clean_environment() if name.startswith('QT_')]\n"
        "from pathlib import Path\n"
        f"os.chdir({str(tmp_path)!r})\n"
        "from engine.jobs import SelfTestJob\n"
        "from engine.worker.messages import Finished, Start\n"
        "from tests.support.workers import child\n"
        "with child('media', Path('.')) as (client, events):\n"
        "    client.send(Start(job=SelfTestJob(steps=1)))\n"
        "    print(events.wait(Finished).result.frames)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", parent],
        env={**os.environ, "QT_QPA_PLATFORM_PLUGIN_PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize(
    ("modules", "barred"),
    [
        ("desktop.jobs, engine.worker.client, engine.worker.frames", "torch av cv2 numpy"),
        ("engine.worker.process, engine.worker.media_tasks", "torch PySide6"),
        ("engine.worker.small_tasks, engine.worker.viewer_tasks", "torch PySide6"),
        ("engine.worker.gpu_tasks, engine.worker.jpeg", "PySide6"),
    ],
)
def test_each_process_holds_only_what_it_may(modules: str, barred: str) -> None:
    code = (
        f"import sys; import {modules}; "
        f"print([one for one in {barred.split()!r} if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_running_child_holds_only_what_it_may(tmp_path: Path) -> None:
    for role, barred in (("media", ("libtorch", "libQt6")), ("gpu", ("libQt6",))):
        with child(role, tmp_path) as (client, events):
            client.send(Start(job=SelfTestJob(steps=1)))
            events.wait(Finished)
            held = Path(f"/proc/{client.pid}/maps").read_text()
            children = Path(f"/proc/{client.pid}/task/{client.pid}/children").read_text()
        assert "libavcodec" in held or "cv2" in held
        assert not [name for name in barred if name in held]
        assert not children.strip()


KILLED_PARENT = """
import sys, time
from pathlib import Path
from engine.jobs import SelfTestJob
from engine.worker.client import WorkerClient
from engine.worker.messages import Start
from engine.worker.messages import Progress
from tests.support.workers import Events
clients = []
for role in ("media", "gpu", "media"):
    events = Events()
    client = WorkerClient(role, events, Path(sys.argv[1]))
    client.start()
    client.send(Start(job=SelfTestJob(steps=100000)))
    clients.append((client, events))
for client, events in clients:
    events.wait(Progress)
print(*(client.pid for client, _ in clients), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_no_child_outlives_its_parent(how: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 3
        assert all(map(is_running, pids))
        getattr(parent, how)()
        parent.wait()
        assert wait_until(lambda: not any(map(is_running, pids))) < 2.0


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C goes to a console there")
def test_a_child_ignores_an_interrupt(tmp_path: Path) -> None:
    with child("media", tmp_path) as (client, events):
        events.wait(Device)
        assert client.pid is not None
        os.kill(client.pid, signal.SIGINT)
        client.send(Start(job=SelfTestJob(steps=1)))
        events.wait(Finished)
