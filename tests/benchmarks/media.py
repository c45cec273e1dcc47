"""The test media of the measurements, made once by ffmpeg and kept in the temporary folder."""

import subprocess
import tempfile
from pathlib import Path

from tests.benchmarks.timing import program

_CODING = (
    "-c:v libx264 -preset veryfast -crf 20 -g 250 -keyint_min 250 -sc_threshold 0 -bf 3 "
    "-pix_fmt yuv420p -c:a aac -b:a 160k -ac 2 -shortest"
)
_TONE = "-f lavfi -i sine=f=440:r=48000:d={seconds}"
COMMANDS = {
    "a1080.mp4": "-f lavfi -i testsrc2=s=1920x1080:r=30:d=60 "
    + _TONE.format(seconds=60)
    + f" -vf noise=c0s=2:c0f=t {_CODING}",
    "b1080.mp4": "-f lavfi -i mandelbrot=s=1920x1080:r=30:maxiter=200 "
    + _TONE.format(seconds=30)
    + f" -t 30 -vf noise=c0s=2:c0f=t {_CODING}",
    "g360.mp4": "-i {folder}/b1080.mp4 -t 8 -an -vf scale=640:360,fps=15 "
    "-c:v libx264 -preset veryfast -crf 20 -pix_fmt yuv420p",
}


def folder() -> Path:
    """Where the media and the results of a measurement lie."""
    place = Path(tempfile.gettempdir()) / "reelwright-bench"
    place.mkdir(exist_ok=True)
    return place


def medium(name: str) -> Path:
    """One of COMMANDS, made when it is not there. Raises Unavailable without ffmpeg."""
    path = folder() / name
    if not path.exists():
        if name == "g360.mp4":
            medium("b1080.mp4")
        part = path.with_name(f"part_{name}")
        words = COMMANDS[name].format(folder=folder()).split()
        subprocess.run(
            [program("ffmpeg"), "-v", "error", "-y", *words, str(part)],
            check=True,
            stdin=subprocess.DEVNULL,
        )
        part.rename(path)
    return path
