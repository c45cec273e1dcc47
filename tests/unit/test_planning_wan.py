"""Wan's plans: the ladder of every card, what a person chose, and what is said."""

from itertools import pairwise

import msgspec
import pytest

from engine.errors import EffectError
from engine.jobs import NeuralOptions
from engine.models.wan.config import TRANSFORMER_VARIANTS
from engine.planning import (
    DeviceFacts,
    WanPlan,
    wan_estimate,
    wan_plans,
    wan_smaller,
    wan_stepped_down,
)
from engine.planning.wan_footprint import WanWay, peak_bytes, seconds, stages
from engine.planning.wan_run import config_of, wan_run_of
from engine.timeline.parameters import Value

GIB = 2**30
SMALL, LARGE, PICTURES = "wan2.1-t2v-1.3b", "wan2.1-t2v-14b", "wan2.1-i2v-14b"
HALF, WHOLE = (832, 480), (1280, 720)
CARDS = {
    6: ("RTX 2060", (7, 5)),
    8: ("RTX 3060 Ti", (8, 6)),
    12: ("RTX 4070", (8, 9)),
    16: ("RTX 4080", (8, 9)),
    24: ("RTX 4090", (8, 9)),
    48: ("RTX 6000 Ada", (8, 9)),
    80: ("H100", (9, 0)),
    141: ("H200", (9, 0)),
}


def card(size: int) -> DeviceFacts:
    """A card of so many GB of which a desktop uses a little."""
    name, capability = CARDS[size]
    return DeviceFacts(
        kind="cuda",
        name=name,
        total_bytes=size * GIB,
        free_bytes=size * GIB - round(1.2 * GIB),
        capability=capability,
    )


def processor(size: int) -> DeviceFacts:
    """A computer with so many GB free."""
    free = size * 10**9
    return DeviceFacts(kind="cpu", total_bytes=2 * free, free_bytes=free, has_triton=False)


def published(family: str) -> dict[str, Value]:
    if family == PICTURES:
        return {"steps": 40, "cfg": 5.0}
    return {"steps": 50, "cfg": 6.0 if family == SMALL else 5.0}


def ladder(
    family: str,
    size: tuple[int, int],
    device: DeviceFacts,
    *,
    host: int = 64,
    options: NeuralOptions | None = None,
    values: dict[str, Value] | None = None,
    sizes: dict[str, int] | None = None,
    mode: str = "",
    frames: int = 81,
) -> tuple[WanPlan, ...]:
    return wan_plans(
        family,
        mode or ("i2v" if family == PICTURES else "t2v"),
        *size,
        frames,
        device=device,
        options=options or NeuralOptions(),
        values={**published(family), **(values or {})},
        sizes=sizes,
        cores=8,
        host_total=host * GIB,
    )


def first(family: str, size: tuple[int, int], memory: int, **more: dict[str, Value]) -> WanPlan:
    return ladder(family, size, card(memory), values=more.get("values"))[0]


# The ladder


@pytest.mark.parametrize("host", [16, 32, 64])
@pytest.mark.parametrize("size", [HALF, WHOLE], ids=["480p", "720p"])
@pytest.mark.parametrize("family", [SMALL, LARGE, PICTURES])
@pytest.mark.parametrize("memory", CARDS)
def test_every_step_needs_less(family: str, size: tuple[int, int], memory: int, host: int) -> None:
    steps = ladder(family, size, card(memory), host=host)
    assert all(a.peak_bytes > b.peak_bytes for a, b in pairwise(steps))
    assert len(steps) == 1 or all(step.fits for step in steps)
    assert all(step.seconds > 0 and step.total_bytes == memory * GIB for step in steps)


