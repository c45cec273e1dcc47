"""What the FlashVSR benchmark found: tables printed as they come, and all of it as JSON."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.table import Table

FILE = "flashvsr.json"
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Goal:
    """A figure that is held against a wish on one H200."""

    label: str
    wanted: str


GOALS = {
    "fps_bf16": Goal("Frames per second, 768x1408, bf16", "at least 60"),
    "fps_fp8": Goal("Frames per second, 768x1408, fp8 linears", "at least 72"),
    "peak_gib": Goal("Peak memory, 768x1408, bf16, GiB", "at most 9"),
    "peak_long_gib": Goal("Peak memory over the long clip, GiB", "at most 9"),
    "growth_long_mib": Goal("Growth of the peak over the long clip, MiB", "0"),
    "sparse_tflops": Goal("Sparse kernel, TFLOP/s on kept blocks", "at least 420"),
    "video_share": Goal("Speed with video in and out, part of the model's alone", "at least 0.95"),
    "psnr_bf16": Goal("Fused bf16 against plain float32, latents, PSNR dB", "stated"),
    "reference_ratio": Goal("Time of the published code / ours, 768x1408", "at least 1.7"),
    "reference_psnr": Goal("Ours against the published code, latents, PSNR dB", "at least 49"),
}


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

    def __init__(self, folder: Path | None, is_quiet: bool = False) -> None:
        self._file = None if folder is None else folder / FILE
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
        """A figure of GOALS."""
        assert goal in GOALS, goal
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
            "FlashVSR: goals on one H200",
            ("Figure", "Goal", "On a card", "On the CPU at tiny size"),
            bar="the second column.",
        )
        for name, goal in GOALS.items():
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
