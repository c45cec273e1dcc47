"""Sound of a file as 48 kHz stereo, exact to the sample wherever reading begins."""

from collections import OrderedDict
from collections.abc import Iterator
from fractions import Fraction
from math import gcd
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from engine.errors import MediaError
from engine.media.index import MediaIndex, index_of
from engine.media.opening import damaged, open_media, readable
from engine.timeline.model import SoundFacts

RATE = 48_000

_BLOCKS_KEPT = 12  # seconds
_PREROLL = Fraction(1, 4)  # decoded before what is wanted: MP3 and AAC lean on packets before
_MARGIN = 256  # samples on both sides of a block that the resampler's filter sees

Samples = NDArray[np.float32]


class SoundReader:
    """Samples of the first sound stream; sample 0 is at time 0 of the medium.

    Works by whole seconds on the stream's own samples: a second of any rate is exactly 48,000
    samples here, so every sample is the same whether it was reached in order or by a seek.
    """

    def __init__(self, path: Path) -> None:
        index = index_of(path)
        if index.sound is None:
            raise MediaError(f"«{path.name}» has no sound.", "It can be used on a video track.")
        self._path = path
        self._stream = _NativeSound(path, index)
        self._blocks: OrderedDict[int, Samples] = OrderedDict()

    @property
    def length(self) -> int:
        """Samples from time 0 of the medium to the end of its sound."""
        return max(0, -(-self._stream.stop * RATE // self._stream.rate))

    @property
    def duration(self) -> Fraction:
        """Seconds from time 0 of the medium to the end of its sound."""
        return Fraction(max(0, self._stream.stop), self._stream.rate)

    @property
    def facts(self) -> SoundFacts:
        """The stream as stored."""
        return self._stream.facts

    def samples(self, start: int, count: int) -> Samples:
        """(count, 2) from sample `start`; silence where there is no sound. Raises MediaError."""
        result = np.zeros((max(0, count), 2), np.float32)
        if count <= 0:
            return result
        for second in range(start // RATE, (start + count - 1) // RATE + 1):
            block = self._block(second)
            first = max(start, second * RATE)
            last = min(start + count, (second + 1) * RATE)
            result[first - start : last - start] = block[first - second * RATE :][: last - first]
        return result

    def close(self) -> None:
        self._blocks.clear()
        self._stream.close()

    def _block(self, second: int) -> Samples:
        block = self._blocks.pop(second, None)
        if block is None:
            with readable(self._path):
                block = self._resampled(second)
        self._blocks[second] = block
        if len(self._blocks) > _BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return block

    def _resampled(self, second: int) -> Samples:
        rate = self._stream.rate
        if (second + 1) * rate <= self._stream.start or second * rate >= self._stream.stop:
            return np.zeros((RATE, 2), np.float32)
        if rate == RATE:
            return self._stream.read(second * RATE, (second + 1) * RATE)
        step = rate // gcd(rate, RATE)
        margin = -(-_MARGIN // step) * step  # a whole number of output samples too
        native = self._stream.read(second * rate - margin, (second + 1) * rate + margin)
        resampler = AudioResampler(format="flt", layout="stereo", rate=RATE)
        frame = AudioFrame.from_ndarray(native.reshape(1, -1), format="flt", layout="stereo")
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        frame.pts = 0
        parts = [*resampler.resample(frame), *resampler.resample(None)]
        whole = np.concatenate([part.to_ndarray().reshape(-1, 2) for part in parts])
        skipped = margin * RATE // rate
        block = np.zeros((RATE, 2), np.float32)
        found = whole[skipped : skipped + RATE]
        block[: len(found)] = found
        return block


class _NativeSound:
    """The stream's own samples in stereo by number; 0 is at time 0 of the medium."""

    def __init__(self, path: Path, index: MediaIndex) -> None:
        assert index.sound is not None
        self._path = path
        self._number = index.sound
        self._container = open_media(path)
        stream = self._open_stream()
        self.rate = int(stream.codec_context.sample_rate or 0)
        if self.rate <= 0:
            raise damaged(path, "no sample rate")
        self.facts = SoundFacts(self.rate, stream.codec_context.channels, stream.codec_context.name)
        self._base = stream.time_base or Fraction(1, self.rate)
        self._to_stereo = _Stereo(self.rate)
        self._places: dict[int, int] | None = None
        self._parts: Iterator[tuple[int, Samples]] | None = None
        self._held: tuple[int, Samples] = (0, np.zeros((0, 2), np.float32))
        with readable(path):
            first = next(self._frames(), None)
        if first is None:
            raise damaged(path, "no sound could be decoded")
        self._first_stamp = first.pts or 0
        pictures = index.pictures
        zero = pictures.zero if pictures is not None else self._first_stamp * self._base
        self._zero = round(zero * self.rate)
        self.start = self._place_of(self._first_stamp)
        self.stop = max(self.start + first.samples, round(index.sound_end * self.rate) - self._zero)

    def close(self) -> None:
        self._parts = None
        self._container.close()

    def read(self, start: int, stop: int) -> Samples:
        """(stop - start, 2); silence where there is nothing."""
        result = np.zeros((stop - start, 2), np.float32)
        place, held = self._held
        if self._parts is None or start < place or start > place + len(held) + 2 * self.rate:
            self._begin(start)
            place, held = self._held
        while True:
            _put(result, start, place, held)
            if place + len(held) >= stop:
                return result
            assert self._parts is not None
            following = next(self._parts, None)
            if following is None:
                self._parts = None
                return result
            place, held = self._held = self._joined(following, start)

    def _joined(self, part: tuple[int, Samples], start: int) -> tuple[int, Samples]:
        """What is held with a new part; what lies long before `start` is dropped."""
        place, held = self._held
        if not len(held) or part[0] != place + len(held):
            return part
        keep = max(0, start - 2 * _MARGIN * 8 - place)
        return place + min(keep, len(held)), np.concatenate([held[keep:], part[1]])

    def _begin(self, start: int) -> None:
        self._held = (start, np.zeros((0, 2), np.float32))
        if self._is_coarse and self._places is None:
            self._places = dict(self._scan())
        seconds = Fraction(start + self._zero, self.rate) - _PREROLL
        is_near_start = start - self.start < self.rate
        if is_near_start:
            self._parts = self._placed(self._frames(), is_whole=True)
        else:
            stream = self._open_stream()
            self._container.seek(max(0, int(seconds / self._base)), stream=stream)
            self._parts = self._placed(self._container.decode(stream), is_whole=False)

    @property
    def _is_coarse(self) -> bool:
        """Whether a tick is too long to tell samples apart, as in MKV and WebM."""
        return self._base * self.rate > 1

    def _scan(self) -> Iterator[tuple[int, int]]:
        """The exact place of each packet of a stream with coarse ticks, by decoding them all."""
        with open_media(self._path) as container:
            stream = container.streams[self._number]
            assert isinstance(stream, AudioStream)
            expected: int | None = None
            for frame in container.decode(stream):
                if frame.pts is None:
                    continue
                place = self._rough(frame.pts)
                if expected is not None and self._is_next(place, expected):
                    place = expected
                expected = place + frame.samples
                yield frame.pts, place

    def _frames(self) -> Iterator[AudioFrame]:
        """All frames from the very start, with the priming samples cut away by the decoder."""
        self._container.close()
        self._container = open_media(self._path)
        return self._container.decode(self._open_stream())

    def _open_stream(self) -> AudioStream:
        stream = self._container.streams[self._number]
        assert isinstance(stream, AudioStream)
        return stream

    def _placed(
        self, frames: Iterator[AudioFrame], is_whole: bool
    ) -> Iterator[tuple[int, Samples]]:
        """Decoded parts with their places; the first after a seek is dropped, it is not whole."""
        expected: int | None = None
        is_usable = is_whole
        try:
            for frame in frames:
                if frame.pts is None and expected is None:
                    continue
                rough = expected if frame.pts is None else self._place_of(frame.pts)
                assert rough is not None
                is_next = expected is not None and self._is_next(rough, expected)
                place = expected if is_next and expected is not None else rough
                samples = self._to_stereo(frame)
                expected = place + len(samples)
                if is_usable:
                    yield place, samples
                is_usable = True
        except av.FFmpegError:
            return  # what comes after the damage is silence

    def _is_next(self, place: int, expected: int) -> bool:
        """Whether a time is that of the next sample, but for its rounding to ticks."""
        return abs(place - expected) <= max(2, int(2 * self._base * self.rate))

    def _place_of(self, stamp: int) -> int:
        if self._places is not None and stamp in self._places:
            return self._places[stamp]
        return self._rough(stamp)

    def _rough(self, stamp: int) -> int:
        return round(stamp * self._base * self.rate) - self._zero


class _Stereo:
    """Frames of any layout and sample format as (n, 2) float32; one channel goes to both sides."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._key: tuple[str, str] | None = None
        self._resampler: AudioResampler | None = None

    def __call__(self, frame: AudioFrame) -> Samples:
        key = (frame.format.name, frame.layout.name)
        is_mono = frame.layout.nb_channels == 1
        if self._resampler is None or key != self._key:
            layout = "mono" if is_mono else "stereo"
            self._resampler = AudioResampler(format="flt", layout=layout, rate=self._rate)
            self._key = key
        frame.sample_rate = self._rate
        parts = [part.to_ndarray() for part in self._resampler.resample(frame)]
        flat = np.concatenate(parts, axis=1).reshape(-1) if parts else np.zeros(0, np.float32)
        stereo = np.repeat(flat, 2) if is_mono else flat
        return np.asarray(stereo.reshape(-1, 2), np.float32)


def _put(result: Samples, start: int, place: int, part: Samples) -> None:
    first = max(start, place)
    last = min(start + len(result), place + len(part))
    if last > first:
        result[first - start : last - start] = part[first - place : last - place]
