"""Solvers of the flow from noise to clean latents, as functions of a velocity and a schedule.

Every solver calls `velocity(latents, step)` once a step: noise - clean, as the model sees it. After
each step it gives `after` a `State`, from which it can go on later with the same result; `after`
may raise `Cancelled`. Scalars are worked out on the host in float64, so a step waits for no card.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, expm1, inf, isinf, log, sqrt
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from engine.errors import EffectError
from engine.models.schedules import Schedule, Step

Velocity: TypeAlias = Callable[[Tensor, Step], Tensor]
Fresh: TypeAlias = Callable[[int], Tensor]  # noise for the step of that number


@dataclass(frozen=True)
class State:
    """Where a run is between two steps: all that its solver needs to go on."""

    latents: Tensor
    done: int = 0  # finished steps
    history: tuple[Tensor, ...] = ()
    clean: Tensor | None = None  # the last step's guess of the clean latents, for a preview

    def tensors(self) -> dict[str, Tensor]:
        """Plain tensors to save; the preview is not among them."""
        kept = {f"history.{i}": tensor for i, tensor in enumerate(self.history)}
        return {"latents": self.latents, "done": torch.tensor(self.done), **kept}

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> "State":
        """The state that `tensors` were saved from."""
        history = tuple(tensors[f"history.{i}"] for i in range(len(tensors) - 2))
        return cls(tensors["latents"], int(tensors["done"]), history)


After: TypeAlias = Callable[[State], None]


def unheard(state: State) -> None:
    """Nobody hears of the step."""


def sample_euler(
    velocity: Velocity, x: Tensor | State, schedule: Schedule, after: After = unheard
) -> Tensor:
    """Euler steps along the velocity. x: any shape, or the state to go on from.

    On a distilled model's own list of steps it is that model's published sampler: the guess of the
    clean latents, brought to the next level along the same velocity.
    """

    def advance(now: _Now) -> _Advanced:
        return now.x + (now.step.following - now.step.sigma) * now.v, ()

    return _run(velocity, x, schedule, after, advance)


def sample_lcm(
    velocity: Velocity, x: Tensor | State, schedule: Schedule, noise: Fresh, after: After = unheard
) -> Tensor:
    """Each step guesses the clean latents and adds fresh noise: Luo et al. 2023 (2310.04378)."""

    def advance(now: _Now) -> _Advanced:
        following = now.step.following
        if following == 0:
            return now.clean, ()
        return (1 - following) * now.clean + following * noise(now.step.index), ()

    return _run(velocity, x, schedule, after, advance)


def sample_dpm(
    velocity: Velocity,
    x: Tensor | State,
    schedule: Schedule,
    after: After = unheard,
    noise: Fresh | None = None,
) -> Tensor:
    """DPM-Solver++(2M), midpoint: Lu et al. 2022 (arXiv 2211.01095); with `noise`, its SDE.

    Of the first order on the first step, and where the last level is 0.
    """
    lambdas = _lambdas(schedule)

    def advance(now: _Now) -> _Advanced:
        i, sigma, following = now.step.index, now.step.sigma, now.step.following
        h = lambdas[i + 1] - lambdas[i]
        keep = following / sigma * (1 if noise is None else exp(-h))
        gain = -(1 - following) * expm1(-h if noise is None else -2 * h)
        terms = [(keep, now.x), (gain, now.clean)]
        if now.history and following > 0:
            slope = gain * 0.5 * h / (lambdas[i] - lambdas[i - 1])  # 0 after a level of 1
            terms = [(keep, now.x), (gain + slope, now.clean), (-slope, now.history[0])]
        if noise is not None and following > 0:
            terms.append((following * sqrt(-expm1(-2 * h)), noise(i)))
        return _mixed(terms), (now.clean,)

    return _run(velocity, x, schedule, after, advance)


def sample_unipc(
    velocity: Velocity,
    x: Tensor | State,
    schedule: Schedule,
    after: After = unheard,
    *,
    order: int = 2,
    kind: Literal["bh1", "bh2"] = "bh2",
    corrects: bool = True,
    lowers_last: bool = True,
) -> Tensor:
    """UniPC, predicting clean latents: Zhao et al. 2023 (arXiv 2302.04867), algorithms 5 and 6.

    Every step but the first first redoes the one before with the guess it led to (`corrects`).
    The order begins at 1, and with `lowers_last` falls to 1 again at the end.
    """
    if order < 1:
        raise EffectError(f"UniPC has no order {order}.", "Choose 1, 2 or 3.")
    lambdas = _lambdas(schedule)
    orders = [_unipc_order(lambdas, i, order, lowers_last) for i in range(len(schedule))]

    def advance(now: _Now) -> _Advanced:
        i = now.step.index
        before, *guesses = now.history or (now.x,)
        start = now.x
        if i > 0 and corrects:
            shares = _unipc_shares(schedule, lambdas, i - 1, orders[i - 1], kind, corrects=True)
            known = [before, *guesses[: orders[i - 1]], now.clean]
            start = _mixed(list(zip(shares, known, strict=True)))
        guesses = [now.clean, *guesses][:order]
        shares = _unipc_shares(schedule, lambdas, i, orders[i], kind, corrects=False)
        known = [start, *guesses[: orders[i]]]
        return _mixed(list(zip(shares, known, strict=True))), (start, *guesses)

    return _run(velocity, x, schedule, after, advance)


SAMPLERS: dict[str, str] = {  # each sampler, and the table of schedules that is published with it
    "unipc": "unipc",
    "dpm++": "dpm++",
    "dpm++_sde": "dpm++",
    "euler": "euler",
    "lcm": "euler",
}


def sample(
    name: str,
    velocity: Velocity,
    x: Tensor | State,
    schedule: Schedule,
    noise: Fresh,
    after: After = unheard,
) -> Tensor:
    """Run the sampler called `name` (see SAMPLERS); `noise` is asked by those that add it."""
    match name:
        case "unipc":
            return sample_unipc(velocity, x, schedule, after)
        case "dpm++":
            return sample_dpm(velocity, x, schedule, after)
        case "dpm++_sde":
            return sample_dpm(velocity, x, schedule, after, noise)
        case "euler":
            return sample_euler(velocity, x, schedule, after)
        case "lcm":
            return sample_lcm(velocity, x, schedule, noise, after)
    raise EffectError(
        f"No sampler is called {name!r}.", f"There are: {', '.join(sorted(SAMPLERS))}."
    )


@dataclass(frozen=True)
class _Now:
    """What a solver knows when the velocity `v` of a step has come."""

    step: Step
    x: Tensor
    v: Tensor
    clean: Tensor
    history: tuple[Tensor, ...]


_Advanced: TypeAlias = tuple[Tensor, tuple[Tensor, ...]]  # the next latents, and what to remember


def _run(
    velocity: Velocity,
    x: Tensor | State,
    schedule: Schedule,
    after: After,
    advance: Callable[[_Now], _Advanced],
) -> Tensor:
    state = x if isinstance(x, State) else State(x)
    for i in range(state.done, len(schedule)):
        step = schedule.step(i)
        v = velocity(state.latents, step).to(state.latents)
        clean = state.latents - step.sigma * v
        latents, history = advance(_Now(step, state.latents, v, clean, state.history))
        state = State(latents, i + 1, history, clean)
        after(state)
    return state.latents


def _mixed(terms: list[tuple[float, Tensor]]) -> Tensor:
    """The sum of tensors, each times its number."""
    share, tensor = terms[0]
    total = share * tensor
    for share, tensor in terms[1:]:
        total = total.add(tensor, alpha=share)
    return total


def _lambdas(schedule: Schedule) -> list[float]:
    """Half the logarithmic ratio of signal to noise at every level: -inf at 1, inf at 0."""

    def of(sigma: float) -> float:
        if sigma >= 1:
            return -inf
        return log((1 - sigma) / sigma) if sigma > 0 else inf

    return [of(sigma) for sigma in schedule.sigmas]


def _unipc_order(lambdas: list[float], i: int, order: int, lowers_last: bool) -> int:
    """The order of step i: no higher than what it can look back on at finite levels."""
    steps = len(lambdas) - 1
    if isinf(lambdas[i + 1]):
        return 1
    finite = sum(not isinf(value) for value in lambdas[: i + 1])
    return max(1, min(order, finite, steps - i if lowers_last else order))


def _unipc_shares(
    schedule: Schedule, lambdas: list[float], i: int, order: int, kind: str, corrects: bool
) -> list[float]:
    """What step i takes of its start, of the guesses at i, i - 1, … and, to correct, at i + 1."""
    sigma, following = schedule.sigmas[i : i + 2]
    h = lambdas[i + 1] - lambdas[i]
    phi = expm1(-h)
    base = -h if kind == "bh1" and not isinf(h) else phi
    ratios = [(lambdas[i - k] - lambdas[i]) / h for k in range(1, order)]
    rhos = _unipc_rhos([*ratios, 1.0], h, base, order if corrects else order - 1)
    gain = (1 - following) * base
    slopes = [gain * rho / ratio for rho, ratio in zip(rhos, [*ratios, 1.0], strict=False)]
    of_guess = -(1 - following) * phi + sum(slopes)
    return [following / sigma, of_guess, *(-slope for slope in slopes)]


def _unipc_rhos(ratios: list[float], h: float, base: float, count: int) -> list[float]:
    """The weights of `count` differences; one alone is given half, as published."""
    if count < 2:
        return [0.5] * count
    part = expm1(-h) / -h - 1
    rows, sides, factorial = [], [], 1
    for k in range(count):
        factorial *= k + 1
        rows.append([ratio**k for ratio in ratios[:count]])
        sides.append(part * factorial / base)
        part = part / -h - 1 / (factorial * (k + 2))
    return [float(rho) for rho in np.linalg.solve(np.array(rows), np.array(sides))]
