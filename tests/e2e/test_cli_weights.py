"""`reelwright weights`, as a person and a script use it: real children, a web server of our own."""

import io
import json
import os
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from desktop.child import MediaChild
from desktop.cli import run
from desktop.cli_models import found_models
from desktop.options import parser
from desktop.settings import folders, load_settings, save_settings
from engine.errors import WeightsError
from engine.timeline.effects import FLASHVSR_ENGINES, LANCZOS
from tests.support.loopback import BODY, SIZE, Site, cut, serving, stall, status
from tests.support.tiny_weights import flashvsr, tiny, write

Call = Callable[..., dict[str, Any]]
PROJECTION = "LQ_proj_in.ckpt"  # of 1.0: its hash is not known, so any server's is taken


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with nothing in it, and no proxy."""
    monkeypatch.setenv("REELWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("HF_", "COMFYUI_")):
            monkeypatch.delenv(name)
    return tmp_path / "home"


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    def run_it(*words: object) -> dict[str, Any]:
        code = run(["weights", "--json", *(str(word) for word in words)])
        answer: dict[str, Any] = json.loads(capfd.readouterr().out)
        return answer | {"code": code}

    return run_it


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as made:
        yield made


def family(answer: dict[str, Any], name: str = "flashvsr-1.1") -> dict[str, Any]:
    return next(one for one in answer["families"] if one["name"] == name)


def part(answer: dict[str, Any], name: str, of: str = "flashvsr-1.1") -> dict[str, Any]:
    return next(one for one in family(answer, of)["parts"] if one["name"] == name)


def get(site: Site, *words: object) -> tuple[object, ...]:
    return ("get", "flashvsr-1.0", "--part", "projection", "--mirror", site.url, *words)


def test_a_first_look_says_what_each_family_lacks_and_where_it_belongs(
    call: Call, home: Path
) -> None:
    answer = call()
    assert answer["code"] == 0
    own = home / "data" / "weights"
    assert [one["path"] for one in answer["folders"]] == [str(own)]
    assert family(answer)["state"] == "4 missing"
    lacking = part(answer, "prompt")
    assert lacking["state"] == "missing"
    assert lacking["get"]["path"] == str(own / "FlashVSR-v1.1" / "posi_prompt.pth")
    assert lacking["get"]["licence"] == "Apache-2.0"
    assert (answer["problems"], answer["offered"]) == ({}, [])


def test_a_folder_is_named_told_used_and_let_go(call: Call, tmp_path: Path) -> None:
    folder = flashvsr(tmp_path / "ComfyUI" / "models" / "FlashVSR")
    named = tmp_path / "ComfyUI" / "models"
    answer = call("add", named)
    assert family(answer)["state"] == "which is it"
    assert answer["untold"] == [str(folder)]
    answer = call("say", folder, "1.1")
    assert family(answer)["ready"] == ["tiny"]
    assert part(answer, "prompt")["path"] == str(folder / "posi_prompt.pth")
    assert part(answer, "prompt")["note"] == "Of other widths than the published one."
    assert load_settings().weights_words == {str(folder): "1.1"}
    assert family(call("scan"))["ready"] == ["tiny"]
    answer = call("remove", named)
    assert family(answer)["ready"] == []
    assert load_settings().weights_folders == ()


def test_an_expert_without_a_telling_name_is_told_by_the_person(
    call: Call, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, pair = tmp_path / "w", "wan2.2-i2v-a14b"
    files = [write(folder / f"{name}.safetensors", tiny("wan2.2_i2v_a14b", "wan")) for name in "ab"]
    assert call("add", folder)["untold"] == [str(file) for file in files]
    assert run(["weights"]) == 0
    out = capfd.readouterr().out
    assert "High-noise expert: which is it" in out
    assert f"Say it: reelwright weights say '{files[0]}' high" in out
    call("say", files[0], "low")
    answer = call("say", files[1], "high")
    assert part(answer, "transformer", pair)["path"] == str(files[1])
    assert part(answer, "low", pair)["path"] == str(files[0])
    assert family(answer, pair)["state"] == "2 missing"
    assert answer["untold"] == []


def test_a_mixed_pair_is_refused(call: Call, tmp_path: Path) -> None:
    folder = flashvsr(tmp_path / "w")
    call("add", folder)
    call("say", folder / "diffusion_pytorch_model_streaming_dmd.safetensors", "1.0")
    answer = call("say", folder / PROJECTION, "1.1")
    refused = part(answer, "transformer")
    assert (refused["state"], family(answer)["ready"]) == ("refused", [])
    assert refused["why"] == (
        "The FlashVSR transformer is 1.0 but its projection is 1.1. Both must be of one version."
    )


def test_the_same_is_said_in_words(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = flashvsr(tmp_path / "w")
    assert run(["weights", "add", str(folder)]) == 0
    out = capfd.readouterr().out
    assert f"{folder}: folder, 4 files, " in out
    assert "flashvsr-1.1: FlashVSR 1.1, for Upscale: which is it" in out
    assert f"Say it: reelwright weights say '{folder}' 1.1" in out
    assert f"Tiny decoder (for tiny): found, {folder / 'TCDecoder.ckpt'} (bf16, " in out


def test_a_folder_counts_for_one_command(tmp_path: Path) -> None:
    folder, tiny_engine = flashvsr(tmp_path / "w"), FLASHVSR_ENGINES[0]
    words = ["effect", "upscale", "in.mp4", "out.mp4", "--weights", str(folder), "--weights", "b"]
    chosen = parser().parse_args(words)
    assert chosen.weights == [folder, Path("b")]
    save_settings(replace(load_settings(), weights_words={str(folder): "1.1"}))
    named, plain = Namespace(weights=[folder], json=True), Namespace(weights=[], json=True)
    with MediaChild() as child:
        assert found_models(child, [LANCZOS], named) == ()
        (made,) = found_models(child, [LANCZOS, tiny_engine], named)
        with pytest.raises(WeightsError, match="needs the FlashVSR"):
            found_models(child, [tiny_engine], plain)
    assert made.family == "flashvsr-1.1"
    assert made.files["prompt"] == str(folder / "posi_prompt.pth")
    assert load_settings().weights_folders == ()


def test_comfyui_is_offered_where_it_usually_lies(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, other = tmp_path / "person" / "ComfyUI", tmp_path / "mine"
    flashvsr(usual / "models" / "FlashVSR")
    other.mkdir()
    monkeypatch.setenv("COMFYUI_PATH", str(other))
    answer = call()
    assert answer["offered"] == [str(other), str(usual)]
    assert family(answer)["state"] == "4 missing"  # offered, not looked into
    assert call("add", usual / "models")["offered"] == [str(other)]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add", "/nowhere"), 3, "«/nowhere» is not there."),
        (("remove", "/nowhere"), 3, "«/nowhere» is not among the folders."),
        (("say", "/nowhere", "1.1"), 3, "«/nowhere» is not there."),
        (("get", "wan9"), 2, "There is no family «wan9»"),
        (("get", "flashvsr-1.1", "--part", "x"), 2, "FlashVSR 1.1 has no part «x»"),
        (
            ("get", "flashvsr-1.1", "--source", "x"),
            2,
            "FlashVSR 1.1 has no source «x»",
        ),
        (("get", "flashvsr-1.1", "--part", "vae"), 2, "Nobody is there to be asked"),
        (("get", "flashvsr-1.1", "--mirror", "ftp://x", "--yes"), 3, "«ftp://x» is no address"),
    ],
)
def test_what_cannot_be_is_told(call: Call, words: tuple[str, ...], code: int, said: str) -> None:
    answer = call(*words)
    assert answer["code"] == code
    assert answer["error"].startswith(said)


def test_a_part_is_fetched_from_the_mirror_and_known_at_once(
    call: Call, site: Site, home: Path, tmp_path: Path
) -> None:
    source = write(tmp_path / "p", tiny("flashvsr_projection", "flashvsr"))
    site.body = source.read_bytes()
    answer = call(*get(site, "--yes"))
    target = home / "data" / "weights" / "FlashVSR-v1.0" / PROJECTION
    assert (answer["code"], answer["files"]) == (0, [str(target)])
    assert target.read_bytes() == site.body
    assert site.paths == ["/JunhaoZhuang/FlashVSR/resolve/main/LQ_proj_in.ckpt"]
    answer = call()
    assert part(answer, "projection", "flashvsr-1.0")["state"] == "found"
    assert answer["untold"] == []


def test_another_folder_counts_from_then_on(call: Call, site: Site, tmp_path: Path) -> None:
    site.body = write(tmp_path / "p", tiny("flashvsr_projection", "flashvsr")).read_bytes()
    assert call(*get(site, "--yes", "--to", tmp_path / "there"))["code"] == 0
    assert load_settings().weights_folders == (str(tmp_path / "there"),)
    assert part(call(), "projection", "flashvsr-1.0")["state"] == "found"


def test_the_mirror_of_the_system_and_of_the_settings(
    call: Call, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("get", "flashvsr-1.0", "--part", "projection", "--yes")
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    assert call(*words)["code"] == 0
    assert len(site.paths) == 1
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    save_settings(replace(load_settings(), weights_mirror=site.url))
    assert call("get", "flashvsr-1.0", "--part", "decoder", "--yes")["code"] == 0
    assert len(site.paths) == 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("said", "is_fetched"), [("y\n", True), ("\n", False), ("", False)])
def test_on_a_terminal_the_person_is_asked(
    site: Site,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    said: str,
    is_fetched: bool,
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(said))
    assert run(["weights", *map(str, get(site))]) == 0
    out, err = capfd.readouterr()
    assert "LQ projection: 0.6 GB from JunhaoZhuang on Hugging Face, Apache-2.0, into" in err
    assert err.rstrip().endswith("Fetch 0.6 GB? [y/N]")
    assert bool(site.paths) is is_fetched
    target = home / "data" / "weights" / "FlashVSR-v1.0" / PROJECTION
    assert target.exists() is is_fetched
    assert ("Nothing was fetched." in out) is not is_fetched


def test_a_failure_tells_what_is_kept_and_the_next_try_goes_on(call: Call, site: Site) -> None:
    site.faults = [cut(2_000_000), status(404)]
    answer = call(*get(site, "--yes"))
    assert answer["code"] == 3
    assert answer["error"] == "127.0.0.1 does not have LQ_proj_in.ckpt."
    assert answer["hint"].startswith("2.0 MB of 0.6 GB are kept. Change the mirror")
    answer = call(*get(site, "--yes"))
    assert answer["code"] == 0
    assert site.ranges == ["", "bytes=2000000-", "bytes=2000000-"]
    assert Path(answer["files"][0]).read_bytes() == BODY


def test_ctrl_c_keeps_the_part(call: Call, site: Site) -> None:
    site.faults = [stall(SIZE // 2)]

    def press() -> None:
        part_file = folders().data / "weights" / "FlashVSR-v1.0" / f"{PROJECTION}.part"
        while not (part_file.exists() and part_file.stat().st_size == SIZE // 2):
            threading.Event().wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    answer = call(*get(site, "--yes"))
    assert answer["code"] == 130
    assert answer["error"] == "Cancelled; 1.5 MB of 0.6 GB are kept."
    assert call(*get(site, "--yes"))["code"] == 0
    assert site.ranges[-1] == f"bytes={SIZE // 2}-"
