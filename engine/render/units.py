"""For which part of a medium a chain of effects is made, where it is made for a part.

An effect that makes all pictures together is made for what a clip shows, and serves every trim
inside that. Other effects of its chain are made for the same part, as if the medium were no longer.
"""

from collections.abc import Iterator

from engine.render.cache import SegmentCache
from engine.render.keys import Stage, part_name, parts_of, stages
from engine.timeline.effects import Reach, made_whole
from engine.timeline.model import Asset, EffectUse


def unit_of(
    asset: Asset, uses: tuple[EffectUse, ...], wanted: range, cache: SegmentCache
) -> range | None:
    """The pictures that the chain is made for to give `wanted`; None where it is for all of them.

    What is there already serves, else it is `wanted` itself. Raises EffectError for bad values.
    """
    if not made_whole(uses) or not stages(asset, uses):
        return None
    return next(_ready(asset, uses, wanted, cache), wanted)


def shown_unit(
    asset: Asset, uses: tuple[EffectUse, ...], wanted: range, cache: SegmentCache
) -> range | None:
    """As `unit_of`, but what shows a part of `wanted` is better than nothing."""
    unit = unit_of(asset, uses, wanted, cache)
    known = cache.units(unit_chain(asset, uses)) if unit is not None else ()
    if unit in known or unit is None:
        return unit
    meets = (one for one in known if one.start < wanted.stop and wanted.start < one.stop)
    return next(meets, unit)


def unit_chain(asset: Asset, uses: tuple[EffectUse, ...]) -> str:
    """What units are remembered by: the chain up to its last effect that needs one."""
    chain = stages(asset, uses)
    return chain[_last_whole(chain)].chain


def _ready(
    asset: Asset, uses: tuple[EffectUse, ...], wanted: range, cache: SegmentCache
) -> Iterator[range]:
    """Units, newest first, in which all of `wanted` is there."""
    for unit in cache.units(unit_chain(asset, uses)):
        if unit.start <= wanted.start and wanted.stop <= unit.stop:
            chain = stages(asset, uses, unit)
            inside = parts_of(wanted.start - unit.start, wanted.stop - unit.start)
            for stage in chain[_last_whole(chain) :]:
                if all(cache.has(part_name(stage, part)) for part in inside):
                    yield unit
                    break


def _last_whole(chain: tuple[Stage, ...]) -> int:
    return max(i for i, stage in enumerate(chain) if stage.engine.reach is Reach.WHOLE)
