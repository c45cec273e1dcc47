"""A small computation that proves a child alive: the same for every role and machine."""

import os
import time
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

from engine.jobs import JobResult, SelfTestJob
from engine.progress import Report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SLICE_SECONDS = 0.02


def self_test(job: SelfTestJob, report: Report, compute: Callable[[int], bytes]) -> JobResult:
    """Runs `compute` once a step and gives a digest of all it returned as the only key."""
    began = time.monotonic()
    digest = blake2b(digest_size=16)
    for step in range(job.steps):
        due = time.monotonic() + job.step_ms / 1000
        report.step("effects", step, job.steps)
        report.preview(f"Step {step + 1} of {job.steps}", partial(_picture, step))
        if step == job.crash_at:
            os.abort()
        digest.update(compute(step))
        while (rest := due - time.monotonic()) > 0:
            time.sleep(min(rest, _SLICE_SECONDS))
            report.step("effects", step, job.steps)
    report.step("effects", job.steps, job.steps)
    return JobResult(frames=job.steps, seconds=time.monotonic() - began, keys=(digest.hexdigest(),))


def in_plain_python(step: int) -> bytes:
    """A few thousand hashes, each of the one before."""
    value = step.to_bytes(8, "big")
    for _ in range(2000):
        value = blake2b(value, digest_size=8).digest()
    return value


def _picture(step: int) -> "NDArray[np.uint8]":
    """A wedge of grey that moves with the step."""
    import numpy as np

    row = (np.arange(352, dtype=np.int64) + 8 * step) % 256
    return np.broadcast_to(row.astype(np.uint8)[None, :, None], (198, 352, 3))