@pytest.mark.parametrize(
    ("family", "size", "memory", "line"),
    [
        (SMALL, HALF, 6, "Peak 5.0 of 6 GB · about 1 h · fp16 · prompt on the CPU · VAE in tiles"),
        (SMALL, HALF, 8, "Peak 6.5 of 8 GB · about 25 min · bf16 · prompt on the CPU"),
        (SMALL, HALF, 12, "Peak 11.1 of 12 GB · about 14 min · bf16"),
        (SMALL, HALF, 24, "Peak 17.1 of 24 GB · about 5 min · bf16"),
        (LARGE, HALF, 16, "Peak 15.2 of 16 GB · about 48 min · bf16 · 25 blocks swapped"),
        (LARGE, HALF, 24, "Peak 21.7 of 24 GB · about 29 min · bf16 · 15 blocks swapped"),
        (LARGE, HALF, 48, "Peak 41.9 of 48 GB · about 26 min · bf16"),
        (
            PICTURES,
            HALF,
            8,
            "Peak 5.7 of 8 GB · about 2 h · bf16 · 40 blocks swapped · prompt on the CPU",
        ),
        (PICTURES, HALF, 12, "Peak 11.1 of 12 GB · about 1 h · bf16 · 35 blocks swapped"),
        (PICTURES, HALF, 141, "Peak 47.5 of 141 GB · about 4 min · bf16"),
        (PICTURES, WHOLE, 24, "Peak 20.8 of 24 GB · about 1 h 30 min · bf16 · 25 blocks swapped"),
        (
            PICTURES,
            WHOLE,
            6,
            "Needs 8.8 of 6 GB · about 18 h 40 min · fp8 in fp16 · 40 blocks swapped"
            " · prompt on the CPU · VAE in tiles",
        ),
    ],
)
def test_the_line(family: str, size: tuple[int, int], memory: int, line: str) -> None:
    assert first(family, size, memory).line == line


@pytest.mark.parametrize("memory", [8, 12])
@pytest.mark.parametrize("host", [32, 64])
def test_small_cards_make_clips_of_pictures(memory: int, host: int) -> None:
    steps = ladder(PICTURES, HALF, card(memory), host=host)
    assert steps[0].fits
    assert steps[0].block_swap > 0
    # Little memory beside the card: 8 bits wait there instead.
    assert steps[0].in_eight_bits == (host == 32)


def test_too_little_memory_beside_the_card_is_told() -> None:
    plan = ladder(PICTURES, HALF, card(8), host=16)[0]
    assert not plan.fits
    assert plan.fits_device
    assert plan.line.endswith("prompt on the CPU · needs 28 GB of RAM")
    # A file that is in 8 bits need not be held twice: only what is swapped waits.
    stored = {"transformer": 16_900_000_000}
    assert ladder(PICTURES, HALF, card(16), host=16, sizes=stored)[0].fits
    assert not ladder(PICTURES, HALF, card(16), host=16)[0].fits


def test_what_changes_no_pixel_comes_first() -> None:
    steps = ladder(LARGE, HALF, card(48))
    recipes = [(step.in_eight_bits, step.vae_tile[0] > 0) for step in steps]
    assert recipes == sorted(recipes)
    assert steps[0].keeps_keys
    assert not steps[-1].keeps_keys
    swaps = [step.block_swap for step in steps if not step.in_eight_bits]
    assert swaps == sorted(swaps)


def test_swapping_that_would_be_waited_for_comes_after_eight_bits() -> None:
    """One picture takes less time than its blocks to come."""
    still = ladder(LARGE, HALF, card(24), mode="t2i", frames=1)[0]
    assert (still.block_swap, still.quantization) == (0, "fp8_e4m3fn_scaled_fast")
    clip = ladder(LARGE, HALF, card(24))[0]
    assert (clip.block_swap, clip.quantization) == (15, "disabled")


def test_eight_bits_are_multiplied_only_where_a_card_does() -> None:
    found = {
        memory: {plan.quantization for plan in ladder(PICTURES, HALF, card(memory), host=32)}
        for memory in (8, 12)
    }
    assert found == {8: {"fp8_e4m3fn_scaled"}, 12: {"fp8_e4m3fn_scaled_fast"}}


# What a person chose


@pytest.mark.parametrize("memory", [8, 24, 80])
@pytest.mark.parametrize(
    ("values", "field", "kept"),
    [
        ({"quantization": "fp8_e5m2"}, "quantization", "fp8_e5m2"),
        ({"quantization": "disabled"}, "quantization", "disabled"),
        ({"blocks_to_swap": 12}, "block_swap", 12),
        ({"blocks_to_swap": 0}, "block_swap", 0),
        ({"blocks_to_swap": 99}, "block_swap", 40),
        ({"load_device": "main"}, "offload", False),
        ({"load_device": "offload"}, "offload", True),
        ({"keep_keys": False}, "keeps_keys", False),
        ({"base_precision": "fp16_fast"}, "precision", "fp16"),
        ({"vae_precision": "fp32"}, "vae_precision", "fp32"),
        ({"prefetch_blocks": 3}, "ahead", 3),
        ({"vae_tiling": True, "tile_x": 320, "tile_y": 240}, "vae_tile", (240, 320)),
    ],
)
def test_what_was_chosen_is_kept(
    values: dict[str, Value], field: str, kept: object, memory: int
) -> None:
    steps = ladder(LARGE, HALF, card(memory), values=values)
    assert {getattr(step, field) for step in steps} == {kept}


