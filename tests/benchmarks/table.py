"""What a benchmark found: rows of figures and ratios, printed or as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Table:
    """`rows` have one value a column; `bar` says what the last column is held against."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str | float | int, ...]] = field(default_factory=list)
    bar: str = ""
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The table in Markdown, as RESULTS.md keeps it."""
        lines = [f"### {self.title}", "", _line(self.columns), _line(["---"] * len(self.columns))]
        lines += [_line([_shown(value) for value in row]) for row in self.rows]
        if self.bar:
            lines += ["", f"Bar: {self.bar}"]
        lines += [f"\n{note}" for note in self.notes]
        return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


class Unavailable(Exception):
    """A sentence: what the measurement needs and this machine does not have."""
