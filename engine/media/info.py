"""What a file is: its streams, sizes, rates, and a fingerprint of its content."""

import hashlib
from fractions import Fraction
from pathlib import Path

from engine.errors import MediaError
from engine.media.index import PictureIndex, index_of
from engine.media.opening import head_of, open_media, readable
from engine.media.reader import VideoReader
from engine.media.sound import SoundReader
from engine.timeline.model import MediaFacts, SoundFacts, VideoFacts

_SAMPLE_BYTES = 1 << 20

_CONTAINERS = {
    "mov,mp4,m4a,3gp,3g2,mj2": "mp4",
    "matroska,webm": "matroska",
    "png_pipe": "png",
    "jpeg_pipe": "jpeg",
}


def probe(path: Path) -> MediaFacts:
    """The facts of a file. Raises MediaError, with one sentence, for what cannot be read."""
    index = index_of(path)
    with open_media(path) as container, readable(path):
        kind = container.format.name
    video, still = None, False
    if index.pictures is not None:
        video, still = _video(path, index.pictures)
    sound, length = None, Fraction(0)
    if index.sound is not None and not still:
        try:
            sound, length = _sound(path, index.sound)
        except MediaError:
            if video is None:
                raise
    duration = index.pictures.duration if index.pictures is not None else length
    return MediaFacts(
        duration=Fraction(0) if still else duration,
        container=_container(path, kind),
        size_bytes=path.stat().st_size,
        video=video,
        sound=sound,
        still=still,
    )


def fingerprint(path: Path) -> str:
    """A name of the content: its size and its first, middle and last MiB. Raises MediaError."""
    head_of(path)
    with readable(path):
        size = path.stat().st_size
        digest = hashlib.blake2b(str(size).encode(), digest_size=20)
        with path.open("rb") as file:
            for place in (0, size // 2 - _SAMPLE_BYTES // 2, size - _SAMPLE_BYTES):
                file.seek(max(0, place))
                digest.update(file.read(_SAMPLE_BYTES))
    return f"b2:{digest.hexdigest()}"


def _video(path: Path, pictures: PictureIndex) -> tuple[VideoFacts, bool]:
    reader = VideoReader(path)
    try:
        first = reader.frame(0)
        facts = VideoFacts(
            width=reader.width,
            height=reader.height,
            rate=Fraction(1) if reader.is_still else pictures.rate,
            frames=len(pictures.stamps),
            codec=reader.codec,
            pixel_format=first.format,
            variable=pictures.is_variable,
            rotation=reader.rotation,
            alpha=first.has_alpha,
        )
        return facts, reader.is_still
    finally:
        reader.close()


def _sound(path: Path, number: int) -> tuple[SoundFacts, Fraction]:
    reader = SoundReader(path)
    try:
        return reader.facts, reader.duration
    finally:
        reader.close()


def _container(path: Path, kind: str) -> str:
    name = _CONTAINERS.get(kind, kind)
    suffix = path.suffix.lower().removeprefix(".")
    if name == "mp4" and suffix in ("mov", "m4a"):
        return suffix
    return "webm" if name == "matroska" and suffix == "webm" else name
