"""The library of the window, with the child that looks through folders and the one that fetches."""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from pytestqt.qtbot import QtBot

from desktop.job_entry import State
from desktop.jobs import JobQueue
from desktop.service import MediaService
from desktop.settings import HOME, SettingsStore, folders, load_settings
from desktop.weights import WeightsLibrary
from engine.errors import WeightsError
from engine.jobs import DownloadJob, ModelFiles
from engine.library import choice
from engine.timeline.effects import FLASHVSR_ENGINES, LANCZOS, new_use
from engine.worker.messages import Probe, Probed, Scanning, ScanWeights, WeightsFound
from tests.support.loopback import BODY, SIZE, Site, cut, serving, stall, status
from tests.support.media import make_still
from tests.support.tiny_weights import flashvsr, tiny, write
from tests.support.workers import child, is_running, kill

PATIENCE_MS = 60_000
TINY, FULL = FLASHVSR_ENGINES[:2]  # of 1.1
OLD = FLASHVSR_ENGINES[2]


class Room:
    """The library with everything it stands on."""

    def __init__(self, qtbot: QtBot) -> None:
        places = folders()
        self._qtbot = qtbot
        self.settings = SettingsStore()
        self.service = MediaService(places.logs)
        self.queue = JobQueue(places.data, places.logs)
        self.library = WeightsLibrary(self.service, self.queue, self.settings, places)
        self.changes = 0
        self.library.changed.connect(self._count)

    def _count(self) -> None:
        self.changes += 1

    def settled(self) -> None:
        self._qtbot.waitUntil(lambda: not self.library.is_scanning, timeout=PATIENCE_MS)
        assert self.library.failure == ""

    def until(self, job: DownloadJob, state: State) -> None:
        def reached() -> bool:
            entry = self.queue.entry(job.id)
            return entry is not None and entry.state is state

        self._qtbot.waitUntil(reached, timeout=PATIENCE_MS)


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot) -> Iterator[Room]:
    monkeypatch.setenv(HOME, str(tmp_path / "home"))
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("HF_"):
            monkeypatch.delenv(name)
    made = Room(qtbot)
    yield made
    pids = (*made.queue.pids, made.service.pid)
    made.queue.close()
    made.service.stop()
    assert not any(map(is_running, filter(None, pids)))


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as made:
        yield made


def test_a_folder_is_looked_through_and_its_version_said(room: Room, tmp_path: Path) -> None:
    library = room.library
    assert library.lacking(TINY) == choice.NOT_LOOKED
    assert not library.is_ready(TINY)
    folder = flashvsr(tmp_path / "FlashVSR")
    library.add_folder(folder)
    assert library.is_scanning
    room.settled()
    assert [one.path for one in library.folders] == [str(folder), str(library.download_folder)]
    assert library.untold == (str(folder),)
    assert library.lacking(TINY) == (
        "FlashVSR in FlashVSR may be 1.0 or 1.1. Both look alike; which is it?"
    )
    assert library.missing_bytes(TINY) == 0
    library.say(folder, "1.1")
    room.settled()
    assert library.is_ready(TINY)
    assert library.lacking(TINY) == ""
    assert library.lacking(FULL) == (
        "Upscale needs the FlashVSR 1.1 VAE 2.1 (0.5 GB). "
        "Looked in " + " / ".join(folder.parts[-2:]) + " and data / weights."
    )
    assert library.missing_parts(FULL) == ("vae",)
    assert library.missing_bytes(FULL) == 507_609_880
    assert load_settings().weights_folders == (str(folder),)
    library.remove_folder(folder)
    room.settled()
    assert not library.is_ready(TINY)
    assert folder.exists()


