"""Paints and scores the sample media; every pixel and sound is computed here.

    python -m installers.sample [DIR]

Needs the environment that dev.py makes: numpy, cv2 and PyAV.
"""

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from desktop.demo_film import SAMPLES, film
from engine.media.info import fingerprint, probe
from engine.timeline.model import Asset, new_id
from engine.timeline.project import save_project
from installers.sample import bay, sound, valley, winter
from installers.sample.scenery import HEIGHT, RATE, WIDTH


def write_clip(
    path: Path, pictures: Iterator[NDArray[np.uint8]], sound: NDArray[np.float32]
) -> None:
    """H.264 and AAC in MP4; `sound`: (n, 2) at 48 kHz."""
    with av.open(path, "w", options={"movflags": "+faststart"}) as file:
        video = file.add_stream("libx264", rate=RATE, options={"crf": "21", "preset": "slow"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.colorspace = 1
        video.codec_context.color_primaries = 1
        video.codec_context.color_trc = 1
        video.codec_context.color_range = 1
        audio = file.add_stream("aac", rate=48000, layout="stereo", bit_rate=128_000)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        for start in range(0, len(sound), 1024):
            block = np.ascontiguousarray(sound[start : start + 1024].T)
            samples = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            samples.sample_rate, samples.pts, samples.time_base = 48000, start, Fraction(1, 48000)
            file.mux(audio.encode(samples))
        file.mux(audio.encode(None))


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("resources/sample")
    folder.mkdir(parents=True, exist_ok=True)
    write_clip(folder / "lantern_bay.mp4", bay.lantern_bay(6), sound.bay(6))
    write_clip(folder / "northern_lights.mp4", winter.northern_lights(5), sound.winter(5))
    picture = cv2.cvtColor(valley.balloon_valley(), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(folder / "balloon_valley.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
    write_project(folder)


def write_project(folder: Path) -> None:
    """The sample media cut together, for «Open sample»."""
    bay_asset, valley_asset, lights_asset = (
        Asset(new_id(), str(path), path.name, probe(path), fingerprint(path))
        for path in (folder.absolute() / name for name in SAMPLES)
    )
    save_project(film((bay_asset, valley_asset, lights_asset)), folder / "sample.reel")


if __name__ == "__main__":
    main()
