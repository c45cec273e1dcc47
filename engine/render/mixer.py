"""The sound of a sequence: clips with gain, pan, fades and crossfades, summed at 48 kHz."""

import logging
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError, ProjectError
from engine.media.reader import SoundReader
from engine.render.plan import dissolve_span, dissolves
from engine.timeline.model import Clip, Project, Sequence, SoundLevels, Track, TrackKind
from engine.timeline.time import Time, TimeRange

RATE = 48_000
SILENCE_DB = -60.0

_OPEN = 16  # sound files kept open

Samples = NDArray[np.float32]  # (count, 2)


def sample_at(at: Time) -> int:
    """The number of the sample nearest to `at`; halves go up."""
    return (at * RATE + Fraction(1, 2)).__floor__()


@dataclass(frozen=True)
class _Voice:
    """A clip as it sounds: in samples of the sequence.

    `head`, `tail`: where it crosses with the clip before and after; None where it is cut hard.
    """

    clip: Clip
    start: int
    end: int
    head: range | None
    tail: range | None

    @property
    def first(self) -> int:
        return self.start if self.head is None else self.head.start

    @property
    def last(self) -> int:
        return self.end if self.tail is None else self.tail.stop


class Mixer:
    """Samples of one sequence at any time. Serves one thread.

    A clip whose medium is missing or cannot be decoded is silent, and the others are heard;
    `is_strict`: it is an error.
    """

    def __init__(self, project: Project, sequence_id: str = "", is_strict: bool = False) -> None:
        self._project = project
        self._is_strict = is_strict
        self._lost: set[tuple[str, str]] = set()  # as the keys of the readers
        self._sequence = project.sequence(sequence_id)
        self._voices = _voices(self._sequence)
        self._readers: OrderedDict[tuple[str, str], SoundReader] = OrderedDict()

    def replace(self, project: Project, sequence_id: str | None = None) -> None:
        """Goes on with a changed project; files that are open stay open."""
        before = self._sequence
        self._lost.clear()  # a medium may have been found again
        self._sequence = project.sequence(before.id if sequence_id is None else sequence_id)
        self._project = project
        if self._sequence is not before:
            self._voices = _voices(self._sequence)

    @property
    def is_audible(self) -> bool:
        """Whether any clip is to be heard at all."""
        return bool(self._voices)

    def samples(self, start: int, count: int) -> Samples:
        """Samples start to start + count - 1 of the sequence, within -1..1.

        A strict mixer raises EngineError where a medium is missing or cannot be decoded.
        """
        mixed = np.zeros((count, 2), np.float32)
        for voice in self._voices:
            first, last = max(start, voice.first), min(start + count, voice.last)
            if first < last:
                heard = self._voiced(voice, first, last)
                if heard is not None:
                    mixed[first - start : last - start] += heard
        return np.clip(mixed, -1.0, 1.0, out=mixed)

    def close(self) -> None:
        """Closes every file."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _voiced(self, voice: _Voice, first: int, last: int) -> Samples | None:
        """A clip's part of the sound; None where its medium cannot be read."""
        source = sample_at(voice.clip.source.start) + first - voice.start
        asset = self._project.asset(voice.clip.asset)
        key = asset.path if asset else "", voice.clip.id
        if key in self._lost:
            return None
        try:
            sound = self._reader(voice.clip).samples(source, last - first)
        except EngineError as error:
            if self._is_strict:
                raise
            logging.warning("«%s» is not heard: %s", voice.clip.name, error.message)
            self._lost.add(key)
            return None
        return sound * _envelope(voice, first, last)[:, None] * _sides(voice.clip.sound)

    def _reader(self, clip: Clip) -> SoundReader:
        asset = self._project.asset(clip.asset)
        if asset is None:
            name = clip.name or "A clip"
            raise ProjectError(f"The medium of «{name}» is not in the project.", "Remove the clip.")
        # One for each clip: two that sound together would make a shared one seek all the time.
        key = asset.path, clip.id
        if key in self._readers:
            self._readers.move_to_end(key)
        else:
            self._readers[key] = SoundReader(Path(asset.path))
            if len(self._readers) > _OPEN:
                self._readers.popitem(last=False)[1].close()
        return self._readers[key]


