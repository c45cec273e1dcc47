"""Wan's stages by themselves: in half precision, and with models that wait elsewhere."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from engine.models.guidance import Guidance  # noqa: E402
from engine.models.wan.ask import Ask, Given, Influence, Means  # noqa: E402
from engine.models.wan.loading import load  # noqa: E402
from engine.models.wan.pipeline import (  # noqa: E402
    Parts,
    conditions,
    encoded_prompts,
    first_latents,
    frames,
    latents,
)
from engine.progress import Silent  # noqa: E402
from tests.support.wan_checkpoints import (  # noqa: E402
    IMAGE,
    TEXT,
    TRANSFORMER,
    VAE,
    transformer_config,
    write_wan,
)

ASK = Ask(width=32, height=32, frames=5, steps=2, guidance=Guidance(scale=3.0))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = write_wan(tmp_path_factory.mktemp("models") / "i2v", "i2v")
    names = {"transformer": TRANSFORMER, "text": TEXT, "image": IMAGE, "vae": VAE}
    return {part: folder / name for part, name in names.items()}


def film(parts: Parts, ask: Ask, given: Given, influence: Influence | None = None) -> Tensor:
    report, means = Silent(), Means()
    config = transformer_config("i2v")
    prompts = encoded_prompts(parts, ["a red fox"], "worst quality", report)
    made = conditions(parts, ask, given, influence or Influence(), means, report, config)
    begin = first_latents(ask, given, made, config.out_dim)
    found = latents(parts, ask, prompts, made, begin, means, report, lambda _: None)
    clip = found[:, :, : found.shape[2] - made.appended]
    return torch.cat(list(frames(parts, clip, means, report)), dim=1)


def picture(seed: int) -> Tensor:
    return torch.rand(3, 40, 48, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_half_precision_is_near_and_waiting_changes_nothing(files: dict[str, Path]) -> None:
    given = Given(first=picture(1))
    with torch.inference_mode():
        exact = film(load(files, "cpu", torch.float32), ASK, given)
        waiting = film(load(files, "cpu", torch.float32, waits=True), ASK, given)
        half = film(load(files, "cpu", torch.bfloat16), ASK, given)
    assert exact.shape == (3, 5, 32, 32)
    torch.testing.assert_close(waiting, exact, rtol=1e-3, atol=1e-3)
    assert float((half - exact).abs().mean()) < 0.1


def test_a_last_picture_and_every_influence_count(files: dict[str, Path]) -> None:
    models = load(files, "cpu", torch.float32)
    first, last = picture(1), picture(2)
    with torch.inference_mode():
        one = film(models, ASK, Given(first=first))
        both = film(models, ASK, Given(first=first, last=last))
        assert one.shape == both.shape
        assert not torch.allclose(one, both)
        for change in (
            Influence(start=0.5),
            Influence(noise=0.1),
            Influence(clip=0.5),
            Influence(crop="center"),
        ):
            assert not torch.allclose(film(models, ASK, Given(first=first), change), one)
        for change in (Influence(end=0.5), Influence(noise=0.1)):
            other = film(models, ASK, Given(first=first, last=last), change)
            assert not torch.allclose(other, both)
