"""Each script of examples/ runs on a tiny model, and stays short enough to be read at a glance."""

import os
from pathlib import Path

import pytest

from tests.support import tiny_models as tiny
from tests.support.forks import run_python

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))


def run(script: str, *arguments: str, folder: Path) -> str:
    """The output of a script that is started in `folder`."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    finished = run_python([str(ROOT / "examples" / script), *arguments], environment, folder)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model folder with random weights and room for the toy world's items."""
    return str(tiny.write_base(tmp_path_factory.mktemp("base"), context=256))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_an_example_has_fewer_than_25_lines(script: Path) -> None:
    assert len(script.read_text(encoding="utf-8").splitlines()) < 25


def test_a_model_folder_is_evaluated(model: str, tmp_path: Path) -> None:
    shown = run("evaluate_folder.py", model, "ethics", "12", folder=tmp_path)
    assert "likelihood_fnr" in shown
    assert "nan" not in shown.split("likelihood_fnr")[1].splitlines()[0]


def test_ppo_learns_from_a_python_function(model: str, tmp_path: Path) -> None:
    shown = run("ppo_with_function.py", model, "out", "2", folder=tmp_path)
    assert "mean reward of the last update" in shown
    assert len((tmp_path / "out" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_a_study_is_started_from_python(model: str, tmp_path: Path) -> None:
    records = "results/betas/records/mine/base/ethics.parquet"
    run("study_from_python.py", model, records, "--quiet", folder=tmp_path)
    assert (tmp_path / records).is_file()
