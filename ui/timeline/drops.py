"""What is dragged over the timeline: files, media of the bin, effects; its ghosts and its hint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TypeAlias

from PySide6.QtCore import QMimeData

from engine.errors import EditError, EffectError
from engine.timeline import edits, effects
from engine.timeline.model import Asset, MediaFacts, Sequence, TrackKind
from engine.timeline.time import ZERO, Time, TimeRange, time_of, timecode
from ui.timeline.geometry import SNAP, nearest_row
from ui.timeline.gestures import NO_SNAPPING, Hints, Pointer, pushed
from ui.timeline.hits import hit
from ui.timeline.scene import Box, Hint, Preview, Scene
from ui.timeline.snapping import caught, snap_points
from ui.timeline.states import DropRequest, Mode

ASSETS = "application/x-reelwright-assets"  # newline separated ids
EFFECT = "application/x-reelwright-effect"  # kind/engine
HINTS: Hints = (("Ctrl", "overwrite"), NO_SNAPPING, ("Esc", "cancel"))
NOT_MEDIA = "Not a picture, video or sound file"

Facts: TypeAlias = Mapping[str, MediaFacts | str]  # by path; text: why it cannot be read


@dataclass(frozen=True)
class Load:
    """What a drag carries; nothing in it is what the timeline cannot take."""

    paths: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    effect: tuple[str, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.paths or self.assets or self.effect)


def load_of(mime: QMimeData) -> Load:
    """What is in the drag. Local files only; names with spaces, folders and shares alike."""
    if mime.hasFormat(EFFECT):
        text = bytes(mime.data(EFFECT).data()).decode("utf-8", "replace")
        kind, _, engine = text.strip().partition("/")
        return Load(effect=(kind, engine))
    if mime.hasFormat(ASSETS):
        text = bytes(mime.data(ASSETS).data()).decode("utf-8", "replace")
        return Load(assets=tuple(line.strip() for line in text.splitlines() if line.strip()))
    paths = [url.toLocalFile() for url in mime.urls() if url.isLocalFile()]
    return Load(paths=tuple(dict.fromkeys(path for path in paths if path)))


@dataclass(frozen=True)
class Aim:
    """Where a drop would go, and what the timeline shows of it."""

    preview: Preview
    request: DropRequest | None = None
    onto: str = ""  # clip an effect goes onto


@dataclass
class Contents:
    """The media of a drag as far as they are known."""

    known: list[Asset] = field(default_factory=list)
    waiting: int = 0
    refused: list[str] = field(default_factory=list)


def contents(scene: Scene, load: Load, facts: Facts) -> Contents:
    """Each path or asset with its facts; a folder with those of the files that came for it."""
    found = Contents()
    for asset_id in load.assets:
        asset = scene.project.asset(asset_id)
        if asset is None or asset_id in scene.missing:
            found.refused.append("The media is missing")
        else:
            found.known.append(asset)
    for path in load.paths:
        inside = [one for one in facts if one != path and PurePath(path) in PurePath(one).parents]
        if path not in facts and not inside:
            found.waiting += 1
        for one in inside or [path]:
            what = facts.get(one)
            if isinstance(what, str):
                found.refused.append(what or NOT_MEDIA)
            elif what is not None:
                name = PurePath(one).name
                found.known.append(Asset(f"file:{one}", one, name, what, ""))
    return found


def aim(scene: Scene, load: Load, facts: Facts, pointer: Pointer) -> Aim:
    """What a drop at the pointer would do."""
    if load.effect is not None:
        return _aim_effect(scene, load.effect, pointer)
    if not load:
        return Aim(_refusal(NOT_MEDIA))
    there = contents(scene, load, facts)
    if not there.known and not there.waiting:
        return Aim(_refusal(there.refused[0] if there.refused else NOT_MEDIA))
    row = nearest_row(scene.rows, pointer.y)
    under = None if row is None else scene.actual.track(row.track_id)
    if row is not None and under is not None and under.locked:
        return Aim(_refusal(f"Track {row.label} is locked."))
    at, point = _place(scene, pointer)
    mode = Mode.OVERWRITE if pointer.ctrl else Mode.INSERT
    request = DropRequest(
        under.id if under is not None else None,
        at,
        mode,
        paths=load.paths,
        assets=load.assets,
        video_track=_track_for(scene, TrackKind.VIDEO, under.id if under else None),
        audio_track=_track_for(scene, TrackKind.AUDIO, under.id if under else None),
    )
    return Aim(_shown(scene, there, request, point), request)


def _place(scene: Scene, pointer: Pointer) -> tuple[Time, Time | None]:
    """Where the first clip begins, and the point it caught at."""
    if scene.is_empty or all(not track.clips for track in scene.actual.tracks):
        return ZERO, None  # nobody wants a film to begin with a gap
    rate = scene.actual.rate
    at = time_of(max(0, round(pointer.seconds * float(rate))), rate)
    if not scene.snapping or pointer.alt:
        return at, None
    points = snap_points(scene.actual, scene.playhead)
    found = caught((at,), points, SNAP / scene.scale.px_per_second)
    return (at, None) if found is None else (found.point, found.point)


def _track_for(scene: Scene, kind: TrackKind, under: str | None) -> str | None:
    """The track under the pointer if it is of this kind, else the target, else the first."""
    tracks = [one for one in scene.actual.tracks if one.kind is kind and not one.locked]
    if any(one.id == under for one in tracks):
        return under
    targets = [one for one in tracks if one.id in scene.targets]
    if targets:
        return targets[0].id
    if kind is TrackKind.AUDIO and any(one.id in scene.targets for one in scene.actual.tracks):
        return None  # the sound tracks were turned off on purpose
    return tracks[0].id if tracks else None


def _shown(scene: Scene, there: Contents, request: DropRequest, point: Time | None) -> Preview:
    base = scene.actual
    where = timecode(request.at, base.rate)
    count = len(there.known) + there.waiting
    clips = "clip" if count == 1 else f"{count} clips"
    if request.mode is Mode.INSERT:
        hint = Hint(
            "insert", f"Insert {clips} at {where}", "Hold Ctrl to overwrite · Alt for no snapping"
        )
    else:
        hint = Hint(
            "overwrite",
            f"Overwrite with {clips} at {where}",
            "Release Ctrl to insert · Alt for no snapping",
        )
    placements = edits.placements_for(
        scene.project,
        base,
        tuple(there.known),
        request.at,
        request.video_track,
        request.audio_track,
        scene.still_seconds,
    )
    ghosts = frozenset(one.clip.id for one in placements)
    assets = {asset.id: asset for asset in there.known}
    after, boxes = base, tuple[Box, ...]()
    try:
        if placements and request.mode is Mode.INSERT:
            after = edits.insert(base, placements)
        elif placements:
            after = edits.overwrite(base, placements)
            boxes = _covered(base, placements)
    except EditError as error:
        return _refusal(error.message)
    inserting = request.mode is Mode.INSERT
    return Preview(
        sequence=after,
        boxes=boxes,
        ghosts=ghosts,
        pushed=pushed(base, after, ghosts) if inserting else frozenset(),
        assets=assets,
        snap=point,
        insert=request.at,
        hint=hint,
        dropping=True,
    )


def _covered(base: Sequence, placements: tuple[edits.Placement, ...]) -> tuple[Box, ...]:
    """The parts of clips that an overwrite would replace."""
    boxes = []
    for one in placements:
        for clip in base.track(one.track).clips:
            both: TimeRange | None = clip.record.intersection(one.clip.record)
            if both is not None:
                boxes.append(Box(one.track, both, added=True))
    return tuple(boxes)


def _refusal(message: str) -> Preview:
    return Preview(hint=Hint("error", message), dropping=True)


def _aim_effect(scene: Scene, effect: tuple[str, str], pointer: Pointer) -> Aim:
    try:
        kind = effects.kind(effect[0])
    except EffectError as error:
        return Aim(_refusal(error.message))
    under = hit(
        scene.actual,
        scene.rows,
        scene.spans,
        scene.scale,
        scene.scale.x(pointer.seconds),
        pointer.y,
    )
    clip = scene.actual.clip(under.clip) if under.clip else None
    track = scene.actual.track_of(under.clip) if clip is not None else None
    if clip is None or track is None or track.kind is not TrackKind.VIDEO:
        return Aim(Preview(hint=Hint(kind.icon, f"{kind.label}: drop it on a picture clip")))
    if track.locked:
        return Aim(_refusal(f"Track {edits.track_label(scene.actual, track.id)} is locked."))
    asset = scene.asset(clip)
    name = clip.name or (asset.name if asset is not None else "")
    hint = Hint(kind.icon, f"{kind.label} on {name}", kind.help)
    return Aim(Preview(hint=hint, onto=clip.id, insert=None), onto=clip.id)
