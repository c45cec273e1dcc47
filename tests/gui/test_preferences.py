"""The preferences: pages, search, the rows of weights from a real scan, wishes, keys."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from desktop.actions import ACTIONS
from desktop.clearing import emptied
from desktop.job_entry import Entry, State
from desktop.jobs import JobQueue
from desktop.presenters.preferences import PreferencesPresenter, Program, Wishes
from desktop.settings import SettingsStore
from engine.library import recognise, scan
from engine.library.catalog import FAMILIES
from engine.library.download_offer import Offer, offer
from engine.library.families import FamilyReport, reports, untold
from engine.timeline.model import new_id
from engine.worker.messages import Device
from tests.support.workers import ScriptedClient
from tests.unit.test_library_scan import SMALL, model
from ui.appearance import resolved
from ui.controls import Keycap
from ui.preferences import PreferencesDialog
from ui.weights_family import FamilyBlock, PartLine
from ui.weights_rows import FolderLine
from ui.window import Window

Key = Qt.Key


class Fetch(msgspec.Struct, frozen=True, tag="fetch", kw_only=True):
    """A download as the queue holds it."""

    id: str = msgspec.field(default_factory=new_id)
    title: str = "Download"
    subject: str = ""
    role: str = "effect"
    family: str
    parts: tuple[str, ...]


class Library(QObject):
    """Scans at once, on the spot; otherwise as the window's."""

    changed = Signal()
    progressed = Signal(str, int, int)

    def __init__(self, home: Path, queue: JobQueue) -> None:
        super().__init__()
        self.download_folder = home / "Reelwright" / "weights"
        self.download_folder.mkdir(parents=True)
        self.is_scanning = False
        self.failure = ""
        self.named: list[str] = []
        self.words: dict[str, str] = {}
        self.reports: Sequence[FamilyReport] = ()
        self.folders: Sequence[scan.FolderFacts] = ()
        self.untold: Sequence[str] = ()
        self._memory, self._queue = home / "memory.json", queue

    def scan(self) -> None:
        found = scan.scan([*map(Path, self.named), self.download_folder], self._memory)
        self.reports, self.folders = reports(found, self.words), found.folders
        self.untold = untold(found, self.words)
        self.changed.emit()

    def add_folder(self, path: str) -> None:
        self.named.append(path)
        self.scan()

    def remove_folder(self, path: str) -> None:
        self.named.remove(path)
        self.scan()

    def set_download_folder(self, path: str) -> None:
        self.download_folder = Path(path)
        self.scan()

    def say(self, path: str, word: str) -> None:
        self.words[path] = word
        self.scan()

    def download(self, family: str, parts: Sequence[str]) -> Fetch:
        return Fetch(family=family, parts=tuple(parts))

    def offers(self, job: Any) -> tuple[Offer, ...]:
        family = next(one for one in FAMILIES if one.name == job.family)
        parts = (part for part in family.parts if part.name in job.parts)
        return tuple(offer(family, part, self.download_folder) for part in parts)

    def get(self, job: Any) -> None:
        self._queue.add(job)


class Desk:
    """The presenter with all it stands on; the children of the queue do nothing."""

    def __init__(self, home: Path, qtbot: QtBot) -> None:
        self.clients: list[ScriptedClient] = []
        self.queue = JobQueue(home / "data", home / "logs", make_client=self._make)
        self.settings = SettingsStore()
        self.window = Window({one.name: QAction(one.text) for one in ACTIONS}, {}, QWidget())
        qtbot.addWidget(self.window)
        self.window.resize(1440, 900)
        self.library = Library(home, self.queue)
        self.wishes = Wishes()
        self.themes: list[str] = []
        self.cache = home / "cache"
        self.sizes = [3_100_000_000]
        self.presenter = PreferencesPresenter(
            Program(
                window=self.window,
                settings=self.settings,
                queue=self.queue,
                cache=self.cache,
                cache_bytes=lambda: self.sizes[-1],
                cache_cleared=lambda: self.sizes.append(0),
                export_folder=lambda: Path(self.settings.value.export_folder or home / "Exports"),
                set_theme=self.themes.append,
                set_still=lambda one: self.settings.change(still_seconds=one),
                wishes=lambda: self.wishes,
                set_wishes=self._set_wishes,
                needs=lambda _family: "from 8 GB of GPU memory",
            ),
            self.library,
        )

    def _make(self, role: str, on_event: Any) -> ScriptedClient:
        self.clients.append(ScriptedClient(role, on_event))
        return self.clients[-1]

    def _set_wishes(self, wishes: Wishes) -> None:
        self.wishes = wishes

    def open(self, page: str = "Weights") -> PreferencesDialog:
        self.window.show()
        self.presenter.open(page)
        return self.window.findChildren(PreferencesDialog)[-1]

    def put(self, family: str, state: State, **facts: Any) -> str:
        job: Any = Fetch(family=family, parts=("transformer",))
        self.queue.restore(Entry(job=job, state=state, **facts))
        return str(job.id)

    def state(self, job_id: str) -> State | None:
        entry = self.queue.entry(job_id)
        return None if entry is None else entry.state


