"""Effects that need models, on the command line: baked by a gpu child before the export."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from desktop.child import Bar, Child, MediaChild
from desktop.cli_weights import look
from desktop.settings import load_settings
from desktop.weights_places import absolute
from engine.jobs import EffectJob, ExportJob, JobResult, ModelFiles
from engine.library.choice import models_for
from engine.render.shown import effect_jobs
from engine.timeline.effects import Engine, kind, needs_gpu
from engine.timeline.time import ZERO, TimeRange

FAMILY = "flashvsr-"  # of families whose files do not tell their version


def bake_models(child: MediaChild, job: ExportJob, chosen: argparse.Namespace) -> JobResult:
    """Bakes what an export shows and only models can make; what all that gave, as one result."""
    sequence = job.project.sequence(job.sequence)
    span = job.options.range or TimeRange(ZERO, sequence.duration)
    limit = job.cache_limit_bytes
    every = (one for _, one in effect_jobs(job.project, sequence, span, job.cache, limit))
    todo = [one for one in every if needs_gpu(one.uses)]
    if not todo:
        return JobResult()
    models = found_models(child, list(engines_of(todo)), chosen)
    options = load_settings().neural
    whole = JobResult()
    with Child("gpu") as gpu:
        for one in todo:
            ready = msgspec.structs.replace(one, models=models, options=options)
            made = gpu.run(ready, Bar(sys.stderr, chosen.json))
            whole = msgspec.structs.replace(
                whole,
                keys=(*whole.keys, *made.keys),
                made=whole.made + made.made,
                notes=tuple(dict.fromkeys((*whole.notes, *made.notes))),
            )
    return whole


def engines_of(jobs: Sequence[EffectJob]) -> Iterator[Engine]:
    """The engines that need models."""
    for job in jobs:
        for use in job.uses:
            if needs_gpu((use,)):
                yield kind(use.kind).engine(use.engine)


def found_models(
    child: MediaChild, engines: Sequence[Engine], chosen: argparse.Namespace
) -> tuple[ModelFiles, ...]:
    """The weights that `engines` need. Raises WeightsError that says what lacks.

    Who names a folder for this command and an engine of a version has said of which version the
    folder's files are, where they do not tell.
    """
    bar, more = Bar(sys.stderr, chosen.json), getattr(chosen, "weights", [])
    found = look(child, bar, more)
    named = [absolute(folder) for folder in more]
    families = {engine.family for engine in engines if engine.family.startswith(FAMILY)}
    untold = [path for path in found.untold if any(_is_in(path, folder) for folder in named)]
    if untold and len(families) == 1:
        word = families.pop().removeprefix(FAMILY)
        found = look(child, bar, more, dict.fromkeys(untold, word))
    return models_for(found.reports, engines)


def _is_in(path: str, folder: Path) -> bool:
    return folder == Path(path) or folder in Path(path).parents
