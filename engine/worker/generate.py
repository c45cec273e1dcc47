"""Wan's jobs in the gpu child: from what a person asked for to a file."""

import time
from pathlib import Path

import torch
from torch import Tensor

from engine.errors import OutOfMemory, WeightsError
from engine.jobs import GenerateJob, JobResult
from engine.models.attention import take_warnings
from engine.models.resident import Key, Resident, key_of
from engine.models.text.prompts import PromptCache
from engine.models.text.tokens import Tokenizer
from engine.models.wan.loading import Facts, facts, tokenizer_of
from engine.planning import DeviceFacts
from engine.progress import Report
from engine.worker.inputs import FileInputs, Inputs
from engine.worker.results import check_name
from engine.worker.wan_work import WanWork

ROWS_BYTES = 256_000_000  # of prompts, in memory


class Generator:
    """What jobs share: models, tokenizers, prompts."""

    def __init__(self, resident: Resident) -> None:
        self._resident = resident
        self._tokenizers: dict[tuple[str, int, int], Tokenizer] = {}
        self._prompts: dict[str, PromptCache] = {}
        self._facts: dict[Key, Facts] = {}

    def run(self, job: GenerateJob, device: DeviceFacts, report: Report) -> JobResult:
        """Makes the file. Raises EngineError and Cancelled."""
        check_name(Path(job.output))
        began = time.monotonic()
        with torch.inference_mode():
            work = self.work(job, device, FileInputs(job))
            found: Tensor | None = None  # kept where memory runs out after them
            while True:
                try:
                    with work.running():
                        if found is None:
                            found = work.latents(report)
                        work.write(found, report)
                    break
                except OutOfMemory:
                    if not work.step_down():
                        raise
                self.give_back()
        told = (*work.notes, *work.previews.notes)
        return JobResult(
            output=job.output,
            frames=work.frames_written,
            seconds=time.monotonic() - began,
            size_bytes=Path(job.output).stat().st_size,
            duration=work.duration,
            made=work.made,
            notes=tuple(dict.fromkeys([*told, *take_warnings(), work.account()])),
        )

    def give_back(self) -> None:
        """Drops the models that no job is at work with."""
        self._resident.clear()

    def work(self, job: GenerateJob, device: DeviceFacts, inputs: Inputs) -> "WanWork":
        """A job, checked and resolved. Raises EngineError."""
        files = {name: Path(path) for name, path in job.models.files.items()}
        known = self.facts(files, job.models.family)
        prompts = self._prompts.setdefault(
            job.cache, PromptCache(ROWS_BYTES, Path(job.cache) / "prompts")
        )
        return WanWork(job, device, self._resident, self.tokenizer, known, prompts, inputs)

    def facts(self, files: dict[str, Path], family: str = "") -> Facts:
        """Of a set of files; read once. Raises WeightsError."""
        for path in files.values():
            if not path.is_file():
                raise WeightsError(
                    f"{path.name} is not where it was: {path}.", "Look at Preferences, Weights."
                )
        paths = [path for _, path in sorted(files.items())]
        key = key_of(paths, None, "cpu", [family, *sorted(files)])
        if key not in self._facts:
            self._facts[key] = facts(files, family)
        return self._facts[key]

    def tokenizer(self, path: Path) -> Tokenizer:
        """Of a file of the text encoder; read once. Raises WeightsError."""
        fact = path.stat()
        key = str(path), fact.st_size, fact.st_mtime_ns
        if key not in self._tokenizers:
            self._tokenizers[key] = tokenizer_of(path)
        return self._tokenizers[key]
