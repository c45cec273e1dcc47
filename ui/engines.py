"""What keeps an engine of an effect from running here, as the panels show it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class EngineState:
    """`reason`: «needs an NVIDIA card», then it cannot be chosen. `get`: «Get 6.9 GB», then it
    lacks weights, as the sentence `lacks` says."""

    reason: str = ""
    get: str = ""
    lacks: str = ""


EngineStates = Mapping[str, EngineState]  # by the engine's name; it runs where there is none
