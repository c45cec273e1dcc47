"""What Wan is asked for by an effect on a clip; light, for plans and for the run alike."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from engine.models.wan.distilled import distilled
from engine.render.keys import Stage
from engine.timeline.effects import Value
from engine.timeline.wan_engines import OWN, every_of
from engine.wan_rules import AREAS, longer_length, nearest_length, size_for_area

RUN = ("steps", "cfg", "cfg_low", "shift", "scheduler")  # what a distilled model has of its own


class WanAsk(NamedTuple):
    """Size and length of what is made, and the parameters that are not left to the plan.

    `kept`: which pictures of the source are made anew.
    """

    width: int
    height: int
    frames: int
    values: dict[str, Value]
    kept: tuple[int, ...]


def wan_ask(stage: Stage, files: Sequence[str] = ()) -> WanAsk:
    """Of a stage: shaped as its source, in sizes and lengths that Wan can make.

    `files`: names of the transformer and of LoRAs; a distilled one has steps of its own.
    """
    values, before = stage.values, stage.before
    width, height = size_for_area(AREAS[str(values["size"])], before.width, before.height)
    kept = every_of(str(values.get("every", "source")), before.frames, before.rate)
    length = int(values["frames"]) if stage.makes_time else 0
    frames = nearest_length(length) if stage.makes_time else longer_length(len(kept))
    return WanAsk(width, height, frames, _chosen(stage, files), kept)


def _chosen(stage: Stage, files: Sequence[str]) -> dict[str, Value]:
    counted = [one for one in stage.engine.parameters if one.counts(stage.values)]
    usual = {one.name: one.default for one in counted}
    is_distilled = any(distilled(Path(path).name) for path in files)
    shown = {"denoise_strength", "context_schedule", *(() if is_distilled else RUN)}
    return {
        name: value
        for name, value in stage.values.items()
        if name in usual and name not in OWN and (value != usual[name] or name in shown)
    }
