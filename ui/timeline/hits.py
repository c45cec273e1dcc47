"""What is under a point of the timeline. Pure functions."""

from dataclasses import dataclass
from enum import Enum, auto

from engine.timeline.model import Clip, Sequence, Track, TrackKind, Transition
from ui.timeline.geometry import Row, Scale, Spans, row_at, trim_zone

HANDLE = 8  # half of the grab area of a fade handle
BOX_EDGE = 6  # of a dissolve
HANDLES_FROM = 48  # least width of a clip that shows fade handles


class Zone(Enum):
    NOTHING = auto()
    CLIP = auto()
    HEAD = auto()
    TAIL = auto()
    FADE_IN = auto()
    FADE_OUT = auto()
    DISSOLVE = auto()
    DISSOLVE_HEAD = auto()
    DISSOLVE_TAIL = auto()


@dataclass(frozen=True)
class Hit:
    """`clip`: the id of the clip, or of the left one of a dissolve whose id is `transition`."""

    zone: Zone = Zone.NOTHING
    track: str = ""
    clip: str = ""
    transition: str = ""


def dissolve_span(
    track: Track, transition: Transition, clips: dict[str, Clip], scale: Scale
) -> tuple[float, float] | None:
    """Left and right x of a dissolve's box; None where its clips are not there."""
    left = clips.get(transition.left)
    if left is None:
        return None
    cut = float(left.start) + float(left.source.duration)
    half = float(transition.duration) / 2
    return scale.x(cut - half), scale.x(cut + half)


def hit(
    sequence: Sequence,
    rows: tuple[Row, ...],
    spans: Spans,
    scale: Scale,
    x: float,
    y: float,
    selection: frozenset[str] = frozenset(),
) -> Hit:
    """What lies at `x` and `y`; `y` from the top of the tracks, before scrolling."""
    row = row_at(rows, y)
    if row is None:
        return Hit()
    track = sequence.track(row.track_id)
    dissolve = _dissolve_at(track, row, scale, x, y)
    if dissolve is not None:
        return dissolve
    seconds = scale.seconds(x)
    for index in spans.within(track, seconds - 1e-9, seconds + 1e-9):
        clip = track.clips[index]
        starts, ends = spans.of(track)
        left, right = scale.x(starts[index]), scale.x(ends[index])
        zone = Zone.CLIP
        if row.clip_top <= y < row.clip_top + row.clip_height and left <= x < right:
            zone = _zone(clip, row, left, right, x, y, scale, clip.id in selection)
            return Hit(zone, track.id, clip.id)
    return Hit(track=track.id)


def _zone(
    clip: Clip,
    row: Row,
    left: float,
    right: float,
    x: float,
    y: float,
    scale: Scale,
    selected: bool,
) -> Zone:
    width = right - left
    edge = trim_zone(width, selected)
    if row.kind is TrackKind.AUDIO and width >= HANDLES_FROM:
        near = abs(y - (row.clip_top + row.strip)) <= HANDLE
        fade_in, fade_out = fade_handles(clip, left, right, scale)
        if near and abs(x - fade_in) <= HANDLE:
            return Zone.FADE_IN
        if near and abs(x - fade_out) <= HANDLE:
            return Zone.FADE_OUT
    if x < left + edge:
        return Zone.HEAD
    if x >= right - edge:
        return Zone.TAIL
    return Zone.CLIP


def fade_handles(clip: Clip, left: float, right: float, scale: Scale) -> tuple[float, float]:
    """Where the handles of the fades lie; at the clip's ends where there is no fade."""
    return (
        min(right, left + float(clip.sound.fade_in) * scale.px_per_second),
        max(left, right - float(clip.sound.fade_out) * scale.px_per_second),
    )


def _dissolve_at(track: Track, row: Row, scale: Scale, x: float, y: float) -> Hit | None:
    if not track.transitions or y < row.clip_top + row.strip:
        return None
    clips = {clip.id: clip for clip in track.clips}
    for transition in track.transitions:
        span = dissolve_span(track, transition, clips, scale)
        if span is None or not span[0] <= x < span[1]:
            continue
        edge = min(BOX_EDGE, (span[1] - span[0]) / 4)
        zone = Zone.DISSOLVE
        if x < span[0] + edge:
            zone = Zone.DISSOLVE_HEAD
        elif x >= span[1] - edge:
            zone = Zone.DISSOLVE_TAIL
        return Hit(zone, track.id, transition.left, transition.id)
    return None


def clips_in(
    sequence: Sequence,
    rows: tuple[Row, ...],
    spans: Spans,
    seconds: tuple[float, float],
    ys: tuple[float, float],
) -> frozenset[str]:
    """Ids of the clips a rubber band touches."""
    found: set[str] = set()
    for row in rows:
        if row.bottom > ys[0] and row.top < ys[1]:
            track = sequence.track(row.track_id)
            found |= {track.clips[i].id for i in spans.within(track, *seconds)}
    return frozenset(found)
