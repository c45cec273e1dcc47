"""Solvers: exact where they must be, of their order, resumable; guidance and its passes."""

from collections.abc import Callable
from math import exp, sqrt
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from engine.errors import Cancelled, EffectError  # noqa: E402
from engine.models.guidance import Guidance, fit, guided  # noqa: E402
from engine.models.noise import drawn, noise_of_steps, noised, seeded  # noqa: E402
from engine.models.samplers import (  # noqa: E402
    SAMPLERS,
    State,
    Velocity,
    sample,
    sample_dpm,
    sample_euler,
    sample_unipc,
)
from engine.models.schedules import (  # noqa: E402
    Schedule,
    Step,
    flow_schedule,
    listed_schedule,
    strength_steps,
)


def start(seed: int = 3) -> Tensor:
    values: Tensor = drawn((1, 4, 3, 2, 2), seeded(seed)).double()
    return values


def of_data(spread: float) -> Velocity:
    """The exact velocity of clean latents that are normal, `spread` wide."""

    def velocity(x: Tensor, step: Step) -> Tensor:
        s, a = step.sigma, 1 - step.sigma
        out: Tensor = x * (s - a * spread**2) / (s**2 + a**2 * spread**2)
        return out

    return velocity


def exact_end(x: Tensor, begin: float, end: float, spread: float) -> Tensor:
    """Where the flow of `of_data` leads: it keeps x over its standard deviation."""

    def deviation(s: float) -> float:
        return sqrt(s**2 + (1 - s) ** 2 * spread**2)

    out: Tensor = x * deviation(end) / deviation(begin)
    return out


def table(steps: int) -> Schedule:
    """Even in lambda, between two levels inside."""
    logs = [-3 + 5 * i / steps for i in range(steps + 1)]
    sigmas = tuple(1 / (1 + exp(value)) for value in logs)
    return Schedule(sigmas, tuple(1000 * s for s in sigmas[:-1]))


def far(run: Callable[[Velocity, Tensor, Schedule], Tensor], steps: int) -> float:
    schedule = table(steps)
    x = start()
    end = exact_end(x, schedule.sigmas[0], schedule.sigmas[-1], 0.6)
    return float((run(of_data(0.6), x, schedule) - end).abs().max())


def unipc(order: int, kind: str, corrects: bool) -> Callable[[Velocity, Tensor, Schedule], Tensor]:
    def run(velocity: Velocity, x: Tensor, schedule: Schedule) -> Tensor:
        return sample_unipc(
            velocity,
            x,
            schedule,
            order=order,
            kind="bh1" if kind == "bh1" else "bh2",
            corrects=corrects,
            lowers_last=False,
        )

    return run


@pytest.mark.parametrize(
    ("run", "order"),
    [
        (sample_euler, 1),
        (sample_dpm, 2),
        (unipc(1, "bh2", False), 1),
        (unipc(1, "bh2", True), 2),
        (unipc(2, "bh2", False), 2),
        (unipc(3, "bh1", False), 3),
        (unipc(2, "bh1", True), 3),
        (unipc(2, "bh2", True), 3),
        (unipc(3, "bh2", True), 4),
    ],
)
def test_twice_the_steps_leave_an_error_of_the_solvers_order(
    run: Callable[[Velocity, Tensor, Schedule], Tensor], order: int
) -> None:
    ratio = far(run, 40) / far(run, 80)
    assert ratio > 2**order * 0.75


