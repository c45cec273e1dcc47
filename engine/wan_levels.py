"""The noise levels of Wan's runs as panels draw them, in plain numbers."""

from collections.abc import Sequence

_TRAINED = 1000
_OF_SCHEDULER = {
    "unipc": "unipc",
    "dpm++": "dpm++",
    "dpm++_sde": "dpm++",
    "euler": "euler",
    "lcm": "euler",
    "flowmatch_distill": "euler",
}


def levels(scheduler: str, table: str, steps: int, shift: float) -> tuple[float, ...]:
    """The share of noise before each step and, 0, after the last; as engine.models.schedules."""
    name = _OF_SCHEDULER.get(scheduler, "euler") if table == "auto" else table
    even = [1 - i / steps for i in range(steps)]
    match name:
        case "unipc":
            even = [0.999 * one for one in even]
        case "euler_endpoint":
            least = _shifted(1 / _TRAINED, shift)
            even = [1 - i / max(1, steps - 1) * (1 - least) for i in range(steps)]
        case "simple":
            even = [(_TRAINED - int(i * (_TRAINED / steps))) / _TRAINED for i in range(steps)]
        case _:
            pass
    return (*(_shifted(one, shift) for one in even), 0.0)


def listed_levels(timesteps: Sequence[float], shift: float) -> tuple[float, ...]:
    """The same of a list of timesteps before the shift: 1000, 750, …"""
    return (*(_shifted(one / _TRAINED, shift) for one in timesteps), 0.0)


def _shifted(level: float, shift: float) -> float:
    return shift * level / (1 + (shift - 1) * level)
