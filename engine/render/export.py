"""The loop of an export: plan, picture, encoder."""

import time
from collections import abc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.errors import EditError, ProjectError
from engine.jobs import ExportJob, ExportOptions, Format, JobResult, Sound
from engine.media.writer import SHORTEST, GifWriter, Mp4Writer
from engine.progress import Report
from engine.render.ahead import Ahead
from engine.render.compositor import Compositor
from engine.render.export_effects import bake_missing
from engine.render.export_recipe import recipe
from engine.render.export_times import (
    Shown,
    constant_rate,
    frame_times,
    there_and_back,
    thinned,
)
from engine.render.frame import Planes, to_rgb8
from engine.render.mixer import Mixer, sample_at
from engine.render.pingpong import pictures_there_and_back
from engine.render.plan import Shot
from engine.render.soundtrack import Soundtrack, pieces
from engine.timeline.model import Sequence, TrackKind
from engine.timeline.time import ZERO, Time, TimeRange

STAGE = "encode"
_AHEAD = 8  # pictures made while others are encoded
_SOUND_BLOCK = 24_000  # samples mixed at a time
_PREVIEW_WIDTH = 480
_MOST_PIXELS = 1 << 27


@dataclass(frozen=True)
class _Film:
    """One round of the pictures: forward ones with their times, the order they come in."""

    forward: list[Shown]
    order: list[int]
    width: int
    height: int

    @property
    def there(self) -> Time:
        return sum((one.duration for one in self.forward), ZERO)

    @property
    def back(self) -> Time:
        way_back = self.order[len(self.forward) :]
        return sum((self.forward[index].duration for index in way_back), ZERO)


def export(job: ExportJob, report: Report) -> JobResult:
    """Renders the job's sequence into its file.

    Raises EngineError where there is nothing to export, or a medium or the file cannot be used.
    """
    began = time.monotonic()
    sequence = job.project.sequence(job.sequence)
    span = exported_span(sequence, job.options)
    size = output_size(sequence, job.options)
    baked = bake_missing(job, sequence, span, report)
    compositor = Compositor(job.project, sequence.id, Path(job.cache))
    with closing(Mixer(job.project, sequence.id, is_strict=True)) as mixer, ExitStack() as held:
        held.callback(compositor.close)

        def times_of(shot: Shot) -> abc.Sequence[Fraction]:
            report.step(STAGE, 0, 1)  # hears of a cancel before a file is opened
            return compositor.times(shot)

        is_gif = job.options.format is Format.GIF
        # Players seek in a film from picture to picture: a still needs more than one there.
        every = frame_times(
            job.project, sequence, span, job.options.rate, times_of, long_stills=is_gif
        )
        forward = thinned(every, SHORTEST) if is_gif else every
        film = _Film(forward, _order(forward, job.options), *size)
        dropped = len(_order(every, job.options)) - len(film.order)
        sound = _soundtrack(film, job.options, mixer)
        writer = _writer(job, film, sound is not None)
        try:
            # From here on the thread that makes the pictures closes what they come from.
            close = held.pop_all().close
            _encode(film, _pictures(film, compositor), close, writer, sound, report)
            _finish(film, writer, job.options.loop, report)
        except BaseException:
            writer.abandon()
            raise
    return _result(job, film, _notes(dropped), baked, time.monotonic() - began)


def exported_span(sequence: Sequence, options: ExportOptions) -> TimeRange:
    """The part that is exported. Raises EngineError when nothing is in it."""
    end = sequence.duration
    has_picture = any(
        track.kind is TrackKind.VIDEO and not track.hidden and any(c.enabled for c in track.clips)
        for track in sequence.tracks
    )
    if not has_picture:
        raise ProjectError(
            f"«{sequence.name}» has no picture to export.", "Put a clip on a video track first."
        )
    wanted = options.range or TimeRange(ZERO, end)
    span = wanted.intersection(TimeRange(ZERO, end)) if wanted.duration > 0 else None
    if span is None:
        raise EditError(
            f"There is nothing to export from {float(wanted.start):g} s to {float(wanted.end):g} s:"
            f" «{sequence.name}» is {float(end):g} s long.",
            "Move the in and out points onto the clips.",
        )
    return span


