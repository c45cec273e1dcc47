"""From a job back to what was filled in for it."""

from dataclasses import replace
from pathlib import Path

from desktop.generating import distilled_of, is_preset
from engine.generation import Mode, resolved
from engine.jobs import GenerateJob
from ui.generate_form import CUSTOM, PICTURE, PRESETS, STILL, TEXT, Form, LoraGiven

TABS = {Mode.TEXT: TEXT, Mode.IMAGE: PICTURE, Mode.ENDS: PICTURE, Mode.STILL: STILL}


def form_of(job: GenerateJob, before: Form, attention: str) -> Form:
    """What makes the same again, but for the pictures, which are to be found first.

    `before` gives what a job does not say: where results go, how long a clip is that was a still.
    `attention`: the mode of Preferences.
    """
    family = job.models.family
    mode = Mode.TEXT if job.mode is Mode.VIDEO else job.mode
    form = Form(
        tab=TABS[mode],
        prompt=job.prompt,
        negative=job.negative,
        looped=job.values.get("context_schedule") == "uniform_looped",
        width=job.width,
        height=job.height,
        frames=before.frames if mode is Mode.STILL else job.frames,
        seed=job.seed,
        preset=CUSTOM,
        family=family,
        values=resolved(job.values, mode, family, job.width, job.height),
        loras=tuple(
            LoraGiven(
                one.path,
                Path(one.path).name,
                one.strength[0],
                one.strength if len(one.strength) > 1 else (),
                one.blocks,
            )
            for one in job.loras
        ),
        attention="" if job.options.attention == attention else job.options.attention,
        guidance=job.guidance,
        timesteps=job.timesteps,
        samples=job.samples,
        keep_latents=bool(job.latents),
        to_media=before.to_media,
    )
    if job.guidance or job.timesteps:
        return form
    told = distilled_of(form, job.models)
    named = (replace(form, preset=key) for key, _ in PRESETS)
    return next((one for one in named if is_preset(one, family, told)), form)
