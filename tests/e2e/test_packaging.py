"""The wheel: what is in it, and that it runs from an environment of its own."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"desktop", "engine", "ui", "resources"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network by the build backend that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    ran = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh environment with the wheel; what it depends on is lent by this one."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    windows = sys.platform == "win32"
    python = folder / ("Scripts/python.exe" if windows else "bin/python")
    site = Path(
        subprocess.run(
            [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)], check=True)
    lent = [path for path in sys.path if path.endswith("site-packages")]
    (site / "lent.pth").write_text("\n".join(lent), encoding="utf-8")
    yield python
    # The lent folders hold an editable install; it must not be what the test looked at.
    shown = subprocess.run(
        [str(python), "-P", "-c", "import engine; print(engine.__file__)"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(ROOT) not in shown


def test_it_holds_the_four_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    roots = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert roots == PACKAGES
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_every_file_of_the_packages_is_in_it(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", *sorted(PACKAGES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode != 0:
        pytest.skip("this is no git checkout")
    expected = {line for line in tracked.stdout.splitlines() if (ROOT / line).exists()}
    assert expected <= names


def test_it_states_its_licence_and_its_commands(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    entry = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
    text = archive.read(entry).decode()
    assert "reelwright = desktop.__main__:main" in text
    assert "reelwright-gui = desktop.__main__:main" in text
    assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())


def test_the_installed_command_shows_the_effect_table(installed: Path, tmp_path: Path) -> None:
    command = installed.parent / ("reelwright.exe" if sys.platform == "win32" else "reelwright")
    ran = subprocess.run(
        [str(command), "effects", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    for family in ("restyle", "image-to-video", "upscale"):
        assert family in ran.stdout


def test_the_installed_program_probes_its_own_sample(installed: Path, tmp_path: Path) -> None:
    """A child process starts from the wheel, and the data files came along."""
    command = installed.parent / ("reelwright.exe" if sys.platform == "win32" else "reelwright")
    code = "import resources; print(resources.path('sample/lantern_bay.mp4'))"
    sample = subprocess.run(
        [str(installed), "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.strip()
    ran = subprocess.run(
        [str(command), "probe", sample, "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert '"width": 640' in ran.stdout.replace('"width":640', '"width": 640')
