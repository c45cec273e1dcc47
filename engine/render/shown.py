"""Which effects show in a part of a sequence, and the jobs that bake them. Light: no pictures."""

from collections.abc import Iterator

from engine.jobs import EffectJob
from engine.render.plan import in_result, shown_range, uses_of
from engine.timeline.effects import kind, made_whole
from engine.timeline.model import Asset, Clip, EffectUse, Project, Sequence, TrackKind
from engine.timeline.time import TimeRange


def shown_effects(
    project: Project, sequence: Sequence, span: TimeRange
) -> Iterator[tuple[Clip, Asset, tuple[EffectUse, ...], TimeRange]]:
    """The clips with effects that show in `span`: their part of the result that shows.

    Of effects that make all pictures together it is all that the clip shows.
    """
    for track in sequence.tracks:
        if track.kind is not TrackKind.VIDEO or track.hidden:
            continue
        for clip in track.clips:
            uses, asset = uses_of(clip), project.asset(clip.asset)
            whole = shown_range(track, clip, sequence.rate)
            part = whole.intersection(span)
            if clip.enabled and uses and asset and part:
                yield clip, asset, uses, in_result(clip, whole if made_whole(uses) else part)


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
