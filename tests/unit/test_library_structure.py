"""Checkpoints of other widths than the published ones: what they are, and what they are not."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.library.families import reports, told
from engine.library.found import FamilyReport, Scan, State
from engine.library.recognise import Match, match, unlike
from engine.library.scan import OTHER_WIDTHS, Scanner, scan
from engine.library.signatures import Shape, signatures
from engine.library.structure import unstacked, widths
from engine.library.tensors import Form, Header, Tensor
from tests.support.tiny_weights import SIZES, TEXT, flashvsr, tiny, torch_file, write

PUBLISHED = [(kind, layout) for kind, layouts in signatures().items() for layout in layouts]


def header(tensors: Mapping[str, Shape]) -> Header:
    made = {name: Tensor("BF16", shape) for name, shape in tensors.items()}
    return Header(Path("x.safetensors"), Form.SAFETENSORS, made, (Path("x.safetensors"),), 1)


def matched(tensors: Mapping[str, Shape]) -> Match | None:
    return match(header(tensors))


def look(tmp_path: Path, *folders: Path) -> Scan:
    return scan(folders, tmp_path / "memory" / "weights.json")


def report(found: Scan, family: str, words: Mapping[str, str] | None = None) -> FamilyReport:
    return next(one for one in reports(found, words) if one.family.name == family)


@pytest.mark.parametrize(("kind", "layout"), PUBLISHED)
def test_the_published_ones_stay_what_they_are(kind: str, layout: str) -> None:
    found = matched(signatures()[kind][layout])
    assert found is not None
    assert (found.kind.name, found.layout, found.widths) == (kind, layout, {})


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_other_widths_and_fewer_layers_are_recognised(kind: str, prefix: str) -> None:
    layout = next(iter(signatures()[kind]))
    found = matched({prefix + name: shape for name, shape in tiny(kind, layout).items()})
    assert found is not None
    assert (found.kind.name, found.layout, found.prefix) == (kind, layout, prefix)
    assert SIZES[kind].items() <= dict(found.widths).items()


def test_models_of_ours_at_other_widths_are_recognised() -> None:
    torch = pytest.importorskip("torch")
    from engine.models.flashvsr import config
    from engine.models.flashvsr.decoder import TinyDecoder
    from engine.models.flashvsr.projector import Projector
    from engine.models.flashvsr.transformer import Transformer
    from engine.models.wan.config import VaeConfig
    from engine.models.wan.vae import Vae

    with torch.device("meta"):
        models = {
            "wan2.1_t2v_1.3b": Transformer(
                config.TransformerConfig(48, 4, 64, text_dim=32, freq_dim=16, layers=8)
            ),
            "flashvsr_projection": Projector(
                config.ProjectorConfig("v1", hidden1=16, hidden2=24, out_dim=48)
            ),
            "flashvsr_decoder": TinyDecoder(config.DecoderConfig((16, 12, 8, 8))),
            "wan2.1_vae": Vae(VaeConfig(dim=8)),
        }
    for kind, model in models.items():
        found = matched({n: tuple(tensor.shape) for n, tensor in model.state_dict().items()})
        assert found is not None
        assert found.kind.name == kind


def test_umt5_and_clip_of_other_widths_are_recognised() -> None:
    for kind, layout, sizes in (
        ("umt5_xxl", "hf", {4096: 24, 10240: 40, 256384: 90, 64: 6}),
        ("clip_vit_h", "wan", {1280: 16, 5120: 64, 3840: 48, 257: 17, 1024: 8}),
    ):
        stacked = unstacked(signatures()[kind][layout])
        small = {
            name.replace("*", str(layer)): tuple(sizes.get(axis, axis) for axis in shape)
            for name, shape in stacked.items()
            for layer in range(3 if "*" in name else 1)
        }
        found = matched(small)
        assert found is not None
        assert found.kind.name == kind


def test_fewer_layers_of_the_published_width_are_a_damaged_model() -> None:
    whole = signatures()["wan2.1_t2v_14b"]["wan"]
    cut = {name: shape for name, shape in whole.items() if not name.startswith("blocks.3")}
    assert matched(cut) is None
    said = unlike(header(cut))
    assert said is not None
    assert said[0].name == "wan2.1_t2v_14b"
    assert "lacks" in said[1]


def changed(tensors: dict[str, Shape], name: str, shape: Shape | None) -> dict[str, Shape]:
    made = dict(tensors)
    if shape is None:
        del made[name]
    else:
        made[name] = shape
    return made


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("blocks.1.self_attn.q.weight", (12, 13)),  # as wide as the model, or not at all
        ("blocks.1.ffn.0.weight", (17, 12)),  # every layer alike
        ("blocks.1.norm3.bias", None),
        ("blocks.3.norm3.bias", (12,)),  # 0, 1, 3
        ("patch_embedding.weight", (12, 16, 2, 2, 2)),  # another patch
        ("patch_embedding.weight", (12, 20, 1, 2, 2)),  # other latents
        ("head.modulation", (1, 3, 12)),
        ("time_embedding.0.weight", (12, 0)),
        ("text_embedding.0.weight", (12, TEXT, 1)),
        ("audio_proj.weight", (12, 12)),  # more than that
        ("vace_blocks.0.after_proj.weight", (12, 12)),
    ],
)
def test_another_structure_is_not_recognised(name: str, shape: Shape | None) -> None:
    assert matched(changed(tiny("wan2.1_t2v_1.3b", "wan"), name, shape)) is None


def test_wan_2_2s_vae_of_any_width_is_refused_by_name() -> None:
    found = matched({"encoder.conv1.weight": (9, 12, 3, 3, 3), "conv2.weight": (48, 48, 1, 1, 1)})
    assert found is not None
    assert found.kind.name == "wan2.2_vae"


def test_doubled_channels_count_from_what_they_double() -> None:
    published = {"a.bias": (512,), "b.bias": (256,), "c.weight": (512, 256), "d.weight": (512, 512)}
    here = {"a.bias": (20,), "b.bias": (6,), "c.weight": (12, 6), "d.weight": (20, 20)}
    assert widths(here, published) == {512: 20, 256: 6}
    assert widths(here | {"c.weight": (14, 6)}, published) is None


# In folders


def states(made: FamilyReport) -> dict[str, State]:
    return {part.part.name: part.state for part in made.parts}


def test_a_tiny_flashvsr_is_found_once_its_version_is_said(tmp_path: Path) -> None:
    folder = flashvsr(tmp_path / "FlashVSR", vae=True)
    found = look(tmp_path, folder)
    untold = report(found, "flashvsr-1.1")
    assert untold.line == "which is it"
    made = report(found, "flashvsr-1.1", {str(folder): "1.1"})
    assert made.ready == ("tiny", "full")
    assert {part.note for part in made.parts} == {OTHER_WIDTHS}
    assert report(found, "flashvsr-1.0", {str(folder): "1.1"}).ready == ()
    assert found.others == 0


def test_it_is_known_again_without_being_read(tmp_path: Path) -> None:
    folder = flashvsr(tmp_path / "FlashVSR", vae=True)
    first, again = look(tmp_path, folder), look(tmp_path, folder)
    assert (first.read, again.read) == (5, 0)
    assert again.weights == first.weights


def test_what_was_read_is_remembered_before_the_long_hashing(tmp_path: Path) -> None:
    write(tmp_path / "w" / "LQ_proj_in.ckpt", signatures()["flashvsr_projection"]["flashvsr"])
    for times_read in (1, 0):
        scanner = Scanner(tmp_path / "memory.json")
        steps = scanner.steps([tmp_path / "w"])
        assert any(step.stage == "hash" for step in steps)  # then the window is closed
        assert scanner.read == times_read


def test_a_lone_tensor_is_a_prompt_only_beside_what_it_fits(tmp_path: Path) -> None:
    folder = flashvsr(tmp_path / "a", prompt=tmp_path / "b" / "posi_prompt.pth")
    torch_file(folder / "other.pth", {"": (1, 6, TEXT + 1)})
    found = look(tmp_path, tmp_path / "a", tmp_path / "b")
    words = {str(folder): "1.1"}
    assert states(report(found, "flashvsr-1.1", words))["prompt"] is State.MISSING
    torch_file(folder / "fits.pth", {"": (1, 9, TEXT)})
    part = report(look(tmp_path, folder), "flashvsr-1.1", words).part("prompt")
    assert part.found is not None
    assert part.found.path == str(folder / "fits.pth")
    torch_file(folder / "fits too.pth", {"": (1, 4, TEXT)})  # which of both?
    assert states(report(look(tmp_path, folder), "flashvsr-1.1", words))["prompt"] is State.MISSING


def test_comfyuis_tree_with_the_prompt_elsewhere_and_absent(tmp_path: Path) -> None:
    models = tmp_path / "ComfyUI" / "models"
    elsewhere = models / "text_encoders" / "posi_prompt.pth"
    folder = flashvsr(models / "FlashVSR-v1.1", prompt=elsewhere)
    torch_file(elsewhere, {"": (1, 512, 4096)})  # as published: known wherever it lies
    write(models / "vae" / "wan_2.1_vae.safetensors", tiny("wan2.1_vae", "wan"))
    words = {str(folder): "1.1"}
    made = report(look(tmp_path, models), "flashvsr-1.1", words)
    assert made.ready == ("tiny", "full")
    elsewhere.unlink()
    made = report(look(tmp_path, models.parent), "flashvsr-1.1", words)
    assert made.ready == ()
    part = made.part("prompt")
    assert part.state is State.MISSING
    assert part.why == "FlashVSR 1.1 needs the prompt (4.2 MB). Looked in ComfyUI / models."


def test_the_published_width_is_preferred_of_two(tmp_path: Path) -> None:
    write(tmp_path / "a" / "vae.safetensors", tiny("wan2.1_vae", "wan"))
    # the numbers are not there, so only the header is as published
    whole = write(tmp_path / "b" / "vae.safetensors", signatures()["wan2.1_vae"]["wan"])
    part = report(look(tmp_path, tmp_path / "a", tmp_path / "b"), "wan2.1-t2v-14b").part("vae")
    assert part.found is not None
    assert part.found.path == str(whole)
    assert (part.note, len(part.others)) == ("", 1)


def test_wans_own_of_other_widths_stays_wans_own(tmp_path: Path) -> None:
    write(tmp_path / "w" / "a.safetensors", tiny("wan2.1_t2v_1.3b", "wan"))
    found = look(tmp_path, tmp_path / "w")
    assert [one.kind for one in told(found, {})] == ["wan2.1_t2v_1.3b"]


def test_the_decoders_last_two_widths_may_differ() -> None:
    tensors = tiny("flashvsr_decoder", "flashvsr")
    last = {"decoder.22.weight": (6, 4, 3, 3), "decoder.24.weight": (6, 6, 3, 3)}
    apart = {**tensors, **last, "decoder.26.weight": (3, 6, 3, 3)}
    found = matched(apart)
    assert found is not None
    assert found.kind.name == "flashvsr_decoder"
    assert matched({**apart, "decoder.26.weight": (3, 5, 3, 3)}) is None
