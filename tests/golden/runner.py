"""Runs recorded cases and says by how much each output is off."""

import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf, nan
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.golden.case import Case, read_case
from tests.golden.registry import runner_of


@dataclass(frozen=True)
class Verdict:
    """What came of one case: the largest error, and each reason why it failed."""

    name: str
    error: float
    reasons: tuple[str, ...] = ()
    outputs: dict[str, Tensor] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every output is within the tolerance."""
        return not self.reasons

    def __str__(self) -> str:
        return f"{self.name}  {self.error:.3e}  {'pass' if self.passed else 'fail'}"


def case_folders(place: Path) -> list[Path]:
    """The case at `place`, or the cases in it by name; empty if there are none."""
    if (place / "case.json").is_file():
        return [place]
    return sorted(found.parent for found in place.glob("*/case.json"))


def run_case(folder: Path) -> Verdict:
    """Compute the case in `folder` and compare. Whatever goes wrong is a failed verdict."""
    name = folder.name if folder.name not in ("", "..") else folder.resolve().name
    try:
        compute = runner_of(name)
        case = read_case(folder)
        with torch.inference_mode():
            outputs = compute(case)
    except Exception:  # noqa: BLE001 - one broken case must not hide the others
        return Verdict(name, nan, (traceback.format_exc(),))
    if case.expected:
        outputs = {k: v for k, v in outputs.items() if k in case.expected}
    return compared(name, case, outputs)


def compared(name: str, case: Case, outputs: dict[str, Tensor]) -> Verdict:
    """The verdict on `outputs` under the tolerance of the case."""
    tolerance = case.about["tolerance"]
    reasons = [] if case.expected else ["no outputs are recorded"]
    largest = 0.0
    for key, want in case.expected.items():
        got = outputs.get(key)
        if got is None:
            reasons.append(f"{key}: missing")
            largest = inf
        elif got.shape != want.shape:
            reasons.append(f"{key}: shape {tuple(got.shape)}, not {tuple(want.shape)}")
            largest = inf
        else:
            error, is_close = deviation(got, want, tolerance["rtol"], tolerance["atol"])
            largest = max(largest, error)
            if not is_close:
                reasons.append(f"{key}: off by {error:.3e}")
    return Verdict(name, largest, tuple(reasons), outputs)


def deviation(got: Tensor, want: Tensor, rtol: float, atol: float) -> tuple[float, bool]:
    """The largest absolute error, and whether all values are within atol + rtol * |want|."""
    a, b = got.double(), want.double()
    error = torch.where(a == b, 0.0, (a - b).abs())
    error = torch.where(a.isnan() | b.isnan(), inf, error)
    largest = error.max().item() if error.numel() else 0.0
    return float(largest), bool((error <= atol + rtol * b.abs()).all())


def run_all(places: Sequence[Path]) -> Iterator[Verdict]:
    """Every case in `places`, in their order; a place without a case is a failure."""
    for place in places:
        folders = case_folders(place)
        if not folders:
            yield Verdict(place.name or str(place), nan, (f"no case in {place}",))
        for folder in folders:
            yield run_case(folder)


def report(places: Sequence[Path], dump: Path | None = None) -> bool:
    """Run and print; with `dump`, also write every case's outputs. Whether all passed."""
    passed = failed = 0
    for number, verdict in enumerate(run_all(places)):
        sys.stdout.write(f"{verdict}\n")
        sys.stdout.flush()
        for reason in verdict.reasons:
            sys.stderr.write(f"{verdict.name}: {reason}\n")
        if dump is not None and verdict.outputs:
            dump.mkdir(parents=True, exist_ok=True)
            arrays = {k: v.contiguous().clone() for k, v in verdict.outputs.items()}
            save_file(arrays, dump / f"{number}_{verdict.name}.safetensors")
        passed += verdict.passed
        failed += not verdict.passed
    sys.stdout.write(f"{passed} passed, {failed} failed\n")
    return failed == 0
