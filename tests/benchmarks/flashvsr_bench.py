"""What every part of the FlashVSR benchmark is given."""

from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.card_bench import CardBench
from tests.benchmarks.flashvsr_models import Scale


@dataclass(kw_only=True)
class Bench(CardBench):
    """One run. `frames`: of the long clip; `reference`: a folder with the published code."""

    scale: Scale
    frames: int
    reference: Path | None = None
    pace: float = 1e-7  # seconds a pixel and frame for the slowest visit to a clip, so far
