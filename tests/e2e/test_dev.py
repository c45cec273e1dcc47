"""dev.py and its parts: what it makes, what it remembers, what it says when it cannot go on."""

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from installers import environment, libraries
from installers.environment import DEVELOP, RUN, Stamp
from installers.errors import SetupError

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="uses a shell script in place of pip")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A source folder with only what the set-up reads; its name has a space."""
    folder = tmp_path / "a checkout"
    shutil.copytree(ROOT / "installers", folder / "installers")
    for name in ("dev.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def dev(root: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs dev.py as a person does."""
    return subprocess.run(
        [sys.executable, str(root / "dev.py"), *arguments],
        env={**os.environ, **variables},
        cwd=root.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_every_command() -> None:
    ran = dev(ROOT, "--help")
    assert ran.returncode == 0
    for command in ("demo", "app", "setup", "test", "check", "bench"):
        assert f"dev.py {command}" in ran.stdout


@pytest.mark.parametrize("arguments", [(), ("dmeo",)])
def test_an_unknown_command_gets_the_help(arguments: tuple[str, ...]) -> None:
    ran = dev(ROOT, *arguments)
    assert ran.returncode == 2
    assert "dev.py demo" in ran.stdout


def test_an_older_python_gets_a_sentence(root: Path) -> None:
    """The check is reached before anything that an older Python would not know."""
    code = "import sys; sys.version_info = (3, 9, 0); import dev; sys.exit(dev.main())"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert ran.stdout.startswith("Reelwright needs Python 3.11 or newer; this is Python 3.9.")


def test_the_set_up_needs_only_the_standard_library(root: Path) -> None:
    code = "import dev, installers.environment, installers.libraries"
    code += ", installers.probe_libraries, installers.torch_build"
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, '.'); {code}"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="others always have a display")
def test_the_window_without_a_display(root: Path) -> None:
    names = ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY")
    ran = subprocess.run(
        [sys.executable, str(root / "dev.py"), "app"],
        env={name: value for name, value in os.environ.items() if name not in names},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("There is no display, so the window cannot be shown.")
    assert not (root / ".venv").exists()


def test_every_dependency_is_pinned() -> None:
    """In the constraints, at a version that pyproject.toml allows."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (ROOT / environment.CONSTRAINTS).read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    versions = {canonicalize_name(name): version for name, version in pins.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [project["dependencies"], *project["optional-dependencies"].values()]
    for requirement in (Requirement(line) for lines in wanted for line in lines):
        version = versions.get(canonicalize_name(requirement.name), "")
        if requirement.name == "triton":  # torch's other builds bring another one
            assert not version
            version = "3.6.0"
        assert requirement.specifier.contains(version)


def test_a_second_start_adds_less_than_a_second(root: Path) -> None:
    """The stamp is read, the environment's Python begins; nothing else happens."""
    stamp_an_environment(root, RUN)
    demo = root / "desktop" / "demo.py"
    demo.parent.mkdir()
    demo.write_text("import sys; print('ran', *sys.argv[1:])")
    begun = time.monotonic()
    ran = dev(root, "demo", "--out", "x", PYTHONPATH="")
    took = time.monotonic() - begun
    assert ran.stdout == "" or "Installing" not in ran.stdout
    assert "Making" not in ran.stdout
    assert took < 1.0


def stamp_an_environment(root: Path, kit: environment.Kit) -> Path:
    """An environment without packages that the set-up takes for a finished one."""
    folder = root / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / ("Scripts/python.exe" if environment.WINDOWS else "bin/python")
    stamp = Stamp(environment._digest(root), str(python.resolve()), kit.name, ("xcb",))
    text = json.dumps({**stamp.__dict__, "screens": list(stamp.screens)})
    (folder / "reelwright.json").write_text(text, encoding="utf-8")
    return python


def test_a_whole_environment_is_taken_as_it_is(root: Path) -> None:
    python = stamp_an_environment(root, DEVELOP)
    assert environment.ready(root, RUN, ()) == python
    assert environment.ready(root, DEVELOP, ("xcb",)) == python


def fake_pip(root: Path, says: str, code: int) -> Path:
    """An environment whose Python is a script that fails to install, with these words."""
    folder = root / ".venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("")
    python = folder / "bin" / "python"
    python.write_text(
        "#!/bin/sh\n"
        'case "$*" in *--version*) exit 0;; esac\n'
        f"cat <<'END'\n{says}\nEND\nexit {code}\n"
    )
    python.chmod(0o755)
    return python


@posix
@pytest.mark.parametrize(
    ("says", "told"),
    [
        (
            "WARNING: Retrying (Retry(total=4)) after connection broken by "
            "'NewConnectionError(...: Temporary failure in name resolution)'\n"
            "ERROR: Could not find a version that satisfies the requirement hatchling",
            "The package index cannot be reached.",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] "
            "No space left on device",
            "is full. Make room, then start again.",
        ),
        ("ERROR: [Errno 13] Permission denied: 'x'", "cannot be written."),
        ("ssl.SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED", "certificate"),
        ("ERROR: No matching distribution found for av==18.1.0", "av==18.1.0.\nMore is in"),
    ],
)
def test_a_failing_install_is_told_in_a_sentence(root: Path, says: str, told: str) -> None:
    fake_pip(root, says, 1)
    with pytest.raises(SetupError) as caught:
        environment.ready(root, RUN, ())
    assert told in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert not (root / ".venv" / "reelwright.json").exists()


