"""Walking over the clips by keyboard: which clip is next, above, below. Pure functions."""

from bisect import bisect_right

from PySide6.QtCore import Qt

from engine.timeline.model import Clip
from engine.timeline.time import timecode
from ui.timeline.scene import Scene
from ui.timeline.states import ClipState

LEFT, RIGHT, UP, DOWN = "left", "right", "up", "down"
ARROWS = {
    Qt.Key.Key_Left: LEFT,
    Qt.Key.Key_Right: RIGHT,
    Qt.Key.Key_Up: UP,
    Qt.Key.Key_Down: DOWN,
}


def first_focus(scene: Scene) -> str:
    """Where the keyboard begins: a selected clip, else the one at the playhead, else any."""
    clips = [clip for row in scene.rows for clip in scene.sequence.track(row.track_id).clips]
    for clip in clips:
        if clip.id in scene.selection:
            return clip.id
    for clip in clips:
        if clip.record.contains(scene.playhead):
            return clip.id
    return clips[0].id if clips else ""


def next_focus(scene: Scene, clip_id: str, way: str) -> str:
    """The clip to that side of `clip_id`: in its track, or nearest on the next one with clips."""
    track = scene.sequence.track_of(clip_id)
    clip = scene.sequence.clip(clip_id)
    if track is None or clip is None:
        return first_focus(scene)
    if way in (LEFT, RIGHT):
        place = [one.id for one in track.clips].index(clip_id) + (1 if way == RIGHT else -1)
        return track.clips[place].id if 0 <= place < len(track.clips) else clip_id
    order = [row.track_id for row in scene.rows]
    place = order.index(track.id)
    below = order[place + 1 :]
    for other_id in below if way == DOWN else reversed(order[:place]):
        other = scene.sequence.track(other_id)
        if other.clips:
            starts, _ = scene.spans.of(other)
            index = max(0, bisect_right(starts, float(clip.start)) - 1)
            return other.clips[index].id
    return clip_id


def described(scene: Scene, clip: Clip, state: ClipState | None) -> str:
    """«surf_cat.mp4, V1, 00:00:03:10 to 00:00:08:00, Upscale 4 times, stale, selected»."""
    track = scene.sequence.track_of(clip.id)
    row = scene.row(track.id) if track is not None else None
    asset = scene.asset(clip)
    rate = scene.sequence.rate
    words = [
        clip.name or (asset.name if asset is not None else "Clip"),
        row.label if row is not None else "",
        f"{timecode(clip.start, rate)} to {timecode(clip.end, rate)}",
    ]
    if state is not None:
        words += [state.badge.replace("×", " times"), state.name]
    if clip.asset in scene.missing:
        words.append("media missing")
    if track is not None and track.locked:
        words.append("locked")
    if not clip.enabled:
        words.append("disabled")
    if clip.id in scene.selection:
        words.append("selected")
    return ", ".join(word for word in words if word)
