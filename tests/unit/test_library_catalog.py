"""Recognising published models by their tensors; the table of signatures itself.

`python -m tests.unit.test_library_catalog` writes resources/catalog.json anew from the manifests
in ../shared/oracle/manifests.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

import resources
from engine.library.catalog import FAMILIES, KINDS
from engine.library.recognise import PREFIXES, match, precision, recognised, unlike
from engine.library.signatures import Shape, folded, signatures, unfolded
from engine.library.tensors import Form, Header, Tensor
from tests.support.diffusers_names import TO_DIFFUSERS, renamed, vae_in_diffusers

MANIFESTS = Path(__file__).parents[3] / "shared" / "oracle" / "manifests"
PUBLISHED = {  # kind and layout -> manifest
    ("flashvsr_projection", "flashvsr"): "flashvsr_lq_proj_in",
    ("flashvsr_decoder", "flashvsr"): "flashvsr_tcdecoder",
    ("wan2.1_t2v_1.3b", "wan"): "wan2.1_t2v_1.3b",
    ("wan2.1_t2v_1.3b", "diffusers"): "wan2.1_t2v_1.3b_diffusers",
    ("wan2.1_t2v_14b", "wan"): "wan2.1_t2v_14b",
    ("wan2.1_i2v_14b", "wan"): "wan2.1_i2v_14b",
    ("wan2.1_i2v_14b", "diffusers"): "wan2.1_i2v_14b_diffusers",
    ("wan2.1_flf2v_14b", "wan"): "wan2.1_flf2v_14b",
    ("wan2.1_vae", "wan"): "wan2.1_vae",
    ("wan2.2_i2v_a14b", "wan"): "wan2.2_i2v_a14b_expert",
    ("wan2.2_ti2v_5b", "wan"): "wan2.2_ti2v_5b",
    ("umt5_xxl", "wan"): "umt5_xxl_encoder",
    ("umt5_xxl", "hf"): "umt5_xxl_encoder_hf",
    ("clip_vit_h", "wan"): "wan_clip_vit_h_visual",
    ("clip_vit_h", "hf"): "clip_vision_h_hf",
}
DERIVED = ("wan2.1_t2v_14b", "wan2.1_flf2v_14b", "wan2.2_i2v_a14b", "wan2.2_ti2v_5b")


def manifest(name: str) -> dict[str, Shape]:
    table = msgspec.json.decode((MANIFESTS / f"{name}.json").read_bytes())
    return {key: tuple(shape) for key, shape in table["tensors"].items()}


def table() -> dict[str, dict[str, dict[str, list[int]]]]:
    made: dict[str, dict[str, dict[str, list[int]]]] = {}
    for (kind, layout), name in PUBLISHED.items():
        made.setdefault(kind, {})[layout] = folded(manifest(name))
    for kind in DERIVED:
        made[kind]["diffusers"] = folded(renamed(manifest(PUBLISHED[kind, "wan"]), TO_DIFFUSERS))
    made["wan2.1_vae"]["diffusers"] = folded(vae_in_diffusers(manifest("wan2.1_vae")))
    made["flashvsr_prompt"] = {"flashvsr": {"": [1, 512, 4096]}}
    return made


def written() -> bytes:
    lines = [
        f'"{kind}":{{\n'
        + ",\n".join(
            f'"{layout}":{{\n'
            + ",\n".join(
                f"{msgspec.json.encode(n).decode()}:{msgspec.json.encode(s).decode()}"
                for n, s in tensors.items()
            )
            + "\n}"
            for layout, tensors in layouts.items()
        )
        + "\n}"
        for kind, layouts in table().items()
    ]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def header(tensors: Mapping[str, Shape], dtype: str = "BF16", name: str = "x.bin") -> Header:
    facts = {name: Tensor(dtype, shape) for name, shape in tensors.items()}
    return Header(Path(name), Form.SAFETENSORS, facts, (), 0)


LAYOUTS = [(kind, layout) for kind, layouts in signatures().items() for layout in layouts]


@pytest.mark.skipif(not MANIFESTS.is_dir(), reason="the manifests are not beside this checkout")
def test_the_table_is_that_of_the_manifests() -> None:
    assert resources.path("catalog.json").read_bytes() == written()
    for (kind, layout), name in PUBLISHED.items():
        assert signatures()[kind][layout] == manifest(name)
    for kind in ("wan2.1_t2v_1.3b", "wan2.1_i2v_14b"):  # so the derived ones are right, too
        assert renamed(manifest(kind), TO_DIFFUSERS) == manifest(f"{kind}_diffusers")


@pytest.mark.skipif(not MANIFESTS.is_dir(), reason="the manifests are not beside this checkout")
def test_every_published_file_is_recognised_and_no_other() -> None:
    kinds = {name: kind for (kind, _), name in PUBLISHED.items()}
    kinds["flashvsr_dit"] = "wan2.1_t2v_1.3b"  # told apart by a scan, not by its tensors
    kinds["wan2.2_t2v_a14b_expert"] = "wan2.1_t2v_14b"  # cannot be told
    for path in MANIFESTS.glob("*.json"):
        found = recognised(header(manifest(path.stem)))
        assert (found.name if found else None) == kinds.get(path.stem), path.stem


def test_folding_loses_nothing() -> None:
    tensors = {
        "a.0.b": (1,),
        "a.1.b": (1,),
        "a.3.b": (1,),
        "a.2.b": (2,),
        "c": (),
        "a.9.d.0.e": (3,),
    }
    assert unfolded(folded(tensors)) == tensors
    assert "a.{0-1,3}.b" in folded(tensors)


@pytest.mark.parametrize(("kind", "layout"), LAYOUTS)
def test_each_layout_is_recognised_under_each_prefix(kind: str, layout: str) -> None:
    tensors = signatures()[kind][layout]
    for prefix in PREFIXES if kind != "flashvsr_prompt" else ("",):
        found = match(header({prefix + name: shape for name, shape in tensors.items()}))
        assert found is not None
        assert (found.kind.name, found.layout, found.prefix) == (kind, layout, prefix)


def test_what_torch_compile_and_scaling_add_changes_nothing() -> None:
    tensors = dict(signatures()["wan2.1_t2v_14b"]["wan"])
    compiled = {"_orig_mod." + name: shape for name, shape in tensors.items()}
    found = match(header(compiled))
    assert found
    assert found.kind.name == "wan2.1_t2v_14b"
    tensors |= {"scaled_fp8": (0,), "blocks.0.ffn.0.scale_weight": ()}
    scaled = header(tensors, "F8_E4M3")
    assert recognised(scaled) == KINDS["wan2.1_t2v_14b"]
    assert precision(scaled) == "fp8 scaled"
    text = dict(signatures()["umt5_xxl"]["hf"]) | {"spiece_model": (4_548_313,)}
    assert recognised(header(text)) == KINDS["umt5_xxl"]
    text["encoder.embed_tokens.weight"] = text.pop("shared.weight")
    assert recognised(header(text)) == KINDS["umt5_xxl"]
    image = dict(signatures()["clip_vit_h"]["wan"]) | {"log_scale": (), "textual.x": (5,)}
    assert recognised(header(image)) == KINDS["clip_vit_h"]
    image = dict(signatures()["clip_vit_h"]["hf"])
    del image["visual_projection.weight"]
    assert recognised(header(image)) == KINDS["clip_vit_h"]


def test_neighbours_are_told_apart() -> None:
    first = dict(signatures()["wan2.1_flf2v_14b"]["wan"])
    assert recognised(header(first)) == KINDS["wan2.1_flf2v_14b"]
    del first["img_emb.emb_pos"]
    assert recognised(header(first)) == KINDS["wan2.1_i2v_14b"]
    first = {
        name: shape for name, shape in first.items() if "_img" not in name and "img_" not in name
    }
    assert recognised(header(first)) == KINDS["wan2.2_i2v_a14b"]
    vae = {"encoder.conv1.weight": (160, 12, 3, 3, 3), "conv2.weight": (48, 48, 1, 1, 1)}
    assert recognised(header(vae)) == KINDS["wan2.2_vae"]
    vace = dict(signatures()["wan2.1_t2v_14b"]["wan"]) | {
        "vace_blocks.0.before_proj.weight": (5120, 5120)
    }
    assert recognised(header(vace)) == KINDS["wan_vace"]


def test_a_name_says_nothing() -> None:
    vae = signatures()["wan2.1_vae"]["wan"]
    assert recognised(header(vae, name="wan2.2_vae.safetensors")) == KINDS["wan2.1_vae"]
    assert recognised(header({"a.weight": (3,)}, name="Wan2.1_VAE.pth")) is None
    assert recognised(header({})) is None


def test_what_is_almost_right_is_told_why_not() -> None:
    tensors = dict(signatures()["wan2.1_vae"]["wan"])
    name = list(tensors)[-1]
    shape = tensors.pop(name)
    lacking = unlike(header(tensors, name="v.pth"))
    assert lacking
    assert lacking[1] == (
        f"v.pth looks like Wan’s VAE for 2.1, but lacks 1 of its 194 tensors, {name} for one."
    )
    other = unlike(header(tensors | {name: (7, *shape)}))
    assert other
    assert f"tensor {name} is 7 x" in other[1]
    more = unlike(header(tensors | {name: shape, "extra.weight": (1,)}))
    assert more
    assert "holds more than that, extra.weight for one" in more[1]
    shard = dict(list(signatures()["wan2.1_t2v_14b"]["wan"].items())[:100])
    part = unlike(header(shard))
    assert part
    assert "T2V 14B" in part[1]
    assert unlike(header({"conv1.weight": (32, 32, 1, 1, 1), "b": (2,)})) is None


def test_the_table_of_families_is_whole() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    for family in FAMILIES:
        for part in family.parts:
            assert part.sources, part
            assert all(source.size_bytes and source.licence for source in part.sources)
            assert {*part.kinds, *part.refuses} <= set(KINDS)
            assert part.needs or not (part.refuses or part.version)
            assert set(part.modes) <= set(family.modes)
    assert [part.name for part in FAMILIES[0].parts] == [
        "transformer",
        "projection",
        "prompt",
        "decoder",
        "vae",
    ]
    assert FAMILIES[0].parts[0].sources[0].line == "JunhaoZhuang on Hugging Face · Apache-2.0"


if __name__ == "__main__":
    resources.path("catalog.json").write_bytes(written())
