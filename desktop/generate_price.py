"""What a run of what is filled in will cost, by the plan that the card allows."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from desktop import generating
from desktop.generating import mode_of
from engine.files import weights_bytes
from engine.jobs import GenerateJob, ModelFiles, NeuralOptions
from engine.planning import DeviceFacts, Estimate, wan_estimate
from engine.timeline.parameters import Value
from ui.generate_form import STILL, Form

_Values = tuple[tuple[str, Value], ...]
_Sizes = tuple[tuple[str, int], ...]


def price_of(
    form: Form,
    files: ModelFiles,
    device: DeviceFacts | None,
    options: NeuralOptions,
    values: Mapping[str, Value] | None = None,
) -> Estimate:
    """The price of a form, or of it with other `values`. Raises EffectError."""
    width, height = generating.size_of(form)
    frames = 1 if form.tab == STILL else max(1, form.frames)
    chosen = generating.chosen_values(form, files.family, values)
    return _priced(
        files.family,
        str(mode_of(form)),
        (width, height, frames),
        device or DeviceFacts(kind="cpu", has_triton=False),
        options,
        tuple(sorted(chosen.items())),
        tuple(sorted(_bytes_of(files, form).items())),
    )


def generate_line(job: GenerateJob, device: DeviceFacts | None) -> str:
    """The plan line of a job that waits."""
    sizes = {part: _size(path) for part, path in job.models.files.items()}
    return _priced(
        job.models.family,
        str(job.mode),
        (job.width, job.height, job.frames),
        device or DeviceFacts(kind="cpu", has_triton=False),
        job.options,
        tuple(sorted(job.values.items())),
        tuple(sorted((part, size) for part, size in sizes.items() if size)),
    ).line


@lru_cache(maxsize=64)
def _priced(
    family: str,
    mode: str,
    shape: tuple[int, int, int],
    device: DeviceFacts,
    options: NeuralOptions,
    values: _Values,
    sizes: _Sizes,
) -> Estimate:
    return wan_estimate(
        family, mode, *shape, device=device, options=options, values=dict(values), sizes=dict(sizes)
    )


def _bytes_of(files: ModelFiles, form: Form) -> dict[str, int]:
    """Of each part's file, and of all LoRAs together; a file that is gone counts nothing."""
    found = {part: _size(path) for part, path in files.files.items()}
    if form.loras:
        found["loras"] = sum(_size(one.path) for one in form.loras)
    return {part: size for part, size in found.items() if size}


def _size(path: str) -> int:
    return weights_bytes(Path(path))
