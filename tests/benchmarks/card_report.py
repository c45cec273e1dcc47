"""What a benchmark on a card found: tables printed as they come, and all of it as JSON."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.table import Table

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Goal:
    """A figure that is held against a wish on one H200."""

    label: str
    wanted: str


@dataclass(frozen=True)
class Suite:
    """What is measured of one model. `file`: the name of the JSON; goals by their keys."""

    title: str
    file: str
    goals: Mapping[str, Goal]


class Clock:
    """The time that a run may take in all."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes

    @property
    def left(self) -> float:
        """Seconds, never less than none."""
        return max(0.0, self._end - time.monotonic())

    def fits(self, seconds: float) -> bool:
        """Whether so much is left."""
        return seconds <= self.left


class Report:
    """Tables, figures and samples by part. What is in the folder's file already is kept.

    The file is written anew after every table, so that a run that is cut off leaves what it has.
    """

    def __init__(self, suite: Suite, folder: Path | None, is_quiet: bool = False) -> None:
        self._suite = suite
        self._file = None if folder is None else folder / suite.file
        self._is_quiet = is_quiet
        self._part = ""
        self.content: dict[str, Any] = {"machine": {}, "goals": {}, "parts": {}, "samples": {}}
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self.reload()

    def reload(self) -> None:
        """Takes what the file has now."""
        if self._file is not None and self._file.exists():
            self.content = json.loads(self._file.read_text("utf-8"))

    def machine(self, facts: dict[str, Any]) -> None:
        """On what all of this was measured."""
        self.content["machine"].update(facts)
        self._write()

    def begin(self, part: str) -> None:
        """What comes from here on belongs to a part; what an earlier run had of it is dropped."""
        self._part = part
        card = self.content["machine"].get("card", "")
        state = {"state": "begun", "why": "", "seconds": 0.0, "card": card, "tables": []}
        self.content["parts"][part] = state
        self.say(f"## {part}\n")

    def end(self, state: str, why: str, seconds: float) -> None:
        """measured, left out, or failed."""
        self.content["parts"][self._part].update(state=state, why=why, seconds=round(seconds, 2))
        self.say(f"{self._part}: {state}{': ' if why else ''}{why} ({seconds:.1f} s)\n")
        self._write()

    def show(self, table: Table) -> None:
        """A finished table."""
        self.content["parts"][self._part]["tables"].append(asdict(table))
        self.say(f"{table.text()}\n")
        self._write()

    def found(self, goal: str, value: float) -> None:
        """A figure of the suite's goals."""
        assert goal in self._suite.goals, goal
        self.content["goals"][goal] = value
        self._write()

    def samples(self, label: str, values: Sequence[float]) -> None:
        """Every repeat of a measurement, in its own unit."""
        self.content["samples"][f"{self._part}: {label}"] = list(values)

    def say(self, text: str) -> None:
        """A line at once: what comes late may be lost."""
        if not self._is_quiet:
            print(text, flush=True)

    def goals(self, is_card: bool) -> Table:
        """The figures against their goals; what no card has run says so."""
        table = Table(
            f"{self._suite.title}: goals on one H200",
            ("Figure", "Goal", "On a card", "On the CPU at tiny size"),
            bar="the second column.",
        )
        for name, goal in self._suite.goals.items():
            value = self.content["goals"].get(name, NOT_MEASURED)
            card, cpu = (value, NOT_MEASURED) if is_card else (NOT_MEASURED, value)
            table.rows.append((goal.label, goal.wanted, card, cpu))
        for name, part in self.content["parts"].items():
            if part["state"] != "measured":
                table.notes.append(f"{name}: {part['state']}. {part['why']}")
        return table

    def _write(self) -> None:
        if self._file is not None:
            beside = self._file.with_suffix(".part")
            beside.write_text(json.dumps(self.content, indent=1), "utf-8")
            beside.replace(self._file)
