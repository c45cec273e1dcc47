"""What one moment of a sequence needs: clips, source times and how they are laid over another."""

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

from engine.timeline.effects import is_known, made_whole
from engine.timeline.model import (
    Asset,
    Clip,
    EffectUse,
    Project,
    Sequence,
    Track,
    TrackKind,
    Transform,
    Transition,
)
from engine.timeline.results import result_facts
from engine.timeline.time import ZERO, Time, TimeRange, between

WHOLE = Transform()


@dataclass(frozen=True)
class Shot:
    """One clip's picture: the medium (None: gone from the bin) and the moment in it.

    `source`: in the medium's time, or in the result's time after image to video; may lie in a
    handle. `uses`: the effects that are on and known here, in order. `wanted`: all that shows of
    the clip, in the time of what they make, where they are made for that.
    """

    clip: Clip
    asset: Asset | None
    source: Time
    uses: tuple[EffectUse, ...]
    wanted: TimeRange | None = None

    @property
    def transform(self) -> Transform:
        return self.clip.transform


@dataclass(frozen=True)
class Layer:
    """One track's picture. `partner` shows through with `mix` (0 to 1) during a dissolve.

    `strength`: less than 1 where a clip dissolves from or into nothing.
    """

    shot: Shot
    partner: Shot | None = None
    mix: float = 0.0
    strength: float = 1.0


@dataclass(frozen=True)
class FramePlan:
    """The layers of a moment, bottom first; hidden tracks and disabled clips are left out."""

    layers: tuple[Layer, ...]


def plan(project: Project, sequence: Sequence, at: Time) -> FramePlan:
    """What shows at `at`. Layers that an opaque one covers whole are left out."""
    layers: list[Layer] = []
    for track in reversed(sequence.tracks):
        if track.kind is not TrackKind.VIDEO or track.hidden:
            continue
        layer = _layer(project, track, at, sequence.rate)
        if layer is not None:
            layers.append(layer)
            if covers(layer, sequence):
                break
    return FramePlan(tuple(reversed(layers)))


def without_effects(shot: Shot) -> Shot:
    """The medium's own picture that a shot's is made of: of image to video, the still it moves."""
    moving = next((use for use in shot.uses if use.kind == "image-to-video"), None)
    source = shot.source
    if moving is not None:
        source = Fraction(float(moving.values.get("at", 0.0))).limit_denominator(90_000)
    return replace(shot, uses=(), source=source, wanted=None)


def uses_of(clip: Clip) -> tuple[EffectUse, ...]:
    """The effects that count: switched on, and of a kind known here."""
    return tuple(use for use in clip.effects if use.enabled and is_known(use))


def fills(width: int, height: int, frame_width: int, frame_height: int) -> bool:
    """Whether a picture fitted into a frame leaves less than a pixel of it free."""
    scale = min(frame_width / width, frame_height / height)
    return frame_width - width * scale < 1 and frame_height - height * scale < 1


def covers(layer: Layer, sequence: Sequence) -> bool:
    """Whether nothing below the layer can show: whole, opaque, untouched."""
    if layer.strength < 1:
        return False
    return all(
        _is_opaque(shot, sequence) for shot in (layer.shot, layer.partner) if shot is not None
    )


def _is_opaque(shot: Shot, sequence: Sequence) -> bool:
    video = result_facts(shot.asset.facts, shot.uses).video if shot.asset else None
    return (
        video is not None
        and not video.alpha
        and shot.transform == WHOLE
        and fills(video.width, video.height, sequence.width, sequence.height)
    )


def _layer(project: Project, track: Track, at: Time, rate: Fraction) -> Layer | None:
    shot = partial(_shot, project, track, rate, at)
    for transition, left, right in dissolves(track):
        span = dissolve_span(transition, right.start, rate)
        if span.contains(at):
            mix = float((at - span.start) / span.duration)
            return _dissolving((left, right), mix, shot)
    clip = clip_at(track, at)
    if clip is None or not clip.enabled:
        return None
    return Layer(shot(clip))


