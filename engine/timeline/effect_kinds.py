"""What an effect is: families, engines, and how far the frames of a result depend on others."""

from enum import StrEnum

import msgspec

from engine.errors import EffectError
from engine.timeline.parameters import Parameter


class Reach(StrEnum):
    """How far the frames of a result depend on one another: it decides the baked units."""

    FRAME = "frame"  # each on itself
    STREAM = "stream"  # a state runs along; restarts on the grid and at cuts
    WHOLE = "whole"  # all frames are made together


class Engine(msgspec.Struct, frozen=True):
    """One way of doing an effect. `version` rises with any change of its pixels.

    `means`: parameters that change how it is done and no pixel.
    """

    name: str
    label: str
    note: str  # one plain sentence on what it is and is not
    role: str  # the child that runs it: "media" or "gpu"
    reach: Reach
    version: int
    parameters: tuple[Parameter, ...]
    warm_up: int = 0  # frames before a unit that are computed and dropped
    family: str = ""  # of weights that it needs (engine.library.catalog), "" for none
    mode: str = ""  # of that family
    means: tuple[str, ...] = ()

    def parameter(self, name: str) -> Parameter:
        for one in self.parameters:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self.parameters)
        raise EffectError(f"{self.label} has no parameter «{name}».", f"It has {known}.")


class EffectKind(msgspec.Struct, frozen=True):
    """A family of engines that do one thing for the person."""

    name: str
    label: str
    icon: str
    help: str
    engines: tuple[Engine, ...]  # the default one first

    def engine(self, name: str = "") -> Engine:
        """The named engine, or the default one."""
        if not name:
            return self.engines[0]
        for one in self.engines:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self.engines)
        raise EffectError(f"{self.label} has no engine «{name}».", f"It has {known}.")
