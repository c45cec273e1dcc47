"""The FlashVSR benchmark runs from end to end without a card, and says what it did not measure."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from tests.benchmarks import card, flashvsr, flashvsr_speed
from tests.benchmarks.card_report import Clock, Report
from tests.benchmarks.card_timing import in_turn
from tests.benchmarks.flashvsr_bench import Bench
from tests.benchmarks.flashvsr_goals import GOALS, SUITE
from tests.benchmarks.flashvsr_models import (
    EXACT,
    FULL,
    FUSED,
    TINY,
    random_models,
    running,
)
from tests.benchmarks.flashvsr_speed import _split_rows
from tests.benchmarks.flashvsr_split import PARTS, Regions

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For pictures this small, more threads only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What one run of every part, in a process of its own, wrote and printed."""
    out = tmp_path_factory.mktemp("out")
    command = [sys.executable, "-m", "tests.benchmarks.flashvsr", "--out", str(out)]
    command += ["--device", "cpu", "--minutes", "2", "--frames", "60"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    content: dict[str, Any] = json.loads((out / "flashvsr.json").read_text("utf-8"))
    return content, told.stdout


def test_every_part_is_measured(ran: tuple[dict[str, Any], str]) -> None:
    parts = ran[0]["parts"]
    assert list(parts) == list(flashvsr.PARTS)
    states = {name: (part["state"], part["why"]) for name, part in parts.items()}
    reference = states.pop("reference")
    assert reference == ("left out", "No --reference FOLDER with the published code was named.")
    assert set(states.values()) == {("measured", "")}
    for name in states:
        for table in parts[name]["tables"]:
            assert table["rows"], (name, table["title"])
            lengths = {len(row) for row in table["rows"]}
            assert lengths == {len(table["columns"])}, table["title"]


def test_figures_are_plausible(ran: tuple[dict[str, Any], str]) -> None:
    goals, parts = ran[0]["goals"], ran[0]["parts"]
    assert set(GOALS) - set(goals) == {"reference_ratio", "reference_psnr"}
    assert goals["psnr_bf16"] > 30
    assert goals["fps_bf16"] > 0
    assert 0.05 < goals["video_share"] < 2
    errors = {row[0]: row for row in parts["errors"]["tables"][0]["rows"]}
    assert errors["decoder merged, float32"][4] < 1e-5
    assert all(row[4] < 0.1 for row in errors.values())
    assert all(row[3] == 0 for row in parts["errors"]["tables"][1]["rows"])
    frames = [row[0] for row in parts["long"]["tables"][0]["rows"]]
    assert frames == [12, 24, 36, 48, 60]
    split = parts["speed"]["tables"][1]
    for row in split["rows"]:
        figures = dict(zip(split["columns"], row, strict=True))
        assert figures["sparse attention"] > 0, row[0]
        assert figures["linears"] > 0, row[0]
        assert figures["sum on the device"] <= 1.05 * figures["chunk by the clock"], row[0]


def test_what_no_card_ran_is_not_measured(ran: tuple[dict[str, Any], str]) -> None:
    told = ran[1]
    assert told.count("| not measured |") >= len(GOALS)
    for goal in GOALS.values():
        line = next(line for line in told.splitlines() if line.startswith(f"| {goal.label} |"))
        assert line.split("|")[3].strip() == "not measured"


def test_a_part_that_fails_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        flashvsr.PARTS, "errors", card.Part("tests.benchmarks.flashvsr_nothing", "errors", 0)
    )
    arguments = ["--device", "cpu", "--out", str(tmp_path), "--only", "machine", "errors"]
    assert flashvsr.main(arguments) == 1
    monkeypatch.undo()
    assert flashvsr.main(["--device", "cpu", "--out", str(tmp_path), "--only", "machine"]) == 0
    parts = json.loads((tmp_path / "flashvsr.json").read_text("utf-8"))["parts"]
    assert parts["machine"]["state"] == "measured"
    assert parts["errors"]["state"] == "failed"
    assert "flashvsr_nothing" in parts["errors"]["why"]


