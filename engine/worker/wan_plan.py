"""What the memory plan chooses for a job of Wan where the person has left it open."""

from collections.abc import Mapping
from pathlib import Path

from engine.generation import Shape, alike, published
from engine.jobs import GenerateJob
from engine.planning import DeviceFacts, WanPlan, wan_plans
from engine.planning.wan_run import file_sizes
from engine.timeline.parameters import Value


def plans_of(
    job: GenerateJob,
    chosen: Mapping[str, Value],
    shape: Shape,
    device: DeviceFacts,
    files: Mapping[str, Path],
) -> tuple[WanPlan, ...]:
    """From the first that fits the device on down; `chosen` parameters are kept as they are."""
    usual = published(job.mode, job.models.family, shape.width, shape.height)
    return wan_plans(
        job.models.family,
        str(job.mode),
        shape.width,
        shape.height,
        shape.frames,
        device=device,
        options=job.options,
        values={**usual, **chosen, **alike(chosen)},
        guidance=job.guidance,
        sizes=file_sizes(files),
    )


def planned(plan: WanPlan) -> dict[str, Value]:
    """The plan as parameters."""
    values: dict[str, Value] = {
        "base_precision": plan.precision,
        "quantization": plan.quantization,
        "blocks_to_swap": plan.block_swap,
        "prefetch_blocks": plan.ahead,
        "load_device": "offload" if plan.offload else "main",
        "keep_keys": plan.keeps_keys,
    }
    if plan.vae_precision:
        values["vae_precision"] = plan.vae_precision
    if plan.vae_tile[0]:
        height, width = plan.vae_tile
        values |= {
            "vae_tiling": True,
            "tile_y": height,
            "tile_x": width,
            "tile_stride_y": height * 3 // 4 // 8 * 8,
            "tile_stride_x": width * 3 // 4 // 8 * 8,
        }
    return values
