"""The pictures that generating starts from: files, media of the bin, frames of the timeline."""

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog

from desktop.imports import same_medium
from desktop.parts import Parts
from desktop.states import active
from engine.generation import RATE
from engine.jobs import SourcePicture
from engine.render.plan import in_result, shown_range
from engine.timeline import edits
from engine.timeline.model import Asset, Clip, TrackKind
from engine.timeline.results import result_facts
from engine.timeline.time import ZERO, Time
from engine.worker.messages import Event, Refused, Taken, TakePictures
from ui.generate_form import PictureGiven

Then = Callable[[PictureGiven], None]


class Pictures:
    """Finds pictures; what comes from outside goes into Media first."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._seen: dict[str, QImage] = {}  # of pictures that were taken of effects, by path

    def choose(self, title: str, then: Then) -> None:
        """Asks for a file."""
        path, _ = QFileDialog.getOpenFileName(
            self._parts.window, title, "", "Pictures and video (*);;All files (*)"
        )
        if path:
            self.bring((path,), then)

    def bring(self, paths: tuple[str, ...], then: Then) -> None:
        """Takes the first of some files that has a picture."""

        def came(assets: tuple[Asset, ...]) -> None:
            there = self._parts.editor.project.assets
            found = [
                same_medium(there, one.facts, one.fingerprint) or one
                for one in assets
                if one.facts.video is not None
            ]
            if not found:
                self._parts.editor.refused.emit("There is no picture in it.", "Choose another.")
                return
            asset = found[0]
            if self._parts.editor.project.asset(asset.id) is None:
                self._parts.editor.apply(
                    f"Import {asset.name}", lambda project: edits.add_assets(project, (asset,))
                )
            then(picture_of(asset, ZERO))

        self._parts.importer.bring(list(paths), came)

    def find(self, source: SourcePicture, then: Then) -> None:
        """What a job was given: of Media, or brought in again."""
        assets = self._parts.editor.project.assets
        asset = next((one for one in assets if one.path == source.path), None)
        if asset is not None and asset.facts.video is not None:
            then(picture_of(asset, source.time))
        else:
            self.bring((source.path,), lambda given: then(replace(given, time=source.time)))

    def of_bin(self, ids: tuple[str, ...]) -> PictureGiven | None:
        """The first of some media that has a picture."""
        project = self._parts.editor.project
        known = (project.asset(one) for one in ids)
        return next(
            (picture_of(one, ZERO) for one in known if one is not None and one.facts.video), None
        )

    def clip_at_playhead(self) -> Clip | None:
        """The topmost clip under the playhead that shows a picture."""
        at = self._parts.editor.playhead
        for track in reversed(self._parts.editor.sequence.tracks):
            if track.kind is not TrackKind.VIDEO or track.hidden:
                continue
            for clip in track.clips:
                if clip.enabled and clip.start <= at < clip.end:
                    asset = self._parts.editor.project.asset(clip.asset)
                    return clip if asset is not None and asset.facts.video is not None else None
        return None

    def take_at_playhead(self, then: Then) -> None:
        """What the topmost clip under the playhead shows there."""
        clip = self.clip_at_playhead()
        if clip is not None:
            self.take(clip, self._parts.editor.playhead - clip.start, then)

    def take(self, clip: Clip, inside: Time, then: Then, count: int = 1) -> None:
        """What a clip shows `inside` seconds after its head, with what its effects make of it.

        `count`: pictures up to it that are wanted too, at the rate that models make.
        """
        sequence, project = self._parts.editor.sequence, self._parts.editor.project
        asset, uses = project.asset(clip.asset), active(clip)
        track = next((one for one in sequence.tracks if clip in one.clips), None)
        if asset is None or asset.facts.video is None or track is None:
            return
        at = clip.source.start + inside
        if not uses:
            then(picture_of(asset, at))
            return

        def answer(event: Event) -> None:
            if isinstance(event, Taken):
                self._seen[event.path] = QImage.fromData(event.jpeg)
                name = clip.name or asset.name
                then(PictureGiven(event.path, name, event.width, event.height, event.time))
                if event.is_stale:
                    self._parts.tell("warning", f"«{name}» is not rendered there: taken as it is.")
            elif isinstance(event, Refused):
                self._parts.editor.refused.emit(event.message, event.hint)

        wanted = in_result(clip, shown_range(track, clip, sequence.rate))
        self._parts.service.ask(
            lambda number: TakePictures(
                ask=number,
                asset=asset,
                uses=uses,
                wanted=wanted,
                at=at,
                count=count,
                rate=RATE,
                cache=str(self._parts.folders.cache),
            ),
            answer,
        )

    def take_last(self, clip: Clip, then: Then, count: int = 1) -> None:
        """The last picture that a clip shows."""
        asset = self._parts.editor.project.asset(clip.asset)
        video = result_facts(asset.facts, active(clip)).video if asset is not None else None
        frame = 1 / video.rate if video is not None else ZERO
        self.take(clip, max(ZERO, clip.duration - frame), then, count)

    def thumbnail(self, given: PictureGiven) -> QImage | None:
        """A small picture of it, once there is one."""
        if given.asset:
            return self._parts.previews.thumbnail(given.asset, given.time)
        return self._seen.get(given.path)


def picture_of(asset: Asset, at: Time) -> PictureGiven:
    """What a medium shows at a time of its own."""
    video = asset.facts.video
    assert video is not None
    time = ZERO if asset.facts.still else max(ZERO, at)
    return PictureGiven(asset.path, asset.name, video.width, video.height, time, asset.id)