@pytest.fixture
def desk(tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(recognise, "signatures", lambda: SMALL)
    made = Desk(tmp_path, qtbot)
    yield made
    made.queue.close()


@pytest.fixture
def comfyui(tmp_path: Path) -> Path:
    """A tree that has all of Wan2.1 I2V 14B but its image encoder."""
    models = tmp_path / "ComfyUI" / "models"
    model(models / "diffusion_models" / "i2v.safetensors", "wan2.1_i2v_14b", bits=8)
    model(models / "text_encoders" / "umt5.safetensors", "umt5_xxl", "hf")
    model(models / "vae" / "wan_2.1_vae.safetensors", "wan2.1_vae")
    return models


def block(dialog: PreferencesDialog, name: str) -> FamilyBlock:
    return next(one for one in dialog.weights.families() if one.shown.name == name)


def part(shown: FamilyBlock, name: str) -> PartLine:
    return next(one for one in shown.parts if one.shown.name == name)


def press(widget: QWidget, name: str) -> None:
    """Clicks the visible button of that name or with those words."""
    next(
        one
        for one in widget.findChildren(QAbstractButton)
        if name in (one.accessibleName(), one.text()) and one.isVisible()
    ).click()


def texts(widget: QWidget) -> list[str]:
    found = [one for one in widget.findChildren(QLabel) if one.isVisible()]
    return [one.text() for one in found]


# Folders and families


def test_nothing_is_there_at_first(desk: Desk) -> None:
    desk.library.scan()
    page = desk.open().weights
    assert page.is_empty()
    assert "No weights yet" in texts(page)
    assert f"{len(FAMILIES)} known, 0 ready" in texts(page)
    assert all(one.shown.can_get for one in page.families())


def test_a_folder_says_what_it_is_and_the_download_folder_how_much_room_it_has(
    desk: Desk, comfyui: Path
) -> None:
    desk.library.add_folder(str(comfyui))
    page = desk.open().weights
    assert not page.is_empty()
    first, ours = (line.shown for line in page.folders())
    assert (first.name, first.chip) == ("ComfyUI / models", "Recognised")
    assert first.facts.startswith("ComfyUI folder · 3 files · ")
    assert (ours.name, ours.chip) == ("Reelwright / weights", "Download folder")
    assert ours.facts.startswith("Downloads go here · 0 files · ")
    assert ours.facts.endswith(" free")


def test_a_plain_folder_is_recognised_by_what_is_in_it(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    model(tmp_path / "mine" / "umt5.safetensors", "umt5_xxl", "hf")
    for name in ("mine", "none"):
        desk.library.add_folder(str(tmp_path / name))
    mine, none, _ = (line.shown for line in desk.open().weights.folders())
    assert (mine.kind, mine.chip) == ("Folder", "Recognised")
    assert none.chip == ""


def test_a_folder_that_went_says_so(desk: Desk, tmp_path: Path) -> None:
    desk.library.add_folder(str(tmp_path / "gone"))
    shown = desk.open().weights.folders()[0].shown
    assert (shown.problem, shown.chip) == ("It is not there.", "")


def test_the_menu_of_a_folder(desk: Desk, comfyui: Path) -> None:
    desk.library.add_folder(str(comfyui))
    page = desk.open().weights
    first, ours = page.folders()
    assert [one.text() for one in ours.menu().actions() if one.text()] == [
        "Open",
        "Remove from list",
    ]
    choose(first, "Make it the download folder")
    assert [line.shown.is_download for line in page.folders()][:1] == [True]
    choose(page.folders()[0], "Remove from list")
    assert desk.library.named == []


def choose(line: FolderLine, words: str) -> None:
    next(one for one in line.menu().actions() if one.text() == words).trigger()


def test_what_is_missing_can_be_got_after_it_was_said_what_that_means(
    desk: Desk, comfyui: Path
) -> None:
    desk.library.add_folder(str(comfyui))
    dialog = desk.open()
    shown = block(dialog, "wan2.1-i2v-14b")
    assert shown.shown.need.startswith("1 missing · 1.3 GB · Apache-2.0")
    assert "Image encoder CLIP ViT-H" in [one.label for one in shown.shown.parts]
    shown.set_open(True)
    line = part(shown, "image")
    assert line.shown.text == "Comfy-Org on Hugging Face · Apache-2.0"
    press(line, "Get Image encoder CLIP ViT-H")
    assert line.is_asking()
    assert desk.queue.entries == ()
    assert line.shown.offer_line.startswith(
        "1.3 GB from Comfy-Org on Hugging Face, Apache-2.0, into weights / clip_vision. "
    )
    press(line, "Get")
    assert not line.is_asking()
    jobs: list[Any] = [one.job for one in desk.queue.entries]
    assert [(job.family, job.parts) for job in jobs] == [("wan2.1-i2v-14b", ("image",))]


def test_what_was_found_stands_where_it_lies(desk: Desk, comfyui: Path) -> None:
    desk.library.add_folder(str(comfyui))
    shown = part(block(desk.open(), "wan2.1-i2v-14b"), "transformer").shown
    assert shown.text == "diffusion_models / i2v.safetensors"
    assert shown.label == "Transformer, fp8"
    assert shown.tip == str(comfyui / "diffusion_models" / "i2v.safetensors")


def test_ready_is_counted_and_the_need_is_told(desk: Desk, comfyui: Path) -> None:
    model(comfyui / "clip_vision" / "clip.safetensors", "clip_vit_h", "hf")
    desk.library.add_folder(str(comfyui))
    dialog = desk.open()
    shown = block(dialog, "wan2.1-i2v-14b").shown
    assert (shown.chip, shown.can_get) == ("Ready", False)
    assert shown.need.endswith(" · from 8 GB of GPU memory")
    assert f"{len(FAMILIES)} known, 1 ready" in texts(dialog)


def test_a_refusal_is_shown_at_once_with_the_file_in_the_colour_of_errors(
    desk: Desk, comfyui: Path
) -> None:
    model(comfyui / "clip_vision" / "clip.safetensors", "clip_vit_h", "hf")
    (comfyui / "vae" / "wan_2.1_vae.safetensors").unlink()
    cut = model(comfyui / "vae" / "mine.safetensors", "wan2.1_vae", cut=10)
    desk.library.add_folder(str(comfyui))
    dialog = desk.open()
    shown = block(dialog, "wan2.1-i2v-14b")
    assert shown.shown.chip == "1 refused"
    opened = [one.shown for one in dialog.weights.families() if one.is_open()]
    assert [one.chip for one in opened] == ["1 missing, 1 refused"]
    row = part(shown, "vae").shown
    assert row.marked == cut.name
    assert row.text.startswith(cut.name)
    assert row.action == "Get 2.1"


def test_get_all_says_size_sources_and_room_before(desk: Desk) -> None:
    desk.library.scan()
    shown = block(desk.open(), "flashvsr-1.1")
    press(shown, "Get all of FlashVSR 1.1")
    line = shown.shown.offer_line
    assert line.startswith(
        "6.4 GB in 4 files from JunhaoZhuang on Hugging Face and OpenImagingLab on GitHub, "
        "Apache-2.0, into weights / FlashVSR-v1.1. "
    )
    press(shown, "Get")
    job: Any = desk.queue.entries[0].job
    assert job.parts == ("transformer", "projection", "prompt", "decoder")


def test_which_of_two_that_look_alike_is_asked_and_the_word_is_kept(
    desk: Desk, tmp_path: Path
) -> None:
    home = tmp_path / "mine" / "FlashVSR"
    model(home / "dmd.safetensors", "wan2.1_t2v_1.3b", bits=32)
    model(home / "LQ_proj_in.ckpt", "flashvsr_projection", "flashvsr")
    desk.library.add_folder(str(home))
    shown = block(desk.open(), "flashvsr-1.1")
    assert shown.is_open()
    assert [(one.ask.path, one.ask.text) for one in shown.asks] == [
        (str(home), "Both look alike; which is it?")
    ]
    press(shown.asks[0], "mine / FlashVSR: Both look alike; which is it?: v1.1")
    assert desk.library.words == {str(home): "1.1"}
    assert shown.asks == []
    assert part(shown, "transformer").shown.state == "found"


def test_which_expert_a_file_is_is_asked_where_no_name_tells(desk: Desk, tmp_path: Path) -> None:
    files = [model(tmp_path / "w" / f"{name}.safetensors", "wan2.2_i2v_a14b") for name in "ab"]
    desk.library.add_folder(str(tmp_path / "w"))
    shown = block(desk.open(), "wan2.2-i2v-a14b")
    shown.set_open(True)
    assert [one.ask.path for one in shown.asks] == list(map(str, files))
    press(shown.asks[0], "a.safetensors: Both experts look alike; which is it?: Low")
    QApplication.processEvents()
    press(shown.asks[0], "b.safetensors: Both experts look alike; which is it?: High")
    assert desk.library.words == {str(files[0]): "low", str(files[1]): "high"}
    assert shown.asks == []
    assert {part(shown, name).shown.state for name in ("transformer", "low")} == {"found"}


# Scanning and downloads


def test_scanning_shows_how_far_it_is_and_asks_once(desk: Desk, qtbot: QtBot) -> None:
    dialog = desk.open()
    desk.library.is_scanning = True
    desk.library.changed.emit()
    assert dialog.weights._scan.text() == "Reading…"
    desk.library.progressed.emit("scan", 12, 41)
    assert dialog.weights._scan.text() == "12 of 41"
    with qtbot.assertNotEmitted(dialog.weights.scan_requested):
        dialog.weights._scan.click()
    desk.library.is_scanning, desk.library.failure = False, "The scan ended early."
    desk.library.changed.emit()
    assert dialog.weights._scan.text() == "Scan again"
    assert dialog.weights._explained.text() == "The scan ended early."
    with qtbot.waitSignal(dialog.weights.scan_requested):
        dialog.weights._scan.click()


def test_a_download_stands_in_the_row_of_its_family(desk: Desk) -> None:
    desk.library.scan()
    dialog = desk.open()
    job_id = desk.put(
        "wan2.1-t2v-14b", State.RUNNING, done=4_800_000_000, total=14_300_000_000, seconds_left=155
    )
    shown = block(dialog, "wan2.1-t2v-14b").shown
    assert shown.download is not None
    assert shown.download.done_text == "4.8 of 14.3 GB"
    assert shown.download.left_text == "61 MB/s · 2 min 35 s left"
    assert not any(one.action for one in shown.parts)
    assert block(dialog, "wan2.1-t2v-1.3b").shown.download is None
    press(block(dialog, "wan2.1-t2v-14b"), "Cancel the download")
    assert desk.state(job_id) is State.STOPPING


def test_a_download_is_paused_resumed_and_cancelled(desk: Desk) -> None:
    desk.library.scan()
    dialog = desk.open()
    job_id = desk.put("wan2.1-t2v-14b", State.WAITING, done=1_000_000_000, total=4_000_000_000)
    shown = block(dialog, "wan2.1-t2v-14b")
    press(shown, "Pause")
    assert desk.state(job_id) is State.CANCELLED
    assert shown.shown.download is not None
    assert shown.shown.download.left_text == "Paused"
    assert shown.shown.download.fraction == 0.25
    press(shown, "Resume")
    assert desk.state(job_id) is State.WAITING
    press(shown, "Pause")
    press(shown, "Cancel the download")
    assert desk.state(job_id) is None
    assert shown.shown.download is None
    assert shown.shown.can_get


def test_a_failed_download_says_why_and_goes_on(desk: Desk) -> None:
    desk.library.scan()
    dialog = desk.open()
    words = "No connection to huggingface.co. 4.8 of 14.3 GB are kept."
    job_id = desk.put("wan2.1-t2v-14b", State.FAILED, message=words)
    shown = block(dialog, "wan2.1-t2v-14b")
    assert shown.shown.download is not None
    assert shown.shown.download.left_text == words
    press(shown, "Resume")
    assert desk.state(job_id) is State.WAITING


# Keys


def test_the_rows_by_keys(desk: Desk, comfyui: Path, qtbot: QtBot) -> None:
    desk.library.add_folder(str(comfyui))
    dialog = desk.open()
    qtbot.waitUntil(dialog.isActiveWindow)
    page = dialog.weights
    page.folders()[1].setFocus()
    first = page.families()[0]
    key(Key.Key_Down)
    assert first.head.hasFocus()
    key(Key.Key_Right)
    assert first.is_open()
    key(Key.Key_Down)
    assert first.parts[0].hasFocus()
    key(Key.Key_Return)
    assert first.parts[0].is_asking()
    ring = desk.window._ring._frame
    assert ring is not None
    qtbot.waitUntil(lambda: ring.isVisible() and ring.width() < 100)  # round Get
    key(Key.Key_Escape)
    assert not first.parts[0].is_asking()
    assert dialog.isVisible()
    assert first.parts[0].hasFocus()
    key(Key.Key_Left)
    assert first.head.hasFocus()
    assert not first.is_open()
    key(Key.Key_Return)
    assert first.is_asking()
    key(Key.Key_Return)
    assert len(desk.queue.entries) == 1
    key(Key.Key_Up)
    assert page.folders()[1].hasFocus()


def key(pressed: Qt.Key) -> None:
    QTest.keyClick(QApplication.focusWidget(), pressed)


def test_tab_goes_in_reading_order(desk: Desk, qtbot: QtBot) -> None:
    desk.library.scan()
    dialog = desk.open()
    qtbot.waitUntil(dialog.isActiveWindow)
    passed = []
    for _ in range(28):
        focus = QApplication.focusWidget()
        passed.append(focus.accessibleName() or getattr(focus, "text", str)())
        QTest.keyClick(focus, Key.Key_Tab)
    head = ["Search preferences", "Close", "Weights", "Scan again", "Add folder…", "Add folder…"]
    assert passed[:6] == head
    assert passed[6].startswith("Reelwright / weights, Downloads go here, 0 files, ")
    families = [one.head.accessibleName() for one in dialog.weights.families()]
    assert [one for one in passed if one in families] == families
    assert passed.index("Close", 2) > passed.index(families[-1])


def test_escape_clears_the_search_then_closes(desk: Desk, qtbot: QtBot) -> None:
    dialog = desk.open("General")
    qtbot.waitUntil(dialog.isActiveWindow)
    assert QApplication.focusWidget() is dialog._search
    QTest.keyClicks(dialog._search, "cache")
    assert dialog.page() == "Cache"
    key(Key.Key_Return)
    assert dialog.isVisible()
    key(Key.Key_Escape)
    assert (dialog.isVisible(), dialog._search.text()) == (True, "")
    key(Key.Key_Escape)
    assert not dialog.isVisible()


# Search, and the other pages


def test_search_leaves_the_pages_and_rows_that_match(desk: Desk) -> None:
    desk.library.scan()
    dialog = desk.open("General")
    dialog.set_search("flashvsr 1.1")
    assert [name for name, one in dialog._buttons.items() if one.isVisible()] == ["Weights"]
    assert dialog.page() == "Weights"
    assert [one.shown.name for one in dialog.weights.families() if one.isVisible()] == [
        "flashvsr-1.1"
    ]
    dialog.set_search("ripple delete")
    assert dialog.page() == "Keyboard"
    assert [one for one in texts(dialog.keyboard) if one] == ["Keyboard", "Edit", "Ripple delete"]
    assert dialog.keyboard.verticalScrollBar().maximum() == 0
    dialog.set_search("qqq")
    assert "Nothing matches «qqq»" in texts(dialog)
    press(dialog, "Clear search")
    assert dialog.page() == "Keyboard"
    caps = dialog.keyboard.findChildren(Keycap)
    assert len(caps) == sum(len(one.keys) for one in ACTIONS)


def test_the_settings_are_shown_and_changed(desk: Desk) -> None:
    dialog = desk.open("General")
    dialog.general._still.edited.emit(2.5, 1)
    assert desk.settings.value.still_seconds == Fraction(5, 2)
    desk.settings.change(export_folder="/films")
    dialog.general.folder_reset_requested.emit()
    assert desk.settings.value.export_folder == ""
    assert dialog.general._folder.text().endswith("Exports")
    dialog.show_page("Appearance")
    press(dialog, "Theme: System")
    assert desk.themes == ["system"]
    dialog.show_page("Cache")
    assert "3.1 GB of 40.0 GB" in texts(dialog)
    dialog.cache._limit.edited.emit(20.0, 1)
    assert desk.settings.value.cache_limit_bytes == 20_000_000_000


def test_the_device_and_what_is_wished_of_it(desk: Desk) -> None:
    dialog = desk.open("Device")
    desk.presenter.set_device(
        Device(kind="cuda", name="GeForce RTX 4070", total_bytes=12 << 30, free_bytes=8 << 30)
    )
    desk.presenter.set_torch("torch 2.11.0 for CUDA 12.8 sees the card.")
    assert {"8.0 of 12.0 GB free", "torch 2.11.0 for CUDA 12.8 sees the card."} <= {*texts(dialog)}
    desk.presenter.set_attention({"sdpa": "", "xformers": "xformers is not installed"})
    modes = dialog.device._attention.modes()
    assert modes["auto"].isChecked()
    assert not modes["xformers"].isEnabled()
    assert modes["xformers"].toolTip() == "xformers is not installed"
    modes["sdpa"].click()
    press(dialog, "Precision: fp8")
    press(dialog, "Memory limit: At most")
    press(dialog, "Keep converted weights")
    press(dialog, "Run neural effects on the processor when there is no card")
    options = desk.wishes.options
    assert (options.attention, options.precision) == ("sdpa", "fp8")
    assert options.limit_bytes == 12 << 30
    assert options.keep_converted
    assert desk.wishes.on_processor


def test_the_cache_is_cleared_after_a_question_and_never_under_a_job(
    desk: Desk, qtbot: QtBot
) -> None:
    (desk.cache / "segments").mkdir(parents=True)
    (desk.cache / "segments" / "a.mkv").write_bytes(b"x")
    dialog = desk.open("Cache")
    job_id = desk.put("wan2.1-t2v-14b", State.RUNNING)
    assert not dialog.cache._clear.isEnabled()
    desk.queue.remove(job_id)
    entry = desk.queue.entry(job_id)
    assert entry is not None
    desk.queue._put(entry, msgspec.structs.replace(entry, state=State.DONE))
    press(dialog, "Clear the cache")
    assert list(desk.cache.iterdir())
    press(dialog, "Clear")
    qtbot.waitUntil(lambda: desk.sizes[-1] == 0)
    assert list(desk.cache.iterdir()) == []
    assert "Empty, 40.0 GB at most" in texts(dialog)


def test_clearing_what_is_not_there_is_no_fault(tmp_path: Path) -> None:
    assert emptied(tmp_path / "none") == ""
    (tmp_path / "file").touch()
    assert emptied(tmp_path / "file") != ""


def test_the_theme_of_the_system() -> None:
    assert resolved("system", Qt.ColorScheme.Light) == "light"
    assert resolved("system", Qt.ColorScheme.Dark) == "dark"
    assert resolved("system", Qt.ColorScheme.Unknown) == "dark"
    assert resolved("light", Qt.ColorScheme.Dark) == "light"


def test_the_dialog_fits_into_a_small_window_and_goes_with_its_end(
    desk: Desk, qtbot: QtBot
) -> None:
    desk.window.resize(1120, 680)
    dialog = desk.open()
    assert (dialog.width(), dialog.height()) == (1096, 656)
    press(dialog, "Close")
    qtbot.waitUntil(lambda: not desk.window.findChildren(PreferencesDialog))
    desk.library.scan()
    assert desk.open("Cache").page() == "Cache"
