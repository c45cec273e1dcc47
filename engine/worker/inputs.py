"""What a job of Wan begins with: pictures and a clip, out of files or of an effect's source."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec
import torch
from torch import Tensor

from engine.jobs import GenerateJob, SourcePicture
from engine.media.info import fingerprint
from engine.timeline.time import ZERO
from engine.worker.given import Size, clip_chunks, clip_frames, picture_of, size_of


class Inputs(Protocol):
    """Given pictures and a clip, each where there is one."""

    has_first: bool
    has_last: bool
    has_clip: bool

    def size(self) -> Size | None:
        """Of what shapes the result; None where nothing is given."""

    def frames(self) -> int:
        """Of the clip."""

    def first(self, size: Size, is_cut: bool) -> Tensor | None:
        """The first picture, (3, H, W) in -1..1, for a result of `size`."""

    def last(self, size: Size, is_cut: bool) -> Tensor | None:
        """The last picture likewise."""

    def lead(self, size: Size, is_cut: bool) -> Tensor | None:
        """Frames that the clip begins with, (3, n, H, W), the first picture the last of them."""

    def clip(self, frames: int, size: Size, is_cut: bool, chunk: int) -> Iterator[Tensor]:
        """The clip, (1, 3, n, H, W) in -1..1: one frame, then `chunk` latent frames each."""

    def identity(self) -> list[Any]:
        """What tells one input from another; JSON."""


class FileInputs:
    """As a job of Generate names them."""

    def __init__(self, job: GenerateJob) -> None:
        self._job = job
        self.has_first = job.first is not None
        self.has_last = job.last is not None
        self.has_clip = job.video is not None
        self._lead_in = int(job.values.get("lead_in", 0))

    def size(self) -> Size | None:
        source = self._job.video or self._job.first
        return size_of(source.path) if source is not None else None

    def frames(self) -> int:
        assert self._job.video is not None
        return clip_frames(self._job.video, self._job.rate)

    def first(self, size: Size, is_cut: bool) -> Tensor | None:
        return _shown(self._job.first, size, is_cut)

    def last(self, size: Size, is_cut: bool) -> Tensor | None:
        return _shown(self._job.last, size, is_cut)

    def lead(self, size: Size, is_cut: bool) -> Tensor | None:
        job = self._job
        if job.first is None or self._lead_in < 2:
            return None
        shown = [
            msgspec.structs.replace(job.first, time=max(ZERO, job.first.time - back / job.rate))
            for back in reversed(range(self._lead_in))
        ]
        return torch.stack([picture_of(one, size, is_cut) for one in shown], dim=1)

    def clip(self, frames: int, size: Size, is_cut: bool, chunk: int) -> Iterator[Tensor]:
        assert self._job.video is not None
        return clip_chunks(self._job.video, self._job.rate, frames, size, is_cut, chunk)

    def identity(self) -> list[Any]:
        job = self._job
        sources = [one.path for one in (job.first, job.last, job.video) if one is not None]
        return [[fingerprint(Path(path)) for path in sources], job.first, job.last, job.video]


def _shown(source: SourcePicture | None, size: Size, is_cut: bool) -> Tensor | None:
    return None if source is None else picture_of(source, size, is_cut)
