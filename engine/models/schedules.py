"""The noise levels of a run and what the model is told of each: the published flow tables.

A sigma is the share of noise, 1 to 0: latents = sigma * noise + (1 - sigma) * clean. Tables are
made in float64 and rounded to float32, as the published code keeps them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.errors import EffectError

TRAINED_STEPS = 1000  # timesteps run from 1000 (noise) to 0
UNIPC_TOP = float(np.float32(0.999))  # the first level of UniPC's table, before the shift


@dataclass(frozen=True)
class Step:
    """One step of a run: `index` of `count`, from `sigma` to `following`."""

    index: int
    count: int
    sigma: float
    following: float
    timestep: float  # what the model is told, 0..1000; some schedules cut it to a whole number


@dataclass(frozen=True)
class Schedule:
    """The levels between the steps of a run, one more than steps, and each step's timestep."""

    sigmas: tuple[float, ...]
    timesteps: tuple[float, ...]

    def __post_init__(self) -> None:
        """Holds the parts to one another."""
        assert len(self.sigmas) == len(self.timesteps) + 1

    def __len__(self) -> int:
        """How many steps."""
        return len(self.timesteps)

    def step(self, index: int) -> Step:
        """Step number `index`, from 0."""
        sigma, following = self.sigmas[index : index + 2]
        return Step(index, len(self), sigma, following, self.timesteps[index])

    def between(self, start: int, end: int | None = None) -> "Schedule":
        """Steps `start` to before `end`; a run that ends early leaves noise in its latents."""
        end = len(self) if end is None else min(end, len(self))
        if not 0 <= start <= end:
            raise EffectError(
                f"A run of {len(self)} steps cannot go from step {start} to step {end}.",
                "The first step must be 0 or more and not after the last.",
            )
        return Schedule(self.sigmas[start : end + 1], self.timesteps[start:end])


def shifted(sigma: float, shift: float) -> float:
    """The level that `sigma` becomes: a shift above 1 spends more steps on high noise."""
    return shift * sigma / (1 + (shift - 1) * sigma)


def unipc_schedule(steps: int, shift: float, top: float = UNIPC_TOP) -> Schedule:
    """UniPC's table, as Wan publishes it: whole timesteps, from `top`, which is not yet shifted."""
    return _shifted_down(np.linspace(top, 0, steps + 1)[:-1], shift, whole=True)


def dpm_schedule(steps: int, shift: float) -> Schedule:
    """DPM-Solver++'s table, as Wan publishes it: whole timesteps, from pure noise."""
    return _shifted_down(np.linspace(1, 0, steps + 1)[:-1], shift, whole=True)


def euler_schedule(steps: int, shift: float) -> Schedule:
    """The levels of DPM-Solver++ with the timesteps that belong to them."""
    return _shifted_down(np.linspace(1, 0, steps + 1)[:-1], shift)


def endpoint_schedule(steps: int, shift: float) -> Schedule:
    """Diffusers' table, which reaches the smallest trained level before 0 and shifts it twice."""
    smallest = shifted(1 / TRAINED_STEPS, shift)
    return _shifted_down(np.linspace(1, smallest, steps), shift)


def simple_schedule(steps: int, shift: float) -> Schedule:
    """ComfyUI's "simple": evenly from the trained levels, rounded up to one of them."""
    skipped = np.array([int(i * (TRAINED_STEPS / steps)) for i in range(steps)])
    return _shifted_down((TRAINED_STEPS - skipped) / TRAINED_STEPS, shift)


def listed_schedule(timesteps: Sequence[float], shift: float) -> Schedule:
    """The steps that a distilled model learned, as timesteps before the shift: 1000, 750, …"""
    falls = all(a > b for a, b in pairwise([*timesteps, 0]))
    if not timesteps or not falls or timesteps[0] > TRAINED_STEPS:
        raise EffectError(
            f"The list of steps {', '.join(f'{t:g}' for t in timesteps) or '(empty)'} is no run.",
            f"It must fall, from {TRAINED_STEPS} at most and to more than 0.",
        )
    return _shifted_down(np.asarray(timesteps, np.float64) / TRAINED_STEPS, shift)


TABLES: dict[str, Callable[[int, float], Schedule]] = {
    "unipc": unipc_schedule,
    "dpm++": dpm_schedule,
    "euler": euler_schedule,
    "euler_endpoint": endpoint_schedule,
    "simple": simple_schedule,
}


def flow_schedule(table: str, steps: int, shift: float) -> Schedule:
    """The table called `table` (see TABLES). Raises EffectError for what gives no table."""
    if table not in TABLES:
        raise EffectError(
            f"No schedule is called {table!r}.", f"There are: {', '.join(sorted(TABLES))}."
        )
    if not 1 <= steps <= TRAINED_STEPS:
        raise EffectError(
            f"A run of {steps} steps is not possible.", f"Choose 1 to {TRAINED_STEPS} steps."
        )
    if not shift > 0:
        raise EffectError(f"A shift of {shift:g} is not possible.", "It must be more than 0.")
    return TABLES[table](steps, shift)


def strength_steps(steps: int, strength: float) -> tuple[int, int]:
    """How long the table must be, and the first step kept, to repaint a clip by `strength`.

    Exactly round(steps * strength) of `steps` are kept: 1 begins at noise, 0 keeps the clip.
    """
    _check_strength(strength)
    return steps, steps - round(steps * strength)


def stretched_strength_steps(steps: int, strength: float) -> tuple[int, int]:
    """The same by a longer table, so that about `steps` are left, and one more.

    Source: WanVideoWrapper of March 2025. A strength of 0 keeps nothing.
    """
    _check_strength(strength)
    if strength == 0:
        return steps, steps
    longer = int(steps / strength)
    return longer, max(0, longer - int(longer * strength) - 1)


def later_strength_steps(steps: int, strength: float) -> tuple[int, int]:
    """The same, keeping one step more than asked. Source: WanVideoWrapper since then."""
    _check_strength(strength)
    return steps, max(0, steps - int(steps * strength) - 1)


def _check_strength(strength: float) -> None:
    if not 0 <= strength <= 1:
        raise EffectError(f"A strength of {strength:g} is not possible.", "Choose 0 to 1.")


def _shifted_down(levels: NDArray[np.float64], shift: float, whole: bool = False) -> Schedule:
    """The schedule of `levels`, which fall and are not yet shifted, and then 0."""
    sigmas = shift * levels / (1 + (shift - 1) * levels)
    timesteps = sigmas * TRAINED_STEPS
    told = np.trunc(timesteps) if whole else timesteps.astype(np.float32)
    return Schedule((*map(float, sigmas.astype(np.float32)), 0.0), tuple(map(float, told)))
