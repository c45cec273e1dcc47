"""What is written into an exported file on how it was made."""

from fractions import Fraction
from typing import Any

import msgspec

from engine.jobs import ExportJob
from engine.timeline.model import Clip, Project


def recipe(job: ExportJob) -> str:
    """JSON: the options, and the sequence's clips with their effects. Names no folder."""
    sequence = job.project.sequence(job.sequence)
    content = {
        "program": "Reelwright",
        "options": job.options,
        "sequence": {
            "name": sequence.name,
            "rate": sequence.rate,
            "size": [sequence.width, sequence.height],
            "tracks": [
                {
                    "kind": track.kind,
                    "clips": [_clip(job.project, clip) for clip in track.clips],
                    "transitions": track.transitions,
                }
                for track in sequence.tracks
                if track.clips
            ],
        },
    }
    return msgspec.json.encode(content, enc_hook=_plain).decode()


def _clip(project: Project, clip: Clip) -> dict[str, object]:
    asset = project.asset(clip.asset)
    return {
        "id": clip.id,
        "medium": asset.name if asset else "",
        "fingerprint": asset.fingerprint if asset else "",
        "start": clip.start,
        "source": clip.source,
        "enabled": clip.enabled,
        "transform": clip.transform,
        "sound": clip.sound,
        "effects": clip.effects,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    raise NotImplementedError(f"{type(value).__name__} has no place in a recipe")
