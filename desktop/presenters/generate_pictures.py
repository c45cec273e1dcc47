"""The pictures that generating starts from: files, media of the bin, frames of the timeline."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from PySide6.QtWidgets import QFileDialog

from desktop.imports import same_medium
from desktop.parts import Parts
from desktop.states import active
from engine.jobs import SourcePicture
from engine.timeline import edits
from engine.timeline.model import Asset, Clip, TrackKind
from engine.timeline.time import ZERO, Time
from ui.generate_form import PictureGiven

Then = Callable[[PictureGiven], None]


class Pictures:
    """Finds pictures; what comes from outside goes into Media first."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

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

    def at_playhead(self) -> PictureGiven | None:
        """What the topmost clip under the playhead shows there."""
        at = self._parts.editor.playhead
        for track in reversed(self._parts.editor.sequence.tracks):
            if track.kind is not TrackKind.VIDEO or track.hidden:
                continue
            for clip in track.clips:
                if clip.enabled and clip.start <= at < clip.end:
                    return self.of_clip(clip, at - clip.start)
        return None

    def of_clip(self, clip: Clip, inside: Time) -> PictureGiven | None:
        """The clip's own picture, `inside` seconds after its head; None where its medium is gone.

        A clip that an effect makes of one picture gives that picture.
        """
        asset = self._parts.editor.project.asset(clip.asset)
        if asset is None or asset.facts.video is None:
            return None
        made = next((use for use in active(clip) if use.kind == "image-to-video"), None)
        if made is not None:
            at = Fraction(float(made.values.get("at", 0.0))).limit_denominator(1000)
            return picture_of(asset, at)
        return picture_of(asset, clip.source.start + inside)

    def last_of(self, clip: Clip) -> PictureGiven | None:
        """The last picture that a clip shows."""
        asset = self._parts.editor.project.asset(clip.asset)
        video = asset.facts.video if asset is not None else None
        frame = 1 / video.rate if video is not None else ZERO
        return self.of_clip(clip, max(ZERO, clip.duration - frame))


def picture_of(asset: Asset, at: Time) -> PictureGiven:
    """What a medium shows at a time of its own."""
    video = asset.facts.video
    assert video is not None
    time = ZERO if asset.facts.still else max(ZERO, at)
    return PictureGiven(asset.path, asset.name, video.width, video.height, time, asset.id)
