"""Wan's effects when memory runs out: nothing that was made is made again."""

from collections.abc import Generator as Chunks
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from engine.errors import OutOfMemory  # noqa: E402
from engine.jobs import EffectJob, JobResult, ModelFiles  # noqa: E402
from engine.media.info import fingerprint, probe  # noqa: E402
from engine.models.resident import Resident  # noqa: E402
from engine.planning import DeviceFacts, WanPlan  # noqa: E402
from engine.progress import Silent  # noqa: E402
from engine.render.bake import bake  # noqa: E402
from engine.timeline.effects import new_use  # noqa: E402
from engine.timeline.model import Asset  # noqa: E402
from engine.worker import wan_work  # noqa: E402
from engine.worker.generate import Generator  # noqa: E402
from engine.worker.neural import Engines  # noqa: E402
from tests.support.media import make_video  # noqa: E402
from tests.support.wan_checkpoints import TEXT, TRANSFORMER, VAE, write_wan  # noqa: E402

CPU = DeviceFacts(kind="cpu", has_triton=False)
PLAN = WanPlan(device="cpu", precision="fp32", text_on="cpu")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> EffectJob:
    folder = tmp_path_factory.mktemp("restyle")
    weights = write_wan(folder / "weights")
    path = make_video(folder / "clip.mp4", 5, size=(64, 36), rate=Fraction(10))
    files = {"transformer": TRANSFORMER, "text": TEXT, "vae": VAE}
    values = {"prompt": "ink", "size": "240p", "steps": 4, "denoise_strength": 100}
    return EffectJob(
        title="Restyle",
        subject=path.name,
        asset=Asset("a", str(path), path.name, probe(path), fingerprint(path)),
        uses=(new_use("restyle", "wan2.1-t2v-1.3b", values),),
        cache=str(folder),
        models=(
            ModelFiles(
                family="wan2.1-t2v-1.3b",
                files={part: str(weights / name) for part, name in files.items()},
            ),
        ),
    )


class Counted(Silent):
    """Counts the blocks of the denoising; `ends`: before which of them memory ends, once."""

    def __init__(self, ends: int = -1) -> None:
        self.blocks = 0
        self._ends = ends

    def step(self, stage: str, done: int, total: int) -> None:
        if stage == "denoise":
            self.blocks += 1
            if self.blocks == self._ends:
                raise torch.OutOfMemoryError("out of memory")


def run(
    job: EffectJob, cache: Path, monkeypatch: pytest.MonkeyPatch, report: Counted, **smaller: Any
) -> JobResult:
    """A bake that has one smaller plan."""
    plans = (PLAN, msgspec.structs.replace(PLAN, **smaller))
    job = msgspec.structs.replace(job, cache=str(cache))
    resident = Resident(1 << 30)
    with monkeypatch.context() as patch:
        patch.setattr(wan_work, "plans_of", lambda *_: plans)
        return bake(job, report, Engines(job, CPU, resident, Generator(resident), report))


def test_in_the_denoising_it_goes_on_after_the_last_step(
    job: EffectJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Counted()
    run(job, tmp_path / "whole", monkeypatch, whole)
    report = Counted(ends=whole.blocks // 2 + 4)
    result = run(job, tmp_path / "broken", monkeypatch, report, block_swap=4)
    assert "Not enough memory: went on with 4 blocks swapped." in result.notes
    assert any("Went on after step 2 of 4" in note for note in result.notes)
    assert (result.frames, result.made) == (5, 1)
    assert report.blocks < whole.blocks * 3 // 4 + whole.blocks // 2


def test_in_the_decoding_no_step_is_made_again(
    job: EffectJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = wan_work.frames, []

    def once(*given: Any) -> Chunks[Tensor]:
        if not seen:
            seen.append(0)
            raise torch.OutOfMemoryError("out of memory")
        yield from real(*given)

    monkeypatch.setattr(wan_work, "frames", once)
    whole, report = Counted(), Counted()
    result = run(job, tmp_path / "broken", monkeypatch, report, vae_tile=(272, 272))
    assert result.notes.count("Not enough memory: went on with the VAE in tiles.") == 1
    assert (result.frames, result.made) == (5, 1)
    run(job, tmp_path / "whole", monkeypatch, whole)
    assert report.blocks == whole.blocks
    seen.clear()
    with pytest.raises(OutOfMemory):  # other numbers in the transformer help no decoder
        run(job, tmp_path / "none", monkeypatch, Counted(), quantization="fp8_e5m2")
