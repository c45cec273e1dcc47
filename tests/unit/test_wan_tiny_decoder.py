"""The tiny decoder for previews: as published, told by its name, and no part of a run's result."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch import Tensor  # noqa: E402

from engine.errors import WeightsError  # noqa: E402
from engine.generation import Mode  # noqa: E402
from engine.jobs import GenerateJob, ModelFiles  # noqa: E402
from engine.library import scan  # noqa: E402
from engine.library.choice import family_files  # noqa: E402
from engine.library.families import reports  # noqa: E402
from engine.library.found import State  # noqa: E402
from engine.models.resident import Resident  # noqa: E402
from engine.models.wan.preview import EARLIER, Previews, preview  # noqa: E402
from engine.models.wan.tiny_decoder import load_tiny_decoder  # noqa: E402
from engine.planning import DeviceFacts  # noqa: E402
from engine.progress import Silent  # noqa: E402
from engine.worker.generate import Generator  # noqa: E402
from tests.support.wan_checkpoints import TEXT, TRANSFORMER, VAE, write_wan  # noqa: E402

CPU = torch.device("cpu")
TIMES = (1, 2, 2)  # frames of one, by stage


def published() -> dict[str, Tensor]:
    """Random tensors under all names of the file, of the encoder too."""
    draw = torch.Generator().manual_seed(1)

    def made(*shape: int) -> Tensor:
        fan_in = shape[1] * shape[2] * shape[3] if len(shape) > 1 else 16
        return torch.randn(shape, generator=draw) / fan_in**0.5

    tensors = {"encoder.0.weight": made(64, 3, 3, 3), "encoder.0.bias": made(64)}

    def conv(name: str, wide: int, narrow: int, side: int = 3, has_bias: bool = True) -> None:
        tensors[f"{name}.weight"] = made(narrow, wide, side, side)
        if has_bias:
            tensors[f"{name}.bias"] = made(narrow)

    widths = (256, 128, 64, 64)
    conv("decoder.1", 16, 256)
    for stage, times in enumerate(TIMES):
        first, width = 3 + 6 * stage, widths[stage]
        for block in range(first, first + 3):
            conv(f"decoder.{block}.conv.0", 2 * width, width)
            conv(f"decoder.{block}.conv.2", width, width)
            conv(f"decoder.{block}.conv.4", width, width)
        conv(f"decoder.{first + 4}.conv", width, times * width, 1, has_bias=False)
        conv(f"decoder.{first + 5}", width, widths[stage + 1], has_bias=False)
    conv("decoder.22", 64, 3)
    return tensors


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vae_approx") / "taew2_1.safetensors"
    save_file(published(), path)
    return path


def by_hand(w: dict[str, Tensor], latents: Tensor) -> Tensor:
    """The published decoder over all latents at once, (T, 16, h, w) -> a picture for each.

    Of its growth in time only the last channels are used, and the last stage keeps the size.
    """

    def conv(x: Tensor, name: str) -> Tensor:
        return F.conv2d(x, w[f"{name}.weight"], w.get(f"{name}.bias"), padding=1)

    x = F.relu(conv(torch.tanh(latents / 3) * 3, "decoder.1"))
    for stage in range(3):
        first = 3 + 6 * stage
        for block in range(first, first + 3):
            past = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
            y = F.relu(conv(torch.cat([x, past], 1), f"decoder.{block}.conv.0"))
            y = F.relu(conv(y, f"decoder.{block}.conv.2"))
            x = F.relu(conv(y, f"decoder.{block}.conv.4") + x)
        if stage < 2:
            x = F.interpolate(x, scale_factor=2)
        grow = w[f"decoder.{first + 4}.conv.weight"]
        x = F.conv2d(x, grow[-x.shape[1] :])
        x = conv(x, f"decoder.{first + 5}")
    return conv(F.relu(x), "decoder.22").clamp(0, 1)


def latents_of(frames: int) -> Tensor:
    return torch.randn(1, 16, frames, 4, 6, generator=torch.Generator().manual_seed(2))


def test_it_is_the_published_decoder(file: Path) -> None:
    decoder, latents = load_tiny_decoder(file, CPU), latents_of(4)
    with torch.inference_mode():
        expected = by_hand(published(), latents[0].transpose(0, 1))
        for count in (1, 4):
            shown = decoder(latents[:, :, :count])
            torch.testing.assert_close(shown, expected[count - 1], rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.1
    assert not torch.allclose(decoder(latents[:, :, 3:]), expected[3], atol=1e-2)  # it remembers


def test_a_preview_is_as_large_either_way(file: Path, tmp_path: Path) -> None:
    latents = latents_of(6)
    previews = Previews(file)
    shown = previews.picture(latents, 4)
    assert shown.shape == preview(latents, 4).shape == (16, 24, 3)
    other = latents.clone()
    other[:, :, : 4 - EARLIER] = 0
    other[:, :, 5:] = 0
    assert np.array_equal(previews.picture(other, 4), shown)
    other[:, :, 4 - EARLIER] = 0
    assert not np.array_equal(previews.picture(other, 4), shown)
    assert not previews.notes
    assert np.array_equal(Previews(None).picture(latents, 4), preview(latents, 4))
    # What cannot be read makes previews rough, and says so once.
    tensors = {name: tensor for name, tensor in published().items() if name != "decoder.22.bias"}
    save_file(tensors, tmp_path / "taew2_1.safetensors")
    with pytest.raises(WeightsError, match=r"decoder\.22\.bias"):
        load_tiny_decoder(tmp_path / "taew2_1.safetensors", CPU)
    rough = Previews(tmp_path / "taew2_1.safetensors")
    for _ in range(2):
        assert np.array_equal(rough.picture(latents, 4), preview(latents, 4))
    assert len(rough.notes) == 1
    assert "Previews are rough" in rough.notes[0]


def test_only_the_one_for_wan_is_taken_and_none_is_needed(file: Path, tmp_path: Path) -> None:
    """TAEHV's files are alike but for their training, whatever model they are for."""
    models = write_wan(tmp_path / "wan")
    (models / "taehv.safetensors").write_bytes(file.read_bytes())

    def found() -> Any:
        made = reports(scan.scan([models], tmp_path / "memory.json"))
        report = next(one for one in made if one.family.name == "wan2.1-t2v-1.3b")
        return report.part("preview").state, family_files(made, ("wan2.1-t2v-1.3b",)).files

    state, files = found()
    assert state is State.MISSING
    assert "preview" not in files
    (models / "taew2_1.safetensors").write_bytes(file.read_bytes())
    state, files = found()
    assert state is State.FOUND
    assert Path(files["preview"]).name == "taew2_1.safetensors"


