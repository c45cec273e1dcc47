"""Wan's weights from files, and jobs as the gpu child runs them: how soon the second one starts."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.models import memory
from engine.models.linear import EIGHT_BITS, Fp8Form, weights_to_eight_bits
from engine.models.resident import Resident
from engine.models.text.umt5 import UMT5
from engine.models.wan.block import LARGE_LINEARS
from engine.models.wan.loading import load_diffusion, load_text, load_vae
from engine.models.wan.vae import Vae
from tests.benchmarks import wan_planned
from tests.benchmarks.card_timing import settle
from tests.benchmarks.card_weights import random_module
from tests.benchmarks.table import Table, Unavailable
from tests.benchmarks.wan_bench import Bench
from tests.benchmarks.wan_models import Case, random_transformer
from tests.support.text import spiece_model

VOCAB = 200  # of the tokenizer that is trained here; the published one has 256,384 pieces
FEW: dict[str, float | int | str] = {"steps": 4, "cfg": 1.0, "shift": 5.0, "scheduler": "euler"}
PROMPT, OTHER = "a red fox runs over snow", "a green horse gallops in the rain"
SHARE = 0.6  # of the memory, for models that stay, as the gpu child has it


class Watch:
    """A report that knows when each stage began to move and when it was done."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self.first: dict[str, float] = {}
        self.last: dict[str, float] = {}

    def step(self, stage: str, done: int, total: int) -> None:
        """Seconds since the job began."""
        now = time.perf_counter() - self._begun
        if done:
            self.first.setdefault(stage, now)
        if done == total:
            self.last.setdefault(stage, now)

    def preview(self, label: str, picture: object) -> None:
        """Nobody looks."""


def jobs(bench: Bench) -> None:
    """1.3B from files: loading, then jobs of four steps by the worker's own code."""
    for name in ("msgspec", "av", "cv2", "ftfy", "sentencepiece"):
        _need(name)
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = _written(bench, folder)
        with torch.inference_mode():
            bench.report.show(_loading(bench, files))
        bench.report.show(_jobs(bench, folder, files))


def _need(name: str) -> None:
    """A package of the worker. Raises Unavailable."""
    try:
        import_module(name)
    except ImportError as error:
        raise Unavailable(f"{name} is not here: {error}. --wheels may bring it.") from error


def _written(bench: Bench, folder: Path) -> dict[str, Path]:
    """A model's files, all in bfloat16."""
    scale, device, half = bench.scale, bench.device, torch.bfloat16
    text = random_module(lambda: UMT5(replace(scale.text, vocab=VOCAB)), device, half).state_dict()
    pieces = torch.frombuffer(bytearray(spiece_model(VOCAB)), dtype=torch.uint8)
    made: dict[str, Mapping[str, Tensor]] = {
        "transformer": random_transformer(scale.small.config, device).state_dict(),
        "text": {**text, "spiece_model": pieces},
        "vae": random_module(lambda: Vae(scale.vae), device, half).state_dict(),
    }
    files = {}
    for part, tensors in made.items():
        files[part] = folder / f"{part}.safetensors"
        _save(tensors, files[part])
    return files


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, path)


def _loading(bench: Bench, files: Mapping[str, Path]) -> Table:
    device, half = bench.device, torch.bfloat16
    ours: dict[str, Callable[[], object]] = {
        "transformer": lambda: load_diffusion(files["transformer"], half, device),
        "text": lambda: load_text(files["text"], half, device),
        "vae": lambda: load_vae(files["vae"], half, device),
    }
    table = _loading_table(f"{bench.scale.small.label}: files to the device, just written")
    for part, work in ours.items():
        table.rows.append(_loaded(bench, part, files[part], work))
    table.notes.append(f"The text encoder has {VOCAB} pieces: with all it is 2.1 GB larger.")
    return table


def _loading_table(title: str) -> Table:
    return Table(
        title,
        ("File", "GB", "Ours s", "GB/s", "load_file s", "load_file / ours"),
        bar="load_file at least 3 times as long.",
        notes=["The system has the files in its memory; medians of two in turn."],
    )