def test_without_time_a_card_begins_nothing() -> None:
    report = Report(SUITE, None, is_quiet=True)
    bench = Bench(device=CPU, report=report, clock=Clock(0), is_full=True, scale=FULL, frames=10)
    assert card.run(bench, flashvsr.PARTS, ["speed", "long"]) == []
    states = {name: part["state"] for name, part in report.content["parts"].items()}
    assert states == {"speed": "left out", "long": "left out"}


def test_variants_have_the_same_weights() -> None:
    fused = random_models(TINY, CPU, FUSED)
    with running(EXACT):
        exact = random_models(TINY, CPU, EXACT)
    ours, theirs = fused.transformer.state_dict(), exact.transformer.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name].float(), theirs[name]) for name in ours)
    assert exact.transformer.patch_embedding.weight.dtype == torch.float32


def test_plain_variants_leave_kernels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.models import kernels

    monkeypatch.setattr(kernels, "_reason", lambda *_: "")
    assert kernels.unavailable(CPU) == ""
    with running(EXACT):
        assert kernels.unavailable(CPU) == "the plain paths are measured"
    with running(FUSED):
        assert kernels.unavailable(CPU) == ""


def test_order_goes_there_and_back() -> None:
    done: list[str] = []

    def work(name: str, seconds: float) -> Any:
        def one() -> float:
            done.append(name)
            return seconds

        return one

    found = in_turn({"a": work("a", 1.0), "b": work("b", 2.0)}, warm_ups=1, repeats=3)
    assert "".join(done) == "ab" + "abbaab"
    assert (found["a"].middle, found["b"].high) == (1.0, 2.0)


def test_regions_do_not_count_what_is_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    regions = Regions(CPU)
    now = iter(range(100))
    monkeypatch.setattr(regions, "_now", lambda: next(now))
    with regions.region("outer"):  # 0 to 3
        with regions.region("inner"):  # 1 to 2
            pass
        assert regions.innermost == "outer"
    assert regions.seconds() == {"outer": 2.0, "inner": 1.0}


def test_rates_of_parts_grow_with_the_picture() -> None:
    found = dict.fromkeys((*PARTS, "noise", "chunk"), 10.0) | {"mask": 0.0}
    plain, rates = _split_rows("x", found, (2 * 768, 1408), "tiny", has_rates=True)
    assert plain[1 : 1 + len(PARTS)] == tuple(found[name] for name in PARTS)
    by_part = dict(zip(PARTS, rates[1:], strict=False))
    assert by_part["decoder"] == pytest.approx(2 * 14.67 / 0.010)
    assert by_part["mask"] == by_part["colour"] == "-"
    assert len(rates) == len(plain) == len(PARTS) + 4


def test_tiles_are_tried_until_one_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    real, tried = flashvsr_speed.through, []

    def through(models: Any, clip: Any, place: Any, settings: Any, tiles: Any) -> Any:
        tried.append((tiles.columns, tiles.rows))
        if tiles.columns * tiles.rows == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 4 GiB. GPU 0 has")
        return real(models, clip, place, settings, tiles)

    monkeypatch.setattr(flashvsr_speed, "through", through)
    report = Report(SUITE, None, is_quiet=True)
    bench = Bench(
        device=CPU,
        report=report,
        clock=Clock(5),
        is_full=False,
        repeats=1,
        scale=TINY,
        frames=10,
    )
    bench.report.begin("large")
    flashvsr_speed._at_size(bench, (128, 384), 3, (FUSED,), "tiny")
    table, parts = bench.report.content["parts"]["large"]["tables"]
    assert tried == [(1, 1), (2, 1), (2, 1)]
    assert table["rows"][0][-1] == "2 x 1"
    assert "fused bf16, 1 x 1: CUDA out of memory. Tried to allocate 4 GiB." in table["notes"]
    assert len(parts["rows"]) == 1