@pytest.mark.parametrize("name", sorted(SAMPLERS))
@pytest.mark.parametrize("steps", [1, 2, 3, 20])
def test_all_end_at_the_clean_latents_when_the_model_knows_them(name: str, steps: int) -> None:
    clean = start(4).float()

    def velocity(x: Tensor, step: Step) -> Tensor:
        out: Tensor = (x - clean) / step.sigma
        return out

    x = start().float()
    for shift in (1, 8):
        schedule = flow_schedule(SAMPLERS[name], steps, shift)
        end = sample(name, velocity, x, schedule, noise_of_steps(5, x))
        torch.testing.assert_close(end, clean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("table_of", ["unipc", "dpm++", "euler_endpoint", "simple"])
@pytest.mark.parametrize("kind", ["bh1", "bh2"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc_arrives_on_every_table(table_of: str, kind: str, order: int) -> None:
    """Also where the first level is 1, whose lambda is not finite."""
    for lowers_last in (True, False):
        end = sample_unipc(
            of_data(0.6),
            start(),
            flow_schedule(table_of, 40, 1),
            order=order,
            kind="bh1" if kind == "bh1" else "bh2",
            lowers_last=lowers_last,
        )
        assert (end - exact_end(start(), 1, 0, 0.6)).abs().max() < 0.15


def test_an_order_or_a_sampler_that_is_none_is_refused() -> None:
    with pytest.raises(EffectError, match="order 0"):
        sample_unipc(of_data(1), start(), table(2), order=0)
    with pytest.raises(EffectError, match="'heun'"):
        sample("heun", of_data(1), start(), table(2), noise_of_steps(0, start()))


@pytest.mark.parametrize("name", sorted(SAMPLERS))
@pytest.mark.parametrize("cut", [1, 2, 5])
def test_a_cancelled_run_goes_on_from_its_saved_tensors(
    name: str, cut: int, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    x = start().float()
    schedule = flow_schedule(SAMPLERS[name], 6, 5)
    noise = noise_of_steps(7, x)
    velocity = of_data(0.6)
    whole = sample(name, velocity, x, schedule, noise)
    file = tmp_path / "state.safetensors"

    def after(state: State) -> None:
        save_file({k: v.contiguous() for k, v in state.tensors().items()}, file)
        if state.done == cut:
            raise Cancelled

    with pytest.raises(Cancelled):
        sample(name, velocity, x, schedule, noise, after)
    told: list[int] = []
    state = State.of(load_file(file))
    rest = sample(name, velocity, state, schedule, noise, lambda s: told.append(s.done))
    assert told == list(range(cut + 1, 7))
    assert torch.equal(rest, whole)


def test_the_preview_is_the_guess_of_the_clean_latents() -> None:
    x = start()
    states: list[State] = []
    sample_euler(of_data(0.6), x, flow_schedule("euler", 3, 5), states.append)
    first = states[0].clean
    assert first is not None
    torch.testing.assert_close(first, x - of_data(0.6)(x, Step(0, 3, 1.0, 0.9, 1000.0)))
    assert torch.equal(states[-1].latents, states[-1].clean)


def test_a_models_half_precision_does_not_reach_the_latents() -> None:
    def velocity(x: Tensor, step: Step) -> Tensor:
        return (0.5 * x).bfloat16()

    end = sample_unipc(velocity, start().float(), flow_schedule("unipc", 3, 5))
    assert end.dtype == torch.float32


def test_a_distilled_list_is_the_guess_brought_to_the_next_level() -> None:
    x = start()
    schedule = listed_schedule([1000, 750, 500, 250], 5)
    end = sample_euler(of_data(0.6), x, schedule)
    for step in map(schedule.step, range(4)):
        v = of_data(0.6)(x, step)
        x = x - step.sigma * v + step.following * v
    torch.testing.assert_close(end, x)


def test_a_part_of_a_run_and_the_rest_make_the_run() -> None:
    schedule = flow_schedule("euler", 8, 5)
    middle = sample_euler(of_data(0.6), start(), schedule.between(0, 3))
    end = sample_euler(of_data(0.6), middle, schedule.between(3))
    assert torch.equal(end, sample_euler(of_data(0.6), start(), schedule))
    assert torch.equal(sample_euler(of_data(0.6), middle, schedule.between(8)), middle)


def test_a_strength_of_nothing_keeps_the_clip_and_of_all_forgets_it() -> None:
    clean, noise = start(1), start(2)
    for strength in (0, 0.5, 1):
        total, first = strength_steps(8, strength)
        schedule = flow_schedule("euler", total, 5).between(first)
        begin = noised(clean, noise, schedule.sigmas[0])
        end = sample_unipc(of_data(0.6), begin, schedule)
        assert torch.equal(end, clean) == (strength == 0)
        assert torch.equal(begin, noise) == (strength == 1)


def test_noise_is_the_seeds_and_the_steps_alone() -> None:
    assert torch.equal(drawn((2, 3), seeded(5)), drawn((2, 3), seeded(5)))
    assert not torch.equal(drawn((2, 3), seeded(5)), drawn((2, 3), seeded(6)))
    assert drawn((2, 3), seeded(-1)).dtype == torch.float32
    of = noise_of_steps(5, start())
    assert torch.equal(of(3), noise_of_steps(5, start())(3))
    assert not torch.equal(of(3), of(4))
    assert not torch.equal(of(0).float(), drawn(start().shape, seeded(5)))
    assert of(0).dtype == torch.float64
    clean, noise = start(1), start(2)
    assert torch.equal(noised(clean, noise, 1.0), noise)
    assert torch.equal(noised(clean, noise, 0.0), clean)


class Asked:
    """A model whose prompt is a number; remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, ...]] = []

    def __call__(self, x: Tensor, step: Step, prompts: tuple[float, ...]) -> Tensor:
        self.calls.append(prompts)
        rows = x.chunk(len(prompts))
        return torch.cat([row * p for row, p in zip(rows, prompts, strict=True)])


STEP = Step(0, 4, 1.0, 0.9, 1000.0)


@pytest.mark.parametrize("rows", [1, 2])
def test_guidance_goes_from_the_negative_past_the_positive(rows: int) -> None:
    x = torch.cat([start(5), start(6)])[:rows].float()
    for batched in (False, True):
        model = Asked()
        velocity = guided(model, 2.0, 0.5, Guidance(scale=5, batched=batched))
        torch.testing.assert_close(velocity(x, STEP), x * (0.5 + 5 * 1.5))
        assert model.calls == ([(2.0, 0.5)] if batched else [(2.0,), (0.5,)])


def test_guidance_of_one_asks_the_prompt_alone() -> None:
    model = Asked()
    velocity = guided(model, 2.0, None, Guidance(scale=1))
    assert torch.equal(velocity(start(), STEP), 2 * start())
    assert model.calls == [(2.0,)]
    assert not Guidance(scale=1).needs_negative(50)


def test_guidance_may_differ_from_step_to_step() -> None:
    guidance = Guidance(scale=(6.0, 3.0, 1.0))
    assert [guidance.at(i) for i in range(5)] == [6, 3, 1, 1, 1]
    model = Asked()
    sample_euler(guided(model, 0.5, 0.2, guidance), start(), flow_schedule("euler", 4, 5))
    assert model.calls == [(0.5,), (0.2,), (0.5,), (0.2,), (0.5,), (0.5,)]
    assert guidance.needs_negative(1)
    assert not Guidance(scale=(1.0, 6.0)).needs_negative(1)
    with pytest.raises(EffectError, match="empty"):
        Guidance(scale=())


def test_the_negative_may_be_fitted_to_the_positive() -> None:
    """CFG-Zero*: what a scale alone can explain is no difference to be driven apart."""
    given, wanted = start(5).float(), start(6).float()
    factor = fit(given, wanted)
    left = wanted - factor * given
    assert float((left * given).sum().abs()) < 1e-5
    model = Asked()
    velocity = guided(model, 2.0, 0.5, Guidance(scale=5, fits_negative=True, zero_steps=1))
    assert torch.equal(velocity(given, STEP), torch.zeros_like(given))
    assert model.calls == []
    later = Step(1, 4, 0.9, 0.8, 900.0)
    torch.testing.assert_close(velocity(given, later), 2 * given, rtol=1e-5, atol=1e-5)
