"""Makes small media whose pictures say their number and whose sound says its second."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

BITS = 12
SOUND_RATE = 48_000
INTERLACED = (1 << 18) | (1 << 29)  # FFmpeg's flags: interlaced DCT and motion
CLICK = 24  # samples that a click lasts


def numbered(number: int, width: int = 160, height: int = 96) -> NDArray[np.uint8]:
    """(H, W, 3) with `number` as bars above and their opposite below, over something that moves."""
    picture = np.empty((height, width, 3), np.uint8)
    ramp = (np.arange(width) * 2 + number * 5) % 256
    picture[..., 0] = ramp
    picture[..., 1] = np.linspace(40, 200, height)[:, None]
    picture[..., 2] = 255 - ramp
    edges = np.linspace(0, width, BITS + 1).astype(int)
    third = height // 3
    for bit in range(BITS):
        is_set = bool(number >> bit & 1)
        picture[:third, edges[bit] : edges[bit + 1]] = 235 if is_set else 20
        picture[third : 2 * third, edges[bit] : edges[bit + 1]] = 20 if is_set else 235
    return picture


def read_number(picture: NDArray[np.uint8]) -> int:
    """The number in a picture of any size; AssertionError where the bars contradict each other."""
    height, width = picture.shape[:2]
    edges = np.linspace(0, width, BITS + 1).astype(int)
    third = height // 3
    number = 0
    for bit in range(BITS):
        inner = slice(edges[bit] + 2, max(edges[bit] + 3, edges[bit + 1] - 2))
        above = float(picture[2 : third - 2, inner].mean())
        below = float(picture[third + 2 : 2 * third - 2, inner].mean())
        assert abs(above - below) > 60, f"bar {bit} cannot be read: {above:.0f} and {below:.0f}"
        number |= int(above > below) << bit
    return number


def clicks(seconds: float, rate: int = SOUND_RATE, channels: int = 2) -> NDArray[np.float32]:
    """(n, channels) silence with a click at each whole second, louder with each."""
    samples = np.zeros((round(seconds * rate), channels), np.float32)
    for second in range(int(np.ceil(seconds))):
        samples[second * rate : second * rate + CLICK] = 0.3 + 0.05 * (second % 10)
    return samples


def click_places(samples: NDArray[np.float32], threshold: float = 0.1) -> list[int]:
    """Where clicks begin in mono or stereo samples."""
    mono = samples if samples.ndim == 1 else samples[:, 0]
    loud = np.flatnonzero(np.abs(mono) > threshold)
    return [int(at) for i, at in enumerate(loud) if i == 0 or at - loud[i - 1] > SOUND_RATE // 4]


def make_video(
    path: Path,
    count: int = 50,
    *,
    rate: Fraction | int = 25,
    size: tuple[int, int] = (160, 96),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    times: Sequence[Fraction] | None = None,
    sound: NDArray[np.float32] | None = None,
    sound_codec: str = "aac",
    sound_rate: int = SOUND_RATE,
    tags: tuple[int, int] | None = None,
    aspect: Fraction | None = None,
    combed: bool = False,
) -> Path:
    """`count` numbered pictures; `times` gives each its own, and the end as one more.

    `tags`: matrix and range to write. `aspect`: of a pixel. `combed`: interlaced, every second
    row of the lowest third is of the next moment. By default H.264, one long GOP, three B-frames.
    """
    width, height = size
    if options is None:
        options = {"g": "250", "bf": "3", "sc_threshold": "0", "preset": "ultrafast", "crf": "12"}
        options = options if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        base = Fraction(1, 90_000) if times is not None else 1 / Fraction(rate)
        stream.codec_context.time_base = base
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if combed:
            stream.codec_context.flags |= INTERLACED
        if tags is not None:
            stream.codec_context.colorspace, stream.codec_context.color_range = tags
        listener = None
        if sound is not None:
            listener = container.add_stream(sound_codec, rate=sound_rate)
            listener.layout = "stereo" if sound.shape[1] == 2 else "mono"
        packets: list[av.Packet] = []
        for number in range(count):
            frame = picture_frame(number, width, height, pixel_format, combed)
            at = times[number] if times is not None else number * base
            frame.pts, frame.time_base = round(at / base), base
            packets += stream.encode(frame)
        packets += stream.encode(None)
        end = round((times[-1] if times is not None else count * base) / base)
        shown = sorted(packet.pts for packet in packets)
        lasting = dict(zip(shown, np.diff([*shown, end]).tolist(), strict=True))
        for packet in packets:
            packet.duration = lasting[packet.pts]
        tail = packets[-1]
        tail.duration = max(tail.duration, packets[0].dts + end - tail.dts)
        container.mux(packets)
        if listener is not None and sound is not None:
            _write_sound(container, listener, sound, sound_rate)
    return path


def picture_frame(
    number: int, width: int, height: int, pixel_format: str, combed: bool = False
) -> av.VideoFrame:
    """A numbered picture as PyAV's frame."""
    picture = numbered(number, width, height)
    if combed:
        below = picture[2 * (height // 3) :]
        below[0::2], below[1::2] = (
            30 + (moment * 37) % 200 for moment in (2 * number, 2 * number + 1)
        )
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    return frame.reformat(format=pixel_format)


def make_sound(
    path: Path,
    samples: NDArray[np.float32],
    *,
    codec: str = "pcm_s16le",
    rate: int = SOUND_RATE,
) -> Path:
    """A file with sound only; the container follows from the name."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "stereo" if samples.shape[1] == 2 else "mono"
        _write_sound(container, stream, samples, rate)
    return path


def _write_sound(
    container: av.container.OutputContainer,
    stream: av.audio.stream.AudioStream,
    samples: NDArray[np.float32],
    rate: int,
) -> None:
    layout = "stereo" if samples.shape[1] == 2 else "mono"
    for start in range(0, len(samples), 1024):
        part = np.ascontiguousarray(samples[start : start + 1024]).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(part, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def make_gif(
    path: Path, delays_cs: Sequence[int], size: tuple[int, int] = (120, 72), clear: bool = False
) -> Path:
    """A GIF of numbered pictures, each shown for its own delay; `clear`: partly transparent."""
    width, height = size
    with av.open(str(path), "w", format="gif") as container:
        stream = container.add_stream("gif", rate=100)
        stream.width, stream.height = width, height
        stream.pix_fmt = "bgra" if clear else "rgb8"
        base = Fraction(1, 100)
        stream.codec_context.time_base = base
        at = 0
        for number, delay in enumerate(delays_cs):
            frame = picture_frame(number, width, height, "rgb8")
            frame.pts, frame.time_base, frame.duration = at, base, delay
            at += delay
            packets = stream.encode(frame)
            for packet in packets:
                packet.duration = delay
            container.mux(packets)
        container.mux(stream.encode(None))
    return path


def make_still(path: Path, number: int = 7, size: tuple[int, int] = (160, 96)) -> Path:
    """A PNG or JPEG, by the name."""
    is_jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    codec = av.CodecContext.create("mjpeg" if is_jpeg else "png", "w")
    assert isinstance(codec, av.VideoCodecContext)
    frame = picture_frame(number, *size, "yuvj420p" if is_jpeg else "rgb24")
    codec.width, codec.height, codec.pix_fmt = *size, frame.format.name
    codec.time_base = Fraction(1, 25)
    frame.pts = 0
    data = b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])
    path.write_bytes(data)
    return path


def with_exif_orientation(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG with an EXIF segment that says how the camera was held."""
    entry = (0x0112).to_bytes(2, "big") + (3).to_bytes(2, "big") + (1).to_bytes(4, "big")
    entry += orientation.to_bytes(2, "big") + b"\0\0"
    tiff = b"MM\0*" + (8).to_bytes(4, "big") + (1).to_bytes(2, "big") + entry + b"\0\0\0\0"
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]


def with_display_matrix(mp4: bytes, degrees: int) -> bytes:
    """An MP4 whose first track is to be shown turned clockwise by 90, 180 or 270 degrees."""
    one = 1 << 16
    a, b = {90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
    matrix = (a, b, 0, -b, a, 0, 0, 0, 1 << 30)
    place = mp4.index(b"tkhd") + 4 + 40
    data = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    return mp4[:place] + data + mp4[place + 36 :]
