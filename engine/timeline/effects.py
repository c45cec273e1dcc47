"""The effect table: families, engines, parameters. Inspector, command line and tests read it."""

from enum import StrEnum
from math import isfinite
from typing import TypeAlias

import msgspec

from engine.errors import EffectError
from engine.timeline.model import EffectUse, new_id

Value: TypeAlias = float | int | str | bool


class ParameterKind(StrEnum):
    NUMBER = "number"  # float
    INTEGER = "integer"
    CHOICE = "choice"
    FLAG = "flag"
    SEED = "seed"  # integer, 0 to 2**31 - 1, with a dice


class Reach(StrEnum):
    """How far the frames of a result depend on one another: it decides the baked units."""

    FRAME = "frame"  # each on itself
    STREAM = "stream"  # a state runs along; restarts on the grid and at cuts
    WHOLE = "whole"  # all frames are made together


class Parameter(msgspec.Struct, frozen=True):
    """One field of an engine. `choices`: (value, label) pairs. `shown_if`: (name, value)."""

    name: str
    label: str
    kind: ParameterKind
    default: Value
    help: str
    minimum: float = 0.0
    maximum: float = 1.0
    step: float = 0.01
    unit: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    advanced: bool = False
    shown_if: tuple[str, str] | None = None


class Engine(msgspec.Struct, frozen=True):
    """One way of doing an effect. `version` rises with any change of its pixels."""

    name: str
    label: str
    note: str  # one plain sentence on what it is and is not
    role: str  # the child that runs it: "media" or "gpu"
    reach: Reach
    version: int
    parameters: tuple[Parameter, ...]
    warm_up: int = 0  # frames before a unit that are computed and dropped

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


def _number(
    name: str,
    label: str,
    default: float,
    low: float,
    high: float,
    help_line: str,
    *,
    step: float = 0.01,
    unit: str = "",
    advanced: bool = False,
    shown_if: tuple[str, str] | None = None,
) -> Parameter:
    return Parameter(
        name,
        label,
        ParameterKind.NUMBER,
        default,
        help_line,
        low,
        high,
        step,
        unit,
        advanced=advanced,
        shown_if=shown_if,
    )


def _integer(
    name: str,
    label: str,
    default: int,
    low: int,
    high: int,
    help_line: str,
    *,
    unit: str = "",
    advanced: bool = False,
    shown_if: tuple[str, str] | None = None,
) -> Parameter:
    return Parameter(
        name,
        label,
        ParameterKind.INTEGER,
        default,
        help_line,
        low,
        high,
        1,
        unit,
        advanced=advanced,
        shown_if=shown_if,
    )


def _choice(
    name: str,
    label: str,
    default: str,
    help_line: str,
    *choices: tuple[str, str],
    advanced: bool = False,
) -> Parameter:
    return Parameter(
        name, label, ParameterKind.CHOICE, default, help_line, choices=choices, advanced=advanced
    )


# Filled in by the effect modules' author; see engine/filters for what each engine computes.
EFFECTS: tuple[EffectKind, ...] = (
    EffectKind(
        "restyle",
        "Restyle",
        "restyle",
        "Redraws the clip in another style.",
        (
            Engine(
                "painterly",
                "Painterly",
                "Brush strokes on the CPU, carried along the motion.",
                "media",
                Reach.STREAM,
                1,
                (
                    _number(
                        "strength", "Strength", 1.0, 0.0, 1.0, "How much of the painting shows."
                    ),
                ),
            ),
        ),
    ),
)


def kind(name: str) -> EffectKind:
    """The family called `name`. Raises EffectError."""
    for one in EFFECTS:
        if one.name == name:
            return one
    raise EffectError(
        f"There is no effect «{name}».", f"There are {', '.join(one.name for one in EFFECTS)}."
    )


def is_known(use: EffectUse) -> bool:
    """Whether this program can compute `use`; a third party's effect is kept but not computed."""
    return any(
        one.name == use.kind and any(engine.name == use.engine for engine in one.engines)
        for one in EFFECTS
    )


def defaults(engine: Engine) -> dict[str, Value]:
    """Every parameter with its default."""
    return {one.name: one.default for one in engine.parameters}


def checked(engine: Engine, values: dict[str, Value]) -> dict[str, Value]:
    """`values` over the defaults, each of its parameter's type and range. Raises EffectError."""
    result = defaults(engine)
    for name, value in values.items():
        result[name] = _checked(engine.parameter(name), value)
    return result


def _checked(parameter: Parameter, value: Value) -> Value:
    match parameter.kind:
        case ParameterKind.FLAG:
            if isinstance(value, bool):
                return value
        case ParameterKind.CHOICE:
            if any(value == choice for choice, _ in parameter.choices):
                return value
            known = ", ".join(choice for choice, _ in parameter.choices)
            raise EffectError(f"{parameter.label} cannot be «{value}».", f"It can be {known}.")
        case ParameterKind.NUMBER | ParameterKind.INTEGER | ParameterKind.SEED:
            if isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value):
                if parameter.minimum <= value <= parameter.maximum:
                    if parameter.kind is ParameterKind.NUMBER:
                        return float(value)
                    if value == int(value):
                        return int(value)
                raise EffectError(
                    f"{parameter.label} cannot be {value:g}.",
                    f"It goes from {parameter.minimum:g} to {parameter.maximum:g}"
                    + ("." if parameter.kind is ParameterKind.NUMBER else " in whole numbers."),
                )
    raise EffectError(f"{parameter.label} cannot be «{value}».", f"It is a {parameter.kind}.")


def parsed(parameter: Parameter, text: str) -> Value:
    """The value written as `text` on a command line. Raises EffectError."""
    if parameter.kind is ParameterKind.CHOICE:
        return _checked(parameter, text)
    if parameter.kind is ParameterKind.FLAG:
        words = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        if text.lower() in words:
            return words[text.lower()]
        raise EffectError(f"{parameter.label} cannot be «{text}».", "It is on or off.")
    try:
        number = float(text)
    except ValueError:
        raise EffectError(f"{parameter.label} cannot be «{text}».", "It is a number.") from None
    return _checked(parameter, number)


def new_use(
    kind_name: str, engine_name: str = "", values: dict[str, Value] | None = None
) -> EffectUse:
    """A use of an effect with every value spelled out."""
    engine = kind(kind_name).engine(engine_name)
    return EffectUse(new_id(), kind_name, engine.name, checked(engine, values or {}))
