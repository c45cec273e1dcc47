"""Which effects show in a part of a sequence, and the jobs that bake them. Light: no pictures."""

from collections.abc import Iterator

from engine.jobs import EffectJob
from engine.render.plan import shown_range, uses_of
from engine.timeline.effects import kind
from engine.timeline.model import Asset, Clip, EffectUse, Project, Sequence, TrackKind
from engine.timeline.time import ZERO, TimeRange


def shown_effects(
    project: Project, sequence: Sequence, span: TimeRange
) -> Iterator[tuple[Clip, Asset, tuple[EffectUse, ...], TimeRange]]:
    """The clips with effects that show in `span`: their part of the result that shows."""
    for track in sequence.tracks:
        if track.kind is not TrackKind.VIDEO or track.hidden:
            continue
        for clip in track.clips:
            uses, asset = uses_of(clip), project.asset(clip.asset)
            part = shown_range(track, clip, sequence.rate).intersection(span)
            if clip.enabled and uses and asset and part:
                yield clip, asset, uses, in_result(clip, part)


def in_result(clip: Clip, part: TimeRange) -> TimeRange:
    """A part of the record, in the time of what the clip's effects make."""
    start = clip.source.start + part.start - clip.start
    return TimeRange(max(start, ZERO), part.duration)


def effect_jobs(
    project: Project, sequence: Sequence, span: TimeRange, cache: str, cache_limit_bytes: int
) -> Iterator[tuple[Clip, EffectJob]]:
    """The jobs that bake all effects that show in `span`, each thing once."""
    seen: set[tuple[str, str, TimeRange]] = set()
    for clip, asset, uses, wanted in shown_effects(project, sequence, span):
        same = (asset.id, repr(uses), wanted)
        if same in seen:
            continue
        seen.add(same)
        yield (
            clip,
            EffectJob(
                title=kind(uses[-1].kind).label,
                subject=clip.name or asset.name,
                asset=asset,
                uses=uses,
                wanted=wanted,
                clip=clip.id,
                cache=cache,
                cache_limit_bytes=cache_limit_bytes,
            ),
        )
