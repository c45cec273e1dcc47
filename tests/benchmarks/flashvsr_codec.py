"""H.264 to raw pictures and back, each in a process of its own; needs PyAV.

python -m tests.benchmarks.flashvsr_codec make|decode|encode PATH WIDTH HEIGHT [FRAMES]

`decode` writes RGB to its standard output; `encode` reads it from its standard input. Both say
that they are ready by one byte on the output.
"""

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

RATE = Fraction(30)
READY = b"R"


def make(path: Path, width: int, height: int, frames: int) -> None:
    """A clip of moving shapes, as a camera's file is."""
    rows, columns = np.mgrid[0:height, 0:width]
    with av.open(str(path), "w") as file:
        stream = _stream(file, width, height, {"preset": "medium", "crf": "20"})
        for number in range(frames):
            wave = np.sin((columns + 2 * number) / 9) * np.cos((rows - number) / 7)
            levels = [127 + 100 * wave, (columns + 3 * number) % 256, (rows * 2) % 256]
            picture = np.stack(levels, axis=2).astype(np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(stream.encode())


def decode(path: Path) -> None:
    """Every picture, as soon as it is asked for."""
    with av.open(str(path)) as file:
        file.streams.video[0].thread_type = "AUTO"
        out = sys.stdout.buffer
        out.write(READY)
        out.flush()
        for frame in file.decode(video=0):
            out.write(np.ascontiguousarray(frame.to_ndarray(format="rgb24")).data)
        out.flush()


def encode(path: Path, width: int, height: int) -> None:
    """x264 ultrafast; to the end of the input."""
    with av.open(str(path), "w") as file:
        stream = _stream(file, width, height, {"preset": "ultrafast", "crf": "20"})
        sys.stdout.buffer.write(READY)
        sys.stdout.buffer.flush()
        size = width * height * 3
        while len(data := sys.stdin.buffer.read(size)) == size:
            picture = np.frombuffer(data, np.uint8).reshape(height, width, 3)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(stream.encode())


def _stream(
    file: av.container.OutputContainer, width: int, height: int, options: dict[str, str]
) -> VideoStream:
    stream = file.add_stream("libx264", rate=RATE, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.thread_type = "AUTO"
    return stream


def main() -> int:
    """By the command line above."""
    what, path, width, height, *frames = sys.argv[1:]
    if what == "make":
        make(Path(path), int(width), int(height), int(frames[0]))
    elif what == "decode":
        decode(Path(path))
    else:
        encode(Path(path), int(width), int(height))
    return 0


if __name__ == "__main__":
    sys.exit(main())
