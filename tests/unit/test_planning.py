"""The price of an effect before it runs."""

import subprocess
import sys
from fractions import Fraction

import pytest

from engine.errors import EffectError
from engine.jobs import EffectJob
from engine.planning import estimate
from engine.planning.price import is_priced
from engine.timeline.effects import EFFECTS, EffectKind, Engine, new_use
from engine.timeline.model import Asset, EffectUse, MediaFacts, VideoFacts
from engine.timeline.time import TimeRange, between


def job(
    *uses: EffectUse,
    width: int = 1920,
    height: int = 1080,
    frames: int = 1500,
    wanted: TimeRange | None = None,
) -> EffectJob:
    video = VideoFacts(width, height, Fraction(25), frames, "h264", "yuv420p")
    facts = MediaFacts(Fraction(frames, 25), "mp4", 1000, video)
    asset = Asset("a", "/media/a.mp4", "a.mp4", facts, "b2:a")
    return EffectJob(title="", subject="", asset=asset, uses=uses, wanted=wanted, cache="/cache")


@pytest.mark.parametrize(
    ("kind", "engine"), [(kind, engine) for kind in EFFECTS for engine in kind.engines]
)
def test_every_engine_has_a_price(kind: EffectKind, engine: Engine) -> None:
    assert is_priced(engine.name)
    price = estimate(job(new_use(kind.name, engine.name)), cores=2)
    assert price.seconds > 1
    assert price.peak_bytes > 100_000_000
    assert price.line.startswith("On the CPU · about ")
    assert " GB" in price.line


def test_the_line_is_as_drawn() -> None:
    lines = {
        frames: estimate(job(new_use("restyle"), frames=frames), cores=2).line
        for frames in (10, 480, 4800, 48_000)
    }
    assert lines[10].split(" · ")[1].endswith(" s")
    assert lines[480].split(" · ")[1].endswith(" min")
    assert " h" in lines[48_000].split(" · ")[1]


def test_more_costs_more() -> None:
    base = estimate(job(new_use("restyle")), cores=2)
    assert estimate(job(new_use("restyle"), frames=3000), cores=2).seconds > 1.8 * base.seconds
    assert estimate(job(new_use("restyle")), cores=8).seconds < base.seconds / 2
    small = estimate(job(new_use("restyle"), width=640, height=360), cores=2)
    assert small.seconds < base.seconds / 2
    assert small.peak_bytes < base.peak_bytes
    both = estimate(job(new_use("restyle"), new_use("upscale")), cores=2)
    assert both.seconds > base.seconds


def test_only_the_segments_asked_for_count() -> None:
    whole = estimate(job(new_use("restyle")), cores=2)
    second = between(Fraction(500, 25), Fraction(520, 25))
    part = estimate(job(new_use("restyle"), wanted=second), cores=2)
    assert part.seconds < whole.seconds / 10


def test_a_move_over_one_picture_of_a_long_film_is_cheap() -> None:
    chain = job(new_use("upscale"), new_use("image-to-video", "", {"seconds": 1.0}))
    assert estimate(chain, cores=2).seconds < 60


def test_bad_values_are_told() -> None:
    with pytest.raises(EffectError, match="Line width cannot be 99"):
        estimate(job(EffectUse("x", "restyle", "ink", {"line": 99})))


def test_a_job_with_no_known_effect_costs_nothing_much() -> None:
    assert estimate(job(EffectUse("x", "sparkle", "glitter"))).seconds < 2


def test_planning_loads_no_heavy_library() -> None:
    names = "('av', 'cv2', 'numpy')"
    code = f"import sys, engine.planning; print([m for m in {names} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
