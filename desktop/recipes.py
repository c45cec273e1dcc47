"""What generated media were made with, remembered after the queue has forgotten their jobs."""

import logging
from pathlib import Path

import msgspec

from engine.files import write_whole
from engine.jobs import GenerateJob
from engine.timeline.time import decode_value, encode_value

FILE = "recipes.json"
MOST = 500


class Recipes:
    """File -> the job that has made it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._jobs: dict[str, GenerateJob] = {}
        try:
            self._jobs = msgspec.json.decode(
                self._path.read_bytes(), type=dict[str, GenerateJob], dec_hook=decode_value
            )
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError) as error:
            logging.getLogger(__name__).warning("%s cannot be read: %s", self._path, error)

    def put(self, job: GenerateJob) -> None:
        """Keeps a job that is done, in place of an older one of the same file."""
        self._jobs.pop(job.output, None)
        self._jobs[job.output] = job
        self._jobs = dict(list(self._jobs.items())[-MOST:])
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, msgspec.json.encode(self._jobs, enc_hook=encode_value))
        except OSError as error:
            logging.getLogger(__name__).warning("%s cannot be written: %s", self._path, error)

    def get(self, path: str) -> GenerateJob | None:
        """What has made a file; None where it is not known."""
        return self._jobs.get(path)
