"""A command that is told to write over what it reads refuses to, and leaves it as it was."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.support import tiny_models as tiny
from trustdag.cli import main


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a tiny model in `model/`."""
    return tiny.write_base(tmp_path / "little").parent


def test_a_model_is_not_copied_over_itself(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = json.dumps({"source": "folder", "path": str(model / "model")})
    assert main(["base", "--settings", settings, "--prompt-format", "plain", "--out", str(model)]) == 2
    assert "little/model is what the new model is made from and would be lost" in capsys.readouterr().err
    assert (model / "model" / "model.safetensors").stat().st_size > 1000


def test_a_stage_is_not_written_over_the_model_that_it_starts_from(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tiny.write_data(tmp_path / "data")
    weights = (model / "model" / "model.safetensors").read_bytes()
    assert main(["align", "sft", "--policy", str(model), "--data", str(data), "--out", str(model)]) == 2
    assert "would be lost; name another folder" in capsys.readouterr().err
    assert (model / "model" / "model.safetensors").read_bytes() == weights


def test_pairs_are_not_prepared_over_their_own_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = pd.DataFrame({"prompt": [f"{n}?" for n in range(90)], "chosen": "yes", "rejected": "no"})
    pairs.to_parquet(tmp_path / "train.parquet")
    settings = json.dumps({"source": "trl", "path": str(tmp_path / "train.parquet")})
    assert main(["prepare", "--settings", settings, "--out", str(tmp_path)]) == 2
    assert "train.parquet is a file of the source and would be overwritten" in capsys.readouterr().err
    assert len(pd.read_parquet(tmp_path / "train.parquet")) == 90
