"""Files that were distilled to few steps without guidance, and how they are meant to be run.

The distilled models of lightx2v have the tensors of any other; only what a file is called, or says
of itself, tells them, and the number of steps with them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

STEPS, SHIFT, GUIDANCE = 4, 5.0, 1.0
MOST_STEPS = 16  # a larger number in a name counts the steps of a training
_WORDS = re.compile(r"lightx2v|lightning|(?:step|cfg)[ _.-]?distill", re.IGNORECASE)
_COUNT = re.compile(r"(?<![0-9])([0-9]{1,2})[ _-]?steps?(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Distilled:
    """How a distilled model is run: sampled by Euler's method over the shifted times."""

    file: str
    steps: int = STEPS
    shift: float = SHIFT
    guidance: float = GUIDANCE

    def sentence(self) -> str:
        """What a person is told about settings that were not theirs."""
        return (
            f"{self.file} is distilled: {self.steps} steps, shift {self.shift:g}, "
            f"guidance {self.guidance:g}."
        )


def distilled(file: str, notes: Iterable[str] = ()) -> Distilled | None:
    """How a LoRA or checkpoint is run, where its name or the notes in its header say so."""
    texts = [file, *notes]
    if not any(_WORDS.search(text) for text in texts):
        return None
    counts = [int(found[1]) for text in texts for found in _COUNT.finditer(text)]
    counts = [count for count in counts if 0 < count <= MOST_STEPS]
    return Distilled(file, counts[0] if counts else STEPS)
