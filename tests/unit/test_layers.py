"""What each kind of process holds, and which way imports go; seen in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "av", "cv2", "numpy"}


def modules_after(*imports: str) -> set[str]:
    """The top-level names in a fresh interpreter that has imported `imports`."""
    code = "import json, sys\n" + "".join(f"import {name}\n" for name in imports)
    code += "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout))


def packages(*folders: str) -> list[str]:
    """Every module below `folders`, as it is imported; command-line starts left out."""
    found = []
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            if parts[-1] != "__main__":
                found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def test_the_editor_holds_no_heavy_library() -> None:
    """Every module of the window's process together, not only what the start happens to load."""
    held = modules_after(*packages("desktop", "ui"))
    assert "PySide6" in held
    assert not held & HEAVY


def test_the_values_of_the_editor_are_light() -> None:
    names = [
        "engine.jobs",
        "engine.errors",
        "engine.worker.client",
        "engine.worker.messages",
        *packages("engine/timeline"),
    ]
    assert not modules_after(*names) & {*HEAVY, "PySide6"}


def test_a_media_child_holds_neither_qt_nor_torch() -> None:
    """Everything in the engine but what only the gpu child loads: its tasks and the models."""
    tasks = (
        *("generate", "given", "gpu_tasks", "inputs", "neural", "results"),
        *(
            "unfinished",
            "upscale",
            "wan_effects",
            "wan_held",
            "wan_parts",
            "wan_settings",
            "wan_work",
        ),
    )
    only_gpu = ("engine.models.", *(f"engine.worker.{name}" for name in tasks))
    names = [name for name in packages("engine") if not name.startswith(only_gpu)]
    held = modules_after(*names)
    assert "av" in held
    assert not held & {"PySide6", "torch", "desktop", "ui"}


def test_a_child_loads_no_task_before_it_knows_its_role() -> None:
    assert not modules_after("engine.worker.process") & {*HEAVY, "PySide6"}


def test_import_contracts() -> None:
    program = Path(sys.executable).parent / "lint-imports"
    if sys.platform == "win32":
        program = program.with_suffix(".exe")
    ran = subprocess.run(
        [str(program), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout
