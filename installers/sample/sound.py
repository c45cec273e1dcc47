"""The sound of the sample media: soft chords, bells, water and wind, synthesised."""

import numpy as np
from numpy.typing import NDArray

RATE = 48000


def _note(semitones: float) -> float:
    """The frequency so many semitones over A3."""
    return float(220.0 * 2 ** (semitones / 12))


def _times(seconds: float) -> NDArray[np.float64]:
    return np.arange(round(seconds * RATE)) / RATE


def _pad(semitones: tuple[float, ...], seconds: float) -> NDArray[np.float64]:
    """A slow chord of detuned partials, wide in stereo."""
    at = _times(seconds)
    swell = np.minimum(1, at / 1.2) * np.minimum(1, (seconds - at) / 1.4)
    sides = np.zeros((len(at), 2))
    for index, tone in enumerate(semitones):
        for side in (0, 1):
            base = _note(tone) * (1 + (0.0012 if side else -0.0012) * (index % 2 * 2 - 1))
            for partial, power in ((1, 1.0), (2, 0.32), (3, 0.12), (4, 0.05)):
                beat = 1 + 0.15 * np.sin(2 * np.pi * (0.21 + 0.07 * index) * at + side + partial)
                phase = 2 * np.pi * base * partial * at + index + 0.7 * side
                sides[:, side] += power * beat * np.sin(phase)
    return np.asarray(sides / len(semitones) * swell[:, None])


def _bell(semitone: float, seconds: float, place: float) -> NDArray[np.float64]:
    """A struck bell; `place`: 0 left, 1 right."""
    at = _times(seconds)
    tone = np.zeros_like(at)
    for ratio, power, fall in ((1, 1, 1.5), (2.01, 0.45, 2.4), (2.99, 0.22, 3.6), (5.4, 0.10, 7.0)):
        tone += power * np.exp(-fall * at) * np.sin(2 * np.pi * _note(semitone) * ratio * at)
    tone *= np.minimum(1, at / 0.004)
    return np.stack((tone * np.cos(place * np.pi / 2), tone * np.sin(place * np.pi / 2)), axis=1)


def _breath(seconds: float, seed: int, low: float, high: float) -> NDArray[np.float64]:
    """Noise between two frequencies that comes and goes: water, wind."""
    count = round(seconds * RATE)
    noise = np.random.default_rng(seed).normal(size=(count, 2))
    spectrum = np.fft.rfft(noise, axis=0)
    tones = np.fft.rfftfreq(count, 1 / RATE)[:, None]
    shape = 1 / (1 + (low / np.maximum(tones, 1)) ** 4) / (1 + (tones / high) ** 4)
    shaped = np.fft.irfft(spectrum * shape, count, axis=0)
    at = _times(seconds)[:, None]
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 0.23 * at + np.array([0.0, 0.9]))
    return np.asarray(shaped / np.abs(shaped).max() * swell)


def _mixed(seconds: float, *parts: tuple[float, float, NDArray[np.float64]]) -> NDArray[np.float32]:
    """Parts as (start in seconds, gain, sound), with a gentle fade at both ends."""
    total = np.zeros((round(seconds * RATE), 2))
    for start, gain, sound in parts:
        first = round(start * RATE)
        room = total[first : first + len(sound)]
        room += gain * sound[: len(room)]
    ends = np.minimum(1, np.minimum(_times(seconds), seconds - _times(seconds)) / 0.06)
    return (np.tanh(total) * ends[:, None]).astype(np.float32)


def bay(seconds: float) -> NDArray[np.float32]:
    """Water, a warm ninth chord, three bells; (n, 2) at 48 kHz."""
    bells = ((0.6, 12, 0.3), (2.4, 19, 0.7), (4.0, 16, 0.45))
    return _mixed(
        seconds,
        (0, 0.24, _pad((-12, -5, 0, 4, 11), seconds)),
        (0, 0.07, _breath(seconds, 4, 250, 1400)),
        *((start, 0.20, _bell(tone, seconds - start, place)) for start, tone, place in bells),
    )


def winter(seconds: float) -> NDArray[np.float32]:
    """Wind, a cool chord and a music box; (n, 2) at 48 kHz."""
    tune = (15, 22, 19, 27, 24, 19, 22, 15)
    return _mixed(
        seconds,
        (0, 0.20, _pad((-9, -2, 3, 7), seconds)),
        (0, 0.10, _breath(seconds, 9, 180, 700)),
        *(
            (
                0.3 + 0.55 * i,
                0.13,
                _bell(tone, min(2.2, seconds - 0.3 - 0.55 * i), 0.25 + 0.5 * (i % 2)),
            )
            for i, tone in enumerate(tune)
        ),
    )