def output_size(sequence: Sequence, options: ExportOptions) -> tuple[int, int]:
    """Width and height of the exported pictures: the asked width, the height even.

    Raises EditError for more than can be coded.
    """
    width, height = sequence.width, sequence.height
    if options.width not in (None, width):
        width = max(2, options.width)
        height = max(2, round(Fraction(sequence.height * width, sequence.width) / 2) * 2)
    if width * height > _MOST_PIXELS:
        raise EditError(
            f"Pictures of {width}×{height} are too large to be written.", "Choose a smaller width."
        )
    return width, height


def _writer(job: ExportJob, film: _Film, has_sound: bool) -> Mp4Writer | GifWriter:
    writer = GifWriter if job.options.format is Format.GIF else Mp4Writer
    return writer(
        Path(job.output),
        film.width,
        film.height,
        constant_rate(film.forward),
        job.options,
        has_sound,
        {"comment": recipe(job)},
    )


def _finish(film: _Film, writer: Mp4Writer | GifWriter, loop: int, report: Report) -> None:
    if isinstance(writer, Mp4Writer):
        writer.finish(loop)
        return
    # Half of a GIF's work begins when the palette is known.
    count = len(film.order)

    def coloured(done: int, of: int) -> None:
        report.step(STAGE, count + count * done // of, 2 * count)

    writer.finish(loop, coloured)


def _order(forward: list[Shown], options: ExportOptions) -> list[int]:
    count = len(forward)
    return there_and_back(count) if options.ping_pong else list(range(count))


def _notes(dropped: int) -> tuple[str, ...]:
    """What was adjusted, in sentences."""
    if not dropped:
        return ()
    were = "1 picture was" if dropped == 1 else f"{dropped} pictures were"
    return (f"{were} left out: a GIF shows each for 0.02 s at the least.",)


def _soundtrack(film: _Film, options: ExportOptions, mixer: Mixer) -> Soundtrack | None:
    """The film's sound; None where it is off or there is nothing to hear."""
    if options.format is Format.GIF or options.sound is Sound.OFF or not mixer.is_audible:
        return None
    first = film.forward[0]
    second = first.at + first.duration
    loops = max(1, options.loop)
    return Soundtrack(
        mixer.samples, pieces(options.sound, first.at, film.there, film.back, second, loops)
    )


def _encode(
    film: _Film,
    pictures: Iterator[tuple[int, Planes]],
    close: Callable[[], None],
    writer: Mp4Writer | GifWriter,
    sound: Soundtrack | None,
    report: Report,
) -> None:
    done, count = 0, len(film.order)
    total = 2 * count if isinstance(writer, GifWriter) else count
    at, heard = ZERO, 0
    with Ahead(pictures, _AHEAD, close, lambda: report.step(STAGE, done, total)) as made:
        report.step(STAGE, done, total)
        for index, planes in made:
            duration = film.forward[index].duration
            writer.write(planes, at, duration)
            at += duration
            if sound is not None and sample_at(at) - heard >= _SOUND_BLOCK:
                writer.write_sound(sound.read(sample_at(at) - heard))
                heard = sample_at(at)
            done += 1
            report.step(STAGE, done, total)
            report.preview(f"Frame {done} of {count}", partial(_small, planes))
    while sound is not None and heard < sound.length:
        count = min(_SOUND_BLOCK, sound.length - heard)
        writer.write_sound(sound.read(count))
        heard += count
        report.step(STAGE, done, total)  # hears of a cancel


def _pictures(film: _Film, compositor: Compositor) -> Iterator[tuple[int, Planes]]:
    def picture(index: int) -> Planes:
        return compositor.frame(film.forward[index].at, film.width, film.height)

    if len(film.order) > len(film.forward):
        return pictures_there_and_back(len(film.forward), picture)
    return ((index, picture(index)) for index in film.order)


def _small(planes: Planes) -> NDArray[np.uint8]:
    width = min(planes.width, _PREVIEW_WIDTH)
    return to_rgb8(planes, width, max(1, round(planes.height * width / planes.width)))


def _result(
    job: ExportJob, film: _Film, notes: tuple[str, ...], baked: JobResult, seconds: float
) -> JobResult:
    rounds = max(1, job.options.loop) if job.options.format is Format.MP4 else 1
    return msgspec.structs.replace(
        baked,
        output=job.output,
        frames=len(film.order) * rounds,
        seconds=seconds,
        size_bytes=Path(job.output).stat().st_size,
        duration=(film.there + film.back) * rounds,
        notes=notes,
    )
