"""ComfyUI's extra_model_paths.yaml."""

from pathlib import Path

import pytest

from engine.library.comfy import PathsError, Place, parsed, places

TEXT = """\
\ufeff# Rename this to extra_model_paths.yaml and ComfyUI will load it

#config for comfyui
comfyui:
     base_path: path/to/comfyui/   # a remark
     # You can use is_default to mark that these folders should be listed first
     is_default: true
     checkpoints: models/checkpoints/
     text_encoders: |
          models/text_encoders/
          models/clip/  # legacy location still supported

     clip_vision: "models/clip vision/"
     configs: models/configs/
     diffusion_models: |-
                  models/diffusion_models
                  models/unet

'a111':
    base_path: 'C:\\webui: one'
    vae: models/VAE
    loras:
      - models/Lora
      - "models/LyCORIS"
    empty:
other_ui: # nothing in it
"""


def test_groups_keys_and_values() -> None:
    groups = parsed(TEXT)
    assert list(groups) == ["comfyui", "a111", "other_ui"]
    assert groups["comfyui"] == {
        "base_path": "path/to/comfyui/",
        "is_default": "true",
        "checkpoints": "models/checkpoints/",
        "text_encoders": "models/text_encoders/\nmodels/clip/  # legacy location still supported",
        "clip_vision": "models/clip vision/",
        "configs": "models/configs/",
        "diffusion_models": "models/diffusion_models\nmodels/unet",
    }
    assert groups["a111"] == {
        "base_path": "C:\\webui: one",
        "vae": "models/VAE",
        "loras": "models/Lora\nmodels/LyCORIS",
        "empty": "",
    }
    assert groups["other_ui"] == {}


def test_values_with_colons_and_hashes() -> None:
    groups = parsed("g:\n  base_path: D:\\AI\\models#1\n  vae: \\\\server\\share\\vae # here\n")
    assert groups["g"] == {"base_path": "D:\\AI\\models#1", "vae": "\\\\server\\share\\vae"}


def test_places_default_ones_first(tmp_path: Path) -> None:
    text = (
        "a:\n  vae: one\n"
        "b:\n  base_path: sub\n  is_default: True\n  vae: |\n    x\n    ../y\n  custom_nodes: n\n"
    )
    assert places(parsed(text), tmp_path) == [
        Place("vae", tmp_path / "sub" / "x", True),
        Place("vae", tmp_path / "y", True),
        Place("vae", tmp_path / "one", False),
    ]


def test_home_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("MODELS", str(tmp_path / "disk"))
    text = "a:\n  base_path: ~/ai\n  vae: v\n  loras: $MODELS/l\n"
    text += "b:\n  base_path: ${MODELS}\n  vae: v\n"
    assert [place.path for place in places(parsed(text), Path("/x"))] == [
        tmp_path / "ai" / "v",
        tmp_path / "disk" / "l",
        tmp_path / "disk" / "v",
    ]


def test_a_remark_in_a_block_is_cut_off_where_no_such_folder_is(tmp_path: Path) -> None:
    groups = parsed("a:\n  clip: |\n    models/clip/  # still supported\n")
    assert places(groups, tmp_path)[0].path == tmp_path / "models" / "clip"
    (tmp_path / "models" / "clip").mkdir(parents=True)
    odd = tmp_path / "models" / "clip" / "  # still supported"
    odd.mkdir()
    assert places(groups, tmp_path)[0].path == odd


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("just words\n", 1),
        ("a:\n  vae: [x, y]\n", 2),
        ("a:\n  vae: &anchor x\n", 2),
        ("a:\n  vae: 'x\n", 2),
        ("a:\n\tvae: x\n", 2),
        ("  vae: x\n", 1),
        ("vae: x\n", 1),
        ("a:\n  - x\n", 2),
    ],
)
def test_what_is_not_read_is_said_with_its_line(text: str, line: int) -> None:
    with pytest.raises(PathsError, match=f"line {line} "):
        parsed(text)
