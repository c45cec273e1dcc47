"""What comes out of effects, told before they run: size, rate, length."""

from fractions import Fraction

import msgspec

from engine.generation import FRAMES
from engine.timeline.effects import is_known
from engine.timeline.model import EffectUse, MediaFacts, VideoFacts
from engine.timeline.parameters import Value
from engine.timeline.wan_engines import WAN_IMAGE_ENGINES, WAN_RESTYLE_ENGINES
from engine.wan_rules import AREAS, RATE, nearest_length, shown_size

replace = msgspec.structs.replace
WAN_NAMES = frozenset(one.name for one in (*WAN_RESTYLE_ENGINES, *WAN_IMAGE_ENGINES))


def result_facts(facts: MediaFacts, uses: tuple[EffectUse, ...]) -> MediaFacts:
    """The facts of a medium after `uses`, in order; what is off or unknown changes nothing."""
    for use in uses:
        if use.enabled and is_known(use) and facts.video is not None:
            facts = _after(facts, facts.video, use)
    return facts


def _after(facts: MediaFacts, video: VideoFacts, use: EffectUse) -> MediaFacts:
    values = use.values
    match use.kind:
        case "upscale":
            width, height = upscaled(video.width, video.height, values)
            return replace(facts, video=replace(video, width=width, height=height))
        case "restyle" if use.engine in WAN_NAMES:
            width, height = shown_size(_area(values), video.width, video.height)
            return replace(facts, video=replace(video, width=width, height=height))
        case "image-to-video" if use.engine in WAN_NAMES:
            width, height = shown_size(_area(values), video.width, video.height)
            frames = nearest_length(int(values.get("frames", FRAMES)))
            rate = Fraction(RATE)
            return _moving(facts, replace(video, width=width, height=height), frames, rate)
        case "image-to-video":
            rate = exact_rate(float(values.get("fps", 25.0)))
            frames = max(1, round(float(values.get("seconds", 3.0)) * rate))
            width, height = moved(video.width, video.height, str(values.get("size", "source")))
            return _moving(facts, replace(video, width=width, height=height), frames, rate)
        case _:
            return facts


def _moving(facts: MediaFacts, video: VideoFacts, frames: int, rate: Fraction) -> MediaFacts:
    """What has a time of its own: without sound."""
    made = replace(video, rate=rate, frames=frames, variable=False)
    return replace(facts, video=made, sound=None, still=False, duration=frames / rate)


def _area(values: dict[str, Value]) -> int:
    return AREAS.get(str(values.get("size", "")), AREAS["480p"])


def exact_rate(fps: float) -> Fraction:
    """The rate that a rounded number stands for: 29.97 is 30000/1001."""
    broadcast = Fraction(round(fps) * 1000, 1001)
    if fps != round(fps) and abs(fps - broadcast) < 0.005:
        return broadcast
    return Fraction(fps).limit_denominator(1001)


def upscaled(
    width: int, height: int, values: dict[str, float | int | str | bool]
) -> tuple[int, int]:
    """The size in pixels after an Upscale: exactly the factor, or exactly the size asked for."""
    scale = str(values.get("scale", "2"))
    if scale == "size":
        return int(values.get("width", width)), int(values.get("height", height))
    return width * int(scale), height * int(scale)


def moved(width: int, height: int, size: str) -> tuple[int, int]:
    """The size of a camera move over a picture: even, by the picture's shape."""
    if size != "source":
        factor = Fraction(int(size), max(width, height))
        width, height = round(width * factor), round(height * factor)
    return max(2, width // 2 * 2), max(2, height // 2 * 2)
