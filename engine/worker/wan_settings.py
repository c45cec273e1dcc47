"""The values of a person's panel as what Wan's stages are asked."""

from collections.abc import Mapping

from engine.generation import Mode, Shape, negative_of
from engine.jobs import GenerateJob
from engine.models.guidance import Guidance
from engine.models.samplers import SAMPLERS
from engine.models.wan.ask import Ask, Influence, Means, Switch
from engine.models.wan.enhance import Enhance
from engine.models.wan.loading import Facts
from engine.models.wan.teacache import COEFFICIENTS, Embedding, TeaCache
from engine.models.wan.vae import Tiles
from engine.models.windows import Fuse, Layout, Windows
from engine.timeline.parameters import Value
from engine.wan_rules import latent_frames

LAYOUTS: dict[str, Layout] = {
    "static_standard": "static_standard",
    "uniform_standard": "uniform_standard",
    "uniform_looped": "uniform_looped",
}
FUSES: dict[str, Fuse] = {"linear": "linear", "pyramid": "pyramid"}
EMBEDDINGS: dict[str, Embedding] = {"e": "e", "e0": "e0"}

Values = Mapping[str, Value]


def ask_of(job: GenerateJob, values: Values, shape: Shape, facts: Facts) -> Ask:
    """What is to be made and how. Raises EffectError for values that do not go together."""
    scheduler, table = str(values["scheduler"]), str(values["table"])
    is_part = job.mode is Mode.VIDEO or bool(job.samples)
    return Ask(
        width=shape.width,
        height=shape.height,
        frames=shape.frames,
        seed=job.seed,
        steps=int(values["steps"]),
        shift=float(values["shift"]),
        sampler=scheduler if scheduler in SAMPLERS else "euler",
        table="" if table == "auto" else table,
        timesteps=job.timesteps,
        start_step=int(values["start_step"]),
        end_step=int(values["end_step"]) or None,
        strength=float(values["denoise_strength"]) / 100 if is_part else 1.0,
        guidance=Guidance(
            scale=job.guidance or float(values["cfg"]),
            batched=bool(values["batched_cfg"]),
            fits_negative=bool(values["cfg_zero_star"]),
            zero_steps=int(values["zero_init_steps"]),
        ),
        windows=_windows(values),
        cache=_cache(values, facts.variant),
        enhance=_enhance(values),
        riflex=int(values["riflex_freq_index"]),
        switch=_switch(values) if facts.is_pair else None,
    )


def prompts_in(job: GenerateJob, ask: Ask, shape: Shape) -> tuple[tuple[str, ...], str | None]:
    """The prompts, and the negative one where a step asks it.

    Where windows cover the clip, prompts between bars are spread over it.
    """
    texts: tuple[str, ...] = (job.prompt,)
    if ask.windows is not None and latent_frames(shape.frames) > ask.windows.size:
        parts = [text.strip() for text in job.prompt.split("|")]
        texts = tuple(text for text in parts if text) or texts
    if not ask.guided.needs_negative(len(ask.schedule)):
        return texts, None
    return texts, negative_of(job.mode) if job.negative is None else job.negative


def influence_of(values: Values) -> Influence:
    """How much given pictures count."""
    return Influence(
        start=float(values["start_latent_strength"]),
        end=float(values["end_latent_strength"]),
        noise=float(values["noise_aug_strength"]),
        clip=float(values["clip_strength"]),
        clip_last=float(values["clip_last_strength"]),
        crop=str(values["clip_crop"]),
    )


def means_of(values: Values) -> Means:
    """How the machine does it. Raises EffectError for tiles that leave gaps."""
    tiles = None
    if values["vae_tiling"]:
        tile = int(values["tile_y"]), int(values["tile_x"])
        stride = int(values["tile_stride_y"]), int(values["tile_stride_x"])
        tiles = Tiles.of_pixels(tile, stride)
    return Means(
        keeps_keys=bool(values["keep_keys"]),
        encode_chunk=int(values["encode_chunk"]),
        decode_chunk=int(values["decode_chunk"]),
        tiles=tiles,
    )


def _windows(values: Values) -> Windows | None:
    schedule = str(values["context_schedule"])
    if schedule not in LAYOUTS:
        return None
    return Windows.of_frames(
        int(values["context_frames"]),
        int(values["context_stride"]),
        int(values["context_overlap"]),
        layout=LAYOUTS[schedule],
        fuse=FUSES[str(values["fuse_method"])],
        reuses_noise=bool(values["freenoise"]),
    )


def _cache(values: Values, variant: str) -> TeaCache | None:
    if not values["teacache"]:
        return None
    embedding = EMBEDDINGS[str(values["cache_mode"])]
    known = COEFFICIENTS.get(variant, {}).get(embedding, ())
    return TeaCache(
        threshold=float(values["rel_l1_thresh"]),
        coefficients=known if values["use_coefficients"] else (),
        embedding=embedding,
        start_step=int(values["cache_start_step"]),
        end_step=int(values["cache_end_step"]) or None,
    )


def _switch(values: Values) -> Switch:
    return Switch(boundary=float(values["boundary"]), scale=float(values["cfg_low"]))


def _enhance(values: Values) -> Enhance | None:
    if not values["feta"]:
        return None
    return Enhance(
        weight=float(values["feta_weight"]),
        start=float(values["feta_start_percent"]) / 100,
        end=float(values["feta_end_percent"]) / 100,
    )
