"""The noise levels that panels draw are those that runs go through."""

import pytest

pytest.importorskip("torch")

from engine.models.samplers import SAMPLERS
from engine.models.schedules import TABLES, flow_schedule, listed_schedule
from engine.wan_levels import levels, listed_levels


@pytest.mark.parametrize("table", sorted(TABLES))
@pytest.mark.parametrize(("steps", "shift"), [(1, 5.0), (7, 3.0), (20, 5.0), (50, 1.0)])
def test_every_table_is_drawn_as_it_runs(table: str, steps: int, shift: float) -> None:
    shown = levels("unipc", table, steps, shift)
    assert shown == pytest.approx(flow_schedule(table, steps, shift).sigmas, abs=1e-6)


@pytest.mark.parametrize("scheduler", sorted(SAMPLERS))
def test_every_scheduler_is_drawn_with_its_own_table(scheduler: str) -> None:
    shown = levels(scheduler, "auto", 12, 5.0)
    assert shown == pytest.approx(flow_schedule(SAMPLERS[scheduler], 12, 5.0).sigmas, abs=1e-6)


@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_a_list_of_timesteps_is_drawn_as_it_runs(shift: float) -> None:
    timesteps = (1000.0, 750.0, 500.0, 250.0)
    shown = listed_levels(timesteps, shift)
    assert shown == pytest.approx(listed_schedule(timesteps, shift).sigmas, abs=1e-6)
