"""benchmarks/planted_errors.py: planted errors hide the truth, and labels of the truth bring it back."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import labelled_study
from trustdag.artifacts import write_json
from trustdag.stats.design import StudyDesign

ROOT = Path(__file__).parents[3]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A study whose two stages, SFT and DPO, are the same in truth as read."""
    study = labelled_study.write(tmp_path, ("ethics",), items=480)
    base, sft = study.policies
    dpo = sft.model_copy(update={"recipe": "dpo", "preferences": "coin-0", "reference_sft": base.id})
    design = StudyDesign(study="planted", policies=(base, dpo), verticals=("ethics",))
    write_json(tmp_path / "design.json", design.model_dump(mode="json"))
    return tmp_path


ETHICS = ("--judge", "coin-0", "--vertical", "ethics")


def run(results: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "planted_errors.py"), str(results), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_study_without_the_named_pairs_is_no_success(results: Path) -> None:
    done = run(results, "--judge", "nobody")
    assert done.returncode == 1
    assert "no set of pairs of these names" in done.stdout


def test_too_few_labels_correct_nothing_and_the_command_says_so(results: Path) -> None:
    """Below 20 labels a number stays as the parser reads it."""
    done = run(results, *ETHICS, "--plantings", "4", "--labels", "5")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Missed:" in done.stdout


def test_labels_bring_the_truth_back(results: Path) -> None:
    done = run(results, *ETHICS, "--plantings", "10", "--labels", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    without, labelled = (float(cell) for cell in done.stdout.splitlines()[2].split("|")[3:5])
    assert without <= 0.5
    assert labelled >= 0.9