def test_a_precision_is_kept() -> None:
    asked = ladder(LARGE, HALF, card(16), options=NeuralOptions(precision="fp8"))
    assert {step.quantization for step in asked} == {"fp8_e4m3fn_scaled_fast"}
    asked = ladder(LARGE, HALF, card(16), options=NeuralOptions(precision="bf16"))
    assert {(step.precision, step.in_eight_bits) for step in asked} == {("bf16", False)}
    asked = ladder(SMALL, HALF, card(24), options=NeuralOptions(precision="fp32"))
    assert {step.precision for step in asked} == {"fp32"}


def test_a_limit_is_kept() -> None:
    steps = ladder(LARGE, HALF, card(80), options=NeuralOptions(limit_bytes=12 * GIB))
    assert steps[0].free_bytes == 12 * GIB
    assert steps[0].peak_bytes <= 12 * GIB


def test_a_file_in_eight_bits_stays_so() -> None:
    sizes = {"transformer": 14_500_000_000, "text": 6_740_000_000}
    plan = ladder(LARGE, HALF, card(24), sizes=sizes)[0]
    assert (plan.quantization, plan.in_eight_bits) == ("disabled", True)
    assert plan.line == "Peak 18.1 of 24 GB · about 28 min · fp8"


# Memory and time


def test_stages_take_turns() -> None:
    run = wan_run_of(PICTURES, "i2v", *HALF, 81, {})
    device = card(141)
    turns, stay = (WanWay("bf16", offload=offload) for offload in (True, False))
    assert list(stages(run, turns, device)) == ["text", "image", "encode", "denoise", "decode"]
    assert peak_bytes(run, turns, device) < peak_bytes(run, stay, device)
    beside = list(stages(wan_run_of(LARGE, "t2v", *HALF, 81, {}), WanWay("bf16"), device))
    assert beside == ["text", "denoise", "decode"]


def test_what_asks_for_more_gets_more() -> None:
    device, way = card(141), WanWay("bf16", offload=True)

    def needs(values: dict[str, Value], frames: int = 81, family: str = LARGE) -> int:
        return peak_bytes(wan_run_of(family, "t2v", *HALF, frames, values), way, device)

    usual = needs({})
    assert needs({"batched_cfg": True}) > usual
    assert needs({"teacache": True}) > usual
    assert needs({}, 161) > usual
    # Windows hold a pass to their own length, so that only latents grow.
    windowed = needs({"context_schedule": "uniform_standard"}, 321)
    assert usual < windowed < 1.02 * usual


def test_time_goes_with_the_work() -> None:
    device, way = card(24), WanWay("bf16", offload=True)

    def passes(values: dict[str, Value], mode: str = "t2v", frames: int = 81) -> float:
        return wan_run_of(LARGE, mode, *HALF, frames, values).passes

    assert passes({"steps": 50}) == 100
    assert passes({"steps": 4, "cfg": 1.0}) == 4
    assert passes({"steps": 20, "denoise_strength": 70.0}, "v2v") == 28
    assert passes({"steps": 20, "start_step": 5, "end_step": 15}) == 20
    windows: dict[str, Value] = {"steps": 10, "context_schedule": "static_standard"}
    assert passes(windows, frames=161) == 10 * 2 * 3
    listed = wan_run_of(LARGE, "t2v", *HALF, 81, {"steps": 10}, guidance=(5.0, 5.0, 1.0))
    assert listed.passes == 12
    few, many = (
        seconds(wan_run_of(LARGE, "t2v", *HALF, 81, {"steps": n}), way, device) for n in (10, 50)
    )
    assert 4 < many / few < 5


@pytest.mark.parametrize(
    ("family", "size", "memory", "published_seconds"),
    [
        (SMALL, HALF, 24, 240),  # an RTX 4090, by the model's own page
        (PICTURES, HALF, 80, 40 * 5.18),  # an H100, LightX2V
        (PICTURES, HALF, 141, 216),  # an H200, LightX2V
        (PICTURES, WHOLE, 141, 751),
    ],
)
def test_times_are_near_published_ones(
    family: str, size: tuple[int, int], memory: int, published_seconds: float
) -> None:
    assert first(family, size, memory).seconds == pytest.approx(published_seconds, rel=0.35)


