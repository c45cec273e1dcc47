"""Which build of torch the set-up takes, from where, and that it remembers."""

import json
import shutil
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from installers import environment, libraries, torch_build
from installers.environment import DEVELOP, RUN
from installers.errors import SetupError

ROOT = Path(__file__).parents[2]
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the indexes of Linux")
BUILT = {  # as the published builds say it of themselves
    "cpu": ("2.13.0+cpu", "None", "None"),
    "cu130": ("2.13.0+cu130", "'13.0'", "None"),
    "rocm7.2": ("2.13.0+rocm7.2", "None", "'7.2.26015'"),
}
PIP = """#!{python}
import pathlib, sys
here = pathlib.Path(__file__).parents[1]
words = sys.argv[1:]
if "--version" in words:
    sys.exit(0)
with open(here / "calls", "a") as calls:
    print(*words[4:], file=calls)
for word in words:
    tag = word.partition("torch==2.13.0+")[2]
    if tag:
        source = here / "offers" / tag
        if not source.exists() or not any(w.endswith("/whl/" + tag) for w in words):
            sys.exit("ERROR: No matching distribution found for " + word)
        folder = here / "lib" / "python3.11" / "site-packages" / "torch"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "version.py").write_text(source.read_text())
"""


def version_file(version: str, cuda: str, hip: str) -> str:
    return (
        f"__version__ = '{version}'\ndebug = False\ncuda: Optional[str] = {cuda}\n"
        f"hip: Optional[str] = {hip}\nxpu: Optional[str] = None\n"
    )


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source folder, and in it an environment whose pip finds torch in PyTorch's indexes only."""
    folder = tmp_path / "a checkout"
    shutil.copytree(ROOT / "installers", folder / "installers")
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "offers").mkdir()
    (folder / ".venv" / "pyvenv.cfg").write_text("")
    python = folder / ".venv" / "bin" / "python"
    python.write_text(PIP.format(python=sys.executable))
    python.chmod(0o755)
    for tag, facts in BUILT.items():
        (folder / ".venv" / "offers" / tag).write_text(version_file(*facts))
    monkeypatch.setattr(libraries, "ensure", lambda *_: None)
    monkeypatch.setattr(torch_build, "found", lambda: "cpu")
    has_room(monkeypatch, 10**12)
    return folder


def has_room(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = shutil.disk_usage(ROOT)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free))


def calls(root: Path) -> list[str]:
    """What pip was asked since the last time."""
    file = root / ".venv" / "calls"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return lines


def stamp(root: Path) -> dict[str, object]:
    told = json.loads((root / ".venv" / "reelwright.json").read_text(encoding="utf-8"))
    assert isinstance(told, dict)
    return told


@linux
def test_a_build_is_taken_from_its_index_and_remembered(root: Path) -> None:
    environment.ready(root, DEVELOP, (), "cuda")
    own = "https://download.pytorch.org/whl/cu130"
    assert calls(root) == [
        "install --no-deps torch==2.13.0+cu130",
        f"install --no-deps torch==2.13.0+cu130 --extra-index-url {own}",
        "install --constraint installers/constraints.txt --editable .[dev,models]",
    ]
    assert stamp(root)["torch"] == "cuda"
    for kit, word in ((RUN, ""), (RUN, "cuda"), (DEVELOP, ""), (DEVELOP, "cuda")):
        environment.ready(root, kit, (), word)
        assert calls(root) == []
    constraints = root / environment.CONSTRAINTS
    constraints.write_text(constraints.read_text() + "# another day\n")
    environment.ready(root, RUN, ())  # renewed, with the same build
    assert calls(root) == [
        "install --constraint installers/constraints.txt --editable .[dev,models]"
    ]
    assert stamp(root)["torch"] == "cuda"


@linux
def test_the_processors_build_brings_the_kernels_triton(root: Path) -> None:
    environment.ready(root, DEVELOP, ())
    assert calls(root)[-1].endswith(".[dev,kernels,models]")
    assert stamp(root)["torch"] == "cpu"


@linux
def test_the_program_alone_has_torch_only_where_it_is_wanted(root: Path) -> None:
    environment.ready(root, RUN, ())
    assert calls(root) == ["install --constraint installers/constraints.txt --editable ."]
    environment.ready(root, RUN, (), "cpu")
    assert calls(root)[-1].endswith("--editable .[models]")
    environment.ready(root, RUN, ())
    assert calls(root) == []
    assert (stamp(root)["kit"], stamp(root)["torch"]) == ("run", "cpu")


@linux
def test_another_build_takes_the_place_of_the_first(root: Path) -> None:
    environment.ready(root, DEVELOP, (), "cpu")
    calls(root)
    environment.ready(root, DEVELOP, (), "rocm")
    made = calls(root)
    assert made[0] == "uninstall --yes triton triton-rocm pytorch-triton-rocm"
    assert made[-1].endswith(
        "--extra-index-url https://download.pytorch.org/whl/rocm7.2 --editable .[dev,models]"
    )
    assert torch_build.installed(root / ".venv") == ("2.13.0", "rocm")


