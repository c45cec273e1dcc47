"""The Wan benchmark runs from end to end without a card, and says what it did not measure."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from engine.models.linear import Fp8Linear
from tests.benchmarks import card, card_wheels, wan, wan_planned
from tests.benchmarks.card_report import Clock, Report
from tests.benchmarks.card_timing import laps
from tests.benchmarks.table import Unavailable
from tests.benchmarks.wan_bench import Bench
from tests.benchmarks.wan_goals import GOALS, SUITE
from tests.benchmarks.wan_models import (
    FULL,
    TINY,
    Case,
    inputs_of,
    narrowed,
    own_bytes,
    random_transformer,
    sharing,
    velocity_of,
)
from tests.benchmarks.wan_steps import guided, repeats_within, small

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
HAS_DIFFUSERS = find_spec("diffusers") is not None
OF_DIFFUSERS = {"small_bf16", "small_fp8", "i2v_bf16", "i2v_fp8", "decode_last"}
OF_ERRORS = {"error_fp32", "error_vae_fp32", "error_bf16"}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For clips this small, more threads only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What one run of every part, in a process of its own, wrote and printed."""
    out = tmp_path_factory.mktemp("out")
    command = [sys.executable, "-m", "tests.benchmarks.wan", "--out", str(out)]
    command += ["--device", "cpu", "--minutes", "2"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    content: dict[str, Any] = json.loads((out / "wan.json").read_text("utf-8"))
    return content, told.stdout


def test_every_part_is_measured(ran: tuple[dict[str, Any], str]) -> None:
    parts = ran[0]["parts"]
    assert list(parts) == list(wan.PARTS)
    states = {name: (part["state"], part["why"]) for name, part in parts.items()}
    if not HAS_DIFFUSERS:
        state, why = states.pop("errors")
        assert state == "left out"
        assert why.startswith("diffusers is not here: ")
    assert set(states.values()) == {("measured", "")}
    for name in states:
        for table in parts[name]["tables"]:
            assert table["rows"], (name, table["title"])
            assert {len(row) for row in table["rows"]} == {len(table["columns"])}, table["title"]


def test_figures_are_plausible(ran: tuple[dict[str, Any], str]) -> None:
    goals = ran[0]["goals"]
    missing = {"i2v_run_seconds"} | (set() if HAS_DIFFUSERS else OF_DIFFUSERS | OF_ERRORS)
    assert set(GOALS) - set(goals) == missing
    assert all(value > 0 for name, value in goals.items() if name != "swap_percent")
    if HAS_DIFFUSERS:
        assert goals["error_fp32"] < 1e-5
        assert goals["error_vae_fp32"] < 1e-5


def test_velocities_of_all_ways_are_alike(ran: tuple[dict[str, Any], str]) -> None:
    for part in ("small", "pictures", "large"):
        likeness = ran[0]["parts"][part]["tables"][2]
        relative = {row[0]: row[4] for row in likeness["rows"]}
        assert 0 < relative["ours, fp8 linears"] < 0.1
        assert relative.get("ours, bf16", 0) < 0.03


def test_swapped_blocks_give_the_same(ran: tuple[dict[str, Any], str]) -> None:
    table = ran[0]["parts"]["swap"]["tables"][0]
    same = table["columns"].index("Same result")
    assert [row[same] for row in table["rows"]] == ["yes"] * 3


def test_stages_of_a_job_follow_each_other(ran: tuple[dict[str, Any], str]) -> None:
    rows = ran[0]["parts"]["jobs"]["tables"][1]["rows"]
    assert [row[0] for row in rows].count("second: all there") == 3
    for _, block, step, frame, file in rows:
        assert 0 < block < step < frame < file


def test_what_no_card_ran_is_not_measured(ran: tuple[dict[str, Any], str]) -> None:
    for goal in GOALS.values():
        line = next(line for line in ran[1].splitlines() if line.startswith(f"| {goal.label} |"))
        assert line.split("|")[3].strip() == "not measured"


def test_every_kind_of_8_bits_is_planned_as_it_is(ran: tuple[dict[str, Any], str]) -> None:
    for part in ("small", "pictures", "large", "swap"):
        tables = ran[0]["parts"][part]["tables"]
        for row in next(t for t in tables if "as planned" in t["title"])["rows"]:
            assert row[1] == pytest.approx(row[2], rel=1e-3), (part, row[0])


def test_without_time_a_card_begins_nothing() -> None:
    report = Report(SUITE, None, is_quiet=True)
    bench = Bench(device=CPU, report=report, clock=Clock(0), is_full=True, scale=FULL)
    assert card.run(bench, wan.PARTS, ["small", "forty"]) == []
    states = {name: part["state"] for name, part in report.content["parts"].items()}
    assert states == {"small": "left out", "forty": "left out"}


def test_variants_share_what_they_can() -> None:
    model = random_transformer(TINY.pictures.config, CPU)
    other, narrow = sharing(model), narrowed(model)
    ours, theirs = model.state_dict(), other.state_dict()
    assert all(ours[name].data_ptr() == theirs[name].data_ptr() for name in ours)
    assert own_bytes(torch.nn.ModuleList([model, other])) == own_bytes(model)
    eight = [layer for layer in narrow.modules() if isinstance(layer, Fp8Linear)]
    assert len(eight) == TINY.pictures.config.layers * 12
    assert narrow.head.head.weight.data_ptr() == model.head.head.weight.data_ptr()
    assert isinstance(model.blocks[0].ffn[0], torch.nn.Linear)


def test_passes_of_both_prompts_differ() -> None:
    case = Case(TINY.pictures, TINY.half)
    inputs = inputs_of(case, CPU, torch.bfloat16)
    run = velocity_of(random_transformer(case.model.config, CPU), inputs)
    with torch.inference_mode():
        towards, away = run(0), run(1)
        assert torch.equal(run(0), towards)
    assert towards.shape == (1, 16, *case.size.latents)
    assert not torch.equal(towards, away)
    assert torch.equal(guided(away, away), away)


def test_a_case_without_a_reference_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    report = Report(SUITE, None, is_quiet=True)
    bench = Bench(device=CPU, report=report, clock=Clock(5), is_full=False, scale=TINY, repeats=1)
    report.begin("small")
    small(bench)
    table = report.content["parts"]["small"]["tables"][0]
    assert table["rows"][0][0] == "ours, bf16"
    assert any(note.startswith("No reference: diffusers is not here") for note in table["notes"])
    assert report.content["goals"] == {}


def test_turns_fit_into_the_limit() -> None:
    report = Report(SUITE, None, is_quiet=True)
    bench = Bench(device=CPU, report=report, clock=Clock(60), is_full=True, scale=FULL)
    assert [repeats_within(bench, 40, spent) for spent in (0.0, 10, 19, 100)] == [5, 4, 2, 1]
    assert len(laps(CPU, [lambda: 1, lambda: 2])) == 2


def test_the_plan_counts_a_pass_of_the_real_sizes() -> None:
    pictures = Case(FULL.pictures, FULL.half)
    assert wan_planned.pass_tera(pictures) == pytest.approx(1683, rel=0.02)
    assert wan_planned.pass_tera(Case(FULL.small, FULL.half)) == pytest.approx(283, rel=0.02)
    assert wan_planned.decode_tera(pictures, FULL.vae) == pytest.approx(285, rel=0.1)
    wide, narrow = (wan_planned.a_pass(pictures, CPU, narrow) for narrow in (False, True))
    assert wide.weights == pytest.approx(32.8e9, rel=0.02)
    assert narrow.weights < 0.56 * wide.weights


def test_wheels_are_brought_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match="holds no wheels"):
        card_wheels.use(tmp_path)
    about = "Metadata-Version: 2.1\nName: brought-along\nVersion: 1.0\n"
    inside = {
        "brought_along.py": "ANSWER = 42\n",
        "brought_along-1.0.dist-info/METADATA": about,
        "brought_along-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
        "brought_along-1.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(tmp_path / "brought_along-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in inside.items():
            wheel.writestr(name, text)
    monkeypatch.setattr(sys, "path", [*sys.path])
    card_wheels.use(tmp_path)
    found = __import__("brought_along")
    assert found.ANSWER == 42
    assert sys.path[-1] in found.__file__