def _loaded(
    bench: Bench, name: str, path: Path, work: Callable[[], object]
) -> tuple[str | float, ...]:
    """Ours and safetensors' own reader, in turn."""
    device = bench.device
    spent: dict[bool, list[float]] = {True: [], False: []}
    for is_ours in (True, False, False, True):
        memory.empty_cache()
        settle(device)
        begun = time.perf_counter()
        made = work() if is_ours else load_file(path, str(device))
        settle(device)
        spent[is_ours].append(time.perf_counter() - begun)
        del made
    ours, theirs = median(spent[True]), median(spent[False])
    size = path.stat().st_size / 1e9
    return (name, size, ours, size / ours, theirs, theirs / ours)


def load(bench: Bench) -> None:
    """14B T2V in 8 bits, as scaled files have it, to the device."""
    config, device = bench.scale.large.config, bench.device
    with TemporaryDirectory() as name, torch.inference_mode():
        path = Path(name) / "transformer_fp8_scaled.safetensors"
        _save(_scaled(random_transformer(config, device).state_dict()), path)
        memory.empty_cache()
        table = _loading_table(f"{bench.scale.large.label}, fp8 scaled: the file to the device")

        def work() -> object:
            return load_diffusion(path, torch.bfloat16, device)

        table.rows.append(_loaded(bench, "transformer", path, work))
    bench.report.show(table)


def _scaled(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With the large matrices in 8 bits, a scale for each row beside them."""
    found = {}
    for name, tensor in tensors.items():
        path = name.removesuffix(".weight")
        if path != name and path.endswith(tuple(f".{linear}" for linear in LARGE_LINEARS)):
            packed, found[f"{path}.scale_weight"] = weights_to_eight_bits(tensor, Fp8Form())
            assert packed.dtype == EIGHT_BITS
            found[name] = packed
        else:
            found[name] = tensor
    return found


def _jobs(bench: Bench, folder: Path, files: Mapping[str, Path]) -> Table:
    """The first loads; the next ones have another seed, the last another prompt."""
    from engine.worker.generate import Generator

    facts = wan_planned.facts(bench.device)
    total = facts.total_bytes or 1 << 34
    generator = Generator(Resident(round(total * SHARE)))
    case = Case(bench.scale.small, bench.scale.half)
    table = Table(
        f"{case.label}, 4 steps, no guidance: jobs by the worker's own code, seconds since start",
        ("Job", "First block", "Last step", "Last frame decoded", "File written"),
        bar="the second job's first block within 0.1 s.",
        notes=[
            "In this process: without the message to the gpu child. First block: given to the "
            "device. The last frame waits for the frames before it to be encoded as video.",
        ],
    )
    starts = []
    cases = [("first: loads", PROMPT), *[("second: all there", PROMPT)] * 3, ("new prompt", OTHER)]
    for number, (name, prompt) in enumerate(cases):
        found, written = _job(bench, generator, facts, folder, files, case, prompt, number)
        first, last = found.first, found.last
        if prompt == PROMPT and number:
            starts.append(first["denoise"])
        table.rows.append((name, first["denoise"], last["denoise"], last["decode"], written))
    bench.report.found("start_seconds", median(starts))
    bench.report.samples("second job, start to first block, seconds", starts)
    return table


def _job(
    bench: Bench,
    generator: Any,
    facts: Any,
    folder: Path,
    files: Mapping[str, Path],
    case: Case,
    prompt: str,
    seed: int,
) -> tuple[Watch, float]:
    from engine.generation import Mode
    from engine.jobs import GenerateJob, ModelFiles

    job = GenerateJob(
        mode=Mode.TEXT,
        prompt=prompt,
        width=case.size.width,
        height=case.size.height,
        frames=case.size.frames,
        seed=seed,
        values=dict(FEW),
        models=ModelFiles(
            family=case.model.family, files={part: str(path) for part, path in files.items()}
        ),
        output=str(folder / f"{seed}.mp4"),
        cache=str(folder / "cache"),
    )
    settle(bench.device)
    watch = Watch()
    begun = time.perf_counter()
    result = generator.run(job, facts, watch)
    written = time.perf_counter() - begun
    assert result.frames == case.size.frames, result
    return watch, written
