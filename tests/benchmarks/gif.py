"""A GIF of 120 frames 640x360: time, size, likeness to the source, exact length."""

import re
import subprocess
from fractions import Fraction
from pathlib import Path

import av

from tests.benchmarks.media import folder, medium
from tests.benchmarks.table import Table
from tests.benchmarks.timing import Run, middle, paired_ratio, program, reelwright, run

ROUNDS = 3


def likeness(made: Path, source: Path) -> float:
    """SSIM over all pictures at 15 fps, by ffmpeg's filter."""
    same = "format=yuv444p,setpts=N/15/TB"
    graph = f"[0:v]fps=15,{same}[a];[1:v]fps=15,{same}[b];[a][b]ssim"
    command = [program("ffmpeg"), "-i", made, "-i", source, "-lavfi", graph, "-f", "null", "-"]
    told = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=True)
    found = re.search(r"All:([\d.]+)", told.stderr)
    assert found is not None, told.stderr[-400:]
    return float(found[1])


def length(path: Path) -> Fraction:
    """How long the GIF plays once: the sum of its delays."""
    with av.open(path) as file:
        stream = file.streams.video[0]
        packets = [packet for packet in file.demux(stream) if packet.size]
        assert stream.time_base is not None
        return sum((packet.duration or 0 for packet in packets), 0) * stream.time_base


def measure() -> Table:
    source = medium("g360.mp4")
    table = Table(
        "GIF: 8 s 640x360 at 15 fps",
        ("Program", "Wall s", "CPU s", "MB", "SSIM", "Plays s", "Wall / ffmpeg"),
        bar="wall at most 1.2 x ffmpeg's palette; plays 8.00 s within 0.01 s.",
    )
    ffmpeg = [program("ffmpeg"), "-v", "error", "-y", "-i", str(source), "-filter_complex"]
    for dither, use in (
        ("sierra2_4a", "dither=sierra2_4a"),
        ("bayer", "dither=bayer:bayer_scale=3:diff_mode=rectangle"),
    ):
        ours_file, theirs_file = folder() / f"{dither}_ours.gif", folder() / f"{dither}_ffmpeg.gif"
        mode = "=stats_mode=diff" if dither == "bayer" else ""
        graph = f"fps=15,split[a][b];[a]palettegen{mode}[p];[b][p]paletteuse={use}"
        ours: list[Run] = []
        theirs: list[Run] = []
        for _ in range(ROUNDS):
            options = ["--fps", "15", "--dither", dither]
            command = [*reelwright(), "convert", str(source), str(ours_file), *options]
            ours.append(run(command, folder() / "home"))
            theirs.append(run([*ffmpeg, graph, "-loop", "0", theirs_file]))
        for name, runs, path in (("reelwright", ours, ours_file), ("ffmpeg", theirs, theirs_file)):
            one, ratio = middle(runs), paired_ratio(runs, theirs, "wall")
            size = path.stat().st_size / 1e6
            figures = (one.wall, one.cpu, size, likeness(path, source), float(length(path)), ratio)
            table.rows.append((f"{name}, {dither}", *figures))
    return table