@linux
def test_a_build_that_cannot_be_had_is_one_sentence(root: Path) -> None:
    environment.ready(root, DEVELOP, (), "cpu")
    (root / ".venv" / "offers" / "cu130").unlink()
    with pytest.raises(SetupError) as caught:
        environment.ready(root, DEVELOP, (), "cuda")
    assert str(caught.value) == (
        "torch 2.13.0 for cuda was not found in https://download.pytorch.org/whl/cu130. "
        "Check the network, or take another build: dev.py setup --torch cpu."
    )
    assert (stamp(root)["digest"], stamp(root)["torch"]) == ("", "cpu")
    environment.ready(root, RUN, ())  # goes on with what was there
    assert stamp(root)["torch"] == "cpu"


@linux
def test_without_the_index_the_processor_takes_the_standard_build(root: Path) -> None:
    (root / ".venv" / "offers" / "cpu").unlink()
    environment.ready(root, DEVELOP, (), "cpu")
    assert calls(root)[1].endswith("--retries 0 --timeout 15")
    assert stamp(root)["torch"] == "cpu"


@linux
def test_room_is_asked_for_the_build(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    has_room(monkeypatch, 10**9)
    with pytest.raises(SetupError, match=r"1\.0 GB free; about 9\.0 GB are needed"):
        environment.ready(root, DEVELOP, (), "cuda")
    assert calls(root) == []


class TestFound:
    """«auto» goes by the driver that is there."""

    @pytest.fixture(autouse=True)
    def bare(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
        monkeypatch.setattr(torch_build, "NVIDIA_DEVICE", tmp_path / "nvidiactl")
        monkeypatch.setattr(torch_build, "AMD_DEVICE", tmp_path / "kfd")
        monkeypatch.setattr(torch_build.platform, "machine", lambda: "x86_64")
        monkeypatch.setattr(sys, "platform", "linux")

    def test_no_driver(self) -> None:
        assert torch_build.chosen("auto") == "cpu"

    @pytest.mark.parametrize("name", ["nvidia-smi", "nvidiactl"])
    def test_nvidias(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o755)
        (tmp_path / "kfd").touch()
        assert torch_build.chosen("auto") == "cuda"

    def test_nvidias_on_windows(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "System32").mkdir()
        (tmp_path / "System32" / "nvml.dll").touch()
        assert torch_build.chosen("auto") == "cpu"
        monkeypatch.setattr(sys, "platform", "win32")
        assert torch_build.chosen("auto") == "cuda"

    def test_amds(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "kfd").touch()
        assert torch_build.chosen("auto") == "rocm"
        monkeypatch.setattr(torch_build.platform, "machine", lambda: "aarch64")
        assert torch_build.chosen("auto") == "cpu"

    def test_a_mac_has_one_build(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "nvidiactl").touch()
        monkeypatch.setattr(sys, "platform", "darwin")
        assert torch_build.chosen("auto") == "cpu"
        with pytest.raises(SetupError, match="no CUDA build of torch for macOS"):
            torch_build.chosen("cuda")

    def test_rocm_is_for_linux(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert torch_build.chosen("rocm") == "rocm"
        monkeypatch.setattr(sys, "platform", "win32")
        with pytest.raises(SetupError, match="ROCm build for Linux on x86-64 only"):
            torch_build.chosen("rocm")


@pytest.mark.parametrize("tag", BUILT)
def test_a_build_tells_what_it_is(tmp_path: Path, tag: str) -> None:
    folder = tmp_path / "Lib" / "site-packages" / "torch"
    folder.mkdir(parents=True)
    (folder / "version.py").write_text(version_file(*BUILT[tag]))
    build = {tag: build for build, tag in torch_build.TAGS.items()}[tag]
    assert torch_build.installed(tmp_path) == ("2.13.0", build)


def test_the_torch_that_is_here_is_read() -> None:
    version, build = torch_build.installed(Path(sys.prefix))
    if find_spec("torch") is None:
        assert (version, build) == ("", "")
    else:
        assert version == metadata.version("torch").partition("+")[0]
        assert build in torch_build.TAGS


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--torch", "vulkan"), "«vulkan» is no build of torch. Choose one of: auto, cuda, rocm"),
        (("--torch=metal",), "«metal» is no build of torch."),
        (("--torch",), "--torch needs a build: auto, cuda, rocm, cpu."),
        (("--touch", "cpu"), "setup does not know «--touch»"),
    ],
)
def test_a_wrong_word_is_told(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    shutil.copytree(ROOT / "installers", tmp_path / "installers")
    for name in ("dev.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    command = [sys.executable, str(tmp_path / "dev.py"), "setup", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith(told)
    assert not (tmp_path / ".venv").exists()


def test_the_program_gets_what_is_not_the_set_ups() -> None:
    import dev

    assert dev.torch_word(["film.reel", "--torch", "cpu", "--x"]) == ("cpu", ["film.reel", "--x"])
    assert dev.torch_word(["--torch=rocm", "film.reel"]) == ("rocm", ["film.reel"])
    assert dev.torch_word(["film.reel"]) == ("", ["film.reel"])
