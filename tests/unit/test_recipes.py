"""What generated media were made with is known after a restart."""

from fractions import Fraction
from pathlib import Path
from typing import Any

from desktop.recipes import FILE, MOST, Recipes
from engine.generation import Mode
from engine.jobs import GenerateJob, LoraChoice, ModelFiles, SourcePicture


def job(output: str, **changes: Any) -> GenerateJob:
    models = ModelFiles(family="wan2.1-i2v-14b", files={"vae": "/w/vae"})
    values: dict[str, Any] = {"mode": Mode.IMAGE, "models": models, "cache": "/c"}
    return GenerateJob(output=output, **{**values, **changes})


def test_a_recipe_comes_back_whole(tmp_path: Path) -> None:
    made = job(
        "/o/a.mp4",
        first=SourcePicture(path="/m/a.mp4", time=Fraction(7, 25)),
        values={"steps": 20, "cfg": 5.5, "teacache": True},
        guidance=(6.0, 1.0),
        loras=(LoraChoice(path="/w/l", strength=(1.0, 0.5), blocks=(0, 3)),),
    )
    Recipes(tmp_path).put(made)
    assert Recipes(tmp_path).get("/o/a.mp4") == made
    assert Recipes(tmp_path).get("/o/b.mp4") is None


def test_the_latest_of_a_file_is_kept_and_the_oldest_go(tmp_path: Path) -> None:
    recipes = Recipes(tmp_path)
    recipes.put(job("/o/first.mp4", seed=1))
    for number in range(MOST - 1):
        recipes._jobs[f"/o/{number}.mp4"] = job(f"/o/{number}.mp4")
    recipes.put(job("/o/first.mp4", seed=2))
    recipes.put(job("/o/last.mp4"))
    found = Recipes(tmp_path)
    again = found.get("/o/first.mp4")
    assert again is not None
    assert again.seed == 2
    assert found.get("/o/0.mp4") is None
    assert found.get("/o/last.mp4") is not None


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{no")
    recipes = Recipes(tmp_path)
    recipes.put(job("/o/a.mp4"))
    assert Recipes(tmp_path).get("/o/a.mp4") is not None
