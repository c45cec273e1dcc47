"""How far Wan's networks are from those of diffusers with the same weights and inputs."""

from dataclasses import replace

import torch
from torch import Tensor

from tests.benchmarks import wan_diffusers
from tests.benchmarks.card_errors import COLUMNS, NOTE, Row, compared
from tests.benchmarks.card_weights import computing, drawn, random_module
from tests.benchmarks.table import Table
from tests.benchmarks.wan_bench import Bench
from tests.benchmarks.wan_models import (
    Case,
    inputs_of,
    narrowed,
    random_transformer,
    sharing,
    velocity_of,
)

WIDE, HALF = torch.float32, torch.bfloat16
RELATIVE = COLUMNS.index("Relative")
FRAMES = 5  # latent frames that are decoded


def errors(bench: Bench) -> None:
    """Transformers first, then the VAE. Raises Unavailable without diffusers."""
    scale = bench.scale
    wan_diffusers.module("transformers.transformer_wan")
    cut = replace(
        scale.pictures, config=replace(scale.pictures.config, layers=scale.layers), label="I2V, cut"
    )
    worst, shares = 0.0, []
    with torch.inference_mode():
        for model in (scale.small, cut):
            case = Case(model, scale.errors)
            rows = _velocities(bench, case)
            layers = model.config.layers
            title = f"{case.label}, {layers} layers: velocity against diffusers in float32"
            bench.report.show(Table(title, COLUMNS, rows, notes=[NOTE]))
            found = {str(row[0]): float(row[RELATIVE]) for row in rows}
            worst = max(worst, found["ours, float32"])
            shares.append(found["ours, bf16"] / found["diffusers, bf16"])
        bench.report.found("error_fp32", worst)
        bench.report.found("error_bf16", max(shares))
        rows = _frames(bench)
    title = f"{FRAMES} latent frames decoded, {scale.errors.label}, against diffusers in float32"
    notes = [f"{NOTE} Frames are -1..1; PSNR with a peak of 2."]
    bench.report.show(Table(title, COLUMNS, rows, notes=notes))
    bench.report.found("error_vae_fp32", float(rows[0][RELATIVE]))


def _velocities(bench: Bench, case: Case) -> list[Row]:
    device = bench.device
    model = random_transformer(case.model.config, device, WIDE)
    inputs = inputs_of(case, device, WIDE)
    with computing(WIDE):
        theirs = wan_diffusers.transformer(model)
        wanted = wan_diffusers.velocity_of(theirs, inputs, WIDE)(0)
        rows = [compared("ours, float32", velocity_of(model, inputs)(0), wanted)]
    if device.type == "cuda":  # elsewhere all is plain
        with computing(WIDE, is_plain=True):
            rows.append(compared("ours, float32, plain", velocity_of(model, inputs)(0), wanted))
    half = sharing(model, HALF)
    rounded = wan_diffusers.transformer(half)
    found = wan_diffusers.velocity_of(rounded, inputs, HALF)(0)
    rows.append(compared("diffusers, bf16", found, wanted))
    del rounded
    rows.append(compared("ours, bf16", velocity_of(half, inputs)(0), wanted))
    narrow = velocity_of(narrowed(half), inputs)(0)
    return [*rows, compared("ours, fp8 linears", narrow, wanted)]


def _frames(bench: Bench) -> list[Row]:
    from engine.models.wan.vae import Vae, decode

    config, device = bench.scale.vae, bench.device
    model = random_module(lambda: Vae(config), device, WIDE)
    _, rows, columns = bench.scale.errors.latents
    latents = drawn("latents", (1, config.z_dim, FRAMES, rows, columns), device)

    def theirs(dtype: torch.dtype) -> Tensor:
        return wan_diffusers.decoded(wan_diffusers.vae(model, dtype), latents, config, dtype)

    with computing(WIDE):
        wanted = theirs(WIDE)
        made = [compared("ours, float32", decode(model, latents), wanted, 2.0)]
        whole = decode(model, latents, FRAMES)
        made.append(compared("ours, float32, all latent frames at once", whole, wanted, 2.0))
    made.append(compared("diffusers, bf16", theirs(HALF).float(), wanted, 2.0))
    model.to(HALF)
    made.append(compared("ours, bf16", decode(model, latents), wanted, 2.0))
    return made
