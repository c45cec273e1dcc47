"""Noise levels: they fall, the lists of distilled models, parts of a run, strengths."""

from itertools import pairwise

import pytest

pytest.importorskip("torch")

from engine.errors import EffectError
from engine.models.schedules import (
    TABLES,
    Schedule,
    flow_schedule,
    later_strength_steps,
    listed_schedule,
    shifted,
    strength_steps,
    stretched_strength_steps,
)


@pytest.mark.parametrize("table", sorted(TABLES))
@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
@pytest.mark.parametrize("shift", [0.5, 1, 16.0])
def test_every_table_falls_from_noise_to_nothing(table: str, steps: int, shift: float) -> None:
    schedule = flow_schedule(table, steps, shift)
    assert len(schedule) == steps
    assert all(a > b for a, b in pairwise(schedule.sigmas))
    assert schedule.sigmas[0] >= shifted(0.998, shift)
    assert schedule.sigmas[0] <= 1
    assert schedule.sigmas[-1] == 0
    for sigma, timestep in zip(schedule.sigmas, schedule.timesteps, strict=False):
        assert 0 <= 1000 * sigma - timestep + 1e-3 < 1.01


def test_solvers_that_are_told_whole_timesteps_get_them_cut_not_rounded() -> None:
    assert flow_schedule("dpm++", 20, 1).timesteps[7] == 649  # 0.65 is not quite that in binary
    assert flow_schedule("unipc", 4, 5).timesteps[0] == 999
    assert flow_schedule("euler", 20, 1).timesteps[7] == pytest.approx(650)


def test_the_published_lists_of_distilled_models() -> None:
    four = listed_schedule([1000, 750, 500, 250], 5)
    assert four.sigmas == pytest.approx((1, 0.9375, 0.8333333, 0.625, 0))
    assert four == flow_schedule("euler", 4, 5)
    nine = listed_schedule([999, 934, 862, 756, 603, 410, 250, 140, 74], 1)
    assert nine.timesteps == pytest.approx((999, 934, 862, 756, 603, 410, 250, 140, 74))


@pytest.mark.parametrize("steps", [[], [500, 750], [750, 750], [1001, 500], [500, 0]])
def test_a_list_that_does_not_fall_is_refused(steps: list[float]) -> None:
    with pytest.raises(EffectError, match="list of steps"):
        listed_schedule(steps, 5)


def test_what_gives_no_table_is_refused() -> None:
    with pytest.raises(EffectError, match="called 'karras'") as told:
        flow_schedule("karras", 20, 5)
    assert "unipc" in told.value.hint
    for steps in (0, 1001):
        with pytest.raises(EffectError, match=f"{steps} steps"):
            flow_schedule("unipc", steps, 5)
    for shift in (0, -3, float("nan")):
        with pytest.raises(EffectError, match="shift"):
            flow_schedule("unipc", 20, shift)


def test_parts_of_a_run_meet() -> None:
    whole = flow_schedule("unipc", 10, 5)
    head, tail = whole.between(0, 4), whole.between(4)
    assert head.sigmas[-1] == tail.sigmas[0] == whole.sigmas[4] > 0
    assert head.timesteps + tail.timesteps == whole.timesteps
    assert whole.between(0, 99) == whole
    assert len(whole.between(10)) == 0
    for start, end in ((-1, 3), (4, 3), (11, None)):
        with pytest.raises(EffectError, match="cannot go"):
            whole.between(start, end)


def test_a_step_knows_its_place() -> None:
    schedule = Schedule((1.0, 0.5, 0.0), (1000.0, 500.0))
    step = schedule.step(1)
    assert (step.index, step.count) == (1, 2)
    assert (step.sigma, step.following, step.timestep) == (0.5, 0.0, 500.0)


def test_a_strength_keeps_exactly_its_share() -> None:
    for steps in (1, 4, 10, 30):
        for strength in (0, 0.1, 0.33, 0.6, 1):
            total, first = strength_steps(steps, strength)
            assert (total, total - first) == (steps, round(steps * strength))
    assert stretched_strength_steps(10, 0.6) == (16, 6)
    assert later_strength_steps(10, 0.6) == (10, 3)
    for rule in (strength_steps, stretched_strength_steps, later_strength_steps):
        assert rule(10, 1) == (10, 0)
        with pytest.raises(EffectError, match="strength"):
            rule(10, 1.5)
    assert stretched_strength_steps(10, 0) == strength_steps(10, 0) == (10, 10)
