"""From files to a sequence: media into the project, its format, clips made of media."""

from collections.abc import Callable, Iterable
from fractions import Fraction

from msgspec.structs import replace

from engine.timeline.draft import Draft, Placement, located
from engine.timeline.model import Asset, Clip, MediaFacts, Project, Sequence, new_id
from engine.timeline.time import ZERO, Time, TimeRange, snap

USUAL_RATES = (
    *map(Fraction, (10, 12, 15, 20)),
    Fraction(24000, 1001),
    *map(Fraction, (24, 25)),
    Fraction(30000, 1001),
    *map(Fraction, (30, 48, 50)),
    Fraction(60000, 1001),
    *map(Fraction, (60, 100)),
    Fraction(120000, 1001),
    Fraction(120),
)
SLOWEST = Fraction(10)  # a slower medium's sequence runs at 25 frames a second
LONGEST_SIDE = 3840  # of a sequence that a still sets up: a photo has more than a video needs


def on_sequence(
    project: Project, sequence_id: str, edit: Callable[[Sequence], Sequence]
) -> Project:
    """The project with one sequence edited ("" is the first); the very one if that is unchanged."""
    before = project.sequence(sequence_id)
    after = edit(before)
    if after is before:
        return project
    sequences = tuple(after if one is before else one for one in project.sequences)
    return replace(project, sequences=sequences)


def add_assets(project: Project, assets: Iterable[Asset]) -> Project:
    """The project with more media in the bin; those that are there already stay as they are."""
    known = {asset.id for asset in project.assets}
    fresh = tuple({one.id: one for one in assets if one.id not in known}.values())
    return replace(project, assets=project.assets + fresh) if fresh else project


def remove_assets(project: Project, ids: Iterable[str]) -> Project:
    """The project without these media and without their clips. Raises EditError for locked ones."""
    gone = frozenset(ids)
    assets = tuple(asset for asset in project.assets if asset.id not in gone)
    if len(assets) == len(project.assets):
        return project
    for one in project.sequences:
        project = on_sequence(project, one.id, lambda seq: _without_assets(seq, gone))
    return replace(project, assets=assets)


def _without_assets(seq: Sequence, gone: frozenset[str]) -> Sequence:
    clips = frozenset(clip.id for track in seq.tracks for clip in track.clips if clip.asset in gone)
    draft = Draft(seq)
    for track_id in located(seq, clips):
        draft.remove(track_id, clips)
    return draft.sequence()


def placements_for(
    project: Project,
    seq: Sequence,
    assets: tuple[Asset, ...],
    at: Time,
    video_track: str | None,
    audio_track: str | None,
    still_seconds: Fraction = Fraction(5),
) -> tuple[Placement, ...]:
    """Clips of whole media, one after another from `at`; picture and sound of one are linked.

    A length is a whole number of frames, never longer than the medium (but at least a frame).
    What has no track to go to is left out.
    """
    start = max(ZERO, snap(at, seq.rate))
    placements: list[Placement] = []
    for asset in assets:
        picture = video_track if asset.facts.video is not None else None
        sound = audio_track if asset.facts.sound is not None else None
        tracks = [track for track in (picture, sound) if track is not None]
        if not tracks:
            continue
        seconds = still_seconds if asset.facts.still else asset.facts.duration
        length = Fraction(max(1, (seconds * seq.rate).__floor__())) / seq.rate
        link = new_id() if len(tracks) > 1 else None
        for track in tracks:
            source = TimeRange(ZERO, length)
            clip = Clip(new_id(), asset.id, source, start, name=asset.name, link=link)
            placements.append(Placement(track, clip))
        start += length
    return tuple(placements)


def set_up(project: Project, asset: Asset) -> Project:
    """The project with its first sequence in the size and rate of the first picture medium.

    Nothing happens when the format is set already, or the medium has no picture. A still sets
    the size alone. Clips that are there keep their places, on the new frame grid.
    """
    if project.is_set_up or asset.facts.video is None:
        return project
    width, height = _even_size(asset.facts)
    rate = _sequence_rate(asset.facts) or project.sequence().rate

    def formatted(seq: Sequence) -> Sequence:
        return replace(regridded(seq, rate), width=width, height=height)

    return replace(on_sequence(project, "", formatted), is_set_up=True)


def _even_size(facts: MediaFacts) -> tuple[int, int]:
    assert facts.video is not None
    width, height = facts.video.width, facts.video.height
    longest = max(width, height)
    if facts.still and longest > LONGEST_SIDE:
        width = round(width * LONGEST_SIDE / longest)
        height = round(height * LONGEST_SIDE / longest)
    return max(2, width + width % 2), max(2, height + height % 2)


def _sequence_rate(facts: MediaFacts) -> Fraction | None:
    """The rate a medium asks for: its own, or the nearest usual one where that is uneven."""
    assert facts.video is not None
    if facts.still:
        return None
    rate = facts.video.rate
    if rate < SLOWEST:
        return Fraction(25)
    nearest = min(USUAL_RATES, key=lambda usual: abs(usual - rate))
    nearly = abs(nearest - rate) < nearest / 2000  # an average taken over a rounded duration
    if facts.video.variable or nearly or rate > USUAL_RATES[-1]:
        return nearest
    return rate


def regridded(seq: Sequence, rate: Fraction) -> Sequence:
    """The sequence at another rate, every cut on the new frame grid."""
    draft = Draft(replace(seq, rate=rate))
    for track in seq.tracks:
        draft.clips[track.id] = tuple(
            replace(clip, start=start, source=TimeRange(clip.source.start, end - start))
            for clip in track.clips
            for start, end in [(snap(clip.start, rate), snap(clip.end, rate))]
            if end > start
        )
    return draft.sequence()
