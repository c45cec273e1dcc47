"""Where results of jobs will go, remembered over restarts as the queue is."""

import logging
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import msgspec

from desktop.generating import Landing, landed
from engine.files import write_whole
from engine.generation import Mode
from engine.jobs import GenerateJob
from engine.timeline import edits
from engine.timeline.model import Asset, Clip, MediaFacts, Project, Sequence, TrackKind, VideoFacts
from engine.timeline.time import ZERO, decode_value, encode_value

FILE = "landings.json"
MOST = 200


class Landings:
    """Job -> its place."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._places: dict[str, Landing] = {}
        try:
            self._places = msgspec.json.decode(
                self._path.read_bytes(), type=dict[str, Landing], dec_hook=decode_value
            )
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError) as error:
            logging.getLogger(__name__).warning("%s cannot be read: %s", self._path, error)

    def put(self, job: str, place: Landing) -> None:
        self._places[job] = place
        self._places = dict(list(self._places.items())[-MOST:])
        self._save()

    def get(self, job: str) -> Landing | None:
        """The place of a job, which stays its own."""
        return self._places.get(job)

    def take(self, job: str) -> Landing | None:
        """The place of a job, once."""
        place = self._places.pop(job, None)
        if place is not None:
            self._save()
        return place

    def _save(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, msgspec.json.encode(self._places, enc_hook=encode_value))
        except OSError as error:
            logging.getLogger(__name__).warning("%s cannot be written: %s", self._path, error)


class Foreseen(msgspec.Struct, frozen=True):
    """Where a result will lie. `coming`: of a track that will be made for it, 1 for the first."""

    sequence: str
    clip: Clip
    track: str = ""
    coming: int = 0


def foreseen(
    project: Project,
    jobs: Iterable[tuple[GenerateJob, Landing]],
    targets: frozenset[str],
    still: Fraction,
) -> dict[str, Foreseen]:
    """Job -> where its result would land now, each after the results of those before it.

    Jobs whose sequence or gap is gone have no place.
    """
    found: dict[str, Foreseen] = {}
    there = {track.id for one in project.sequences for track in one.tracks}
    for job, landing in jobs:
        if not any(one.id == landing.sequence for one in project.sequences):
            continue
        asset = promised_asset(job)
        project = edits.set_up(project, asset)
        sequence, clip = landed(project.sequence(landing.sequence), asset, landing, targets, still)
        if clip is None:
            continue
        project = _with(project, sequence)
        track = sequence.track_of(clip.id)
        assert track is not None
        videos = [one.id for one in sequence.tracks if one.kind is TrackKind.VIDEO]
        fresh = [one for one in videos if one not in there]
        if track.id in there:
            found[job.id] = Foreseen(sequence.id, clip, track.id)
        else:
            found[job.id] = Foreseen(sequence.id, clip, coming=fresh.index(track.id) + 1)
    return found


def _with(project: Project, changed: Sequence) -> Project:
    return edits.on_sequence(project, changed.id, lambda _one: changed)


def promised_asset(job: GenerateJob) -> Asset:
    """The medium that a job will have made."""
    path = Path(job.output)
    is_still = job.mode is Mode.STILL
    frames = 1 if is_still else max(1, job.frames - int(job.values.get("lead_in", 0)))
    rate = Fraction(1) if is_still else job.rate
    video = VideoFacts(job.width, job.height, rate, frames, "h264", "yuv420p")
    length = ZERO if is_still else frames / rate
    facts = MediaFacts(length, path.suffix[1:], 0, video, still=is_still)
    return Asset(job.id, str(path), path.name, facts, "", made_by="generate")
