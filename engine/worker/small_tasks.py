"""The small asks about files: what one is, its thumbnails, its waveform, what is baked."""

import logging
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import MediaError
from engine.media.index import index_of
from engine.media.info import fingerprint, probe
from engine.media.reader import SoundReader, VideoReader
from engine.render.frame import to_rgb8
from engine.render.source import index_at
from engine.worker.jpeg import encoded
from engine.worker.messages import (
    Done,
    Event,
    Peaks,
    Probe,
    Probed,
    Strip,
    Thumbnail,
    Waveform,
)

PER_SECOND = 100  # pairs of a waveform
_BLOCK = 48_000 // PER_SECOND  # samples in a pair
_CHUNK = 20 * PER_SECOND  # pairs made in one step
_NEAR = Fraction(1, 4)  # seconds that a lone thumbnail may be off to be quick


def probed(ask: Probe) -> Probed:
    """What a file is. Raises MediaError."""
    path = Path(ask.path)
    return Probed(ask=ask.ask, facts=probe(path), fingerprint=fingerprint(path))


def strip(ask: Strip, send: Callable[[Event], None]) -> Iterator[None]:
    """Thumbnails one by one, those that are kept on disk first."""
    folder = Path(ask.cache) / "thumbnails" / _file_name(ask.fingerprint)
    missing: list[Fraction] = []
    for at in ask.times:
        kept = _read(_thumbnail_path(folder, at, ask.height))
        if kept is None:
            missing.append(at)
        else:
            send(Thumbnail(ask=ask.ask, time=at, jpeg=kept))
    if missing:
        yield
        path = Path(ask.path)
        slack = min((abs(b - a) for a, b in zip(ask.times, ask.times[1:], strict=False)), default=0)
        reader = VideoReader(path)
        try:
            for at in missing:
                picture = reader.frame(_near_key(path, reader, at, Fraction(slack) / 2 or _NEAR))
                width = max(1, round(reader.width * ask.height / reader.height))
                jpeg = encoded(to_rgb8(picture, width, ask.height), max(width, ask.height))
                _keep(_thumbnail_path(folder, at, ask.height), jpeg)
                send(Thumbnail(ask=ask.ask, time=at, jpeg=jpeg))
                yield
        finally:
            reader.close()
    send(Done(ask=ask.ask))


def _near_key(path: Path, reader: VideoReader, at: Fraction, slack: Fraction) -> int:
    """The picture for a thumbnail: one that needs no decoding of others, if one is near."""
    index = index_at(reader.times, at)
    pictures = index_of(path).pictures
    if pictures is None:
        return index
    key = pictures.keys[pictures.key_before(index)]
    return key if abs(reader.times[key] - at) <= slack else index


def waveform(ask: Peaks, send: Callable[[Event], None]) -> Iterator[None]:
    """The loudness of a whole file, from disk where it was made before."""
    place = Path(ask.cache) / "waveforms" / f"{_file_name(ask.fingerprint)}-{PER_SECOND}.peaks"
    data = _read(place)
    if data is None:
        parts: list[bytes] = []
        reader = SoundReader(Path(ask.path))
        try:
            pairs = -(-reader.length // _BLOCK)
            for first in range(0, pairs, _CHUNK):
                count = min(_CHUNK, pairs - first)
                parts.append(_pairs(reader.samples(first * _BLOCK, count * _BLOCK)))
                yield
        finally:
            reader.close()
        data = b"".join(parts)
        if not data:
            raise MediaError(f"{Path(ask.path).name} has no sound.")
        _keep(place, data)
    send(Waveform(ask=ask.ask, per_second=PER_SECOND, data=data))


def _pairs(samples: NDArray[np.float32]) -> bytes:
    """(peak, rms) of each block over both channels, 255 for full scale."""
    blocks = samples.reshape(-1, _BLOCK * 2)
    peak = np.abs(blocks).max(axis=1)
    rms = np.sqrt(np.square(blocks, dtype=np.float32).mean(axis=1))
    levels = np.stack((peak, rms), axis=1) * 255
    pairs: NDArray[np.uint8] = np.clip(np.rint(np.nan_to_num(levels)), 0, 255).astype(np.uint8)
    return pairs.tobytes()


def _file_name(fingerprint_text: str) -> str:
    """A fingerprint as a name that every file system takes, and that cannot lead elsewhere."""
    return "".join(one if one.isalnum() else "-" for one in fingerprint_text) or "-"


def _thumbnail_path(folder: Path, at: Fraction, height: int) -> Path:
    return folder / f"{at.numerator}_{at.denominator}-{height}.jpg"


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        logging.warning("%s cannot be read: %s", path, error)
        return None


def _keep(path: Path, data: bytes) -> None:
    """Writes a file of the cache; without it the next start is slower, no more."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        logging.warning("%s cannot be written: %s", path, error)
