"""What the gpu child does: effects that need models, and its self-test."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec

from engine import memory
from engine.errors import EffectError, EngineError
from engine.jobs import EffectJob, GenerateJob, Job, JobResult, SelfTestJob
from engine.progress import Report
from engine.worker.device import cpu, kernels_line, torch_facts, torch_line
from engine.worker.messages import Ask, Device
from engine.worker.self_test import in_plain_python, self_test

if TYPE_CHECKING:
    from engine.models.resident import Resident
    from engine.planning import DeviceFacts
    from engine.worker.generate import Generator

NO_TORCH = "torch is not installed."


class GpuTasks:
    """The gpu role. Without torch, or without a card, it says so in its Device."""

    def __init__(self) -> None:
        memory.steady_heap()
        self._resident: Resident | None = None
        self._generator: Generator | None = None

    def device(self) -> Device:
        """The first CUDA card, else the processor; and what torch is and can."""
        facts = torch_facts()
        told = " ".join(filter(None, (torch_line(*facts), kernels_line())))
        if not facts.sees_card:
            modes = _modes("cpu") if facts.version else {}
            why = f"torch {facts.version} sees no CUDA card." if facts.version else NO_TORCH
            return msgspec.structs.replace(cpu(why), torch=told, attention=modes)
        import torch

        card = torch.cuda.get_device_properties(0)
        return Device(
            kind="cuda",
            name=card.name,
            total_bytes=card.total_memory,
            free_bytes=self._free_bytes(),
            details=f"torch {facts.version}, compute capability {card.major}.{card.minor}"
            + (", no Triton" if kernels_line() else ""),
            torch=told,
            attention=_modes("cuda"),
        )

    def _free_bytes(self) -> int:
        """What a job could have: what is free, and what models hold that no job uses."""
        from engine.models.memory import free_bytes

        held = self._resident.bytes_on("cuda") if self._resident is not None else 0
        return free_bytes("cuda") + held

    def run(self, job: Job, report: Report) -> JobResult:
        """Raises EngineError and Cancelled; EffectError for what only the media child can do."""
        match job:
            case EffectJob():
                return self._bake(job, report)
            case GenerateJob():
                return self._generate(job, report)
            case SelfTestJob():
                return self._test(job, report)
            case _:
                raise EffectError(
                    f"{job.title} cannot run on the GPU worker.", "Choose another engine."
                )

    def _bake(self, job: EffectJob, report: Report) -> JobResult:
        _need_torch(job)
        from engine.render.bake import bake
        from engine.worker.neural import Engines

        device, resident = self._ready()
        return bake(job, report, Engines(job, device, resident, self._makes(resident), report))

    def _generate(self, job: GenerateJob, report: Report) -> JobResult:
        _need_torch(job)
        device, resident = self._ready()
        return self._makes(resident).run(job, device, report)

    def _makes(self, resident: "Resident") -> "Generator":
        """What makes Wan's jobs, and keeps what they share."""
        from engine.worker.generate import Generator

        if self._generator is None:
            self._generator = Generator(resident)
        return self._generator

    def _ready(self) -> "tuple[DeviceFacts, Resident]":
        """The device as it is now, and the models that stay between jobs."""
        from engine.models.resident import Resident
        from engine.planning import facts_of
        from engine.planning.footprint import RESIDENT_SHARE, WAITING_SHARE

        device = facts_of(self.device())
        if self._resident is None:
            budget = round(device.total_bytes * RESIDENT_SHARE)
            beside = round(memory.machine()[0] * WAITING_SHARE) if device.is_card else budget
            self._resident = Resident(budget, beside)
        return device, self._resident

    def _test(self, job: SelfTestJob, report: Report) -> JobResult:
        if find_spec("torch") is None:
            result = self_test(job, report, in_plain_python)
            return msgspec.structs.replace(result, notes=(f"Computed in plain Python: {NO_TORCH}",))
        compute, where = _with_torch()
        return msgspec.structs.replace(self_test(job, report, compute), notes=(where,))

    def ask(self, request: Ask) -> None:
        """The gpu child has no viewer to serve."""
        raise EngineError(f"The GPU worker does not answer {type(request).__name__}.")


def _need_torch(job: EffectJob | GenerateJob) -> None:
    if find_spec("torch") is None:
        raise EffectError(
            f"{job.title} needs torch, which is not installed.",
            "Run «dev.py setup --torch auto».",
        )


def _modes(kind: str) -> dict[str, str]:
    """Attention modes with why each cannot be used, "" where it can."""
    import torch

    from engine.models.attention import modes

    return {mode.name: mode.reason for mode in modes(torch.device(kind))}


def _with_torch() -> tuple[Callable[[int], bytes], str]:
    """A product of whole-number matrices, the same on every device; and where it runs."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def compute(step: int) -> bytes:
        # small whole numbers are exact in float32, so all devices agree bit for bit
        grid = torch.arange(256 * 256, device=device).reshape(256, 256)
        left = ((grid + step) % 7).float()
        product = left @ ((grid * 3 + step) % 5).float()
        return int(product.sum(dtype=torch.float64).item()).to_bytes(8, "big")

    return compute, f"Computed with torch {torch.__version__} on {device.type}."
