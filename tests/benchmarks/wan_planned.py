"""What the plan expects of the cases that are measured."""

from dataclasses import dataclass, fields, replace

import torch

from engine.models.kernels import unavailable
from engine.models.text.umt5 import UMT5Config
from engine.models.wan.config import VaeConfig
from engine.planning import DeviceFacts
from engine.planning.wan_footprint import WanWay, seconds, stages
from engine.planning.wan_run import WanRun, wan_run_of
from engine.planning.wan_sizes import TextSizes, pass_work, transformer_weights
from engine.planning.wan_vae import decoding
from tests.benchmarks.wan_models import NARROW, Case

READ = {"transformer": 0, "text": 0, "image": 0}  # bytes of files that are in memory already


@dataclass(frozen=True)
class Expected:
    """Bytes of weights and of what is worked on; seconds."""

    weights: int
    work: int
    seconds: float


def facts(device: torch.device) -> DeviceFacts:
    """Of the device, as the gpu child tells them."""
    if device.type != "cuda":
        return DeviceFacts(kind="cpu", has_triton=False)
    about = torch.cuda.get_device_properties(device)
    return DeviceFacts(
        kind="cuda",
        name=about.name,
        total_bytes=about.total_memory,
        free_bytes=torch.cuda.mem_get_info(device)[0],
        capability=(about.major, about.minor),
        has_triton=not unavailable(device),
    )


def a_pass(case: Case, device: torch.device, narrow: bool = False, swapped: int = 0) -> Expected:
    """Of the transformer, in bfloat16, with weights that a file has in bfloat16."""
    run, known, way = _run(case), facts(device), _way(device, narrow, swapped)
    stage = stages(run, way, known)["denoise"]
    spent = [seconds(replace(run, passes=count), way, known) for count in (1.0, 2.0)]
    return Expected(stage.weights, stage.work, spent[1] - spent[0])


def a_decode(case: Case, device: torch.device, vae: VaeConfig) -> Expected:
    """Of the VAE in bfloat16."""
    run = replace(_run(case), vae=vae, encodes=False)
    known, way = facts(device), _way(device)
    stage = stages(run, way, known)["decode"]
    spent = [
        seconds(replace(run, latents=count), way, known) for count in (run.latents, 2 * run.latents)
    ]
    return Expected(stage.weights, stage.work, spent[1] - spent[0])


def a_job(case: Case, device: torch.device, passes: int, vae: VaeConfig, text: UMT5Config) -> float:
    """Seconds from the prompt to the last frame, with models that are loaded."""
    run = replace(_run(case), passes=float(passes), streams=1, sizes=READ, vae=vae)
    kept = {one.name: getattr(text, one.name) for one in fields(TextSizes)}
    run = replace(run, text=TextSizes(**kept))
    return seconds(run, _way(device), facts(device))


def pass_tera(case: Case) -> float:
    """10^12 operations of a pass."""
    return pass_work(case.model.config, case.size.tokens).total / 1e12


def decode_tera(case: Case, vae: VaeConfig) -> float:
    """10^12 operations to decode a clip."""
    frames, rows, columns = case.size.latents
    return frames * decoding(vae, rows * columns) / 1e12


def _run(case: Case) -> WanRun:
    model, size = case.model, case.size
    run = wan_run_of(model.family, model.mode, size.width, size.height, size.frames, {})
    file = 2 * transformer_weights(model.config).total
    return replace(run, config=model.config, sizes={"transformer": file})


def _way(device: torch.device, narrow: bool = False, swapped: int = 0) -> WanWay:
    return WanWay(
        precision="bf16",
        quantization=NARROW if narrow else "disabled",
        block_swap=swapped,
        text_on=device.type,
    )
