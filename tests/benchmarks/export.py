"""The five-cut edit: our command line and ffmpeg's filter graph, in turn."""

from pathlib import Path

import av

from tests.benchmarks.media import folder, medium
from tests.benchmarks.table import Table
from tests.benchmarks.timing import Run, middle, paired_ratio, program, reelwright, run, together

ROUNDS = 3
FRAMES = 720


def ffmpeg_edit(a: Path, b: Path, out: Path) -> list[str]:
    """Three plain cuts, then a dissolve of one second in picture and sound."""
    cuts = ((a, 5), (a, 20), (b, 3), (a, 40), (b, 15))
    command = [program("ffmpeg"), "-v", "error", "-y"]
    for path, start in cuts:
        command += ["-threads", "2", "-ss", str(start), "-t", "5", "-i", str(path)]
    graph = (
        "[0:v][0:a][1:v][1:a][2:v][2:a]concat=n=3:v=1:a=1[cv][ca];"
        "[3:v][4:v]xfade=transition=fade:duration=1:offset=4[xv];"
        "[3:a][4:a]acrossfade=d=1:c1=tri:c2=tri[xa];"
        "[cv][ca][xv][xa]concat=n=2:v=1:a=1[v][a]"
    )
    coding = "-c:v libx264 -preset veryfast -crf 20 -pix_fmt yuv420p -r 30 -c:a aac -b:a 160k"
    command += ["-filter_complex", graph, "-map", "[v]", "-map", "[a]", *coding.split()]
    return [*command, "-threads", "2", str(out)]


def our_edit(a: Path, b: Path, out: Path, home: Path) -> Run:
    """The same by our command line: two processes, and the child of each."""
    project = out.with_suffix(".reel")
    clips = [f"{a}@5-10", f"{a}@20-25", f"{b}@3-8", f"{a}@40-45", f"{b}@15-20"]
    assemble = [*reelwright(), "assemble", str(project), *clips, "--dissolve", "1"]
    export = [*reelwright(), "export", str(project), str(out)]
    return together([run(assemble, home), run(export, home)])


def decoded_frames(path: Path) -> int:
    """How many pictures really come out of the file."""
    with av.open(path) as file:
        file.streams.video[0].thread_type = "AUTO"
        return sum(1 for _ in file.decode(video=0))


def measure() -> Table:
    a, b = medium("a1080.mp4"), medium("b1080.mp4")
    ours_file, theirs_file = folder() / "edit_ours.mp4", folder() / "edit_ffmpeg.mp4"
    ours: list[Run] = []
    theirs: list[Run] = []
    for _ in range(ROUNDS):
        ours.append(our_edit(a, b, ours_file, folder() / "home"))
        theirs.append(run(ffmpeg_edit(a, b, theirs_file)))
    table = Table(
        "Export: five cuts, one dissolve, 720 frames 1080p30",
        ("Program", "Wall s", "CPU s", "Peak MiB", "Frames", "MB", "Wall / ffmpeg", "CPU / ffmpeg"),
        bar="wall at most 1.00 x ffmpeg, in the same run.",
    )
    for name, runs, path in (("reelwright", ours, ours_file), ("ffmpeg", theirs, theirs_file)):
        one, count = middle(runs), decoded_frames(path)
        ratios = (paired_ratio(runs, theirs, "wall"), paired_ratio(runs, theirs, "cpu"))
        size = path.stat().st_size / 1e6
        table.rows.append((name, one.wall, one.cpu, one.peak_mib, count, size, *ratios))
        if count != FRAMES:
            table.notes.append(f"{name} wrote {count} frames, not {FRAMES}.")
    return table