def gain_of(levels: SoundLevels) -> float:
    """The factor of a loudness in dB; nothing at all from -60 dB down."""
    return 0.0 if levels.gain_db <= SILENCE_DB else 10.0 ** (levels.gain_db / 20)


def _sides(levels: SoundLevels) -> Samples:
    """Factors of the left and the right side: pan takes away from the other side."""
    gain = gain_of(levels)
    pan = min(max(levels.pan, -1.0), 1.0)
    return np.array([gain * min(1.0, 1 - pan), gain * min(1.0, 1 + pan)], np.float32)


def _envelope(voice: _Voice, first: int, last: int) -> Samples:
    """Fades and crossfades, (count,): straight lines, taken in the middle of each sample."""
    levels = voice.clip.sound
    at = np.arange(first, last, dtype=np.float64) + 0.5
    shape = np.ones(last - first)
    if voice.head is not None:
        shape *= _rising(at, voice.head.start, len(voice.head))
    elif levels.fade_in > 0:
        shape *= _rising(at, voice.start, float(levels.fade_in * RATE))
    if voice.tail is not None:
        shape *= _rising(-at, -voice.tail.stop, len(voice.tail))
    elif levels.fade_out > 0:
        shape *= _rising(-at, -voice.end, float(levels.fade_out * RATE))
    return shape.astype(np.float32)


def _rising(at: NDArray[np.float64], start: int, count: float) -> NDArray[np.float64]:
    return np.clip((at - start) / count, 0.0, 1.0)


def _voices(sequence: Sequence) -> tuple[_Voice, ...]:
    """All that can be heard, muted and disabled clips left out."""
    audio = [track for track in sequence.tracks if track.kind is TrackKind.AUDIO]
    has_solo = any(track.solo for track in audio)
    linked = _linked_dissolves(sequence)
    return tuple(
        voice
        for track in audio
        if not track.muted and (track.solo or not has_solo)
        for voice in _track_voices(track, linked, sequence.rate)
    )


Cut: TypeAlias = tuple[str | None, str | None, Time]  # links of the clips before and after


def _linked_dissolves(sequence: Sequence) -> dict[Cut, range]:
    """Where the picture dissolves, by what is linked to the two clips (or one) and their cut."""
    found: dict[Cut, range] = {}
    for track in sequence.tracks:
        if track.kind is TrackKind.VIDEO:
            for transition, left, right in dissolves(track):
                span = _in_samples(dissolve_span(transition, right.start, sequence.rate))
                for pair in ((left.link, right.link), (left.link, None), (None, right.link)):
                    found[*pair, right.start] = span
    return found


def _in_samples(span: TimeRange) -> range:
    return range(sample_at(span.start), sample_at(span.end))


def _track_voices(track: Track, linked: dict[Cut, range], rate: Fraction) -> Iterator[_Voice]:
    own = {
        (left.id, right.id): _in_samples(dissolve_span(transition, right.start, rate))
        for transition, left, right in dissolves(track)
    }

    def crossing(left: Clip | None, right: Clip | None, cut: Time) -> range | None:
        """Where two clips that touch cross; with None: where one crosses with silence."""
        if left and right:
            if (left.id, right.id) in own:
                return own[left.id, right.id]
            if not left.link or not right.link:
                return None
        links = (left.link if left else None, right.link if right else None)
        return linked.get((*links, cut)) if any(links) else None

    clips = track.clips
    for before, clip, after in zip((None, *clips), clips, (*clips[1:], None), strict=False):
        follows = before is not None and before.end == clip.start
        leads = after is not None and after.start == clip.end
        head = crossing(before if follows else None, clip, clip.start)
        tail = crossing(clip, after if leads else None, clip.end)
        # A fade with silence must not reach into the next clip.
        if head and before and not follows and head.start < sample_at(before.end):
            head = None
        if tail and after and not leads and tail.stop > sample_at(after.start):
            tail = None
        if clip.enabled:
            yield _Voice(clip, sample_at(clip.start), sample_at(clip.end), head, tail)
