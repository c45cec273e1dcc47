"""TeaCache: steps that would change little are left out, and what the last one added is added.

Liu et al. 2024 (arXiv 2411.19108). How much a step changes is told from the time's embedding. Each
condition of a run (prompt, negative prompt, window) has a state of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

from torch import Tensor

Embedding = Literal["e", "e0"]  # the time's embedding, or its projection to six modulations

# Highest power first, by model and by what is compared.
COEFFICIENTS: Mapping[str, Mapping[Embedding, tuple[float, ...]]] = {
    "wan2.1_t2v_1.3b": {
        "e": (2396.76752, -1311.10545, 201.331979, -8.29855975, 0.137887774),
        "e0": (-52186.2437, 9230.41404, -528.275948, 13.6987616, -0.0499875664),
    },
    "wan2.1_t2v_14b": {
        "e": (-5784.54975374, 5449.50911966, -1811.16591783, 256.27178429, -13.02252404),
        "e0": (-303318.725, 49053.7029, -2655.30556, 58.7365115, -0.315583525),
    },
    "wan2.1_i2v_14b_480p": {
        "e": (-302.331670, 223.948934, -52.5463970, 5.87348440, -0.201973289),
        "e0": (257151.496, -35422.9917, 1402.86849, -13.5890334, 0.132517977),
    },
    "wan2.1_i2v_14b_720p": {
        "e": (-114.36346466, 65.26524496, -18.82220707, 4.91518089, -0.23412683),
        "e0": (8107.05460, 2133.93892, -372.934672, 16.6203073, -0.0417769401),
    },
}


@dataclass(frozen=True, kw_only=True)
class TeaCache:
    """When steps are left out.

    Without coefficients the embedding's own change is counted; a tenth of the usual threshold fits
    then. Steps before `start_step` and after `end_step`, counted from 0, are never left out.
    """

    threshold: float
    coefficients: tuple[float, ...] = ()
    embedding: Embedding = "e"
    start_step: int = 1
    end_step: int | None = None

    def counts(self, step: int) -> bool:
        """Whether a step may be left out, and is compared with the one before."""
        return self.start_step <= step and (self.end_step is None or step <= self.end_step)


@dataclass(frozen=True)
class TeaState:
    """What is known after a step; the default is a run's beginning.

    `residual`: what the blocks added the last time they ran. `delta`: what the last step counted.
    """

    previous: Tensor | None = None
    accumulated: float = 0.0
    delta: float = 0.0
    residual: Tensor | None = None
    skipped: int = 0


def judge(cache: TeaCache, state: TeaState, embedding: Tensor, step: int) -> tuple[bool, TeaState]:
    """Whether the blocks may be left out in this step, and the state that says so."""
    if not cache.counts(step):
        return False, state
    if state.previous is None:
        return False, replace(state, previous=embedding, accumulated=0.0, delta=0.0)
    delta = _weighed(cache.coefficients, change(embedding, state.previous))
    total = state.accumulated + delta
    if is_skipped := total < cache.threshold:
        skipped = state.skipped + 1
        after = replace(state, previous=embedding, accumulated=total, delta=delta, skipped=skipped)
    else:
        after = replace(state, previous=embedding, accumulated=0.0, delta=delta)
    return is_skipped, after


def change(now: Tensor, before: Tensor) -> float:
    """The mean absolute difference, as a part of the mean absolute value before."""
    return float((now - before).abs().mean() / before.abs().mean())


def _weighed(coefficients: tuple[float, ...], x: float) -> float:
    """The polynomial at x, which may be negative; without coefficients x itself."""
    return reduce(lambda sum_, factor: sum_ * x + factor, coefficients, 0.0) if coefficients else x
