"""What every part of the Wan benchmark is given."""

from dataclasses import dataclass

from tests.benchmarks.card_bench import CardBench
from tests.benchmarks.wan_models import Scale


@dataclass(kw_only=True)
class Bench(CardBench):
    """One run."""

    scale: Scale