def _dissolving(clips: tuple[Clip, Clip], mix: float, shot: Callable[[Clip], Shot]) -> Layer | None:
    left, right = clips
    match left.enabled, right.enabled:
        case True, True:
            return Layer(shot(left), shot(right), mix)
        case True, False:
            return Layer(shot(left), strength=1 - mix)
        case False, True:
            return Layer(shot(right), strength=mix)
    return None


def _shot(project: Project, track: Track, rate: Fraction, at: Time, clip: Clip) -> Shot:
    source = clip.source.start + (at - clip.start)
    uses = uses_of(clip)
    wanted = None
    if made_whole(uses):
        wanted = in_result(clip, shown_range(track, clip, rate))
    return Shot(clip, project.asset(clip.asset), source, uses, wanted)


def clip_at(track: Track, at: Time) -> Clip | None:
    """The clip whose record range holds `at`."""
    place = bisect_right(track.clips, at, key=lambda clip: clip.start) - 1
    if place < 0 or at >= track.clips[place].end:
        return None
    return track.clips[place]


def dissolves(track: Track) -> Iterator[tuple[Transition, Clip, Clip]]:
    """The track's transitions with their two clips; one whose clips are gone is passed over."""
    if not track.transitions:
        return
    clips = {clip.id: clip for clip in track.clips}
    for transition in track.transitions:
        left, right = clips.get(transition.left), clips.get(transition.right)
        if left and right and left.end == right.start and transition.duration > 0:
            yield transition, left, right


def dissolve_span(transition: Transition, cut: Time, rate: Fraction) -> TimeRange:
    """The record range of a dissolve: on the frame grid, half of it before its cut.

    Of an odd number of frames the greater half comes after the cut.
    """
    before = Fraction((transition.duration * rate / 2).__floor__()) / rate
    return TimeRange(cut - before, transition.duration)


def in_result(clip: Clip, part: TimeRange) -> TimeRange:
    """A part of the record, in the time of what the clip's effects make."""
    start = clip.source.start + part.start - clip.start
    return TimeRange(max(start, ZERO), part.duration)


def shown_range(track: Track, clip: Clip, rate: Fraction) -> TimeRange:
    """The record range in which the clip shows: its own and its dissolves."""
    start, end = clip.start, clip.end
    for transition, left, right in dissolves(track):
        span = dissolve_span(transition, right.start, rate)
        if left.id == clip.id:
            end = max(end, span.end)
        if right.id == clip.id:
            start = min(start, span.start)
    return between(start, end)


@dataclass(frozen=True)
class Stretch:
    """A part of the sequence in which the same clips show in the same way.

    `single`: the one shot that shows, at the start of the stretch, where there is no other and no
    dissolve.
    """

    span: TimeRange
    single: Shot | None


def stretches(project: Project, sequence: Sequence, span: TimeRange) -> Iterator[Stretch]:
    """The parts of `span` in order, without a gap between them."""
    edges = {span.start, span.end}
    for track in sequence.tracks:
        if track.kind is TrackKind.VIDEO and not track.hidden:
            for clip in track.clips:
                edges |= {clip.start, clip.end}
            for transition, _, right in dissolves(track):
                dissolve = dissolve_span(transition, right.start, sequence.rate)
                edges |= {dissolve.start, dissolve.end}
    inside = sorted(edge for edge in edges if span.start <= edge <= span.end)
    for start, end in itertools.pairwise(inside):
        yield Stretch(between(start, end), _single(plan(project, sequence, start)))


def _single(moment: FramePlan) -> Shot | None:
    if len(moment.layers) != 1:
        return None
    layer = moment.layers[0]
    return layer.shot if layer.partner is None and layer.strength == 1 else None


def on_grid(span: TimeRange, rate: Fraction) -> Iterator[Time]:
    """The start of `span`, then every frame line inside it."""
    yield span.start
    frame = (span.start * rate).__floor__() + 1
    while frame / rate < span.end:
        yield Fraction(frame) / rate
        frame += 1
