"""Looking through folders: what is found, remembered, refused, missing."""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import WeightsError
from engine.library import families, recognise, scan
from engine.library.catalog import FAMILIES, FLASHVSR_HASHES, V1_0, V1_1
from engine.library.choice import family_files
from engine.library.families import reports, untold
from engine.library.folders import Sort
from engine.library.found import FamilyReport, Scan, State
from engine.library.signatures import Shape, signatures
from tests.support.tiny_weights import write

MARKS = {V1_1: b"\x11", V1_0: b"\x10"}  # what tells the made-up files of FlashVSR apart


def small(shape: Shape) -> Shape:
    return tuple(axis % 13 + 1 for axis in shape)


SMALL = {
    kind: {
        layout: {name: small(shape) for name, shape in tensors.items()}
        for layout, tensors in layouts.items()
    }
    for kind, layouts in signatures().items()
}


@pytest.fixture(autouse=True)
def small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published structures at a size that fits into a test."""
    monkeypatch.setattr(recognise, "signatures", lambda: SMALL)


def model(path: Path, kind: str, layout: str = "wan", **options: Any) -> Path:
    return write(path, SMALL[kind][layout], **options)


def torch_model(path: Path, kind: str, *, legacy: bool = False) -> Path:
    torch = pytest.importorskip("torch")
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = SMALL[kind]["flashvsr"]
    made = {name: torch.zeros(shape, dtype=torch.bfloat16) for name, shape in tensors.items()}
    value = made.get("", made)
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


def flashvsr(folder: Path, version: str = V1_1, projection: str = "") -> Path:
    """The folder as it is published, with the prompt beside it."""
    mark = MARKS[version]
    model(folder / "dmd.safetensors", "wan2.1_t2v_1.3b", bits=32, mark=mark)
    mark = MARKS[projection or version]
    model(folder / "LQ_proj_in.ckpt", "flashvsr_projection", "flashvsr", mark=mark)
    torch_model(folder / "TCDecoder.ckpt", "flashvsr_decoder", legacy=True)
    torch_model(folder / "posi_prompt.pth", "flashvsr_prompt")
    return folder


def know(monkeypatch: pytest.MonkeyPatch, *files: Path, version: str = V1_1) -> None:
    hashes = {hashlib.sha256(file.read_bytes()).hexdigest(): version for file in files}
    monkeypatch.setattr(families, "FLASHVSR_HASHES", FLASHVSR_HASHES | hashes)


def look(tmp_path: Path, *folders: Path) -> Scan:
    """A scan, which leaves the folders as they are."""
    before = [snapshot(folder) for folder in folders]
    found = scan.scan(folders, tmp_path / "memory" / "weights.json")
    assert [snapshot(folder) for folder in folders] == before
    return found


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    facts = {str(path): path.lstat() for path in folder.rglob("*")}
    return {
        path: (fact.st_mtime_ns, fact.st_size)
        for path, fact in facts.items()
        if "memory" not in path
    }


def report(found: Scan, family: str, words: Mapping[str, str] | None = None) -> FamilyReport:
    return next(r for r in reports(found, words) if r.family.name == family)


def states(made: FamilyReport) -> dict[str, State]:
    return {part.part.name: part.state for part in made.parts}


def names(found: Scan) -> list[str]:
    return [Path(file.path).name for file in found.weights]


@pytest.fixture
def comfyui(tmp_path: Path) -> Path:
    models = tmp_path / "ComfyUI" / "models"
    model(
        models / "diffusion_models" / "sub" / "my film model.safetensors", "wan2.1_i2v_14b", bits=8
    )
    model(models / "text_encoders" / "umt5.safetensors", "umt5_xxl", "hf")
    model(models / "clip_vision" / "clip.safetensors", "clip_vit_h", "hf")
    model(models / "vae" / "wan_2.1_vae.safetensors", "wan2.1_vae")
    write(models / "loras" / "style.safetensors", {"blocks.0.q.lora_A.weight": (4, 8)})
    (models / "loras" / "put_loras_here").touch()
    return tmp_path / "ComfyUI"


def test_a_comfyui_tree_as_it_stands(tmp_path: Path, comfyui: Path) -> None:
    found = look(tmp_path, comfyui)
    assert found.folders[0].sort == Sort.COMFY
    assert found.folders[0].files == 5
    assert found.others == 1
    made = report(found, "wan2.1-i2v-14b")
    assert made.line == "Ready"
    transformer = made.part("transformer").found
    assert transformer is not None
    assert Path(transformer.path).name == "my film model.safetensors"
    assert transformer.precision == "fp8"
    text = made.part("text").found
    assert text is not None
    assert text.layout == "hf"
    assert look(tmp_path, comfyui / "models").folders[0].sort == Sort.COMFY


def test_what_is_missing_and_where_it_was_looked_for(tmp_path: Path, comfyui: Path) -> None:
    (comfyui / "models" / "clip_vision" / "clip.safetensors").unlink()
    ours = tmp_path / "Reelwright" / "weights"
    ours.mkdir(parents=True)
    made = report(look(tmp_path, ours, comfyui), "wan2.1-i2v-14b")
    image = made.part("image")
    assert made.line == "1 missing"
    assert image.why == (
        "Wan2.1 I2V 14B needs the image encoder CLIP ViT-H (1.3 GB). "
        "Looked in Reelwright / weights and ComfyUI / models."
    )
    assert image.looked == (str(ours), str(comfyui / "models"))


def test_wans_other_vae_is_refused_by_name(tmp_path: Path, comfyui: Path) -> None:
    vae = comfyui / "models" / "vae"
    (vae / "wan_2.1_vae.safetensors").unlink()
    write(
        vae / "wan2.2_vae.safetensors",
        {"encoder.conv1.weight": (160, 12, 3, 3, 3), "conv2.weight": (48, 48, 1, 1, 1)},
    )
    made = report(look(tmp_path, comfyui), "wan2.1-i2v-14b")
    assert made.part("vae").state is State.REFUSED
    assert made.part("vae").why == (
        "wan2.2_vae.safetensors is Wan’s VAE for 2.2. This family needs 2.1."
    )
    assert made.line == "1 refused"


def test_a_second_scan_reads_no_file(
    tmp_path: Path, comfyui: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (comfyui / "extra_model_paths.yaml").write_text("a:\n  vae: more\n")
    (comfyui / "more").mkdir()
    flashvsr(comfyui / "models" / "FlashVSR")
    first = look(tmp_path, comfyui)
    assert first.read == 10
    opened: list[str] = []
    plain = Path.open

    def watched(self: Path, *arguments: Any, **options: Any) -> Any:
        opened.append(str(self))
        return plain(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", watched)
    second = look(tmp_path, comfyui)
    assert second.read == 0
    assert second == msgspec.structs.replace(first, read=0)
    assert [name for name in opened if str(comfyui) in name] == []


def test_what_changed_is_read_again(tmp_path: Path, comfyui: Path) -> None:
    look(tmp_path, comfyui)
    path = comfyui / "models" / "vae" / "wan_2.1_vae.safetensors"
    model(path, "clip_vit_h", "hf")
    os.utime(path, ns=(1, 1))
    found = look(tmp_path, comfyui)
    assert found.read == 1
    assert report(found, "wan2.1-i2v-14b").part("vae").state is State.MISSING


def test_a_disk_that_is_back_is_not_read_again(tmp_path: Path, comfyui: Path) -> None:
    first = look(tmp_path, comfyui)
    comfyui.rename(tmp_path / "away")
    assert look(tmp_path, comfyui).weights == ()
    (tmp_path / "away").rename(comfyui)
    assert look(tmp_path, comfyui).read == 0
    assert look(tmp_path, comfyui).weights == first.weights
    (comfyui / "models" / "vae" / "wan_2.1_vae.safetensors").unlink()
    look(tmp_path, comfyui)
    assert b"wan_2.1_vae" not in (tmp_path / "memory" / "weights.json").read_bytes()


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 99}', b"\xff\xff", b'{"files": 3}'])
def test_a_damaged_memory_is_made_anew(tmp_path: Path, comfyui: Path, content: bytes) -> None:
    first = look(tmp_path, comfyui)
    memory = tmp_path / "memory" / "weights.json"
    memory.write_bytes(content)
    assert look(tmp_path, comfyui) == first
    assert look(tmp_path, comfyui).read == 0


def test_extra_model_paths(tmp_path: Path, comfyui: Path) -> None:
    disk = tmp_path / "disk"
    model(disk / "VAE" / "a.safetensors", "wan2.1_vae")
    (comfyui / "extra_model_paths.yaml").write_text(
        f"a111:\n  base_path: {disk}\n  is_default: true\n  vae: |\n    VAE\n    gone\n"
    )
    found = look(tmp_path, comfyui)
    vae = report(found, "wan2.1-i2v-14b").part("vae")
    assert vae.found is not None
    assert Path(vae.found.path).name == "a.safetensors"  # default ones come first
    assert [Path(other.path).name for other in vae.others] == ["wan_2.1_vae.safetensors"]
    assert found.problems == {str(disk / "gone"): "the folder is not there"}
    assert look(tmp_path, comfyui / "models").walked == found.walked
    (comfyui / "extra_model_paths.yaml").write_text("nonsense\n")
    assert "line 1" in next(iter(look(tmp_path, comfyui).problems.values()))


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_links_are_followed_once(tmp_path: Path) -> None:
    real = model(tmp_path / "elsewhere" / "vae.safetensors", "wan2.1_vae")
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "up").symlink_to(tree)
    (tree / "z").symlink_to(real.parent)
    (tree / "one.safetensors").symlink_to(real)
    (tree / "dead.safetensors").symlink_to(tree / "nothing")
    found = look(tmp_path, tree)
    assert names(found) == ["one.safetensors"]
    os.mkfifo(tree / "pipe.safetensors")
    assert names(look(tmp_path, tree)) == ["one.safetensors"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_converted_copies_are_no_models_of_their_own(tmp_path: Path, comfyui: Path) -> None:
    before = look(tmp_path, comfyui)
    for path in list(comfyui.rglob("*.safetensors")):
        copy = path.with_name(f"{path.name}.reelwright-bf16.safetensors")
        copy.write_bytes(path.read_bytes())
    after = look(tmp_path, comfyui)
    assert names(after) == names(before)
    assert after.folders[0].files == before.folders[0].files


def test_a_hugging_face_cache_with_shards(tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--Wan-AI--Wan2.1-T2V-14B-Diffusers"
    shot = repository / "snapshots" / "abc" / "transformer"
    shot.mkdir(parents=True)
    tensors = list(SMALL["wan2.1_t2v_14b"]["diffusers"].items())
    weight_map: dict[str, str] = {}
    for number, shard in enumerate((tensors[:500], tensors[500:])):
        blob = write(repository / "blobs" / f"{number}abcdef", dict(shard))
        (shot / f"model-0000{number + 1}-of-00002.safetensors").symlink_to(blob)
        weight_map |= {name: f"model-0000{number + 1}-of-00002.safetensors" for name, _ in shard}
    index = shot / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    found = look(tmp_path, tmp_path / "hub")
    assert found.folders[0].sort == Sort.HUB
    assert names(found) == [index.name]
    assert found.weights[0].kind == "wan2.1_t2v_14b"
    assert len(found.weights[0].parts) == 2
    assert look(tmp_path, tmp_path / "hub").read == 0
    index.unlink()
    alone = look(tmp_path, tmp_path / "hub")
    part = report(alone, "wan2.1-t2v-14b").part("transformer")
    assert part.state is State.REFUSED
    assert "lacks" in part.why
    assert "index.json in one folder" in part.hint


def test_a_damaged_file_is_refused_for_its_part(tmp_path: Path, comfyui: Path) -> None:
    model(comfyui / "models" / "vae" / "wan_2.1_vae.safetensors", "wan2.1_vae", cut=5)
    vae = report(look(tmp_path, comfyui), "wan2.1-i2v-14b").part("vae")
    assert vae.state is State.REFUSED
    assert vae.why.startswith("wan_2.1_vae.safetensors is damaged: tensor ")
    assert vae.hint == "Get it again."


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "a.safetensors").write_bytes(b"<!DOCTYPE html>")
    (tmp_path / "w" / "config.index.json").write_text('{"other": 1}')
    found = look(tmp_path, tmp_path / "w", tmp_path / "gone")
    assert [file.why for file in found.weights] == ["a.safetensors is a web page, not weights."]
    assert found.folders[1].sort == Sort.MISSING
    assert found.folders[1].problem == "the folder is not there"


def test_nothing_named_nothing_found(tmp_path: Path) -> None:
    made = reports(look(tmp_path))
    assert len(made) == len(FAMILIES)
    assert all(not one.ready for one in made)
    assert made[0].line == "4 missing"
    assert "No folder is named yet." in made[0].parts[0].why


# FlashVSR


def test_flashvsr_known_by_its_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = flashvsr(tmp_path / "w")
    know(monkeypatch, folder / "dmd.safetensors", folder / "LQ_proj_in.ckpt")
    found = look(tmp_path, folder)
    made = report(found, "flashvsr-1.1")
    assert made.ready == ("tiny",)
    assert made.line == "Ready"
    assert made.part("vae").state is State.MISSING
    assert untold(found) == ()
    other = report(found, "flashvsr-1.0")
    assert other.part("projection").state is State.MISSING
    assert other.part("prompt").state is State.FOUND
    # It is not taken for Wan's, which has the same tensors.
    assert report(found, "wan2.1-t2v-1.3b").part("transformer").state is State.MISSING
    model(folder / "Wan2.1_VAE.safetensors", "wan2.1_vae")
    assert report(look(tmp_path, folder), "flashvsr-1.1").ready == ("tiny", "full")


def test_flashvsr_without_a_known_hash_waits_for_a_word(tmp_path: Path) -> None:
    folder = flashvsr(tmp_path / "models" / "FlashVSR")
    found = look(tmp_path, tmp_path)
    for family in ("flashvsr-1.0", "flashvsr-1.1"):
        made = report(found, family)
        assert states(made)["transformer"] is State.UNTOLD
        assert states(made)["projection"] is State.UNTOLD
        assert made.part("transformer").why == "Both look alike; which is it?"
        assert made.ready == ()
    assert untold(found) == (str(folder),)
    words = {str(folder): V1_0}
    assert report(found, "flashvsr-1.0", words).ready == ("tiny",)
    assert report(found, "flashvsr-1.1", words).part("projection").state is State.MISSING
    assert untold(found, words) == ()


def test_a_mixed_pair_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = flashvsr(tmp_path / "w", V1_1, projection=V1_0)
    know(monkeypatch, folder / "dmd.safetensors")
    found = look(tmp_path, folder)
    words = {str(folder): V1_0}
    mixed = (
        "The FlashVSR transformer is 1.1 but its projection is 1.0. Both must be of one version."
    )
    for family, part in (("flashvsr-1.1", "projection"), ("flashvsr-1.0", "transformer")):
        made = report(found, family, words)
        assert made.ready == ()
        assert made.part(part).state is State.REFUSED
        assert made.part(part).why == mixed
        assert made.line == "1 refused"
    # Without the word the projection may be either: it is asked for, never assumed.
    assert report(found, "flashvsr-1.1").ready == ()
    assert untold(found) == (str(folder),)


def test_a_hash_outweighs_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = flashvsr(tmp_path / "w")
    know(monkeypatch, folder / "dmd.safetensors", folder / "LQ_proj_in.ckpt")
    found = look(tmp_path, folder)
    assert report(found, "flashvsr-1.0", {str(folder): V1_0}).ready == ()
    assert report(found, "flashvsr-1.1", {str(folder): V1_0}).ready == ("tiny",)


def test_both_versions_side_by_side(tmp_path: Path) -> None:
    one = flashvsr(tmp_path / "w" / "a", V1_0)
    two = flashvsr(tmp_path / "w" / "b", V1_1)
    found = look(tmp_path, tmp_path / "w")
    words = {str(one): V1_0, str(two): V1_1}
    for family, folder in (("flashvsr-1.0", one), ("flashvsr-1.1", two)):
        made = report(found, family, words)
        assert made.ready == ("tiny",)
        for name in ("transformer", "projection"):
            file = made.part(name).found
            assert file is not None
            assert Path(file.path).parent == folder


def test_wans_transformer_beside_flashvsrs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = flashvsr(tmp_path / "w")
    other = model(folder / "wan.safetensors", "wan2.1_t2v_1.3b")
    found = look(tmp_path, folder)
    # The word for the folder does not say which of the two is FlashVSR's.
    assert untold(found) == (str(folder), str(folder / "dmd.safetensors"), str(other))
    unclear = {str(folder): V1_1}
    assert report(found, "flashvsr-1.1", unclear).part("transformer").state is State.UNTOLD
    assert untold(found, unclear) == (str(folder / "dmd.safetensors"), str(other))
    words = {str(folder): V1_1, str(other): "wan"}
    assert report(found, "flashvsr-1.1", words).ready == ("tiny",)
    file = report(found, "wan2.1-t2v-1.3b", words).part("transformer").found
    assert file is not None
    assert file.path == str(other)
    know(monkeypatch, folder / "dmd.safetensors", folder / "LQ_proj_in.ckpt")
    assert report(found, "flashvsr-1.1").ready == ("tiny",)
    file = report(found, "wan2.1-t2v-1.3b").part("transformer").found
    assert file is not None
    assert file.path == str(other)


def test_a_word_reaches_no_folder_below(tmp_path: Path) -> None:
    folder = flashvsr(tmp_path / "w")
    model(folder / "below" / "wan.safetensors", "wan2.1_t2v_1.3b")
    found = look(tmp_path, folder)
    made = report(found, "wan2.1-t2v-1.3b", {str(folder): V1_1})
    assert made.part("transformer").state is State.FOUND
    assert report(found, "flashvsr-1.1", {str(folder): V1_1}).part("transformer").others == ()


def test_wans_own_needs_no_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> str:
        raise AssertionError("a large file was read for nothing")

    monkeypatch.setattr(scan, "_hashed", never)
    model(tmp_path / "w" / "wan.safetensors", "wan2.1_t2v_1.3b", bits=32)
    made = report(look(tmp_path, tmp_path / "w"), "wan2.1-t2v-1.3b")
    assert made.part("transformer").state is State.FOUND


PAIR = "wan2.2-t2v-a14b"


def found_of(made: FamilyReport, part: str) -> str:
    file = made.part(part).found
    return "" if file is None else Path(file.path).name


def test_a_name_that_says_an_expert_makes_it_one(tmp_path: Path) -> None:
    folder = tmp_path / "diffusion_models"
    high = model(folder / "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors", "wan2.1_t2v_14b")
    found = look(tmp_path, folder)
    made = report(found, PAIR)
    assert states(made)["transformer"] is State.FOUND
    lacks = made.part("low")
    assert lacks.state is State.MISSING
    assert lacks.why.startswith("Wan2.2 T2V A14B needs the low-noise expert (14.3 GB).")
    # Wan2.1 does not take it, and says what it is.
    other = report(found, "wan2.1-t2v-14b").part("transformer")
    assert other.state is State.REFUSED
    assert other.why == f"{high.name} is an expert of Wan2.2 T2V A14B. This family needs 2.1."
    low = model(folder / "Wan2_2-T2V-A14B-LOW_fp8_e4m3fn_scaled_KJ.safetensors", "wan2.1_t2v_14b")
    old = model(folder / "a 14B of my own.safetensors", "wan2.1_t2v_14b")
    found = look(tmp_path, folder)
    made = report(found, PAIR)
    assert (found_of(made, "transformer"), found_of(made, "low")) == (high.name, low.name)
    assert found_of(report(found, "wan2.1-t2v-14b"), "transformer") == old.name
    assert untold(found) == ()


def test_a_persons_word_outweighs_the_name(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    one = model(folder / "one.safetensors", "wan2.1_t2v_14b")
    two = model(folder / "wan2.2_low_noise.safetensors", "wan2.1_t2v_14b")
    found = look(tmp_path, folder)
    made = report(found, PAIR, {str(one): "low", str(two): "high"})
    assert (found_of(made, "transformer"), found_of(made, "low")) == (two.name, one.name)
    word = {str(one): "high", str(two): "wan"}
    assert found_of(report(found, "wan2.1-t2v-14b", word), "transformer") == two.name
    assert report(found, PAIR, word).part("low").state is State.MISSING
    # A word for a folder is for the one that lies there alone; no other model hears it.
    assert report(found, PAIR, {str(folder): "high"}).part("transformer").state is State.MISSING
    lone = model(tmp_path / "v" / "lone.safetensors", "wan2.1_t2v_14b")
    flashvsr(lone.parent)
    found = look(tmp_path, lone.parent)
    word = {str(lone.parent): "high"}
    assert found_of(report(found, PAIR, word), "transformer") == lone.name
    assert report(found, "flashvsr-1.1", word).part("transformer").state is State.UNTOLD


def test_experts_for_pictures_that_no_name_tells_are_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    files = [model(folder / f"{name}.safetensors", "wan2.2_i2v_a14b") for name in "ab"]
    found = look(tmp_path, folder)
    assert untold(found) == tuple(map(str, files))
    made = report(found, "wan2.2-i2v-a14b")
    assert {made.part(name).state for name in ("transformer", "low")} == {State.UNTOLD}
    assert made.part("low").why == "Both experts look alike; which is it?"
    with pytest.raises(WeightsError, match=r"a\.safetensors may be either expert of Wan2\.2"):
        family_files(reports(found), ("wan2.2-i2v-a14b",))
    words = {str(files[0]): "low", str(files[1]): "high"}
    made = report(found, "wan2.2-i2v-a14b", words)
    assert (found_of(made, "transformer"), found_of(made, "low")) == (
        "b.safetensors",
        "a.safetensors",
    )
    assert untold(found, words) == ()
    old = report(found, "wan2.1-i2v-14b").part("transformer")
    assert old.why == "a.safetensors is an expert of Wan2.2 I2V A14B. This family needs 2.1."


def test_experts_of_one_folder_go_together(tmp_path: Path) -> None:
    only_high = tmp_path / "a" / "wan2.2_t2v_high_noise_14B_fp16.safetensors"
    model(only_high, "wan2.1_t2v_14b")
    for name in ("HIGH", "LOW"):
        model(tmp_path / "b" / f"Wan2_2-T2V-A14B-{name}_fp8.safetensors", "wan2.1_t2v_14b")
    made = report(look(tmp_path, tmp_path / "a", tmp_path / "b"), PAIR)
    assert found_of(made, "transformer") == "Wan2_2-T2V-A14B-HIGH_fp8.safetensors"
    assert [Path(one.path).name for one in made.part("transformer").others] == [only_high.name]


def test_a_damaged_expert_is_told_of_its_own_part(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    high = model(folder / "wan2.2_t2v_high_noise_14B.safetensors", "wan2.1_t2v_14b")
    high.write_bytes(high.read_bytes()[:-1])
    made = report(look(tmp_path, folder), PAIR)
    assert states(made)["transformer"] is State.REFUSED
    assert "is damaged" in made.part("transformer").why
    assert states(made)["low"] is State.MISSING


def test_a_likely_expert_of_2_2_comes_last(tmp_path: Path) -> None:
    folder = tmp_path / "diffusion_models"
    model(folder / "a_wan2.2_t2v_14B.safetensors", "wan2.1_t2v_14b")
    part = report(look(tmp_path, folder), "wan2.1-t2v-14b").part("transformer")
    assert part.note == "May be an expert of Wan2.2: these look the same."
    model(folder / "b.safetensors", "wan2.1_t2v_14b")
    part = report(look(tmp_path, folder), "wan2.1-t2v-14b").part("transformer")
    assert part.found is not None
    assert Path(part.found.path).name == "b.safetensors"
    assert part.note == ""


@pytest.mark.skipif(sys.platform == "win32", reason="a file of holes takes its full size there")
def test_a_published_file_at_its_full_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """5.7 GB of holes: only its header is read."""
    monkeypatch.setattr(recognise, "signatures", signatures)
    path = write(tmp_path / "w" / "m.safetensors", signatures()["wan2.1_t2v_1.3b"]["wan"], bits=32)
    assert path.stat().st_size > 5_675_987_200
    file = look(tmp_path, tmp_path / "w").weights[0]
    assert (file.kind, file.precision, file.why) == ("wan2.1_t2v_1.3b", "fp32", "")
