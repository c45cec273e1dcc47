"""Media: the bin, drops and imports, missing files."""

from collections.abc import Callable
from pathlib import Path

import msgspec
from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog

from desktop.imports import Import, refusal_sentence, same_medium
from desktop.parts import Parts
from engine.timeline import edits
from engine.timeline.model import Asset, Project, TrackKind
from engine.timeline.time import Time, timecode
from engine.worker.messages import Event, Probed
from ui.bin import MediaItem
from ui.notice import Notice
from ui.timeline.states import DropRequest
from ui.viewer import rate_text

replace = msgspec.structs.replace
Change = Callable[[Asset], Asset]


class MediaPresenter(QObject):
    """Fills the bin and brings files in."""

    project_requested = Signal(str)  # a project file was dropped

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._parts = parts
        self._missing: frozenset[str] = frozenset()
        self._missing_notice: Notice | None = None
        self._format_notice: Notice | None = None
        self._refusals: dict[int, Import] = {}
        bin_ = parts.window.bin
        bin_.import_requested.connect(self.choose)
        bin_.remove_requested.connect(self._remove)
        bin_.rename_requested.connect(self._rename)
        bin_.insert_requested.connect(lambda ids: self._place(ids, "insert"))
        bin_.append_requested.connect(lambda ids: self._place(ids, "append"))
        bin_.find_requested.connect(self._find)
        bin_.show_in_folder_requested.connect(self._show_in_folder)
        parts.window.files_dropped.connect(self._dropped_on_window)
        parts.window.notices.action_requested.connect(self._act)
        parts.timeline.files_dropped.connect(self._dropped_on_timeline)
        parts.timeline.assets_dropped.connect(self._assets_dropped)
        parts.timeline.facts_requested.connect(lambda paths: parts.importer.look(list(paths)))
        parts.importer.facts_came.connect(
            lambda path, facts: parts.timeline.set_facts({path: facts})
        )
        parts.importer.reading_changed.connect(self.show)
        parts.importer.refused.connect(self._tell_refused)
        parts.previews.changed.connect(self.show)
        parts.editor.project_changed.connect(self._project_changed)

    # What is shown

    def _project_changed(self, old: Project, new: Project) -> None:
        if self._format_notice is not None:  # Undo would take back something else now
            self._parts.window.notices.withdraw(self._format_notice)
            self._format_notice = None
        if old.assets is not new.assets:
            self._parts.previews.set_assets(new.assets)
            self.look_for_missing()
        if old.assets is not new.assets or old.sequences is not new.sequences:
            self.show()

    def show(self) -> None:
        """Gives the bin its tiles."""
        project = self._parts.editor.project
        used = {
            clip.asset for one in project.sequences for track in one.tracks for clip in track.clips
        }
        items = [self._item(asset, asset.id in used) for asset in project.assets]
        items += [
            MediaItem(path, Path(path).name, path, "video", state="reading")
            for path in self._parts.importer.reading
        ]
        self._parts.window.bin.set_items(items)

    def _item(self, asset: Asset, is_used: bool) -> MediaItem:
        facts = asset.facts
        video, sound = facts.video, facts.sound
        if video is not None:
            kind = "picture" if facts.still else "video"
            meta = f"{video.width}×{video.height} · " + (
                "picture" if facts.still else rate_text(video.rate)
            )
        else:
            kind = "sound"
            meta = _sound_words(sound.sample_rate, sound.channels) if sound else ""
        rate = (
            video.rate
            if video is not None and not facts.still
            else self._parts.editor.sequence.rate
        )
        duration = "" if facts.still else timecode(facts.duration, rate)[3:]
        return MediaItem(
            asset.id,
            asset.name,
            asset.path,
            kind,
            duration,
            meta,
            is_used,
            "missing" if asset.id in self._missing else "",
            0.0,
            asset.made_by,
            self._parts.previews.thumbnail(asset.id, facts.duration / 3),
            self._parts.previews.bars(asset.id) if video is None else (),
        )

    # Bringing files in

    def choose(self) -> None:
        """Asks which files to add."""
        paths, _ = QFileDialog.getOpenFileNames(
            self._parts.window, "Import media", "", "Video, pictures and sound (*);;All files (*)"
        )
        if paths:
            self.bring(paths)

    def bring(self, paths: list[str]) -> None:
        """Adds files to Media."""
        self._parts.importer.bring(paths, self._add)

    def _known(self, assets: tuple[Asset, ...]) -> tuple[Asset, ...]:
        """The assets, those that are in the bin already as they are there."""
        there = self._parts.editor.project.assets
        return tuple(
            same_medium(there, asset.facts, asset.fingerprint) or asset for asset in assets
        )

    def _add(self, assets: tuple[Asset, ...]) -> None:
        there = {asset.id for asset in self._parts.editor.project.assets}
        found = self._known(assets)
        fresh = tuple({one.id: one for one in found if one.id not in there}.values())
        if fresh:
            name = fresh[0].name if len(fresh) == 1 else f"{len(fresh)} files"
            self._parts.editor.apply(
                f"Import {name}", lambda project: edits.add_assets(project, fresh)
            )
        self._parts.window.bin.select(frozenset(one.id for one in found))

    def _dropped_on_window(self, paths: tuple[str, ...], where: str) -> None:
        """On the bin: into Media. Elsewhere, while the timeline is empty: its first clips."""
        projects = [path for path in paths if path.lower().endswith(".reel")]
        if projects:
            self.project_requested.emit(projects[0])
            return
        if where != "bin" and self._parts.editor.sequence.duration == 0:
            self._parts.importer.bring(
                list(paths),
                lambda assets: self._place_at(
                    self._known(assets), self._parts.editor.sequence.duration, "append"
                ),
            )
        else:
            self.bring(list(paths))

    def _dropped_on_timeline(self, drop: DropRequest) -> None:
        self._parts.importer.bring(
            list(drop.paths), lambda assets: self._place_drop(self._known(assets), drop)
        )

    def _assets_dropped(self, drop: DropRequest) -> None:
        project = self._parts.editor.project
        found = tuple(one for name in drop.assets if (one := project.asset(name)) is not None)
        self._place_drop(found, drop)

    def _place_drop(self, assets: tuple[Asset, ...], drop: DropRequest) -> None:
        if assets:
            tracks = {TrackKind.VIDEO: drop.video_track, TrackKind.AUDIO: drop.audio_track}
            self._place_at(
                assets, drop.at, drop.mode.value, tracks if any(tracks.values()) else None
            )

    def _place(self, ids: tuple[str, ...], how: str) -> None:
        project = self._parts.editor.project
        found = tuple(one for name in ids if (one := project.asset(name)) is not None)
        if found:
            self._place_at(found, self._parts.editor.playhead, how)

    def _place_at(
        self,
        assets: tuple[Asset, ...],
        at: Time,
        how: str,
        tracks: dict[TrackKind, str | None] | None = None,
    ) -> None:
        """Puts media on the timeline; tells when that has set the sequence's format."""
        editor = self._parts.editor
        was_set_up = editor.project.is_set_up
        self._parts.commands.place_at(assets, at, how, tracks)
        first = next((one for one in assets if one.facts.video), None)
        if was_set_up or not editor.project.is_set_up or first is None:
            return
        size = f"{editor.sequence.width} × {editor.sequence.height}"
        self._format_notice = self._parts.tell(
            "done",
            f"Sequence set to {size}, {rate_text(editor.sequence.rate)}, as in {first.name}.",
            (("undo", "Undo"),),
        )

    def place_selected(self, how: str) -> None:
        """Puts what is selected in the bin on the timeline."""
        chosen = self._parts.window.bin.selection()
        if chosen:
            self._place(chosen, how)
        else:
            self._parts.editor.refused.emit("Nothing is selected in Media.", "Select a clip there.")

    def _tell_refused(self, one: Import) -> None:
        details = "\n".join(
            f"{path}: {message} {more}".strip() for path, (message, more) in one.refused.items()
        )
        several = (("which", "Show which"),) if len(one.refused) > 1 else ()
        notice = self._parts.tell("error", refusal_sentence(one), several, details)
        self._refusals[notice.id] = one

    def _act(self, notice: Notice, key: str) -> None:
        if key == "which" and notice.id in self._refusals:
            for message, _ in self._refusals.pop(notice.id).refused.values():
                self._parts.tell("error", message)
        elif key == "undo" and notice is self._format_notice:
            self._parts.editor.undo()
        elif key == "find" and self._missing:
            self._find(next(iter(sorted(self._missing))))

    # Changing the bin

    def _remove(self, ids: frozenset[str]) -> None:
        known = {asset.id for asset in self._parts.editor.project.assets} & set(ids)
        if known:
            self._parts.editor.apply(
                "Remove from Media", lambda project: edits.remove_assets(project, frozenset(known))
            )

    def _rename(self, asset_id: str, name: str) -> None:
        name = name.strip()
        if name:
            self._change_asset("Rename", asset_id, lambda asset: replace(asset, name=name))

    def _change_asset(self, text: str, asset_id: str, change: Change) -> None:
        def edit(project: Project) -> Project:
            return replace(
                project,
                assets=tuple(change(one) if one.id == asset_id else one for one in project.assets),
            )

        self._parts.editor.apply(text, edit)

    # Files that are not where they were

    def look_for_missing(self) -> None:
        """Looks which media are still on disk."""
        assets = self._parts.editor.project.assets
        missing = frozenset(one.id for one in assets if not Path(one.path).is_file())
        if missing == self._missing:
            return
        self._missing = missing
        self._parts.timeline.set_missing(missing)
        if self._missing_notice is not None:
            self._parts.window.notices.withdraw(self._missing_notice)
            self._missing_notice = None
        if missing:
            first = next(one for one in assets if one.id in missing)
            text = f"{first.name} is not where it was."
            if len(missing) > 1:
                text = f"{len(missing)} media files are not where they were."
            self._missing_notice = self._parts.tell("error", text, (("find", "Find it…"),))
        self.show()

    def _find(self, asset_id: str) -> None:
        asset = self._parts.editor.project.asset(asset_id)
        if asset is None:
            return
        path, _ = QFileDialog.getOpenFileName(
            self._parts.window, f"Find {asset.name}", str(Path(asset.path).parent), "All files (*)"
        )
        if not path:
            return

        def answer(event: Event) -> None:
            if not isinstance(event, Probed):
                self._parts.tell("error", f"{Path(path).name} cannot be read.")
            elif event.fingerprint == asset.fingerprint or _alike(asset, event):
                self._change_asset(
                    "Find media",
                    asset_id,
                    lambda one: replace(
                        one, path=path, facts=event.facts, fingerprint=event.fingerprint
                    ),
                )
                self._find_beside(Path(path).parent)
            else:
                self._parts.tell("error", f"{Path(path).name} is not {asset.name}: it differs.")

        self._parts.importer.facts(path, answer)

    def _find_beside(self, folder: Path) -> None:
        """Other missing media of the same name in the folder are found along the way."""
        for asset_id in self._missing:
            asset = self._parts.editor.project.asset(asset_id)
            beside = folder / Path(asset.path).name if asset else folder
            if asset is not None and beside.is_file():
                self._take_if_same(asset, str(beside))

    def _take_if_same(self, asset: Asset, path: str) -> None:
        def answer(event: Event) -> None:
            if isinstance(event, Probed) and event.fingerprint == asset.fingerprint:
                self._change_asset("Find media", asset.id, lambda one: replace(one, path=path))

        self._parts.importer.facts(path, answer)

    def _show_in_folder(self, asset_id: str) -> None:
        asset = self._parts.editor.project.asset(asset_id)
        if asset is not None:
            show_in_folder(Path(asset.path))


def _alike(asset: Asset, found: Probed) -> bool:
    """Whether another file can stand in: as long, and with the same streams."""
    before, now = asset.facts, found.facts
    return (
        now.duration >= before.duration
        and (now.video is None) == (before.video is None)
        and (now.sound is None) == (before.sound is None)
    )


def _sound_words(rate: int, channels: int) -> str:
    return f"{rate / 1000:g} kHz · " + {1: "mono", 2: "stereo"}.get(
        channels, f"{channels} channels"
    )


def show_in_folder(path: Path) -> None:
    """Opens the folder of a file in the system's file manager."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path.parent)))
