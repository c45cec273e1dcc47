"""Frames of a model as the file that a person asked for."""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import OutputError
from engine.jobs import ExportOptions
from engine.media.picture import SUFFIXES, write_picture
from engine.media.writer import LosslessWriter, Mp4Writer
from engine.render.behind import Behind
from engine.render.frame import from_rgb8

MOST_WAITING = 24  # pictures, while the next are decoded
FILM, LOSSLESS = ".mp4", ".mkv"


class Film(NamedTuple):
    """How a film is written. `crf`: of H.264; `metadata`: what the file says of itself."""

    rate: Fraction
    crf: int
    metadata: Mapping[str, str]


def check_name(path: Path) -> None:
    """Raises OutputError for a name that does not say what is to be written."""
    if path.suffix.lower() not in (FILM, LOSSLESS, *SUFFIXES):
        raise OutputError(
            f"«{path.name}» is no name for a result.",
            "End it with .mp4, .mkv (without loss), .png or .jpg.",
        )


def write_result(path: Path, size: tuple[int, int], chunks: Iterable[Tensor], film: Film) -> None:
    """Chunks (3, n, H, W) in -1..1 as a film, or the first frame as a picture, by the name.

    The file appears whole or not at all. Raises OutputError, and what `chunks` raise.
    """
    pictures = pictures_of(chunks)
    if path.suffix.lower() in SUFFIXES:
        write_picture(path, next(pictures))
    elif path.suffix.lower() == LOSSLESS:
        _write_lossless(path, size, pictures, film)
    else:
        _write_film(path, size, pictures, film)


def pictures_of(chunks: Iterable[Tensor]) -> Iterator[NDArray[np.uint8]]:
    """Frame by frame, (H, W, 3) RGB."""
    for chunk in chunks:
        levels = ((chunk + 1) * 127.5).round().clamp(0, 255).byte()
        for picture in levels.permute(1, 2, 3, 0).contiguous().cpu():
            yield picture.numpy()


def _write_lossless(
    path: Path, size: tuple[int, int], pictures: Iterator[NDArray[np.uint8]], film: Film
) -> None:
    writer = LosslessWriter(path, *size, film.rate)
    try:
        with Behind(MOST_WAITING, "encode") as behind:
            for picture in pictures:
                behind.call(partial(writer.write, from_rgb8(picture)))
    except BaseException:
        writer.abandon()
        raise
    writer.finish()


def _write_film(
    path: Path, size: tuple[int, int], pictures: Iterator[NDArray[np.uint8]], film: Film
) -> None:
    options = ExportOptions(crf=film.crf, preset="medium")
    writer = Mp4Writer(path, *size, film.rate, options, False, film.metadata)
    try:
        with Behind(MOST_WAITING, "encode") as behind:
            for number, picture in enumerate(pictures):
                times = number / film.rate, 1 / film.rate
                behind.call(partial(writer.write, from_rgb8(picture), *times))
    except BaseException:
        writer.abandon()
        raise
    writer.finish()
