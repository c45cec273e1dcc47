"""Classifier-free guidance: away from what the negative prompt asks for, towards the prompt."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

from engine.errors import EffectError
from engine.models.samplers import Velocity
from engine.models.schedules import Step

Context = TypeVar("Context")

# The model: latents (R * B, ...), the step, and R contexts, each for B rows in turn.
Predict: TypeAlias = Callable[[Tensor, Step, tuple[Context, ...]], Tensor]


@dataclass(frozen=True, kw_only=True)
class Guidance:
    """How strongly the prompt is followed; `scale` may differ from step to step.

    A list shorter than the run goes on with its last value. At 1 the negative prompt is not asked.
    """

    scale: float | tuple[float, ...] = 5.0
    batched: bool = False  # both prompts in one call: faster for small clips, needs their memory
    fits_negative: bool = False  # CFG-Zero*: the negative is first scaled to fit the positive
    zero_steps: int = 0  # CFG-Zero*: steps at the beginning that leave the latents as they are

    def __post_init__(self) -> None:
        """Refuses an empty list."""
        if self.scale == ():
            raise EffectError("The list of guidance values is empty.", "Give one value at least.")

    def at(self, step: int) -> float:
        """The scale at sampler step `step`."""
        if isinstance(self.scale, tuple):
            return self.scale[min(step, len(self.scale) - 1)]
        return self.scale

    def needs_negative(self, steps: int) -> bool:
        """Whether any of so many steps asks the negative prompt; else it need not be encoded."""
        return any(self.at(step) != 1 for step in range(self.zero_steps, steps))


def guided(
    predict: Predict[Context], positive: Context, negative: Context | None, guidance: Guidance
) -> Velocity:
    """The velocity of `predict` under `guidance`; `negative` may be None where nothing needs it."""

    def velocity(x: Tensor, step: Step) -> Tensor:
        if step.index < guidance.zero_steps:
            return torch.zeros_like(x)
        scale = guidance.at(step.index)
        if scale == 1:
            return predict(x, step, (positive,))
        assert negative is not None, "no negative prompt is encoded"
        if guidance.batched:
            towards, away = predict(torch.cat([x, x]), step, (positive, negative)).float().chunk(2)
        else:
            towards = predict(x, step, (positive,)).float()
            away = predict(x, step, (negative,)).float()
        if guidance.fits_negative:
            away = away * fit(away, towards)
        return away + scale * (towards - away)

    return velocity


def fit(given: Tensor, wanted: Tensor) -> Tensor:
    """The factor per row, (B, 1, ...), that brings `given` nearest to `wanted`.

    Fan et al. 2025 (arXiv 2503.18886), sec. 3.2.
    """
    a, b = given.flatten(1), wanted.flatten(1)
    factor = (a * b).sum(1) / (a.square().sum(1) + 1e-8)
    return factor.view(-1, *[1] * (given.ndim - 1))
