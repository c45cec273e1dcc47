"""Short ways to write sequences and projects for tests."""

from fractions import Fraction
from pathlib import Path

import msgspec

from engine.jobs import ExportJob, ExportOptions
from engine.timeline.model import (
    Asset,
    Clip,
    EffectUse,
    MediaFacts,
    Project,
    Sequence,
    SoundFacts,
    SoundLevels,
    Track,
    TrackKind,
    Transform,
    Transition,
    VideoFacts,
    new_id,
)
from engine.timeline.time import TimeRange

replace = msgspec.structs.replace


def seconds(value: float | str | Fraction) -> Fraction:
    """An exact time: `seconds("1/3")`, `seconds(2.5)`."""
    return Fraction(value)


def facts(
    *,
    width: int = 160,
    height: int = 90,
    rate: float = 25,
    frames: int = 100,
    alpha: bool = False,
    still: bool = False,
    video: bool = True,
    sound: bool = False,
) -> MediaFacts:
    """Facts of a medium that need not exist."""
    return MediaFacts(
        duration=Fraction(0) if still else frames / Fraction(rate),
        container="mp4",
        size_bytes=1,
        video=VideoFacts(width, height, Fraction(rate), frames, "h264", "yuv420p", alpha=alpha)
        if video
        else None,
        sound=SoundFacts(48_000, 2, "aac") if sound else None,
        still=still,
    )


def asset(name: str, medium: MediaFacts | None = None, path: Path | str = "") -> Asset:
    """An asset whose id is its name."""
    return Asset(name, str(path or f"/nowhere/{name}.mp4"), name, medium or facts(), f"b2:{name}")


def clip(
    medium: str,
    start: float | Fraction,
    duration: float | Fraction,
    source: float | Fraction = 0,
    *,
    name: str = "",
    look: Transform | None = None,
    levels: SoundLevels | None = None,
    link: str | None = None,
    enabled: bool = True,
    effects: tuple[EffectUse, ...] = (),
) -> Clip:
    """A clip of the asset `medium`, all times in seconds."""
    return Clip(
        id=name or new_id(),
        asset=medium,
        source=TimeRange(Fraction(source), Fraction(duration)),
        start=Fraction(start),
        name=name,
        enabled=enabled,
        link=link,
        transform=look or Transform(),
        sound=levels or SoundLevels(),
        effects=effects,
    )


def video(*clips: Clip, dissolves: dict[tuple[str, str], float] | None = None) -> Track:
    """A video track; `dissolves`: seconds by the ids of the two clips."""
    return Track(new_id(), TrackKind.VIDEO, clips=clips, transitions=_transitions(dissolves))


def audio(
    *clips: Clip,
    dissolves: dict[tuple[str, str], float] | None = None,
    muted: bool = False,
    solo: bool = False,
) -> Track:
    """An audio track."""
    return Track(
        new_id(),
        TrackKind.AUDIO,
        clips=clips,
        transitions=_transitions(dissolves),
        muted=muted,
        solo=solo,
    )


def _transitions(dissolves: dict[tuple[str, str], float] | None) -> tuple[Transition, ...]:
    return tuple(
        Transition(new_id(), left, right, Fraction(length))
        for (left, right), length in (dissolves or {}).items()
    )


def project(
    assets: tuple[Asset, ...] | list[Asset],
    *tracks: Track,
    width: int = 160,
    height: int = 90,
    rate: float | Fraction = 25,
) -> Project:
    """A project of one sequence."""
    sequence = Sequence("main", "Main", Fraction(rate), width, height, tracks)
    return Project(assets=tuple(assets), sequences=(sequence,), is_set_up=True)


def export_job(
    made: Project, output: Path, options: ExportOptions | None = None, cache: Path | None = None
) -> ExportJob:
    """An export of the only sequence, its cache beside the output."""
    return ExportJob(
        project=made,
        options=options or ExportOptions(),
        output=str(output),
        cache=str(cache or output.parent / "cache"),
    )


def medium(path: Path) -> Asset:
    """An asset of a file that exists; its id is the file's stem."""
    # Tests of plain values must run where PyAV is not.
    from engine.media.info import fingerprint, probe

    return Asset(path.stem, str(path), path.name, probe(path), fingerprint(path))
