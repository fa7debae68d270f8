"""`trustdag evaluate` measures models as they are, in one command."""

from pathlib import Path

import pandas as pd
import pytest

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


def test_a_model_that_cannot_be_read_ends_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tiny.write_base(tmp_path / "little", context=256)
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert main(["evaluate", "little", "--toy", "--prompt-format", "plain", "--verticals", "ethics"]) == 2
    said = capfd.readouterr().err
    assert "model.safetensors: a pointer of git-lfs, not the weights; fetch it again" in said
    assert "results/evaluation.yaml: the study did not finish" in said
