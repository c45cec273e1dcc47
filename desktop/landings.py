"""Where results of jobs will go, remembered over restarts as the queue is."""

import logging
from pathlib import Path

import msgspec

from desktop.generating import Landing
from engine.files import write_whole
from engine.timeline.time import decode_value, encode_value

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
