"""The film of the demo and of «Open sample»: clips, cuts, dissolves and effects, as values."""

from collections.abc import Callable
from fractions import Fraction

import msgspec

from engine.timeline import edits
from engine.timeline.assembly import add_assets, on_sequence, placements_for, set_up
from engine.timeline.edits import Edge
from engine.timeline.effects import new_use
from engine.timeline.model import Asset, Clip, EffectUse, Project, Sequence, new_project
from engine.timeline.time import ZERO

replace = msgspec.structs.replace

SAMPLES = ("lantern_bay.mp4", "balloon_valley.jpg", "northern_lights.mp4")
DISSOLVE = Fraction(16, 25)


def film(assets: tuple[Asset, Asset, Asset]) -> Project:
    """The demo's project: two clips and a still, cut, dissolved, each with an effect."""
    project = set_up(add_assets(new_project(), assets), assets[0])

    def edit(change: Callable[[Sequence], Sequence]) -> None:
        nonlocal project
        project = on_sequence(project, "", change)

    def placed(seq: Sequence) -> Sequence:
        video, _, audio, _ = (track.id for track in seq.tracks)
        return edits.append(
            seq, placements_for(project, seq, assets, ZERO, video, audio, Fraction(14, 5))
        )

    edit(placed)
    first, still, last = pictures(project)
    # The razor, a second in; what comes before goes, and what follows moves up.
    edit(lambda seq: edits.split(seq, Fraction(1), edits.with_links(seq, [first.id])))
    edit(lambda seq: edits.ripple_delete(seq, edits.with_links(seq, [first.id])))
    first, still, last = pictures(project)

    def trimmed(seq: Sequence) -> Sequence:
        for clip, edge, delta in (
            (first, Edge.TAIL, Fraction(-1)),
            (last, Edge.HEAD, Fraction(4, 5)),
            (last, Edge.TAIL, Fraction(-3, 5)),
        ):
            linked = edits.with_links(seq, [clip.id])
            seq = edits.ripple_trim(seq, linked, edge, delta, project)
        return seq

    edit(trimmed)
    edit(lambda seq: edits.dissolve(seq, first.id, still.id, DISSOLVE, project))
    edit(lambda seq: edits.dissolve(seq, still.id, last.id, DISSOLVE, project))
    edit(lambda seq: _sound_under_the_still(seq, project))
    edit(lambda seq: _with(seq, first.id, new_use("restyle", "painterly", {"brush": 3.0})))
    move = new_use("image-to-video", "", {"seconds": 4.0, "move": "diagonal", "amount": 30.0})
    edit(lambda seq: _with(seq, still.id, move, scale=1.16))
    edit(lambda seq: _with(seq, last.id, new_use("upscale"), scale=1.25))
    return project


def pictures(project: Project) -> tuple[Clip, ...]:
    """The picture clips, in order."""
    return project.sequence().tracks[0].clips


def _sound_under_the_still(seq: Sequence, project: Project) -> Sequence:
    """The bay is heard on under the balloons, and the wind before the snow is seen."""
    bay, wind = (clip.id for clip in seq.tracks[2].clips)
    seq = edits.unlink(seq, edits.with_links(seq, [bay, wind]))
    seq = edits.trim(seq, bay, Edge.TAIL, Fraction(1), project)
    seq = edits.trim(seq, wind, Edge.HEAD, Fraction(-4, 5), project)
    for clip_id, fade_in, fade_out in ((bay, "0.2", "1.0"), (wind, "0.8", "0.8")):
        clip = seq.clip(clip_id)
        assert clip is not None
        sound = replace(clip.sound, fade_in=Fraction(fade_in), fade_out=Fraction(fade_out))
        seq = edits.replace_clip(seq, replace(clip, sound=sound))
    return seq


def _with(seq: Sequence, clip_id: str, use: EffectUse, scale: float = 1.0) -> Sequence:
    clip = seq.clip(clip_id)
    assert clip is not None
    transform = replace(clip.transform, scale=scale)
    return edits.replace_clip(seq, replace(clip, effects=(use,), transform=transform))
