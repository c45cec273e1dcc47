"""Kills children and editors in the middle of jobs, and looks at what is left."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import msgspec
from PySide6.QtCore import QCoreApplication

from desktop.jobs import FILE, Entry, JobQueue, State
from engine.jobs import EffectJob, ExportJob, ExportOptions, Job, SelfTestJob
from engine.media.reader import SoundReader, VideoReader
from engine.render.bake import effect_source
from engine.render.cache import SegmentCache
from engine.render.frame import to_rgb8
from engine.render.source import FrameSource
from engine.timeline.effects import new_use
from engine.timeline.model import Asset, new_id
from tests.support.media import clicks, make_video
from tests.support.timelines import audio, clip, medium, project, video
from tests.support.workers import PATIENCE, is_running, kill

KINDS = ("effect", "export", "self-test")
SECONDS = 20  # of the film: more than one unit of 480 pictures


@dataclass(frozen=True)
class Killed:
    """One kill of a child: what was seen after it."""

    kind: str
    fraction: float  # of the job when the child was killed
    noticed: float  # seconds until the row said so
    went_on: bool  # the next job ran to its end
    same: bool  # the retry gave the same pixels
    found: int  # segments that the retry did not make again


def make_film(folder: Path, seconds: int = SECONDS) -> Path:
    """A film with sound, 25 pictures a second."""
    return make_video(folder / "film.mp4", 25 * seconds, size=(128, 72), sound=clicks(seconds))


def job_of(kind: str, film: Asset, folder: Path) -> Job:
    """A job of `kind` that keeps all it makes in `folder`."""
    cache = str(folder / "cache")
    use = new_use("restyle", "ink")
    match kind:
        case "effect":
            return EffectJob(
                title="Restyle", subject=film.name, asset=film, uses=(use,), cache=cache
            )
        case "export":
            length = film.facts.duration
            clips = (clip(film.id, 0, length, effects=(use,)),)
            made = project(
                [film], video(*clips), audio(clip(film.id, 0, length)), width=128, height=72
            )
            return ExportJob(
                project=made,
                options=ExportOptions(),
                output=str(folder / "out.mp4"),
                cache=cache,
            )
        case _:
            return SelfTestJob(role="media", steps=60, step_ms=10)


def digest(job: Job, entry: Entry) -> str:
    """A name for every pixel and sample that a finished job has made."""
    assert entry.result is not None
    match job:
        case EffectJob():
            source, _ = _baked(job)
            return _pictures(source)
        case ExportJob():
            reader = VideoReader(Path(job.output))
            sound = SoundReader(Path(job.output))
            try:
                heard = blake2b(sound.samples(0, sound.length).tobytes()).hexdigest()
            finally:
                sound.close()
            return _pictures(reader) + heard
        case _:
            return " ".join(entry.result.keys)


def _baked(job: EffectJob) -> tuple[FrameSource, int]:
    source = effect_source(job.asset, job.uses, SegmentCache(Path(job.cache)))
    stale = sum(source.stale_at(index) for index in range(len(source.times)))
    assert stale == 0, f"{stale} pictures are not baked"
    return source, stale


def _pictures(source: FrameSource) -> str:
    made = blake2b()
    try:
        for picture in source.frames(0, len(source.times)):
            made.update(to_rgb8(picture).tobytes())
    finally:
        source.close()
    return made.hexdigest()


def until(test: Callable[[], bool]) -> float:
    """Seconds until `test` holds, with Qt's events running."""
    began = time.monotonic()
    while not test():
        assert time.monotonic() - began < PATIENCE, "waited too long"
        QCoreApplication.processEvents()
        time.sleep(0.002)
    return time.monotonic() - began


