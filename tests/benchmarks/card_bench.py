"""What every part of a benchmark on a card is given, and the machine it runs on."""

import datetime
import importlib
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.models.kernels import unavailable
from engine.models.linear import EIGHT_BITS, multiplies
from tests.benchmarks.card_report import Clock, Report
from tests.benchmarks.card_timing import Samples, in_turn, timed
from tests.benchmarks.table import Table

QUERIES = (
    *("name", "driver_version", "memory.total", "clocks.sm", "clocks.max.sm", "clocks.mem"),
    *("power.draw", "power.limit", "temperature.gpu"),
)


SQUARE, TINY_SQUARE = 8192, 128  # side of the matrices that show the device's rate


@dataclass(kw_only=True)
class CardBench:
    """One run on one device. `is_full`: the published sizes are measured, else tiny ones."""

    device: torch.device
    report: Report
    clock: Clock
    is_full: bool
    wheels: Path | None = None
    warm_ups: int = 3
    repeats: int = 5

    def in_turn(self, works: dict[str, Any]) -> dict[str, Samples]:
        """Samples of several measurements, kept in the report."""
        found = in_turn(works, self.warm_ups, self.repeats)
        for name, samples in found.items():
            self.report.samples(name, samples.values)
        return found


def facts(device: torch.device) -> dict[str, Any]:
    """Card, driver, versions, date."""
    found: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "triton": _version("triton"),
        "kernels": unavailable(device) or "run",
    }
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        found |= {
            "card": about.name,
            "memory_gib": round(about.total_memory / 2**30, 2),
            "processors": about.multi_processor_count,
            "capability": f"{about.major}.{about.minor}",
            "cuda": torch.version.cuda,
            "cudnn": cudnn(),
            "block_sparse_attn": _version("block_sparse_attn"),
            "nvidia-smi": clocks(),
        }
    return found


def cudnn() -> int:
    """Its version."""
    return torch.backends.cudnn.version() or 0  # type: ignore[no-untyped-call]


def clocks() -> dict[str, str]:
    """What the driver says of the card now; empty where it says nothing."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    command = [program, f"--query-gpu={','.join(QUERIES)}", "--format=csv,noheader"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    values = (
        [value.strip() for value in told.stdout.splitlines()[0].split(",")] if told.stdout else []
    )
    return dict(zip(QUERIES, values, strict=False))


def machine(bench: CardBench) -> None:
    """The facts, and the two rates that bound everything: of products and of copies."""
    known = facts(bench.device)
    table = Table("Machine", ("What", "Value"))
    for name, value in known.items():
        shown = (
            "; ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        )
        table.rows.append((name, str(shown)))
    bench.report.machine(known)
    bench.report.show(table)
    bench.report.show(_rates(bench))
    if bench.device.type == "cuda":
        bench.report.machine({"nvidia-smi after work": clocks()})


def _rates(bench: CardBench) -> Table:
    device, side = bench.device, SQUARE if bench.is_full else TINY_SQUARE
    a, b = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
    source = torch.randn(side * side, device=device)
    target = torch.empty_like(source)
    works = {
        "bf16 product": timed(device, lambda: a @ b, 3),
        "copy": timed(device, lambda: target.copy_(source), 10),
    }
    if multiplies(device, torch.bfloat16):
        rows = a.to(EIGHT_BITS), b.to(EIGHT_BITS)
        scales = torch.ones(side, 1, device=device), torch.ones(1, side, device=device)
        works["fp8 product, a scale a row"] = timed(
            device,
            lambda: torch._scaled_mm(
                rows[0], rows[1].t(), *scales, out_dtype=torch.bfloat16, use_fast_accum=True
            ),
            3,
        )
    table = Table(
        f"What the device gives, random data, side {side}", ("What", "Median", "Low", "High")
    )
    for name, samples in bench.in_turn(works).items():
        amount = 8 * side**2 / 1e12 if name == "copy" else 2 * side**3 / 1e12
        unit = "TB/s read and written" if name == "copy" else "TFLOP/s"
        values = (amount / x for x in (samples.middle, samples.high, samples.low))
        table.rows.append((f"{name}, {unit}", *values))
    return table


def _version(name: str) -> str:
    try:
        return str(getattr(importlib.import_module(name), "__version__", "there"))
    except (ImportError, OSError, RuntimeError):
        return "not installed"
