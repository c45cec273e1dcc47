"""FlashVSR's files at any width: sizes are read from shapes, and a wrong file is told by name."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor  # noqa: E402

from engine.errors import WeightsError  # noqa: E402
from engine.models.flashvsr.config import DECODERS, PROJECTORS, TRANSFORMERS  # noqa: E402
from engine.models.flashvsr.pipeline import Models, Settings, upscaled  # noqa: E402
from engine.models.flashvsr.preparation import placement  # noqa: E402
from engine.models.flashvsr.weights import (  # noqa: E402
    decoder_config,
    load,
    projector_config,
    transformer_config,
)
from engine.models.linear import Fp8Linear  # noqa: E402
from engine.models.wan.config import VAE_VARIANTS, VaeConfig  # noqa: E402
from engine.models.wan.vae import Vae, VaeDecoder  # noqa: E402
from engine.models.wan.weights import vae_config  # noqa: E402
from tests.support.flashvsr import SPARSITY, filled, shot, tiny_models  # noqa: E402

MANIFESTS = Path(__file__).parents[1] / "golden" / "manifests"
VAE = VaeConfig(dim=4)


def published(name: str) -> dict[str, Tensor]:
    """The tensors of a published file, at full size, without their values."""
    shapes = json.loads((MANIFESTS / f"{name}.json").read_text(encoding="utf-8"))["tensors"]
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models() -> Models:
    return tiny_models(2)


@pytest.fixture
def files(models: Models, tmp_path: Path) -> dict[str, Path]:
    """The five files and their config.json, as they are published."""
    names = {
        "transformer": "diffusion_pytorch_model_streaming_dmd.safetensors",
        "projection": "LQ_proj_in.ckpt",
        "prompt": "posi_prompt.pth",
        "decoder": "TCDecoder.ckpt",
        "vae": "Wan2.1_VAE.pth",
    }
    paths = {part: tmp_path / name for part, name in names.items()}
    save_file(models.transformer.state_dict(), paths["transformer"])
    torch.save(models.projector.state_dict(), paths["projection"])
    torch.save(models.prompt, paths["prompt"])
    torch.save(models.decoder.state_dict(), paths["decoder"])
    torch.save(filled(Vae(VAE)).state_dict(), paths["vae"])
    (tmp_path / "config.json").write_text('{"num_heads": 2}')
    return paths


def test_published_sizes_are_read_from_shapes() -> None:
    assert transformer_config(published("flashvsr_dit")) == TRANSFORMERS["flashvsr"]
    projection = published("flashvsr_lq_proj_in")
    assert projector_config(projection, "v1.1") == PROJECTORS["flashvsr_v1.1"]
    assert decoder_config(published("flashvsr_tcdecoder")) == DECODERS["flashvsr_tcdecoder"]
    assert vae_config(published("wan2.1_vae")) == VAE_VARIANTS["wan2.1_vae"]


def test_other_sizes_too(models: Models) -> None:
    about = {"num_heads": models.transformer.config.heads}
    tensors = models.transformer.state_dict()
    assert transformer_config(tensors, about) == models.transformer.config
    assert transformer_config(tensors).heads == 1
    projection = models.projector.state_dict()
    assert projector_config(projection, "v1") == replace(models.projector.config, rule="v1")
    assert decoder_config(models.decoder.state_dict()) == models.decoder.config
    with torch.device("meta"):
        assert vae_config(VaeDecoder(VAE).state_dict()) == VAE


def test_all_files_make_the_models_they_were_made_of(
    models: Models, files: dict[str, Path]
) -> None:
    made = load(files, "v1.1", "tiny", "cpu", torch.float32)
    assert made.shared is made.condition()
    assert isinstance(made.transformer.text_embedding, torch.nn.Identity)
    clip = list(shot(3, 2, 32, 32).pictures(0, 2))
    place = placement(128, 128)
    ours, theirs = (list(upscaled(m, clip, place, Settings(SPARSITY))) for m in (made, models))
    # The loaded decoder is merged, so its last bits differ.
    steps = [(a.short() - b.short()).abs().max() for a, b in zip(ours, theirs, strict=True)]
    assert max(steps) <= 1


def test_large_linear_layers_may_be_narrow(files: dict[str, Path]) -> None:
    wide, narrow = (
        load(files, "v1.1", "tiny", "cpu", torch.float32, is_narrow=on) for on in (False, True)
    )
    narrowed = [m for m in narrow.transformer.modules() if isinstance(m, Fp8Linear)]
    assert len(narrowed) == 8 * narrow.transformer.config.layers
    clip, place = list(shot(3, 1, 32, 32).pictures(0, 1)), placement(128, 128)
    ours, theirs = (
        next(iter(upscaled(m, clip, place, Settings(SPARSITY)))) for m in (wide, narrow)
    )
    assert 0 < (ours.float() - theirs.float()).abs().mean() < 10


def test_full_mode_needs_the_vae_and_not_the_decoder(files: dict[str, Path]) -> None:
    del files["decoder"]
    made = load(files, "v1", "full", "cpu", torch.bfloat16)
    assert isinstance(made.decoder, VaeDecoder)
    assert made.decoder.conv2.weight.dtype == torch.bfloat16
    assert made.projector.config.rule == "v1"
    clip = list(shot(3, 1, 32, 32).pictures(0, 1))
    (picture,) = upscaled(made, clip, placement(128, 128), Settings(SPARSITY))
    assert picture.shape == (128, 128, 3)


Spoil = Callable[[dict[str, Path]], object]
WRONG: dict[str, tuple[Spoil, str]] = {
    "no prompt named": (lambda f: f.pop("prompt"), "needs its prompt"),
    "no prompt there": (lambda f: f["prompt"].unlink(), "posi_prompt.pth"),
    "another prompt": (
        lambda f: torch.save(torch.zeros(1, 4, 9), f["prompt"]),
        r"posi_prompt.pth is not FlashVSR's prompt: it holds shape \[1, 4, 9\]",
    ),
    "a prompt with a name": (
        lambda f: torch.save({"context": torch.zeros(1, 4, 8)}, f["prompt"]),
        "posi_prompt.pth is not FlashVSR's prompt: it holds tensors with names",
    ),
    "another projection": (
        lambda f: torch.save(tiny_models(1, 48).projector.state_dict(), f["projection"]),
        "LQ_proj_in.ckpt: its tokens have 48 channels, the transformer's have 24",
    ),
    "two files exchanged": (
        lambda f: f.update(decoder=f["projection"]),
        "LQ_proj_in.ckpt: tensor 'decoder.1.weight': it is missing",
    ),
    "a cut file": (
        lambda f: f["transformer"].write_bytes(f["transformer"].read_bytes()[:-5]),
        "diffusion_pytorch_model_streaming_dmd.safetensors",
    ),
    "heads of another model": (
        lambda f: f["transformer"].with_name("config.json").write_text('{"num_heads": 7}'),
        "7 heads cannot share the transformer's 24 channels",
    ),
    "a broken config": (
        lambda f: f["transformer"].with_name("config.json").write_text("{"),
        "config.json cannot be read",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_by_name(name: str, files: dict[str, Path]) -> None:
    spoil, message = WRONG[name]
    spoil(files)
    with pytest.raises(WeightsError, match=message):
        load(files, "v1.1", "tiny", "cpu", torch.float32)


def test_a_missing_tensor_is_told_whichever_it_is(models: Models, files: dict[str, Path]) -> None:
    for name in ("patch_embedding.weight", "head.head.weight", "blocks.0.ffn.0.weight"):
        kept = {k: v for k, v in models.transformer.state_dict().items() if k != name}
        save_file(kept, files["transformer"])
        with pytest.raises(WeightsError, match=f"{name}.: it is missing"):
            load(files, "v1.1", "tiny", "cpu", torch.float32)
