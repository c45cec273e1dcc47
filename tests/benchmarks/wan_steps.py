"""Steps of Wan's transformer: time and memory beside diffusers eager, and beside the plan."""

import gc
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from statistics import median

import torch
from torch import Tensor

from engine.models import memory
from engine.models.attention import default_mode, modes
from engine.models.wan.transformer import Transformer
from tests.benchmarks import wan_diffusers, wan_planned
from tests.benchmarks.card_errors import COLUMNS, NOTE, compared
from tests.benchmarks.card_timing import laps, settle, there_and_back
from tests.benchmarks.table import Table, Unavailable
from tests.benchmarks.wan_bench import Bench
from tests.benchmarks.wan_models import (
    GUIDANCE,
    Case,
    Inputs,
    Velocity,
    batched_velocity_of,
    inputs_of,
    narrowed,
    own_bytes,
    random_transformer,
    velocity_of,
)

BF16, FP8, BOTH = "ours, bf16", "ours, fp8 linears", "ours, bf16, both prompts at once"
EIGHT = "ours, fp8 linears, attention in 8 bits"
REFERENCE = f"{wan_diffusers.NAME} eager, bf16"
EIGHT_BITS = "8 bits"  # in the label of a mode of attention that rounds so
SLOW = 6.0  # seconds of a step; those that take longer warm up once
GIB = 2**30


@dataclass
class Found:
    """One way to run. `work`: bytes beside the weights at the peak; 0 where nobody counts."""

    weights: int
    work: int = 0
    pairs: list[float] = field(default_factory=list)
    passes: list[float] = field(default_factory=list)

    @property
    def pair(self) -> float:
        """Seconds of a step under guidance."""
        return median(self.pairs)

    @property
    def single(self) -> float:
        """Seconds of a pass."""
        return median(self.passes) if self.passes else self.pair


@dataclass(frozen=True)
class Way:
    """How a pass is run; `passes` is 1 where both prompts go at once."""

    weights: int
    run: Velocity
    passes: int = 2


def small(bench: Bench) -> None:
    """1.3B at 480p."""
    with torch.inference_mode():
        _case(bench, Case(bench.scale.small, bench.scale.half), 40, ("small_bf16", "small_fp8"))


def small_whole(bench: Bench) -> None:
    """1.3B at 720p."""
    with torch.inference_mode():
        _case(bench, Case(bench.scale.small, bench.scale.whole), 40)


def pictures(bench: Bench) -> None:
    """14B I2V at 480p."""
    with torch.inference_mode():
        _case(bench, Case(bench.scale.pictures, bench.scale.half), 80, ("i2v_bf16", "i2v_fp8"))


def pictures_whole(bench: Bench) -> None:
    """14B I2V at 720p."""
    with torch.inference_mode():
        _case(bench, Case(bench.scale.pictures, bench.scale.whole), 80)


def large(bench: Bench) -> None:
    """14B T2V at 480p."""
    with torch.inference_mode():
        _case(bench, Case(bench.scale.large, bench.scale.half), 50)


def large_whole(bench: Bench) -> None:
    """14B T2V at 720p."""
    with torch.inference_mode():
        _case(bench, Case(bench.scale.large, bench.scale.whole), 80)


def _case(bench: Bench, case: Case, limit: float, goals: tuple[str, ...] = ()) -> None:
    """All ways of a case in turn, in about `limit` seconds of repeats."""
    device = bench.device
    notes = [f"Attention of ours: {default_mode(device)}."]
    inputs = inputs_of(case, device, torch.bfloat16)
    model = random_transformer(case.model.config, device)
    ways = _ways(bench, case, model, inputs, notes)
    found, results = _timed(bench, case, ways, limit)
    bench.report.show(_times(case, found, notes))
    bench.report.show(_beside_plan(bench, case, found))
    if len(results) > 1:
        bench.report.show(_likeness(case, results))
    if REFERENCE in found and goals:
        for goal, name in zip(goals, (BF16, EIGHT if EIGHT in found else FP8), strict=True):
            bench.report.found(goal, found[REFERENCE].pair / found[name].pair)
    if "i2v_fp8" in goals:
        bench.report.found("i2v_steps_seconds", 40 * found[FP8].pair)


def _ways(
    bench: Bench, case: Case, model: Transformer, inputs: Inputs, notes: list[str]
) -> dict[str, Way]:
    """Every one holds the weights of `model`, but for those in 8 bits."""
    ways: dict[str, Way] = {}
    try:
        theirs = wan_diffusers.transformer(model)
        run = wan_diffusers.velocity_of(theirs, inputs, torch.bfloat16)
        ways[REFERENCE] = Way(own_bytes(theirs), run)
        notes.append(f"diffusers {wan_diffusers.version()}.")
    except Unavailable as error:
        notes.append(f"No reference: {error}")
    ways[BF16] = Way(own_bytes(model), velocity_of(model, inputs))
    if case.model is bench.scale.small:
        ways[BOTH] = Way(own_bytes(model), batched_velocity_of(model, inputs), 1)
    narrow = narrowed(model)
    ways[FP8] = Way(own_bytes(narrow), velocity_of(narrow, inputs))
    rough = [mode for mode in modes(bench.device) if EIGHT_BITS in mode.label]
    usable = [mode.name for mode in rough if not mode.reason]
    notes += [f"{mode.label}: {mode.reason}." for mode in rough if mode.reason]
    if usable:
        eight = copy(narrow)  # the same modules, with a mode of its own
        eight.attention_mode = usable[0]
        ways[EIGHT] = Way(own_bytes(narrow), velocity_of(eight, inputs))
        notes.append(f"Attention in 8 bits: {usable[0]}.")
    return ways


