"""`trustdag base` and `trustdag align` by hand, on files."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support import tiny_models as tiny
from trustdag.cli import main
from trustdag.jsonfiles import read_json


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Data, and a base model trained by the command for some steps."""
    tiny.write_data(tmp_path / "data")
    settings = tiny.scratch(steps=4).as_json()
    code = run(
        "base", "--settings", settings, "--corpus", tmp_path / "data" / "corpus.parquet", "--out", tmp_path / "base"
    )
    assert code == 0
    return tmp_path


def test_a_chain_by_hand(world: Path) -> None:
    settings = world / "settings.yaml"
    settings.write_text("max_length: 48\nmax_steps: 2\nlearning_rate: 0.001\n")
    policy = world / "base" / "model"
    for method in ("sft", "dpo"):
        out = world / method
        assert (
            run("align", method, "--policy", policy, "--data", world / "data", "--settings", settings, "--out", out)
            == 0
        )
        assert read_json(out / "manifest.json")["made_by"]["method"] == method
        policy = out / "model"
    made_by = read_json(world / "dpo" / "manifest.json")["made_by"]
    assert made_by["models"] == {"policy": read_json(world / "sft" / "manifest.json")["sha256"]}


def test_the_same_command_takes_an_existing_model(world: Path) -> None:
    settings = json.dumps({"source": "folder", "path": str(world / "base" / "model")})
    assert run("base", "--settings", settings, "--out", world / "copy") == 0
    trained, taken = (read_json(world / name / "manifest.json") for name in ("base", "copy"))
    assert taken["files"]["model.safetensors"] == trained["files"]["model.safetensors"]


def test_a_plain_model_folder_is_taken_and_a_manifest_of_another_model_is_not(world: Path) -> None:
    # Given the model in a folder of another name, beside the manifest of another model
    plain = world / "elsewhere" / "my-model"
    shutil.copytree(world / "base" / "model", plain)
    (world / "elsewhere" / "manifest.json").write_text('{"sha256": "of another model"}')
    # When a stage starts from it
    settings = json.dumps({"max_length": 48, "max_steps": 1})
    code = run(
        "align", "sft", "--policy", plain, "--data", world / "data", "--settings", settings, "--out", world / "sft"
    )
    # Then the trained model names the one that it was made from
    assert code == 0
    made_by = read_json(world / "sft" / "manifest.json")["made_by"]
    assert made_by["models"]["policy"] == read_json(world / "base" / "manifest.json")["sha256"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["align", "sft", "--settings", '{"learning_rat": 1}'], "learning_rat: unknown key"),
        (["align", "sft", "--settings", '{"epochs": 0}'], "epochs: Input should be greater than or equal to 1"),
        (["align", "ppo"], "--reward: ppo needs a reward model's folder"),
        (["align", "sft", "--policy", "nowhere/model"], "nowhere/model: no such model folder"),
        (["align", "sft", "--data", "nowhere", "--settings", '{"max_length": 64}'], "train.parquet: "),
        (
            ["base", "--settings", '{"source": "scratch", "corpus": "x"}'],
            "--corpus: a model trained from scratch needs",
        ),
        (["base", "--settings", '{"source": "folder", "path": "nowhere"}'], "nowhere: no such model folder"),
        (
            ["base", "--settings", '{"source": "hub", "name": "a/b", "revision": "main"}'],
            "revision: must have the 40 hexadecimal digits of a commit",
        ),
    ],
)
def test_a_wrong_call_is_answered_in_a_line(
    arguments: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write_data(tmp_path / "data")
    tiny.write_base(tmp_path / "base")
    given = dict(zip(arguments[2::2], arguments[3::2], strict=False)) if arguments[0] == "align" else {}
    defaults = {"--policy": tmp_path / "base" / "model", "--data": tmp_path / "data"} if arguments[0] == "align" else {}
    rest = [part for name, value in defaults.items() if name not in given for part in (name, value)]
    assert run(*arguments, *rest, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert expected in error
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "manifest.json").exists()