def test_a_run_is_the_same_with_better_previews(file: Path, tmp_path: Path) -> None:
    models = write_wan(tmp_path / "wan")
    files = {"transformer": TRANSFORMER, "text": TEXT, "vae": VAE}
    plain = {part: str(models / name) for part, name in files.items()}

    class Looking(Silent):
        def __init__(self) -> None:
            self.shown: list[Any] = []

        def preview(self, label: str, picture: Any) -> None:
            self.shown.append(picture())

    def run(files: dict[str, str], cache: str) -> tuple[Any, Tensor, list[Any]]:
        job = GenerateJob(
            mode=Mode.TEXT,
            prompt="a red fox",
            width=32,
            height=32,
            frames=5,
            values={"steps": 2},
            output=str(tmp_path / "out.mp4"),
            latents=str(tmp_path / "latents.safetensors"),
            cache=str(tmp_path / cache),
            models=ModelFiles(family="wan2.1-t2v-1.3b", files=files),
        )
        look = Looking()
        device = DeviceFacts(kind="cpu", name="2 cores", has_triton=False)
        result = Generator(Resident(1 << 30)).run(job, device, look)
        return result, load_file(job.latents)["latents"], look.shown

    _, first, rough = run(plain, "a")
    _, second, fine = run(plain | {"preview": str(file)}, "b")
    assert torch.equal(first, second)
    assert rough[0].shape == fine[0].shape
    assert not any(np.array_equal(a, b) for a, b in zip(rough, fine, strict=True))
    again, _, _ = run(plain | {"preview": str(file)}, "a")
    assert again.made == 0  # what was kept without it serves
