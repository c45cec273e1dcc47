"""Effects on clips as edits, and the jobs that bake them."""

from collections.abc import Callable
from fractions import Fraction

import msgspec

from desktop.states import active
from engine.generation import FRAMES
from engine.jobs import EffectJob
from engine.render.plan import in_result, shown_range
from engine.timeline.effects import Value, kind, new_use
from engine.timeline.model import Asset, Clip, EffectUse, Project, Sequence, new_id
from engine.timeline.time import ZERO, Time, TimeRange
from engine.wan_rules import length_of_time

replace = msgspec.structs.replace

Change = Callable[[tuple[EffectUse, ...]], tuple[EffectUse, ...]]


def changed(clip: Clip, change: Change) -> Clip:
    """The clip with its effects changed.

    A clip made by Image to video runs in the result's time, from zero; when that effect comes or
    goes, the clip's source range moves over with it.
    """
    after = replace(clip, effects=change(clip.effects))
    before_use, after_use = _image_to_video(clip), _image_to_video(after)
    if before_use is None and after_use is not None:
        return replace(after, source=TimeRange(ZERO, clip.source.duration))
    if before_use is not None and after_use is None:
        at = Fraction(float(before_use.values.get("at", 0.0))).limit_denominator(1000)
        return replace(after, source=TimeRange(at, clip.source.duration))
    return after


def _image_to_video(clip: Clip) -> EffectUse | None:
    return next((use for use in active(clip) if use.kind == "image-to-video"), None)


def added(clip: Clip, asset: Asset, kind_name: str, engine: str, playhead: Time) -> Clip:
    """The clip with one more effect, set to fit it: as long as the clip, from the frame shown."""
    values: dict[str, Value] = {}
    if kind_name == "image-to-video":
        known = {one.name: one for one in kind(kind_name).engine(engine).parameters}
        if "seconds" in known:
            values["seconds"] = max(0.1, min(600.0, float(clip.duration)))
        if "frames" in known:
            values["frames"] = max(5, min(FRAMES, length_of_time(clip.duration)))
        inside = clip.start <= playhead < clip.end
        if not asset.facts.still:
            shown = clip.source.start + (playhead - clip.start if inside else ZERO)
            values["at"] = float(shown)
    use = new_use(kind_name, engine, values)
    if kind_name == "image-to-video":
        return changed(clip, lambda uses: (use, *uses))
    return changed(clip, lambda uses: (*uses, use))


def copied(use: EffectUse) -> EffectUse:
    """The same effect for another clip."""
    return replace(use, id=new_id())


def job_for(
    project: Project, sequence: Sequence, clip: Clip, cache: str, limit: int
) -> EffectJob | None:
    """The job that bakes all a clip shows of its effects, dissolves too; None where it has none."""
    uses, asset = active(clip), project.asset(clip.asset)
    track = next((one for one in sequence.tracks if clip in one.clips), None)
    if not uses or asset is None or track is None:
        return None
    return EffectJob(
        title=kind(uses[-1].kind).label,
        subject=clip.name or asset.name,
        asset=asset,
        uses=uses,
        wanted=in_result(clip, shown_range(track, clip, sequence.rate)),
        clip=clip.id,
        cache=cache,
        cache_limit_bytes=limit,
    )
