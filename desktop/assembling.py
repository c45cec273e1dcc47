"""Projects made from files: one file in its own size and rate, or clips one after another."""

from fractions import Fraction

import msgspec

from engine.errors import EditError, MediaError
from engine.timeline import edits
from engine.timeline.model import (
    Asset,
    Clip,
    EffectUse,
    Project,
    Sequence,
    Track,
    TrackKind,
    new_id,
    new_project,
)
from engine.timeline.results import result_facts
from engine.timeline.time import ZERO, TimeRange, between, snap

STILL_SECONDS = Fraction(5)  # how long a picture lasts where nothing says so


def range_of(start: Fraction, end: Fraction, name: str) -> TimeRange:
    """The range from `start` to `end`. Raises EditError where nothing lies between."""
    if end <= start:
        raise EditError(
            f"Nothing of {name} lies between in and out.",
            "The in point must come before the out point, within the clip.",
        )
    return between(start, end)


def project_of(
    asset: Asset, uses: tuple[EffectUse, ...], start: Fraction | None, end: Fraction | None
) -> Project:
    """A project that holds one file from `start` to `end`, in its own size, rate and delays."""
    facts = result_facts(asset.facts, uses)
    video = facts.video
    if video is None:
        raise MediaError(f"{asset.name} has no picture.", "Choose a video or a picture.")
    rate = video.rate if not facts.still else Fraction(25)
    grid = None if video.variable else rate
    last = end if end is not None else facts.duration or STILL_SECONDS
    in_point, out_point = (_on_grid(one, grid) for one in (start or ZERO, last))
    if facts.duration:  # a still lasts as long as asked
        out_point = min(out_point, facts.duration)
    source = range_of(in_point, out_point, asset.name)
    link = new_id() if facts.sound else None
    picture = Clip(new_id(), asset.id, source, ZERO, asset.name, link=link, effects=uses)
    tracks = [Track(new_id(), TrackKind.VIDEO, "Picture", (picture,))]
    if facts.sound:
        sound = Clip(new_id(), asset.id, source, ZERO, asset.name, link=link)
        tracks.append(Track(new_id(), TrackKind.AUDIO, "Voice", (sound,)))
    sequence = Sequence(new_id(), asset.name, rate, video.width, video.height, tuple(tracks))
    return Project(assets=(asset,), sequences=(sequence,), is_set_up=True)


def _on_grid(at: Fraction, rate: Fraction | None) -> Fraction:
    return snap(at, rate) if rate else at


def assembled(
    wanted: list[tuple[Asset, Fraction | None, Fraction | None]], dissolves: dict[int, Fraction]
) -> Project:
    """A project of clips one after another; the first with a picture sets size and rate.

    `dissolves`: number of clips before the cut → seconds; -1 for every cut; the number of all
    clips stands for the last cut. Raises EditError.
    """
    project = edits.add_assets(
        new_project(),
        tuple({asset.id: asset for asset, _, _ in wanted}.values()),
    )
    first = next((asset for asset, _, _ in wanted if asset.facts.video), None)
    if first is not None:
        project = edits.set_up(project, first)
    sequence = project.sequence()
    rate = sequence.rate
    picture = next(one.id for one in sequence.tracks if one.kind is TrackKind.VIDEO)
    sound = next(one.id for one in sequence.tracks if one.kind is TrackKind.AUDIO)
    spans: list[TimeRange] = []
    for asset, start, end in wanted:
        length = asset.facts.duration or STILL_SECONDS
        in_point, out_point = (
            snap(start or ZERO, rate),
            snap(end if end is not None else length, rate),
        )
        if not asset.facts.still and out_point > length:
            out_point = Fraction((length * rate).__floor__()) / rate
        spans.append(range_of(in_point, out_point, asset.name))
    lengths = [ZERO] * len(wanted)  # of the dissolve at the cut before each clip
    for before, length in dissolves.items():
        cuts = range(1, len(wanted)) if before == -1 else [min(before, len(wanted) - 1)]
        for cut in cuts:
            if cut > 0:
                lengths[cut] = snap(length, rate)
    at = ZERO
    ids: list[str] = []  # of each clip, its picture if it has one; linked sound goes along
    for number, (asset, _, _) in enumerate(wanted):
        # a dissolve is centred on its cut: both clips give half its length as handle
        head = _half(lengths[number], rate)
        following = lengths[number + 1] if number + 1 < len(wanted) else ZERO
        tail = following - _half(following, rate)
        span = spans[number]
        if head + tail >= span.duration:
            raise EditError(
                f"The dissolve is too long for {asset.name}.",
                "Choose a shorter one, or a longer part of the clip.",
            )
        source = between(span.start + head, span.end - tail)
        link = new_id() if asset.facts.video and asset.facts.sound else None
        one = Clip(new_id(), asset.id, source, at, asset.name, link=link)
        placements = []
        if asset.facts.video:
            placements.append(edits.Placement(picture, one))
        if asset.facts.sound:
            placements.append(edits.Placement(sound, msgspec.structs.replace(one, id=new_id())))
        sequence = edits.overwrite(sequence, tuple(placements))
        ids.append(placements[0].clip.id)
        at += source.duration
    assets = {asset.id: asset for asset in project.assets}
    for number in range(1, len(wanted)):
        if lengths[number]:
            left, right = ids[number - 1 : number + 1]
            sequence = edits.dissolve(sequence, left, right, lengths[number], assets)
    return msgspec.structs.replace(project, sequences=(sequence,))


def _half(length: Fraction, rate: Fraction) -> Fraction:
    """The part of a dissolve after its cut's frame line: half of it, on the grid."""
    return Fraction(int(length * rate) // 2) / rate