def test_a_processor_is_exact_unless_a_person_wants_it_otherwise() -> None:
    def line(size: int, precision: str = "auto", **values: Value) -> str:
        options = NeuralOptions(precision=precision)
        return ladder(SMALL, HALF, processor(size), options=options, values=values)[0].line

    assert line(64) == "On the CPU · about 15 h 10 min · 35.7 GB · fp32"
    # Models that do not fit beside each other take turns.
    assert line(30) == "On the CPU · about 15 h 10 min · 23.6 GB · fp32"
    assert line(20) == "On the CPU · about 15 h 10 min · needs 23.6 GB, 20.0 GB free · fp32"
    assert line(20, "bf16") == "On the CPU · about 15 h 10 min · 18.2 GB · bf16"
    eight = line(30, quantization="fp8_e4m3fn_scaled")
    assert eight == "On the CPU · about 15 h 10 min · 23.6 GB · fp8 in fp32"


# What is said


def test_the_recipe_tells_what_changes_pixels_and_no_more() -> None:
    plan = WanPlan(device="cuda", precision="bf16")
    assert plan.recipe() == ("cuda, bf16, weights disabled, VAE bf16, no tiles, prompts on cuda")
    same = msgspec.structs.replace(
        plan, block_swap=9, ahead=2, offload=True, keeps_keys=False, host_bytes=4, seconds=2.0
    )
    assert same.recipe() == plan.recipe()
    changes: list[dict[str, object]] = [
        {"device": "cpu"},
        {"precision": "fp16"},
        {"quantization": "fp8_e5m2"},
        {"vae_precision": "fp32"},
        {"vae_tile": (272, 272)},
        {"text_on": "cpu"},
    ]
    others = {msgspec.structs.replace(plan, **change).recipe() for change in changes}
    assert len(others | {plan.recipe()}) == len(changes) + 1


def test_the_line_without_all_facts() -> None:
    plan = WanPlan(device="cuda", precision="bf16", peak_bytes=9 * GIB, seconds=240.0)
    assert plan.line == "Peak 9.0 GB · about 4 min · bf16"
    short = msgspec.structs.replace(plan, free_bytes=8 * GIB, block_swap=1)
    assert short.line == "Needs 9.0 GB, 8.0 GB free · about 4 min · bf16 · 1 block swapped"
    busy = msgspec.structs.replace(plan, free_bytes=8 * GIB, total_bytes=12 * GIB)
    assert busy.line == "Needs 9.0 GB, 8.0 of 12 GB free · about 4 min · bf16"
    narrow = msgspec.structs.replace(plan, quantization="fp8_e5m2", in_eight_bits=True)
    assert narrow.line == "Peak 9.0 GB · about 4 min · fp8 e5m2"


def test_a_step_down_is_told() -> None:
    old = WanPlan(device="cuda", precision="bf16", block_swap=10)
    new = msgspec.structs.replace(old, block_swap=20, quantization="fp8_e4m3fn_scaled")
    assert wan_stepped_down(old, new, is_anew=True) == (
        "Not enough memory with 10 blocks swapped: began anew with 8-bit weights, "
        "with 20 blocks swapped."
    )
    usual = WanPlan(device="cuda", precision="bf16")
    turns = msgspec.structs.replace(usual, offload=True, keeps_keys=False, text_on="cpu")
    assert wan_stepped_down(usual, turns, is_anew=False) == (
        "Not enough memory: went on with one model on the card at a time, "
        "without keeping what prompts become, with prompts on the CPU."
    )


def test_a_job_steps_down_the_ladder_and_what_is_done_stays() -> None:
    """Each step once; of a stage that is over nothing is changed, so nothing is done twice."""
    steps = ladder(LARGE, HALF, card(48))
    seen = [steps[0]]
    rest = steps
    while rest := wan_smaller(rest):
        seen.append(rest[0])
    assert seen == list(steps)
    rest = steps
    while rest := wan_smaller(rest, {"text"}):
        assert rest[0].text_on == "cuda"
        last = rest[0]
    assert last.peak_bytes == steps[-1].peak_bytes
    plan = WanPlan(device="cuda", precision="bf16")
    narrow = msgspec.structs.replace(plan, offload=True, quantization="fp8_e5m2", block_swap=9)
    tiled = msgspec.structs.replace(narrow, vae_tile=(272, 272))
    turns = msgspec.structs.replace(plan, offload=True)
    assert wan_smaller((plan, narrow, tiled), {"text", "denoise"}) == (turns, tiled)
    after = wan_smaller((turns, tiled), {"text", "denoise"})
    assert after == (msgspec.structs.replace(turns, vae_tile=(272, 272)),)
    assert wan_smaller((turns, narrow), {"text", "denoise"}) == ()


