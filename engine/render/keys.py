"""What a baked effect is made of, and the names its parts have in the cache. Pure."""

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import msgspec

from engine.timeline.effects import Engine, Value, checked, is_known, kind
from engine.timeline.model import Asset, EffectUse, VideoFacts
from engine.timeline.results import result_facts
from engine.timeline.time import TimeRange

GRID = 480  # pictures of a segment: an absolute grid from picture 0, whatever the trim
PART = 60  # pictures of one file; a segment is stored in parts so that a kill costs little
PARTS = GRID // PART

FORMAT = 1  # of the stored parts; rises when they are written in another way

LIBRARIES = (("opencv-python", "opencv-python-headless"), ("numpy",), ("av",))


class Stage(NamedTuple):
    """One effect of a chain: what goes in, what comes out, and the values that count."""

    use: EffectUse
    kind: str
    engine: Engine
    values: dict[str, Value]  # every parameter, checked
    before: VideoFacts
    after: VideoFacts
    chain: str  # digest of the source and of all effects up to and with this one

    @property
    def makes_time(self) -> bool:
        """Whether the result has pictures and times of its own."""
        return self.kind == "image-to-video"

    @property
    def warm_up(self) -> int:
        return self.engine.warm_up


def stages(
    asset: Asset, uses: tuple[EffectUse, ...], unit: range | None = None
) -> tuple[Stage, ...]:
    """The effects of a chain that count: on, and known here. Raises EffectError for bad values.

    `unit`: the pictures of the medium that the chain is made for, where it is made for a part.
    """
    result: list[Stage] = []
    facts = asset.facts
    chain = asset.fingerprint
    if unit is not None and facts.video is not None:
        facts = msgspec.structs.replace(
            facts, video=msgspec.structs.replace(facts.video, frames=len(unit))
        )
        chain = _digest([chain, unit.start, unit.stop])
    for use in uses:
        if not use.enabled or not is_known(use) or facts.video is None:
            continue
        engine = kind(use.kind).engine(use.engine)
        values = checked(engine, use.values)
        plain = msgspec.structs.replace(use, values=values)
        after = result_facts(facts, (plain,))
        chain = _digest([chain, use.kind, engine.name, engine.version, _counted(engine, values)])
        if after.video is None:
            continue
        result.append(Stage(use, use.kind, engine, values, facts.video, after.video, chain))
        facts = after
    return tuple(result)


def segment_key(stage: Stage, segment: int) -> str:
    """The name of a segment: of all that can change a pixel in it."""
    return _digest([stage.chain, segment, GRID, PART, FORMAT, stage.warm_up, *software()])


def part_name(stage: Stage, part: int) -> str:
    """The name of part `part`, counted from picture 0 of the result."""
    return f"{segment_key(stage, part // PARTS)}-{part % PARTS}"


def part_of(index: int) -> int:
    """The part that holds picture `index`."""
    return index // PART


def parts_of(start: int, stop: int) -> range:
    """The parts that hold pictures start to stop - 1."""
    return range(start // PART, -(-stop // PART))


def pictures_in(times: Sequence[Fraction], wanted: TimeRange | None) -> range:
    """The pictures that show in a range of the result's time, one at least; None: all."""
    if wanted is None:
        return range(len(times))
    start = max(0, bisect_right(times, wanted.start) - 1)
    return range(start, max(start + 1, bisect_left(times, wanted.end)))


def regular_times(video: VideoFacts) -> list[Fraction]:
    """When each picture begins, at a constant rate."""
    return [number / video.rate for number in range(video.frames)]


@lru_cache(maxsize=1)
def software() -> tuple[str, ...]:
    """The libraries that compute the pixels, with their versions."""
    return tuple(_installed(names) for names in LIBRARIES)


def _installed(names: tuple[str, ...]) -> str:
    # Only here: the editor plans with this module at its start, and names parts much later.
    from importlib.metadata import PackageNotFoundError, version

    for name in names:
        try:
            return f"{names[0]} {version(name)}"
        except PackageNotFoundError:
            continue
    return f"{names[0]} unknown"


def _counted(engine: Engine, values: dict[str, Value]) -> dict[str, Value]:
    """The values that can change a pixel: others do not hide them, and they are not only means."""
    counted = {one.name for one in engine.parameters if one.counts(values)} - {*engine.means}
    return {name: values[name] for name in sorted(counted)}


def _digest(content: list[object]) -> str:
    text = json.dumps(content, ensure_ascii=True, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