class Bench:
    """A queue whose children are killed."""

    def __init__(self, folder: Path, film: Path, seed: int = 1) -> None:
        self._folder = folder
        self._film = medium(film)
        self._random = random.Random(seed)
        self._queue = JobQueue(folder / "queue", folder / "logs")
        self._expected: dict[str, str] = {}
        self._segments: dict[str, int] = {}

    def close(self) -> None:
        self._queue.close()

    def kill_once(self, kind: str) -> Killed:
        """Kills the child at some moment of a job, retries, and compares."""
        if kind not in self._expected:
            job = job_of(kind, self._film, self._folder / f"{kind}-whole")
            self._queue.add(job)
            entry = self._until_over(job)
            self._expected[kind] = digest(job, entry)
            self._segments[kind] = len(entry.result.keys) if entry.result else 0
        job, following, fraction, noticed = self._killed(kind)
        went_on = self._until_over(following).state is State.DONE
        self._queue.retry(job.id)
        entry = self._until_over(job)
        assert entry.state is State.DONE, f"{entry.message} {entry.details}"
        same = digest(job, entry) == self._expected[kind]
        found = self._segments[kind] - (entry.result.made if entry.result else 0)
        return Killed(kind, fraction, noticed, went_on, same, 0 if kind == "self-test" else found)

    def _killed(self, kind: str) -> tuple[Job, Job, float, float]:
        """A job that was killed, the one behind it, how far it was, seconds until it failed."""
        while True:
            job = job_of(kind, self._film, self._folder / new_id())
            following = SelfTestJob(role="media", steps=3, step_ms=1)
            self._queue.add(job)
            self._queue.add(following)
            target = self._random.uniform(0.02, 0.9)
            until(lambda job=job, target=target: self._row(job).fraction >= target)
            pid = self._queue.pid_of(job.id)
            if pid is not None:
                fraction = self._row(job).fraction
                kill(pid)
                began = time.monotonic()
                if self._until_over(job).state is State.FAILED:
                    return job, following, fraction, time.monotonic() - began
            self._until_over(following)  # the last steps went too quickly

    def _row(self, job: Job) -> Entry:
        entry = self._queue.entry(job.id)
        assert entry is not None
        return entry

    def _until_over(self, job: Job) -> Entry:
        over = (State.DONE, State.FAILED, State.CANCELLED)
        until(lambda: self._row(job).state in over)
        return self._row(job)


EDITOR = """
import sys
from pathlib import Path
import msgspec
from PySide6.QtCore import QCoreApplication
from desktop.jobs import JobQueue
from engine.jobs import Job
from engine.worker.frames import FrameRing
from engine.timeline.time import decode_value

app = QCoreApplication([])
folder = Path(sys.argv[1])
queue = JobQueue(folder, folder / "logs")
ring = FrameRing.create(4, 1 << 20)
for job in msgspec.json.decode(sys.stdin.buffer.read(), type=list[Job], dec_hook=decode_value):
    queue.add(job)
count = len(queue.entries)
told = []
def tell(_):
    if not told and sum(one.done > 0 for one in queue.entries) == count:
        told.append(1)
        print(ring.name, *queue.pids, flush=True)
queue.entry_changed.connect(tell)
app.exec()
"""


@dataclass(frozen=True)
class EditorKilled:
    """One kill of an editor with running jobs."""

    children: int
    seconds: float  # until the last child was gone
    rows: int  # of the queue that are on disk afterwards
    litter: bool  # the ring's shared memory is left behind


def kill_editor(film: Asset, folder: Path, delay: float) -> EditorKilled:
    """Starts an editor with an effect, an export and a gpu job, and kills it after `delay`."""
    from engine.timeline.time import encode_value

    effect = job_of("effect", film, folder / "effect")
    plain = job_of("export", msgspec.structs.replace(film, id=new_id()), folder / "export")
    jobs = [effect, plain, SelfTestJob(role="gpu", steps=100_000)]
    with subprocess.Popen(
        [sys.executable, "-c", EDITOR, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the tracker tells what it cleared away
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    ) as editor:
        assert editor.stdin is not None
        assert editor.stdout is not None
        editor.stdin.write(msgspec.json.encode(jobs, enc_hook=encode_value))
        editor.stdin.close()
        ring, *numbers = editor.stdout.readline().decode().split()
        pids = [int(pid) for pid in numbers]
        time.sleep(delay)
        editor.kill()
        editor.wait()
        began = time.monotonic()
        while any(map(is_running, pids)):
            assert time.monotonic() - began < PATIENCE, f"{pids} live on"
            time.sleep(0.002)
        seconds = time.monotonic() - began
        while _is_shared(ring) and time.monotonic() - began < 2:
            time.sleep(0.01)  # Python's tracker clears away after its editor
    rows = len(json.loads((folder / FILE).read_bytes())["entries"])
    return EditorKilled(len(pids), seconds, rows, _is_shared(ring))


def _is_shared(name: str) -> bool:
    """Whether shared memory of that name is there, where the system can tell."""
    return (Path("/dev/shm") / name.removeprefix("/")).exists()
