"""`trustdag init` writes a commented study that `trustdag check` accepts, or says which answer makes none."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import tiny_models as tiny
from trustdag.cli import main
from trustdag.config.load import load
from trustdag.starting import model_name

TOY = ["--model", "toy", "--preferences", "toy", "--methods", "sft", "--verticals", "ethics"]
COMMIT = "0" * 40


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the working directory."""
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    return tmp_path / "mine"


@pytest.mark.parametrize("methods", [["sft"], ["dpo"], ["ppo"], ["sft", "dpo", "ppo", "continued"]])
@pytest.mark.parametrize("verticals", [["all"], ["bias", "privacy"]])
def test_a_toy_study_is_accepted(methods: list[str], verticals: list[str]) -> None:
    answers = ["--model", "toy", "--preferences", "toy", "--methods", *methods, "--verticals", *verticals]
    assert main(["init", *answers]) == 0
    assert main(["check", "study.yaml"]) == 0
    study = load(Path("study.yaml"))
    assert (study.name, list(study.recipes)) == ("mine", ["base", *methods])
    assert len(study.verticals_measured()) == (5 if verticals == ["all"] else 2)


@pytest.mark.parametrize("name", ["base", "toy", "bias", "little"])
def test_a_model_folder_of_any_name_is_accepted(name: str) -> None:
    tiny.write_base(Path(name), context=256)
    Path("pairs.jsonl").write_text(json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"}) + "\n")
    answers = ["--model", f"./{name}", "--preferences", "pairs.jsonl", "--methods", "dpo", "--verticals", "privacy"]
    assert main(["init", f"{name}.yaml", *answers]) == 0
    assert main(["check", f"{name}.yaml"]) == 0
    study = load(Path(f"{name}.yaml"))
    assert study.preferences["pairs"].source == "trl"
    assert next(iter(study.models.values())).prompt_format == "hh"


def test_whole_transcripts_are_read_as_such() -> None:
    transcript = {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"}
    Path("pairs.jsonl").write_text(json.dumps(transcript) + "\n")
    assert main(["init", *TOY[:3], "pairs.jsonl", *TOY[4:]]) == 0
    assert load(Path("study.yaml")).preferences["pairs"].source == "hh"


@pytest.mark.parametrize(("name", "asked"), [("owner/pythia-1.4b", False), ("owner/mystery", True)])
def test_the_size_of_a_model_of_the_hub_is_asked_where_its_name_does_not_tell(name: str, asked: bool) -> None:
    assert main(["init", "--model", f"{name}@{COMMIT}", "--preferences", "none", "--verticals", "all"]) == 0
    assert main(["check", "study.yaml"]) == 0
    assert ("correct this one" in Path("study.yaml").read_text()) == asked


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (["--model", "nowhere", *TOY[2:]], "nowhere: neither a model folder nor a GGUF file here"),
        ([*TOY[:3], "gone.jsonl", *TOY[4:]], "gone.jsonl: no such file or folder of preference pairs"),
        ([*TOY[:3], "none", *TOY[4:]], "the toy model is trained on the texts of a preference set"),
        ([*TOY[:5], "dop", *TOY[6:]], "dop: no method to align with; there are continued, dpo, ppo, sft; did you mean"),
        ([*TOY[:5], "reward", *TOY[6:]], "reward: no method to align with"),
        ([*TOY[:7], "bais"], "bais: no such vertical"),
        (TOY[:4], "no terminal to ask in; give --methods, --verticals"),
    ],
)
def test_an_answer_that_makes_no_study_writes_none(
    answers: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", *answers]) == 2
    assert message in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_a_file_whose_first_line_is_no_record_is_named_when_it_is_prepared() -> None:
    Path("pairs.jsonl").write_text("not JSON\n" + json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"}) + "\n")
    assert main(["init", *TOY[:3], "pairs.jsonl", *TOY[4:]]) == 0
    assert load(Path("study.yaml")).preferences["pairs"].source == "trl"


@pytest.mark.parametrize(
    ("folder_name", "name"), [("模型", "model"), ("x" * 90, "x" * 44), ("-x y-", "x-y"), ("sft", "sft-model")]
)
def test_a_folder_of_any_name_gives_a_model_a_name(folder_name: str, name: str) -> None:
    assert model_name(folder_name) == name
    Path(folder_name).mkdir()
    os.chdir(folder_name)
    assert model_name(".") == name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("results/s/models/toy/crowd/sft-dpo/seed0/model", "sft-dpo-seed0"),
        ("results/s/models/toy/crowd/sft/seed0", "sft-seed0"),
        ("results/s/models/toy/base/model", "toy-base"),
        ("outputs/run7/checkpoint-500", "run7-checkpoint-500"),
    ],
)
def test_folders_of_one_run_are_told_apart(path: str, name: str) -> None:
    assert model_name(path) == name


def test_a_study_that_exists_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    Path("study.yaml").write_text("mine\n")
    assert main(["init", *TOY]) == 2
    assert "study.yaml: exists" in capsys.readouterr().err
    assert Path("study.yaml").read_text() == "mine\n"


def test_empty_lines_in_a_terminal_take_the_defaults() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "trustdag", "init"], stdin=theirs, stdout=subprocess.PIPE) as asking:
        os.write(ours, b"\n\n\n\n")
        out, _ = asking.communicate(timeout=120)
    assert asking.returncode == 0
    assert out.decode().count("\n[") == 4
    assert main(["check", "study.yaml"]) == 0


@pytest.mark.parametrize(("pressed", "said"), [(b"\x04", "the input ended"), (b"\x03", "interrupted")])
def test_leaving_the_questions_writes_nothing_and_says_so(pressed: bytes, said: str) -> None:
    child, ours = pty.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell that runs the tests in the background ignores it
        os.execv(sys.executable, [sys.executable, "-m", "trustdag", "init"])
    shown = b""
    while b"] " not in shown:
        shown += os.read(ours, 1000)
    os.write(ours, pressed)
    while piece := _read(ours):
        shown += piece
    os.waitpid(child, 0)
    assert said in shown.decode()
    assert "Traceback" not in shown.decode()
    assert not Path("study.yaml").exists()


def _read(terminal: int) -> bytes:
    """What a terminal shows next; nothing where its program has ended."""
    try:
        return os.read(terminal, 1000)
    except OSError:
        return b""