def test_engines_get_the_files_of_their_mode(room: Room, tmp_path: Path) -> None:
    folder = flashvsr(tmp_path / "w", vae=True)
    room.library.add_folder(folder)
    room.library.say(folder, "1.1")
    room.settled()
    reports = room.library.reports
    (made,) = choice.models_for(reports, [LANCZOS, TINY])
    assert made == ModelFiles(
        family="flashvsr-1.1",
        files={
            "transformer": str(folder / "diffusion_pytorch_model_streaming_dmd.safetensors"),
            "projection": str(folder / "LQ_proj_in.ckpt"),
            "prompt": str(folder / "posi_prompt.pth"),
            "decoder": str(folder / "TCDecoder.ckpt"),
        },
    )
    (both,) = choice.models_for(reports, [TINY, FULL])
    assert both.files.keys() == {*made.files, "vae"}
    with pytest.raises(WeightsError, match=r"Upscale needs the FlashVSR 1\.0 transformer and LQ"):
        choice.models_for(reports, [TINY, OLD])
    assert room.library.models_for((new_use("upscale", "lanczos"),)) == ()
    assert room.library.is_ready(LANCZOS)


def test_words_said_while_it_looks_are_heard(room: Room, tmp_path: Path) -> None:
    folder = flashvsr(tmp_path / "w")
    room.library.add_folder(folder)
    for word in ("1.0", "wan", "1.1"):
        room.library.say(folder, word)
    room.settled()
    assert room.library.is_ready(TINY)
    room.library.say(folder, "")
    room.settled()
    assert room.library.untold == (str(folder),)


def test_a_child_that_dies_is_replaced_and_asked_again(room: Room, tmp_path: Path) -> None:
    folder = flashvsr(tmp_path / "w")
    room.library.add_folder(folder)
    kill(room.service.pid)
    room.settled()
    assert room.library.untold == (str(folder),)


def test_what_kills_the_child_twice_ends_with_a_sentence(
    room: Room, tmp_path: Path, qtbot: QtBot
) -> None:
    room.service.restarted.connect(lambda: kill(room.service.pid))
    room.library.scan()
    kill(room.service.pid)
    qtbot.waitUntil(lambda: not room.library.is_scanning, timeout=PATIENCE_MS)
    assert room.library.failure == (
        "The weights cannot be looked through: a file there ends the reader."
    )


def test_a_long_look_lets_others_go_first(tmp_path: Path) -> None:
    for number in range(1500):
        write(tmp_path / "w" / f"{number}.safetensors", {"a": (1,)})
    picture = make_still(tmp_path / "still.png")
    with child("media", tmp_path) as (client, events):
        memory = str(tmp_path / "memory.json")
        client.send(ScanWeights(ask=1, folders=(str(tmp_path / "w"),), memory=memory))
        events.wait(Scanning)
        client.send(Probe(ask=2, path=str(picture)))
        found = events.wait(WeightsFound)
        assert events.when(events.wait(Probed)) < events.when(found)
        assert found.others == 1500


def test_the_download_folder_moves_and_the_old_one_is_searched_on(
    room: Room, tmp_path: Path
) -> None:
    folder, own = flashvsr(tmp_path / "w"), room.library.download_folder
    room.library.set_download_folder(folder)
    room.settled()
    assert room.library.download_folder == folder
    room.library.set_download_folder("")
    room.settled()
    assert room.library.download_folder == own
    assert [one.path for one in room.library.folders] == [str(folder), str(own)]


# Downloads


def projection(room: Room, site: Site) -> DownloadJob:
    room.settings.change(weights_mirror=site.url)
    return room.library.download("flashvsr-1.0", ("projection",))


