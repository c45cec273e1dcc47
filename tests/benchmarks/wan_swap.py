"""Blocks of Wan's transformer that wait on the host: what that costs beside all on the card."""

from statistics import median

import torch
from torch import Tensor

from engine.models.swap import swapped
from tests.benchmarks import wan_planned
from tests.benchmarks.card_timing import laps
from tests.benchmarks.table import Table
from tests.benchmarks.wan_bench import Bench
from tests.benchmarks.wan_models import (
    SWAPPED,
    Case,
    Velocity,
    inputs_of,
    narrowed,
    own_bytes,
    random_transformer,
    velocity_of,
)
from tests.benchmarks.wan_steps import GIB, Found, plan_row, plan_table, warmed


def swap(bench: Bench) -> None:
    """Some blocks wait on the host, beside all on the card before and after."""
    scale = bench.scale
    table = Table(
        f"{SWAPPED} blocks swapped, one ahead",
        (
            *("Model", "Weights", "All there: pass s", "Swapped: pass s", "There again: pass s"),
            *("Longer by %", "Same result", "Pinned", "On the host GiB", "Peak GiB there"),
            "Peak GiB swapped",
        ),
        bar="at most 10 % longer.",
    )
    plans = plan_table(f"{SWAPPED} blocks swapped")
    cases = [(Case(scale.small, scale.half), False)]
    cases += [(Case(scale.pictures, scale.half), narrow) for narrow in (True, False)]
    worst: list[float] = []
    with torch.inference_mode():
        for case, narrow in cases:
            if bench.is_full and case.model is not scale.small and not bench.clock.fits(40):
                table.notes.append(f"{case.label}: left out for want of time.")
                continue
            longer = _swapped(bench, case, narrow, table, plans)
            if case.model is scale.pictures:
                worst.append(longer)
    if worst:
        bench.report.found("swap_percent", max(worst))
    bench.report.show(table)
    bench.report.show(plans)


def _swapped(bench: Bench, case: Case, narrow: bool, table: Table, plans: Table) -> float:
    """By how many per cent a pass is longer."""
    device = bench.device
    inputs = inputs_of(case, device, torch.bfloat16)
    model = random_transformer(case.model.config, device)
    if narrow:
        model = narrowed(model)
    weights = own_bytes(model)
    there, before, wanted = _passes(bench, velocity_of(model, inputs))
    blocks = list(model.blocks)
    with swapped(blocks, SWAPPED, device) as waiting:
        run = velocity_of(model, inputs, waiting)
        gone, after, found = _passes(bench, run)
        is_pinned = "yes" if waiting.is_pinned else "no"
        host, held = waiting.host_bytes, weights - waiting.host_bytes + waiting.device_bytes
    model.to(device)
    again = _passes(bench, velocity_of(model, inputs))[0]
    longer = 100 * (median(gone) / median([*there, *again]) - 1)
    name = "fp8" if narrow else "bf16"
    same = "yes" if torch.equal(found, wanted) else "no"
    peaks = [(weights + before) / GIB, (held + after) / GIB] if before else ["-", "-"]
    times = median(there), median(gone), median(again)
    row = (case.label, name, *times, longer, same, is_pinned, host / GIB, *peaks)
    table.rows.append(row)
    expected = wan_planned.a_pass(case, device, narrow, SWAPPED)
    plans.rows.append(plan_row(f"{case.label}, {name}", Found(held, after, gone, gone), expected))
    return longer


def _passes(bench: Bench, run: Velocity) -> tuple[list[float], int, Tensor]:
    """Seconds of some passes, the bytes beside what was there, and a result."""
    _, work, result = warmed(bench, run, 1)
    warm = laps(bench.device, [lambda: run(0)])[0]
    count = 2 if warm > 1 else bench.repeats
    return [warm, *(laps(bench.device, [lambda: run(0)])[0] for _ in range(count))], work, result