def test_a_half_made_environment_is_made_anew(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose making was cut short has no pip, or a Python that is no longer there."""
    folder = root / ".venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("home = /nowhere\n")
    (folder / "bin" / "python").symlink_to("/nowhere/python3")
    monkeypatch.setattr(environment, "_install", lambda *_: None)
    monkeypatch.setattr(libraries, "ensure", lambda *_: None)
    python = environment.ready(root, RUN, ())
    ran = subprocess.run([str(python), "-m", "pip", "--version"], check=False, capture_output=True)
    assert ran.returncode == 0
    assert (folder / "reelwright.json").exists()


def test_a_folder_of_somebody_else_is_not_touched(root: Path) -> None:
    precious = root / ".venv" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    with pytest.raises(SetupError, match="no Python environment"):
        environment.ready(root, RUN, ())
    assert precious.read_text() == "years of work"


def test_too_little_room(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=200_000_000))
    with pytest.raises(SetupError, match=r"0\.2 GB free; about 1\.6 GB are needed"):
        environment.ready(root, RUN, ())


@posix
def test_a_folder_that_cannot_be_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere, so the refusal is the system's own, raised where it would come."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(root / ".venv"))

    monkeypatch.setattr(environment, "_make", refuse)
    with pytest.raises(SetupError, match=r"cannot be written\. Put the program's folder"):
        environment.ready(root, RUN, ())


class TestSystemLibraries:
    """What happens when the loader does not find a shared library."""

    @pytest.fixture
    def apt(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A package manager that knows the newer name of one package and writes down its calls."""
        if sys.platform == "win32":
            pytest.skip("there is no apt")
        tools = tmp_path / "tools"
        tools.mkdir()
        calls = tmp_path / "calls"
        (tools / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
        (tools / "apt-cache").write_text('#!/bin/sh\n[ "$2" != libglib2.0-0t64 ]\n')
        for file in tools.iterdir():
            file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(libraries, "_updated", False)
        return calls

    def test_root_has_them_installed(self, apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        answers = iter(
            [({"libEGL.so.1", "libglib-2.0.so.0"}, []), ({"libGL.so.1"}, []), (set(), [])]
        )
        monkeypatch.setattr(libraries, "_missing", lambda *_: next(answers))
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        libraries.ensure(Path(sys.executable), ROOT, ())
        calls = [line.partition("=120 ")[2] for line in apt.read_text().splitlines()]
        assert calls == [
            "update",
            "install -y --no-install-recommends libegl1 libglib2.0-0",
            "install -y --no-install-recommends libgl1",
        ]

    def test_others_are_told_the_line(self, apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            libraries, "_missing", lambda *_: ({"libEGL.so.1", "libpulse.so.0"}, [])
        )
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(SetupError) as caught:
            libraries.ensure(Path(sys.executable), ROOT, ())
        line = "sudo apt-get install -y --no-install-recommends libegl1 libpulse0"
        assert str(caught.value).endswith(line)
        assert not apt.exists()

    def test_one_that_stays_away_ends_it(self, apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(libraries, "_missing", lambda *_: ({"libEGL.so.1"}, []))
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        with pytest.raises(SetupError, match="still not found: libEGL"):
            libraries.ensure(Path(sys.executable), ROOT, ())
        assert len(apt.read_text().splitlines()) == 2

    def test_an_unknown_one_is_named(self, apt: Path) -> None:
        with pytest.raises(SetupError, match=r"missing: libstrange\.so\.7"):
            libraries.package_names(["libEGL.so.1", "libstrange.so.7"])

    def test_everything_loads_here(self) -> None:
        screens = ("xcb",) if sys.platform.startswith("linux") and os.geteuid() == 0 else ()
        assert libraries._missing(Path(sys.executable), ROOT, screens) == (set(), [])

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the loader of Linux")
    def test_the_probe_reads_the_loaders_words(self) -> None:
        from installers.probe_libraries import Findings

        found = Findings()
        words = "libxkbcommon.so.0: cannot open shared object file: No such file or directory"
        found.add("PySide6.QtGui", ImportError(words), None)
        found.add("av", ImportError("undefined symbol: avcodec_open3"), None)
        assert found.libraries == {"libxkbcommon.so.0"}
        assert found.failures == ["av does not load: undefined symbol: avcodec_open3"]