def _timed(
    bench: Bench, case: Case, ways: dict[str, Way], limit: float
) -> tuple[dict[str, Found], dict[str, Tensor]]:
    found = {name: Found(way.weights) for name, way in ways.items()}
    results: dict[str, Tensor] = {}
    spent = 0.0
    for name, way in ways.items():
        times, found[name].work, results[name] = warmed(bench, way.run, way.passes)
        if way.passes == 1:
            del results[name]
        # The first pass also compiled kernels; the second tells how long one takes.
        expected = 2 * times[1] if len(times) > 1 else 0.0
        spent += expected if expected > SLOW else sum(_laps(bench, way))
    for turn in range(repeats_within(bench, limit, spent)):
        for name in there_and_back(tuple(ways), turn):
            if turn and bench.is_full and not bench.clock.fits(3 * found[name].pairs[-1]):
                continue
            times = _laps(bench, ways[name])
            found[name].pairs.append(sum(times))
            found[name].passes += times if len(times) > 1 else []
    for name, one in found.items():
        bench.report.samples(f"{case.label}, {name}, seconds a step", one.pairs)
    return found, results


def repeats_within(bench: Bench, limit: float, spent: float) -> int:
    """How many turns of `spent` seconds fit into the limit: one at least."""
    return min(bench.repeats, max(1, int(min(limit, bench.clock.left) / max(spent, 1e-9))))


def warmed(bench: Bench, run: Velocity, passes: int = 2) -> tuple[list[float], int, Tensor]:
    """Seconds of the first passes, bytes that they take beside what was there, the first result.

    On a processor nobody counts the bytes.
    """
    device = bench.device
    gc.collect()
    memory.empty_cache()
    memory.reset_peak(device)
    is_card = device.type == "cuda"
    before = torch.cuda.memory_allocated(device) if is_card else 0
    settle(device)
    made: list[Tensor] = []
    works = [partial(run, role) for role in range(passes)]
    times = laps(device, [partial(_keep, made, work) for work in works])
    work = torch.cuda.max_memory_allocated(device) - before if is_card else 0
    return times, work, made[0].float()


def _keep(made: list[Tensor], work: Callable[[], Tensor]) -> None:
    made.append(work())


def _laps(bench: Bench, way: Way) -> list[float]:
    """Of a step: its passes, and their sum under guidance with the second."""
    if way.passes == 1:
        return laps(bench.device, [lambda: guided(*way.run(0).chunk(2))])
    made: list[Tensor] = []

    def second() -> None:
        guided(made[0], way.run(1))

    return laps(bench.device, [lambda: made.append(way.run(0)), second])


def guided(towards: Tensor, away: Tensor) -> Tensor:
    """As the pipelines sum them."""
    return away + GUIDANCE * (towards - away)


def _times(case: Case, found: dict[str, Found], notes: list[str]) -> Table:
    size = case.size
    table = Table(
        f"{case.label}, {size.width}x{size.height}, {size.frames} frames, "
        f"{size.tokens} tokens: a step",
        (
            *("Way", "Pass s", "Step s (two passes)", "Low", "High", "diffusers / this"),
            *("TFLOP/s", "Weights GiB", "Work GiB", "Peak GiB"),
        ),
        bar="diffusers eager at least 1.2 times as long in bf16, 1.6 times as the 8-bit way.",
        notes=[*notes, "Peak: without the weights of the others. Random weights and inputs."],
    )
    reference = found[REFERENCE].pair if REFERENCE in found else None
    for name, one in found.items():
        ratio = reference / one.pair if reference else "-"
        rate = 2 * wan_planned.pass_tera(case) / one.pair
        single = one.single if one.passes else "-"
        times = (single, one.pair, min(one.pairs), max(one.pairs))
        table.rows.append((name, *times, ratio, rate, *_held(one)))
    return table


def _held(one: Found) -> tuple[float | str, ...]:
    weights = one.weights / GIB
    return (weights, one.work / GIB, weights + one.work / GIB) if one.work else (weights, "-", "-")


def _beside_plan(bench: Bench, case: Case, found: dict[str, Found]) -> Table:
    table = plan_table(case.label)
    for name, narrow in ((BF16, False), (FP8, True)):
        expected = wan_planned.a_pass(case, bench.device, narrow)
        table.rows.append(plan_row(name, found[name], expected))
    return table


def plan_table(label: str) -> Table:
    """Of `plan_row`s."""
    return Table(
        f"{label}: as planned and as measured",
        (
            *("What", "Weights GiB, plan", "Measured", "Work GiB, plan", "Measured"),
            *("Measured / plan", "Seconds, plan", "Measured", "Measured / plan"),
        ),
        notes=["The plan adds a tenth of the work for what the allocator cannot use again."],
    )


def plan_row(
    name: str, one: Found, expected: wan_planned.Expected
) -> tuple[str | float | int, ...]:
    """Of a pass, or whatever the seconds are of."""
    work: tuple[float | str, float | str] = ("-", "-")
    if one.work:
        work = one.work / GIB, one.work / expected.work
    spent = expected.seconds, one.single, one.single / expected.seconds
    weights = expected.weights / GIB, one.weights / GIB
    return (name, *weights, expected.work / GIB, *work, *spent)


def _likeness(case: Case, results: dict[str, Tensor]) -> Table:
    """Of velocities at the real size; in bfloat16 both sides round."""
    wanted = REFERENCE if REFERENCE in results else BF16
    table = Table(f"{case.label}: velocity against {wanted}", COLUMNS, notes=[NOTE])
    for name, found in results.items():
        if name != wanted:
            table.rows.append(compared(name, found, results[wanted]))
    return table