def test_the_estimate_is_that_of_the_best_plan() -> None:
    plan = first(PICTURES, HALF, 12)
    told = wan_estimate(
        PICTURES,
        "i2v",
        *HALF,
        81,
        device=card(12),
        options=NeuralOptions(),
        values=published(PICTURES),
        cores=8,
        host_total=64 * GIB,
    )
    assert (told.line, told.seconds, told.peak_bytes, told.fits) == (
        plan.line,
        plan.seconds,
        plan.peak_bytes,
        True,
    )


def test_families_are_known_by_name() -> None:
    assert config_of(PICTURES) == TRANSFORMER_VARIANTS["wan2.1_i2v_14b_480p"]
    assert config_of("wan2.1-flf2v-14b").image_positions == 514
    with pytest.raises(EffectError, match=r"no plan for «sd-1\.5»"):
        config_of("sd-1.5")


# Two experts


PAIR, PAIR_OF_PICTURES = "wan2.2-t2v-a14b", "wan2.2-i2v-a14b"
OF_PAIR: dict[str, Value] = {
    "steps": 40, "shift": 12.0, "cfg": 4.0, "cfg_low": 3.0, "boundary": 0.875,
}  # fmt: skip
ONE = {"steps": 40, "cfg": 4.0}


def test_a_pair_takes_the_memory_of_one_expert_and_the_time_to_read_both() -> None:
    device, way = card(141), WanWay("bf16", offload=True)
    pair = wan_run_of(PAIR, "t2v", *HALF, 81, OF_PAIR)
    one = wan_run_of(LARGE, "t2v", *HALF, 81, ONE)
    assert peak_bytes(pair, way, device) == peak_bytes(one, way, device)
    assert pair.passes == one.passes == 80
    read = 28_580_000_000 / 2e9  # the second file, from a disk
    more = seconds(pair, way, device) - seconds(one, way, device)
    assert more == pytest.approx(read, rel=0.02)
    known = {"transformer": 14_300_000_000, "low": 28_600_000_000}
    files = wan_run_of(PAIR, "t2v", *HALF, 81, OF_PAIR, sizes=known)
    assert not files.is_narrow  # the larger of the two tells


@pytest.mark.parametrize("memory", CARDS)
def test_experts_take_turns_on_every_card(memory: int) -> None:
    for values in (OF_PAIR, {**OF_PAIR, "load_device": "main"}):
        steps = ladder(PAIR, HALF, card(memory), values=values, host=128)
        assert all(step.offload for step in steps)


def test_what_waits_of_both_experts_counts_where_both_are_kept() -> None:
    """Jobs keep models of 0.8 of the computer's memory; beyond that the first expert leaves."""

    def waits(family: str, memory: int) -> int:
        values = {**OF_PAIR, "quantization": "fp8_e4m3fn_scaled", "blocks_to_swap": 40}
        return ladder(family, HALF, card(24), values=values, host=memory)[0].host_bytes

    assert waits(PAIR, 32) == waits(LARGE, 32) > 0
    assert waits(PAIR, 64) == 2 * waits(LARGE, 64) > 0


def test_guidance_of_either_expert_counts() -> None:
    def passes(**values: Value) -> float:
        return wan_run_of(PAIR, "t2v", *HALF, 81, {**OF_PAIR, **values}).passes

    assert passes(cfg=1.0, cfg_low=1.0) == 40
    # Of 40 steps at a shift of 12, this many are above 0.875.
    high = sum(12 * u / (1 + 11 * u) >= 0.875 for u in (1 - i / 40 for i in range(40)))
    assert (passes(cfg_low=1.0), passes(cfg=1.0)) == (40 + high, 40 + (40 - high))
    four = {"steps": 4, "shift": 5.0, "cfg": 1.0, "cfg_low": 2.0}
    assert passes(**four) == 4 + 2


def test_a_last_picture_is_no_frame_more_for_an_expert() -> None:
    run = wan_run_of(PAIR_OF_PICTURES, "flf2v", *HALF, 81, OF_PAIR)
    assert (run.latents, run.sees, run.encodes) == (21, False, True)
    assert wan_run_of(PICTURES, "flf2v", *HALF, 81, {}).latents == 22
    assert "image" not in stages(run, WanWay("bf16"), card(141))
