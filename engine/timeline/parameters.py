"""The parameters of effects: what a field is, which values it takes, how they are written."""

from collections.abc import Mapping
from enum import StrEnum
from math import isfinite
from typing import TypeAlias

import msgspec

from engine.errors import EffectError

Value: TypeAlias = float | int | str | bool
ShownIf: TypeAlias = tuple[str, tuple[Value, ...]]

MOST_LETTERS = 20_000
WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class ParameterKind(StrEnum):
    NUMBER = "number"  # float
    INTEGER = "integer"
    CHOICE = "choice"
    FLAG = "flag"
    SEED = "seed"  # integer, 0 to 2**31 - 1, with a dice
    TEXT = "text"  # words, up to MOST_LETTERS
    LORAS = "loras"  # text: a line for each, as engine.lora_words reads it


class Parameter(msgspec.Struct, frozen=True):
    """One field of an engine. `choices`: (value, label) pairs.

    `shown_if`: another field, and the values of it with which this one counts.
    A number with the unit "%" goes from 0 to 100 (or more), not from 0 to 1. The `step` of a text
    is how many lines its field shows.
    """

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
    shown_if: ShownIf | None = None

    def counts(self, values: Mapping[str, Value]) -> bool:
        """Whether the field counts beside the other `values`."""
        return self.shown_if is None or values.get(self.shown_if[0]) in self.shown_if[1]


def number(
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
    shown_if: ShownIf | None = None,
) -> Parameter:
    """A field for a number with a fraction."""
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


def percent(
    name: str,
    label: str,
    default: float,
    help_line: str,
    *,
    high: float = 100.0,
    advanced: bool = False,
    shown_if: ShownIf | None = None,
) -> Parameter:
    """A field from 0 to 100 % (or `high`), in steps of 1 %."""
    return number(
        name,
        label,
        default,
        0.0,
        high,
        help_line,
        step=1.0,
        unit="%",
        advanced=advanced,
        shown_if=shown_if,
    )


def integer(
    name: str,
    label: str,
    default: int,
    low: int,
    high: int,
    help_line: str,
    *,
    unit: str = "",
    advanced: bool = False,
    shown_if: ShownIf | None = None,
) -> Parameter:
    """A field for a whole number."""
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


def choice(
    name: str,
    label: str,
    default: str,
    help_line: str,
    *choices: tuple[str, str],
    advanced: bool = False,
    shown_if: ShownIf | None = None,
) -> Parameter:
    """A field with a fixed list of values."""
    return Parameter(
        name,
        label,
        ParameterKind.CHOICE,
        default,
        help_line,
        choices=choices,
        advanced=advanced,
        shown_if=shown_if,
    )


def flag(
    name: str,
    label: str,
    default: bool,
    help_line: str,
    *,
    advanced: bool = False,
    shown_if: ShownIf | None = None,
) -> Parameter:
    """A field that is on or off."""
    return Parameter(
        name,
        label,
        ParameterKind.FLAG,
        default,
        help_line,
        advanced=advanced,
        shown_if=shown_if,
    )


def seed(help_line: str) -> Parameter:
    """The field for the number that chance starts from."""
    return Parameter(
        "seed",
        "Seed",
        ParameterKind.SEED,
        0,
        help_line,
        0,
        2**31 - 1,
        1,
        advanced=True,
    )


def text(
    name: str, label: str, default: str, help_line: str, *, lines: int = 1, advanced: bool = False
) -> Parameter:
    """A field for words, so many `lines` high."""
    return Parameter(
        name, label, ParameterKind.TEXT, default, help_line, step=lines, advanced=advanced
    )


def checked_value(parameter: Parameter, value: Value) -> Value:
    """`value` in the parameter's type. Raises EffectError for another type or out of range."""
    match parameter.kind:
        case ParameterKind.FLAG:
            if isinstance(value, bool):
                return value
        case ParameterKind.TEXT | ParameterKind.LORAS:
            if isinstance(value, str) and len(value) <= MOST_LETTERS:
                return value
            if isinstance(value, str):
                raise EffectError(
                    f"{parameter.label} has {len(value):,} letters.",
                    f"It takes {MOST_LETTERS:,}: shorten it.",
                )
        case ParameterKind.CHOICE:
            if any(value == one for one, _ in parameter.choices):
                return value
            known = ", ".join(one for one, _ in parameter.choices)
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
    if parameter.kind in (ParameterKind.CHOICE, ParameterKind.TEXT, ParameterKind.LORAS):
        return checked_value(parameter, text)
    if parameter.kind is ParameterKind.FLAG:
        if text.lower() in WORDS:
            return WORDS[text.lower()]
        raise EffectError(f"{parameter.label} cannot be «{text}».", "It is on or off.")
    try:
        value = float(text)
    except ValueError:
        raise EffectError(f"{parameter.label} cannot be «{text}».", "It is a number.") from None
    return checked_value(parameter, value)
