"""`trustdag evaluate` writes a study of models as they are, or says what is wrong before anything runs."""

import hashlib
import re
from pathlib import Path

import pytest

from tests.support import tiny_models as tiny
from tests.support.tokenizers_of_kinds import WITHOUT_SYSTEM
from trustdag.cli import main
from trustdag.config.load import load
from trustdag.models.base import Hub
from trustdag.starting import model_source
from trustdag.verticals import verticals


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model without a chat template; the working directory is an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tiny.write_base(tmp_path / "little", context=256).parent


def test_every_vertical_is_measured_without_preferences_and_stages(model: Path) -> None:
    assert main(["evaluate", str(model), "--toy", "--limit", "8", "--prompt-format", "plain", "--write-only"]) == 0
    study = load(Path("results/evaluation.yaml"))
    assert list(study.verticals_measured()) == sorted(verticals())
    assert (list(study.models), study.preferences, study.recipes) == (["little"], {}, {"base": []})
    assert study.verticals_measured()["bias"].items.n == 8


def test_benchmarks_come_from_their_publishers_or_from_a_folder(model: Path) -> None:
    options = ["--prompt-format", "hh", "--verticals", "ethics", "--write-only"]
    assert main(["evaluate", str(model), *options]) == 0
    assert load(Path("results/evaluation.yaml")).verticals_measured()["ethics"].items.source == "publisher"
    Path("data/ethics").mkdir(parents=True)
    Path("data/ethics/cm_test.csv.gz").write_text("label,input,is_short\n0,I helped,True\n")
    assert main(["evaluate", str(model), *options, "--data-root", "data", "--name", "other", "--limit", "5"]) == 0
    items = load(Path("results/other.yaml")).verticals_measured()["ethics"].items
    assert (items.paths, items.limit) == (("data/ethics/cm_test.csv.gz",), 5)


def test_names_that_differ_after_a_dot_are_two_studies(model: Path) -> None:
    for name in ("of-1.0", "of-1.1"):
        options = ["--toy", "--prompt-format", "plain", "--write-only", "--name", name]
        assert main(["evaluate", str(model), *options]) == 0
        assert load(Path(f"results/{name}.yaml")).name == name


def test_a_study_may_be_called_like_its_model(model: Path) -> None:
    options = ["--toy", "--prompt-format", "plain", "--write-only", "--name", "little"]
    assert main(["evaluate", str(model), *options]) == 0
    assert list(load(Path("results/little.yaml")).models) == ["little-model"]


def test_a_model_of_the_hub_is_taken_too(model: Path) -> None:
    name = "owner/tiny-1b@" + "0" * 40
    assert main(["evaluate", name, "--toy", "--prompt-format", "plain", "--write-only"]) == 0
    (hub,) = load(Path("results/evaluation.yaml")).models.values()
    assert isinstance(hub.base, Hub)
    assert hub.base.name == "owner/tiny-1b"


def test_a_gguf_file_is_opened_before_anything_runs(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("small.gguf").write_bytes(b"GGUF")
    assert model_source("small.gguf")["sha256"] == hashlib.sha256(b"GGUF").hexdigest()
    assert main(["evaluate", "small.gguf", "--toy", "--prompt-format", "plain", "--write-only"]) == 2
    said = capsys.readouterr().err
    assert re.search(r"small\.gguf: (the model cannot be loaded|reading it needs the package gguf)", said)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: neither a model folder nor a GGUF file here, nor NAME@COMMIT on the hub"),
        (["little", "little/model"], "little/model: a second model called little; rename one of the folders"),
        (["little", "--limit", "0"], "limit: Input should be greater than or equal to 1"),
        (["little", "--data-root", "empty"], "no such file"),
        (["little"], "models.little.base: little/model: the tokenizer has no chat template; set its `prompt_format`"),
        (["little", "--name", "a/b"], "name: must have letters"),
    ],
)
def test_what_cannot_be_evaluated_is_said_before_anything_runs(
    model: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *arguments, "--write-only"]) == 2
    assert message in capsys.readouterr().err
    assert not list(Path().glob("results/*.yaml"))


def test_results_are_not_written_into_a_model(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(model / "model")
    assert main(["evaluate", ".", "--toy", "--prompt-format", "plain", "--write-only"]) == 2
    assert "start the command in another folder" in capsys.readouterr().err
    assert not Path("results").exists()


def test_a_template_without_a_system_role_is_refused_by_check_with_the_mend(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model / "model" / "chat_template.jinja").write_text(WITHOUT_SYSTEM)
    assert main(["evaluate", str(model), "--toy", "--write-only"]) == 2
    said = capsys.readouterr().err
    assert "System role not supported" in said
    assert "edit its chat template (chat_template.jinja), or set its `prompt_format` (`--prompt-format`)" in said
