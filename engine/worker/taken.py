"""Pictures as effects make them, taken into files that a model can be given."""

import hashlib
from contextlib import closing
from fractions import Fraction
from pathlib import Path

from engine.filters.lanczos import resampled
from engine.filters.pixels import Picture
from engine.media.picture import write_picture
from engine.media.writer import LosslessWriter
from engine.render.bake import effect_source
from engine.render.frame import from_rgb8, to_rgb8
from engine.render.pool import index_in
from engine.timeline.time import ZERO
from engine.worker.jpeg import encoded
from engine.worker.messages import Taken, TakePictures

FOLDER = "taken"  # in the cache
PREVIEW_SIDE = 352


def taken(ask: TakePictures) -> Taken:
    """Writes what is asked for, under a name of its content. Raises MediaError and OutputError."""
    moments = [max(ZERO, ask.at - back / ask.rate) for back in reversed(range(ask.count))]
    with closing(effect_source(ask.asset, ask.uses, Path(ask.cache), ask.wanted)) as source:
        places = [index_in(source.times, at) for at in moments]
        pictures = [to_rgb8(source.frame(place)) for place in places]
        is_stale = any(source.stale_at(place) for place in places)
    height, width = pictures[-1].shape[:2]
    pictures = [
        one if one.shape[:2] == (height, width) else resampled(one, width, height)
        for one in pictures  # what is not rendered has the size of the source
    ]
    return Taken(
        ask=ask.ask,
        path=str(_written(Path(ask.cache) / FOLDER, pictures, ask.rate)),
        time=(len(pictures) - 1) / ask.rate,
        width=width,
        height=height,
        jpeg=encoded(pictures[-1], PREVIEW_SIDE),
        is_stale=is_stale,
    )


def _written(folder: Path, pictures: list[Picture], rate: Fraction) -> Path:
    digest = hashlib.blake2b(digest_size=12)
    for one in pictures:
        digest.update(one.tobytes())
    path = folder / f"{digest.hexdigest()}.{'png' if len(pictures) == 1 else 'mkv'}"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    if len(pictures) == 1:
        write_picture(path, pictures[0])
        return path
    height, width = pictures[0].shape[:2]
    writer = LosslessWriter(path, width, height, rate)
    try:
        for one in pictures:
            writer.write(from_rgb8(one))
    except BaseException:
        writer.abandon()
        raise
    writer.finish()
    return path
