"""The film of the demo: what it is made of, and that the sample project in the wheel is it."""

from pathlib import Path

import resources
from desktop.demo_film import DISSOLVE, SAMPLES, film, pictures
from engine.media.info import fingerprint, probe
from engine.timeline.effects import EFFECTS, is_known
from engine.timeline.model import Asset, Project, new_id
from engine.timeline.project import load_project
from engine.timeline.time import snap


def sample_project() -> Project:
    return load_project(resources.path("sample/sample.reel"))


def test_it_has_one_effect_of_each_family() -> None:
    uses = [use for clip in pictures(sample_project()) for use in clip.effects]
    assert [use.kind for use in uses] == [family.name for family in EFFECTS]
    assert all(is_known(use) for use in uses)


def test_its_media_lie_beside_it_unchanged() -> None:
    assets = sample_project().assets
    assert tuple(asset.name for asset in assets) == SAMPLES
    for asset in assets:
        assert Path(asset.path) == resources.path(f"sample/{asset.name}")
        assert fingerprint(Path(asset.path)) == asset.fingerprint
        assert probe(Path(asset.path)) == asset.facts


def test_every_cut_and_dissolve_is_on_the_frame_grid() -> None:
    sequence = sample_project().sequence()
    assert (sequence.width, sequence.height, sequence.rate) == (640, 360, 25)
    for track in sequence.tracks:
        for clip in track.clips:
            assert snap(clip.start, sequence.rate) == clip.start
            assert snap(clip.end, sequence.rate) == clip.end
    assert [one.duration for one in sequence.tracks[0].transitions] == [DISSOLVE, DISSOLVE]
    assert (DISSOLVE * sequence.rate / 2).denominator == 1


def test_the_sample_project_is_the_film_of_the_demo() -> None:
    paths = [resources.path(f"sample/{name}") for name in SAMPLES]
    bay, valley, lights = (
        Asset(new_id(), str(path), path.name, probe(path), fingerprint(path)) for path in paths
    )
    assert shape(film((bay, valley, lights))) == shape(sample_project())


def shape(project: Project) -> list[object]:
    """What is in a project, without the identifiers."""
    names = {asset.id: asset.name for asset in project.assets}
    return [
        (
            track.name,
            names[clip.asset],
            clip.source,
            clip.start,
            clip.transform,
            clip.sound,
            [(use.kind, use.engine, use.values) for use in clip.effects],
        )
        for track in project.sequence().tracks
        for clip in track.clips
    ]
