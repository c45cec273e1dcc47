"""Recorded schedules and runs of Wan's solvers on a model that is a formula."""

from math import sin

import torch
from torch import Tensor

from engine.models.noise import noised
from engine.models.samplers import SAMPLERS, State, Velocity, sample, sample_euler, sample_unipc
from engine.models.schedules import (
    TABLES,
    TRAINED_STEPS,
    UNIPC_TOP,
    Step,
    flow_schedule,
    later_strength_steps,
    listed_schedule,
    shifted,
    stretched_strength_steps,
    unipc_schedule,
)
from tests.golden.case import Case
from tests.golden.registry import runs


@runs("wan_schedule_tables")
def run_tables(case: Case) -> dict[str, Tensor]:
    """Every table, at every shift and number of steps."""
    outputs = {}
    for table in TABLES:
        for shift in case.config["shifts"]:
            for steps in case.config["steps"]:
                schedule = flow_schedule(table, steps, shift)
                name = f"{table}_s{shift}_n{steps}"
                outputs[f"{name}_sigmas"] = torch.tensor(schedule.sigmas)
                outputs[f"{name}_timesteps"] = torch.tensor(schedule.timesteps)
    return outputs


@runs("wan_solver_trajectories")
def run_trajectories(case: Case) -> dict[str, Tensor]:
    """The latents after every step."""
    noises = case.inputs["noises"]
    velocity = formula(case.inputs["c"])
    outputs = {}
    for solver in case.config["solvers"]:
        for shift in case.config["shifts"]:
            steps = case.config["steps"]
            schedule = flow_schedule(SAMPLERS[solver], steps, shift)
            states: list[State] = []
            x = case.inputs["x"]
            sample(solver, velocity, x, schedule, lambda i: noises[i], states.append)
            outputs[f"{solver}_s{shift}_n{steps}"] = torch.stack([s.latents for s in states])
    return outputs


@runs("wan_step_distill")
def run_distilled(case: Case) -> dict[str, Tensor]:
    """The published list of steps."""
    schedule = listed_schedule(case.config["steps"], case.config["shift"])
    states: list[State] = []
    sample_euler(formula(case.inputs["c"]), case.inputs["x"], schedule, states.append)
    return {
        "sigmas": torch.tensor(schedule.sigmas[:-1]),
        "timesteps": torch.tensor(schedule.timesteps),
        "trajectory": torch.stack([state.latents for state in states]),
    }


@runs("wan_v2v")
def run_v2v(case: Case) -> dict[str, Tensor]:
    """Both recorded rules; the shift was used twice on the first level, and noise by timestep."""
    steps, strength, shift = (case.config[name] for name in ("steps", "denoise", "shift"))
    top = shifted(UNIPC_TOP, shift)
    longer, first = stretched_strength_steps(steps, strength)
    kept = unipc_schedule(longer, shift, top).between(first)
    level = kept.timesteps[0] / TRAINED_STEPS
    start = noised(case.inputs["clean"], case.inputs["noise"], level)
    later = unipc_schedule(steps, shift, top).between(later_strength_steps(steps, strength)[1])
    return {
        "timesteps": torch.tensor(kept.timesteps),
        "start": start,
        "result": sample_unipc(formula(case.inputs["c"]), start, kept),
        "newer_timesteps": torch.tensor(later.timesteps),
        "newer_sigmas": torch.tensor(later.sigmas),
    }


def formula(constant: Tensor) -> Velocity:
    """The model of the cases: 0.6 x - 0.3 x, one column on, + 0.2 sin(t / 150) c."""

    def velocity(x: Tensor, step: Step) -> Tensor:
        return 0.6 * x - 0.3 * x.roll(1, -1) + 0.2 * sin(step.timestep / 150) * constant

    return velocity
