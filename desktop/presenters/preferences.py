"""The preferences: what the pages show, and what becomes of the person's wishes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import msgspec
from PySide6.QtCore import QObject, SignalInstance
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog

from desktop.actions import ACTIONS
from desktop.clearing import CacheCleaner
from desktop.job_entry import IS_ACTIVE, Entry, State
from desktop.jobs import JobQueue
from desktop.presenters.queue import open_file
from desktop.presenters.weights_rows import (
    download_of,
    family_row,
    folder_row,
    lacking_parts,
    used_folders,
    with_download,
)
from desktop.settings import SettingsStore
from desktop.wording import size_text
from engine.errors import WeightsError
from engine.jobs import NeuralOptions
from engine.library.download_offer import Offer
from engine.library.found import FamilyReport, FolderFacts
from engine.worker.messages import Device
from ui.appearance import SYSTEM
from ui.attention_list import ModeRow
from ui.preferences import PreferencesDialog
from ui.preferences_pages import KeyRow
from ui.weights_rows import FamilyRow
from ui.window import Window

GIB = 1 << 30
MODES = ("sdpa", "int8", "flash_attn_2", "flash_attn_3", "sageattn", "xformers")
NOTES = {"int8": "8 bits, of our own: faster for clips, and about a hundredth off"}
NOT_LOOKED = "not looked for yet"


class WeightsLibrary(Protocol):
    """Where weights are, which families are ready, and what fetches the rest."""

    @property
    def reports(self) -> Sequence[FamilyReport]: ...
    @property
    def folders(self) -> Sequence[FolderFacts]: ...
    @property
    def untold(self) -> Sequence[str]: ...
    @property
    def is_scanning(self) -> bool: ...
    @property
    def failure(self) -> str: ...
    @property
    def download_folder(self) -> Path: ...
    @property
    def changed(self) -> SignalInstance: ...
    @property
    def progressed(self) -> SignalInstance:
        """Of a scan: "scan" with files, "hash" with bytes, done and total."""
        ...

    def scan(self) -> object: ...
    def add_folder(self, path: str) -> object: ...
    def remove_folder(self, path: str) -> object: ...
    def set_download_folder(self, path: str) -> object: ...
    def say(self, path: str, word: str) -> object: ...
    def download(self, family: str, parts: Sequence[str]) -> Any:
        """The job that fetches parts; `offers` says what it means, `get` begins it."""
        ...

    def offers(self, job: Any) -> tuple[Offer, ...]: ...
    def get(self, job: Any) -> object: ...


@dataclass(frozen=True)
class Wishes:
    """What the person wishes of models, and whether the processor may stand in for a card."""

    options: NeuralOptions = field(default_factory=NeuralOptions)
    on_processor: bool = False


@dataclass(frozen=True)
class Program:
    """What the preferences show and change, beside the weights.

    `export_folder`: where exports go now. `set_theme` takes "dark", "light" or "system".
    `needs`: what a family needs of the card, in words; "" where it is not known. `is_used`: whether
    an engine of the program runs a family; others are not shown.
    """

    window: Window
    settings: SettingsStore
    queue: JobQueue
    cache: Path
    cache_bytes: Callable[[], int]  # negative: not known
    cache_cleared: Callable[[], object]
    export_folder: Callable[[], Path]
    set_theme: Callable[[str], object]
    set_still: Callable[[Fraction], object]  # seconds
    wishes: Callable[[], Wishes]
    set_wishes: Callable[[Wishes], object]
    needs: Callable[[str], str] = lambda _family: ""
    is_used: Callable[[str], bool] = lambda _family: True


class PreferencesPresenter(QObject):
    """Opens the dialog; while it is open it follows the library, the queue and the settings."""

    def __init__(self, program: Program, library: WeightsLibrary) -> None:
        super().__init__(program.window)
        self._program, self._library = program, library
        self._dialog: PreferencesDialog | None = None
        self._families: dict[str, tuple[FamilyReport, FamilyRow]] = {}  # without downloads
        self._paused: set[str] = set()  # ids of downloads
        self._device: Device | None = None
        self._torch = ""
        self._modes: Mapping[str, str] = dict.fromkeys(MODES, NOT_LOOKED)
        self._cleaner = CacheCleaner(self)
        self._cleaner.cleared.connect(self._cleared)
        library.changed.connect(self._show_weights)
        library.progressed.connect(self._show_progress)
        for signal in (program.queue.entries_changed, program.queue.entry_changed):
            signal.connect(lambda *_: self._show_queue())
        hints = QGuiApplication.styleHints()
        hints.colorSchemeChanged.connect(lambda _scheme: self._follow_system())

    def open(self, page: str = "General", family: str = "") -> None:
        """Shows a page by its title; of the weights also a family, unfolded."""
        if self._dialog is None:
            self._dialog = dialog = PreferencesDialog(self._program.window)
            dialog.finished.connect(lambda _result: self._forget(dialog))
            self._connect(dialog)
            self._connect_weights(dialog)
            self._show_all()
            self._program.window.run_dialog(dialog)
        self._dialog.show_page(page)
        if family:
            self._dialog.weights.open_family(family)

    def set_device(self, device: Device) -> None:
        """What computes neural effects, as soon as it is known."""
        self._device = device
        self._show_device()

    def set_torch(self, line: str) -> None:
        """Which torch is there and whether it sees the card."""
        self._torch = line
        self._show_device()

    def set_attention(self, reasons: Mapping[str, str]) -> None:
        """Attention modes by name, with why one cannot be used, "" where it can."""
        self._modes = reasons
        self._show_device()

    # Wishes

    def _connect(self, dialog: PreferencesDialog) -> None:
        program = self._program
        general, cache, device = dialog.general, dialog.cache, dialog.device
        general.still_requested.connect(
            lambda seconds: program.set_still(Fraction(round(seconds * 10), 10))
        )
        general.folder_requested.connect(self._choose_export_folder)
        general.folder_reset_requested.connect(lambda: self._set_export_folder(""))
        dialog.appearance.theme_requested.connect(program.set_theme)
        cache.open_requested.connect(self._open_cache)
        cache.limit_requested.connect(self._set_cache_limit)
        cache.clear_requested.connect(self._clear)
        device.precision_requested.connect(lambda value: self._wish(precision=value))
        device.attention_requested.connect(lambda value: self._wish(attention=value))
        device.limit_requested.connect(lambda value: self._wish(limit_bytes=value))
        device.keep_requested.connect(lambda on: self._wish(keep_converted=on))
        device.processor_requested.connect(
            lambda on: program.set_wishes(Wishes(program.wishes().options, on))
        )

    def _connect_weights(self, dialog: PreferencesDialog) -> None:
        page, library = dialog.weights, self._library
        page.scan_requested.connect(library.scan)
        page.add_folder_requested.connect(self._add_folder)
        page.remove_folder_requested.connect(library.remove_folder)
        page.open_folder_requested.connect(lambda path: open_file(Path(path)))
        page.download_folder_requested.connect(library.set_download_folder)
        page.word_requested.connect(library.say)
        page.get_requested.connect(self._get)
        page.pause_requested.connect(self._pause)
        page.resume_requested.connect(self._resume)
        page.cancel_requested.connect(self._cancel)

    def _wish(self, **values: object) -> None:
        wishes = self._program.wishes()
        options = msgspec.structs.replace(wishes.options, **values)
        self._program.set_wishes(Wishes(options, wishes.on_processor))

    def _choose_export_folder(self) -> None:
        now = str(self._program.export_folder())
        chosen = QFileDialog.getExistingDirectory(self._dialog, "Export to", now)
        if chosen:
            self._set_export_folder(chosen)

    def _set_export_folder(self, folder: str) -> None:
        self._program.settings.change(export_folder=folder)
        self._show_general()

    def _add_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self._dialog, "Folder with weights")
        if chosen:
            self._library.add_folder(chosen)

    def _open_cache(self) -> None:
        self._program.cache.mkdir(parents=True, exist_ok=True)
        open_file(self._program.cache)

    def _set_cache_limit(self, limit_bytes: int) -> None:
        self._program.settings.change(cache_limit_bytes=limit_bytes)
        self._show_cache()

    def _clear(self) -> None:
        self._cleaner.clear(self._program.cache)
        self._show_cache()

    def _cleared(self, stayed: str) -> None:
        self._program.cache_cleared()
        self._show_cache(f"Some of it stays: {stayed}." if stayed else "The cache is empty.")

    def _follow_system(self) -> None:
        if self._program.settings.value.theme == SYSTEM:
            self._program.set_theme(SYSTEM)

    # Downloads

    def _get(self, family: str, part: str) -> None:
        report = self._families[family][0]
        parts = (part,) if part else lacking_parts(report)
        self._library.get(self._library.download(family, parts))

    def _offers(self, family: str, part: str) -> tuple[Offer, ...]:
        """What getting a part means; nothing where its place cannot be asked."""
        try:
            return self._library.offers(self._library.download(family, (part,)))
        except WeightsError:
            return ()

    def _download(self, family: str) -> Entry | None:
        report = self._families[family][0]
        return download_of(self._program.queue.entries, report, self._paused)

    def _pause(self, family: str) -> None:
        """What came is kept, so a pause is a cancelled job that is remembered."""
        entry = self._download(family)
        if entry is not None:
            self._paused.add(entry.id)
            self._program.queue.cancel(entry.id)

    def _resume(self, family: str) -> None:
        entry = self._download(family)
        if entry is not None:
            self._paused.discard(entry.id)
            self._program.queue.retry(entry.id)

    def _cancel(self, family: str) -> None:
        entry = self._download(family)
        if entry is None:
            return
        self._paused.discard(entry.id)
        if entry.state is State.WAITING or entry.state in IS_ACTIVE:
            self._program.queue.cancel(entry.id)
        else:
            self._program.queue.remove(entry.id)
        self._show_families()

    # What is shown

    def _forget(self, dialog: PreferencesDialog) -> None:
        self._dialog = None
        dialog.deleteLater()

    def _show_all(self) -> None:
        if self._dialog is None:
            return
        self._dialog.keyboard.set_keys(
            tuple(KeyRow(one.menu, one.text.rstrip("…"), one.keys, one.help) for one in ACTIONS)
        )
        self._dialog.appearance.set_theme(self._program.settings.value.theme)
        self._show_general()
        self._show_weights()
        self._show_cache()
        self._show_device()

    def _show_general(self) -> None:
        if self._dialog is not None:
            values = self._program.settings.value
            self._dialog.general.set_still(float(values.still_seconds))
            folder = str(self._program.export_folder())
            self._dialog.general.set_folder(folder, bool(values.export_folder))

    def _show_weights(self) -> None:
        if self._dialog is None:
            return
        library, page = self._library, self._dialog.weights
        page.set_scanning(library.is_scanning)
        page.set_problem(library.failure)
        download = str(library.download_folder)
        used = used_folders(library.reports)
        page.set_folders(
            tuple(folder_row(facts, download, facts.path in used) for facts in library.folders)
        )
        self._families = {
            report.family.name: (
                report,
                family_row(
                    report,
                    self._offers,
                    library.untold,
                    self._program.needs(report.family.name),
                ),
            )
            for report in library.reports
            if self._program.is_used(report.family.name)
        }
        self._show_families()

    def _show_progress(self, stage: str, done: int, total: int) -> None:
        if self._dialog is not None:
            words = f"{done} of {total}" if stage == "scan" else "Reading…"
            fraction = done / total if total else 0.0
            self._dialog.weights.set_scanning(self._library.is_scanning, fraction, words)

    def _show_families(self) -> None:
        if self._dialog is not None:
            rows = (
                with_download(shown, self._download(name))
                for name, (_, shown) in self._families.items()
            )
            self._dialog.weights.set_families(tuple(rows))

    def _show_queue(self) -> None:
        if self._dialog is not None:
            self._show_families()
            self._show_cache()

    def _show_cache(self, word: str = "") -> None:
        if self._dialog is None:
            return
        page, limit = self._dialog.cache, self._program.settings.value.cache_limit_bytes
        size = max(0, self._program.cache_bytes())
        page.set_folder(str(self._program.cache))
        used = f"{size_text(size)} of" if size else "Empty,"
        room = size_text(limit) if size else f"{size_text(limit)} at most"
        page.set_size(f"{used} {room}", size / limit, limit)
        busy = any(one.state in IS_ACTIVE for one in self._program.queue.entries)
        if self._cleaner.is_busy and not word:
            page.set_clearable(False, "Clearing…")
        elif busy:
            page.set_clearable(False, "A job is running and uses it.")
        else:
            page.set_clearable(True, word)

    def _show_device(self) -> None:
        if self._dialog is None:
            return
        page, wishes = self._dialog.device, self._program.wishes()
        device = self._device
        name, memory, details = "Not known before the first neural effect", "", ""
        if device is not None:
            name, details = device.name, device.details
            memory = f"{device.free_bytes / GIB:.1f} of {device.total_bytes / GIB:.1f} GB free"
        page.set_device(name, memory, " ".join(filter(None, (details, self._torch))))
        self._dialog.set_torch(self._torch)
        options = wishes.options
        page.set_precision(options.precision)
        modes = (ModeRow(mode, mode, why, NOTES.get(mode, "")) for mode, why in self._modes.items())
        auto = ModeRow("auto", "Auto", note="the fastest that is exact on this device")
        page.set_attention(options.attention, (auto, *modes))
        total = device.total_bytes if device is not None and device.kind != "cpu" else 0
        page.set_limit(options.limit_bytes, total)
        page.set_processor(wishes.on_processor)
        page.set_keep(options.keep_converted)
