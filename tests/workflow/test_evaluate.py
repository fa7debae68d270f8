"""`trustdag evaluate` measures models as they are, in one command."""

from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from tests.support import tiny_models as tiny
from trustdag.cli import main

pytestmark = pytest.mark.usefixtures("warm")


def test_a_model_is_measured_and_gets_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # given a model
    monkeypatch.chdir(tmp_path)
    tiny.write_base(tmp_path / "little", context=256)
    # when it is evaluated on a vertical
    command = ["evaluate", "little", "--toy", "--limit", "8", "--prompt-format", "plain", "--verticals", "privacy"]
    assert main([*command, "--cores", "2"]) == 0
    # then the report and the tables stand there
    results = Path("results/evaluation")
    assert (results / "report.html").stat().st_size > 10_000
    metrics = pd.read_csv(results / "statistics" / "metrics.csv")
    assert set(zip(metrics["policy"], metrics["vertical"], strict=True)) == {("little/base", "privacy")}
    # and a second time nothing is left to be done
    capfd.readouterr()
    assert main([*command, "--cores", "2"]) == 0
    assert "Nothing to be done" in "".join(capfd.readouterr())


def test_a_model_that_cannot_be_read_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tiny.write_base(tmp_path / "little", context=256)
    weights = load_file(folder / "model.safetensors")
    weights["embed_out.weight"][0] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert main(["evaluate", "little", "--toy", "--prompt-format", "plain", "--verticals", "ethics"]) == 2
    said = capfd.readouterr().err
    assert "little/model: lm_head.weight has numbers that are not finite" in said, said
    assert not (tmp_path / "results" / "evaluation").exists()


def test_a_study_that_does_not_finish_ends_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # Given a model, and a Snakemake that is told to take a file for the folder of its results
    monkeypatch.chdir(tmp_path)
    tiny.write_base(tmp_path / "little", context=256)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "evaluation").write_text("a file")
    # When it is evaluated
    assert main(["evaluate", "little", "--toy", "--prompt-format", "plain", "--verticals", "ethics"]) == 2
    # Then
    assert "results/evaluation.yaml: the study did not finish" in capfd.readouterr().err
