"""Ping-pong of 8 s 1080p: ours decodes the way back in windows, ffmpeg holds the clip in memory."""

from tests.benchmarks.export import decoded_frames
from tests.benchmarks.media import folder, medium
from tests.benchmarks.table import Table
from tests.benchmarks.timing import Run, middle, paired_ratio, program, reelwright, run

ROUNDS = 3
FRAMES = 478  # 2n - 2 of 240


def measure() -> Table:
    source = medium("a1080.mp4")
    ours_file, theirs_file = folder() / "pp_ours.mp4", folder() / "pp_ffmpeg.mp4"
    our_command = [*reelwright(), "convert", str(source), str(ours_file)]
    our_command += ["--in", "0", "--out", "8", "--ping-pong", "--sound", "off"]
    graph = (
        "[0:v]split[a][b];[b]reverse,trim=start_frame=1:end_frame=239,setpts=PTS-STARTPTS[r];"
        "[a][r]concat=n=2:v=1[v]"
    )
    their_command = [
        program("ffmpeg"),
        *["-v", "error", "-y", "-threads", "2", "-t", "8", "-i"],
        str(source),
    ]
    their_command += ["-an", "-filter_complex", graph, "-map", "[v]"]
    their_command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-threads", "2"]
    ours: list[Run] = []
    theirs: list[Run] = []
    for _ in range(ROUNDS):
        ours.append(run(our_command, folder() / "home"))
        theirs.append(run([*their_command, theirs_file]))
    table = Table(
        "Ping-pong: 8 s 1080p30 there and back",
        ("Program", "Wall s", "CPU s", "Peak MiB", "Frames", "Wall / ffmpeg"),
        bar="478 frames; peak at most 650 MiB; wall at most 1.5 x ffmpeg.",
    )
    for name, runs, path in (("reelwright", ours, ours_file), ("ffmpeg", theirs, theirs_file)):
        one, ratio = middle(runs), paired_ratio(runs, theirs, "wall")
        table.rows.append((name, one.wall, one.cpu, one.peak_mib, decoded_frames(path), ratio))
    return table