def test_a_download_is_offered_fetched_and_found(room: Room, site: Site, tmp_path: Path) -> None:
    site.body = write(tmp_path / "p", tiny("flashvsr_projection", "flashvsr")).read_bytes()
    job = projection(room, site)
    (offer,) = room.library.offers(job)
    assert offer.line.startswith("0.6 GB from JunhaoZhuang on Hugging Face, Apache-2.0, into")
    assert room.library.get(job) == job.id
    assert room.library.get(replace(job, id="another click")) == job.id
    assert room.library.downloading("flashvsr-1.0") == (job.id,)
    room.until(job, State.DONE)
    room.settled()
    assert offer.target.read_bytes() == site.body
    (report,) = [one for one in room.library.reports if one.family.name == "flashvsr-1.0"]
    found = report.part("projection").found
    assert found is not None
    assert found.path == str(offer.target)  # and its version is known without a question
    assert room.library.untold == ()
    entry = room.queue.entry(job.id)
    assert entry is not None
    assert entry.result is not None
    assert (entry.result.size_bytes, entry.result.output) == (
        len(site.body),
        str(offer.target.parent),
    )


def test_cancel_keeps_the_part_and_retry_goes_on(room: Room, site: Site, qtbot: QtBot) -> None:
    site.faults = [stall(SIZE // 2)]
    job = projection(room, site)
    (offer,) = room.library.offers(job)
    room.library.get(job)

    def is_half() -> bool:
        entry = room.queue.entry(job.id)
        return entry is not None and entry.done == SIZE // 2

    qtbot.waitUntil(is_half, timeout=PATIENCE_MS)
    entry = room.queue.entry(job.id)
    assert entry is not None
    assert (entry.stage, entry.total) == ("download", len(BODY))
    assert entry.fraction == pytest.approx(0.5, abs=0.001)
    room.queue.cancel(job.id)
    room.until(job, State.CANCELLED)
    assert offer.part_path.stat().st_size == SIZE // 2
    assert room.library.downloading("flashvsr-1.0") == ()
    room.queue.retry(job.id)
    room.until(job, State.DONE)
    assert site.ranges == ["", f"bytes={SIZE // 2}-"]
    assert offer.target.read_bytes() == BODY


def test_a_failure_says_what_is_kept_apart_from_why(room: Room, site: Site) -> None:
    site.faults = [cut(2_000_000), status(404)]
    job = projection(room, site)
    room.library.get(job)
    room.until(job, State.FAILED)
    entry = room.queue.entry(job.id)
    assert entry is not None
    assert (entry.message, entry.kept, entry.kind) == (
        "127.0.0.1 does not have LQ_proj_in.ckpt.",
        "2.0 MB of 0.6 GB are kept.",
        "WeightsError",
    )
    room.queue.retry(job.id)
    room.until(job, State.DONE)


def test_several_parts_are_one_job(room: Room, site: Site) -> None:
    room.settings.change(weights_mirror=site.url)
    job = room.library.download("flashvsr-1.0", ("projection", "decoder"))
    wanted = room.library.offers(job)
    room.library.get(job)
    room.until(job, State.DONE)
    assert all(one.target.read_bytes() == BODY for one in wanted)
    entry = room.queue.entry(job.id)
    assert entry is not None
    assert entry.result is not None
    assert entry.result.size_bytes == 2 * SIZE + 2 * (len(BODY) - SIZE)


def test_a_killed_child_keeps_the_part(room: Room, site: Site, qtbot: QtBot) -> None:
    site.faults = [stall(SIZE // 2)]
    job = projection(room, site)
    room.library.get(job)
    (offer,) = room.library.offers(job)
    qtbot.waitUntil(
        lambda: offer.part_path.exists() and offer.part_path.stat().st_size == SIZE // 2,
        timeout=PATIENCE_MS,
    )
    pid = room.queue.pid_of(job.id)
    assert pid is not None
    kill(pid)
    room.until(job, State.FAILED)
    room.queue.retry(job.id)
    room.until(job, State.DONE)
    assert site.ranges[-1] == f"bytes={SIZE // 2}-"


def test_an_order_for_what_is_not_known_is_told(room: Room) -> None:
    job = DownloadJob(family="wan9", parts=("vae",), folder="/x", subject="Wan 9")
    room.queue.add(job)
    room.until(job, State.FAILED)
    entry = room.queue.entry(job.id)
    assert entry is not None
    assert entry.message == "It is not known where Wan 9 comes from."
