"""The main job without a person: sample media in, cuts, one effect of each family, exports out.

    python -m desktop.demo [--out DIR]

What a person does in the window is done here by the same edits, jobs and child processes.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec

import resources
from desktop.child import Bar, MediaChild
from desktop.demo_film import DISSOLVE, SAMPLES, film, pictures
from desktop.demo_window import picture_of_window
from desktop.settings import HOME, folders
from engine.errors import EngineError
from engine.jobs import EffectJob, ExportJob, ExportOptions, Format, Job, JobResult
from engine.timeline.effects import kind
from engine.timeline.project import save_project
from engine.timeline.time import ZERO, TimeRange, between

replace = msgspec.structs.replace

GIF = ExportOptions(
    format=Format.GIF,
    range=TimeRange(ZERO, Fraction(12, 5)),
    rate=Fraction(25, 2),
    width=480,
    ping_pong=True,
    loop=0,
)
PLAYHEAD = Fraction(8, 5)  # in the picture of the window
MP4 = ExportOptions(format=Format.MP4)


class Steps:
    """What was done, how long each part took; told as it happens, kept for the report."""

    def __init__(self) -> None:
        self.done: list[dict[str, Any]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        """Times a step; the caller adds what there is to say. The key "text" is shown."""
        facts: dict[str, Any] = {"step": name}
        begun = time.monotonic()
        yield facts
        facts["seconds"] = round(time.monotonic() - begun, 3)
        self.done.append(facts)
        sys.stdout.write(f"{name:<18} {facts['seconds']:6.1f} s  {facts.get('text', '')}\n")
        sys.stdout.flush()


def run_job(child: MediaChild, job: Job, facts: dict[str, Any]) -> JobResult:
    """Does `job` in the child and notes what came out."""
    result = child.run(job, Bar(sys.stderr, quiet=False))
    facts |= {
        "child": child.pid,
        "frames": result.frames,
        "cache_keys": list(result.keys),
        "segments_made": result.made,
        "notes": list(result.notes),
    }
    return result


def make(out: Path) -> dict[str, Any]:
    """Does everything; the report. Raises EngineError."""
    steps = Steps()
    cache = str(folders().cache)
    files: list[Path] = []
    with MediaChild() as child:
        with steps.step("Import") as facts:
            paths = [resources.path(f"sample/{name}") for name in SAMPLES]
            bay, valley, lights = (child.asset(path) for path in paths)
            facts |= {"text": f"{len(paths)} files", "child": child.pid}
            facts["media"] = [str(path) for path in paths]
        with steps.step("Cut") as facts:
            project = film((bay, valley, lights))
            project_file = out / "demo.reel"
            save_project(project, project_file)
            files.append(project_file)
            length = float(project.sequence().duration)
            facts["text"] = f"{len(pictures(project))} clips, two dissolves, {length:g} s"
        for clip in pictures(project):
            asset = project.asset(clip.asset)
            assert asset is not None
            family = kind(clip.effects[0].kind)
            with steps.step(family.label) as facts:
                head = max(ZERO, clip.source.start - DISSOLVE / 2)
                job = EffectJob(
                    title=family.label,
                    subject=asset.name,
                    asset=asset,
                    uses=clip.effects,
                    wanted=between(head, clip.source.end + DISSOLVE / 2),
                    clip=clip.id,
                    cache=cache,
                )
                result = run_job(child, job, facts)
                engine = family.engine(clip.effects[0].engine).label
                facts["text"] = f"{engine}, {asset.name}: {_made(result)}"
        for options in (GIF, MP4):
            name = f"demo.{options.format}"
            with steps.step(f"Export {options.format.upper()}") as facts:
                export = ExportJob(
                    subject=name,
                    project=project,
                    options=options,
                    output=str(out / name),
                    cache=cache,
                )
                result = run_job(child, export, facts)
                files.append(out / name)
                facts["text"] = f"{result.frames} frames, {result.size_bytes / 1e6:.1f} MB"
    with steps.step("Window") as facts:
        picture = out / "window.png"
        facts |= picture_of_window(project_file, picture, PLAYHEAD)
        files.append(picture)
    return {
        "editor": os.getpid(),
        "seconds": round(sum(one["seconds"] for one in steps.done), 3),
        "steps": steps.done,
        "files": {one.name: one.stat().st_size for one in files},
    }


def _made(result: JobResult) -> str:
    if not result.made:
        return "found in the cache"
    return f"{result.made} segment{'s' if result.made > 1 else ''} made"


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR")
    out: Path = parser.parse_args().out.absolute()
    try:
        out.mkdir(parents=True, exist_ok=True)
        # A folder of its own for cache and settings: the person's are left alone.
        os.environ.setdefault(HOME, str(out / "home"))
        report = make(out)
        text = json.dumps(report, indent=2, ensure_ascii=False)
        (out / "report.json").write_text(text + "\n", encoding="utf-8")
    except EngineError as error:
        sys.stderr.write(f"{error.message} {error.hint}".rstrip() + "\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{out} cannot be written: {error.strerror}.\n")
        return 1
    names = ", ".join([*report["files"], "report.json"])
    sys.stdout.write(f"Done in {report['seconds']:.0f} s. In {out}: {names}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
