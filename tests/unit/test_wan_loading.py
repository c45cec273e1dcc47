"""The files of a Wan model: every layout loads the same, and only what fits together loads."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from engine.errors import WeightsError  # noqa: E402
from engine.library.signatures import signatures  # noqa: E402
from engine.models.wan.loading import facts, load, load_diffusion, load_text, load_vae  # noqa: E402
from engine.models.wan.vae_names import vae_tensors  # noqa: E402
from engine.models.wan.weights import vae_config  # noqa: E402
from tests.support.wan_checkpoints import (  # noqa: E402
    IMAGE,
    TEXT,
    TRANSFORMER,
    VAE,
    diffusers_transformer,
    write_wan,
)

Files = dict[str, Path]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    root = tmp_path_factory.mktemp("models")
    names = {"transformer": TRANSFORMER, "text": TEXT, "image": IMAGE, "vae": VAE}
    return {
        kind: {part: write / name for part, name in names.items() if (write / name).is_file()}
        for kind in ("t2v", "i2v", "flf2v")
        for write in [write_wan(root / kind, kind)]
    }


def test_modes_are_told_by_the_files(folders: dict[str, Files]) -> None:
    assert {kind: facts(files).modes for kind, files in folders.items()} == {
        "t2v": ("t2v", "t2i", "v2v"),
        "i2v": ("i2v", "flf2v"),
        "flf2v": ("flf2v",),
    }


def test_all_parts_load(folders: dict[str, Files]) -> None:
    models = load(folders["i2v"], "cpu", torch.float32)
    assert models.image_encoder is not None
    assert models.text_encoder is not None
    assert models.transformer_model.config.image_dim == models.image_encoder.config.dim
    assert load(folders["t2v"], "cpu", torch.float32, waits=True).image_encoder is None


def test_wrong_companions_are_refused_by_name(folders: dict[str, Files], tmp_path: Path) -> None:
    files = folders["i2v"]
    for part, other, words in (
        ("transformer", "vae", "is no transformer of Wan"),
        ("text", "image", "is no UMT5 text encoder"),
        ("image", "text", "is no CLIP image encoder"),
        ("vae", "text", "is no VAE of Wan"),
    ):
        with pytest.raises(WeightsError, match=words):
            facts(files | {part: files[other]})
    with pytest.raises(WeightsError, match="image encoder CLIP ViT-H is missing"):
        facts({part: path for part, path in files.items() if part != "image"})
    tensors = torch.load(files["text"], weights_only=True)
    narrow = {name: tensor.clone() for name, tensor in tensors.items()}
    narrow["token_embedding.weight"] = tensors["token_embedding.weight"][:, :32].clone()
    torch.save(narrow, tmp_path / "text.pth")
    with pytest.raises(WeightsError, match="gives 32 numbers for each piece"):
        facts(files | {"text": tmp_path / "text.pth"})


def test_diffusers_names_load_to_the_same(folders: dict[str, Files], tmp_path: Path) -> None:
    path = folders["flf2v"]["transformer"]
    save_file(diffusers_transformer(load_file(path)), tmp_path / "model.safetensors")
    same = load_diffusion(tmp_path / "model.safetensors", torch.float32).state_dict()
    for name, tensor in load_diffusion(path, torch.float32).state_dict().items():
        assert torch.equal(same[name], tensor), name


def test_every_name_of_the_vae_in_diffusers_has_its_place() -> None:
    layouts = signatures()["wan2.1_vae"]
    theirs = {
        name: torch.empty(shape, device="meta") for name, shape in layouts["diffusers"].items()
    }
    ours = vae_tensors(theirs)
    assert {name: tuple(tensor.shape) for name, tensor in ours.items()} == layouts["wan"]
    assert vae_config(ours).num_res_blocks == 2
    assert vae_config(ours).dim == 96


def test_a_vae_with_fewer_blocks_or_a_prefix_loads(
    folders: dict[str, Files], tmp_path: Path
) -> None:
    tensors = torch.load(folders["t2v"]["vae"], weights_only=True)
    save_file({f"vae.{n}": t for n, t in tensors.items()}, tmp_path / "vae.safetensors")
    plain, prefixed = (
        load_vae(path, torch.float32).state_dict()
        for path in (folders["t2v"]["vae"], tmp_path / "vae.safetensors")
    )
    assert all(torch.equal(prefixed[name], tensor) for name, tensor in plain.items())


@pytest.mark.parametrize("is_scaled", [False, True])
def test_an_eight_bit_text_encoder_loads(
    folders: dict[str, Files], tmp_path: Path, is_scaled: bool
) -> None:
    tensors = torch.load(folders["t2v"]["text"], weights_only=True)
    narrow = {}
    for name, tensor in tensors.items():
        if ".attn." not in name and ".ffn." not in name:
            narrow[name] = tensor
            continue
        scale = tensor.abs().max() / 448 if is_scaled else torch.ones(())
        narrow[name] = (tensor / scale).to(torch.float8_e4m3fn)
        if is_scaled:
            narrow[f"{name.removesuffix('.weight')}.scale_weight"] = scale
            narrow["scaled_fp8"] = torch.zeros(0, dtype=torch.float8_e4m3fn)
    path = tmp_path / "umt5.safetensors"
    save_file(narrow, path)
    place = tmp_path / "google" / "umt5-xxl"
    place.mkdir(parents=True)
    beside = folders["t2v"]["text"].parent / "google" / "umt5-xxl" / "spiece.model"
    (place / "spiece.model").write_bytes(beside.read_bytes())
    wide, eight = (load_text(one, torch.float32) for one in (folders["t2v"]["text"], path))
    ids = torch.tensor([wide.tokenizer.ids("a red fox")])
    a, b = wide.model(ids), eight.model(ids)
    assert 0 < float((a - b).norm() / a.norm()) < 0.2
