"""The same study started in other ways: another folder or path, an importing workflow, and the commands."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.forks import run_python, run_snakemake, start_python
from trustdag.cli import main

from .conftest import ROOT, SMOKE, clean_environment, jobs, snakemake

MODULES = f"""
configfile: "studies.yaml"
module first:
    snakefile: "{ROOT}/Snakefile"
    config: config["first"]
module second:
    snakefile: "{ROOT}/Snakefile"
    config: config["second"]
use rule * from first as first_*
use rule * from second as second_*
rule both:
    default_target: True
    input: rules.first_all.input, rules.second_all.input
"""


def smoke(**changes: Any) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(SMOKE.read_text())
    return content | changes


def test_a_workflow_may_import_two_studies_under_prefixes(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(MODULES)
    (tmp_path / "studies.yaml").write_text(yaml.safe_dump({"first": smoke(), "second": smoke(name="other")}))
    # When a job of each study is run, with a message, a log and resources of its own
    command = ["-m", "snakemake", "--cores", "1", "results/smoke/design.json"]
    command += ["results/other/items/bias.parquet", "--printshellcmds"]
    done = run_python(command, clean_environment() | {"PYTHONPATH": str(ROOT / "workflow")}, tmp_path)
    # Then both are made, each in its own folder
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "results/smoke/design.json").read_text())["study"] == "smoke"
    assert (tmp_path / "results/other/items/bias.parquet").is_file()


def test_the_file_of_an_importing_workflow_may_hold_what_it_likes(tmp_path: Path) -> None:
    # Given a workflow in another folder whose file has keys and values of its own, in a syntax that no study has
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "Snakefile").write_text(
        f'module td:\n    snakefile: "{ROOT}/Snakefile"\n    config: config["study"]\n'
        "use rule * from td as td_*\n"
        "rule out:\n    default_target: True\n    input: rules.td_all.input\n"
    )
    own = "samples: {1: 2024-01-01, 2: 2024-01-02}\nwindow: 3:20\n"
    (tmp_path / "own.yaml").write_text(own + yaml.safe_dump({"study": smoke()}))
    # When it is planned from a third folder
    (tmp_path / "third").mkdir()
    arguments = ["-n", "--quiet", "rules", "--snakefile", str(tmp_path / "elsewhere" / "Snakefile")]
    run = run_snakemake(
        [*arguments, "--configfile", str(tmp_path / "own.yaml")], clean_environment(), tmp_path / "third"
    )
    # Then the whole study is
    assert jobs(run)["td_score"] == 20


@pytest.mark.parametrize("entry", ["labels=null", "seeds=[0,1]", "notice=3:20", "statistics={level: 0.9}", "seeds=010"])
def test_check_reads_the_keys_of_the_command_line_as_snakemake_does(
    entry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = main(["check", str(SMOKE), "--config", entry])
    said = capsys.readouterr().err
    run = snakemake(tmp_path, "-n", "--quiet", "all", "--config", entry)
    assert (refused, run.returncode) in ((0, 0), (2, 1)), said + run.stdout + run.stderr


def test_braces_in_a_text_are_no_wildcards(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    page = {"page": {"title": "What {policy} changed in {x}"}}
    study.write_text(yaml.safe_dump(smoke(notice="Of {model} and {y}", report=page)))
    assert jobs(snakemake(tmp_path, "-n", "--quiet", "rules", configfile=study))["report"] == 1


def test_another_spelling_of_the_files_path_is_the_same_study(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "clone").symlink_to(ROOT)
    run = snakemake(finished, "-n", configfile=tmp_path / "clone" / "config" / "smoke.yaml")
    assert jobs(run) == {}


def test_the_demo_is_found_from_any_folder(tmp_path: Path) -> None:
    command = ["-m", "snakemake", "-n", "--quiet", "rules", "--snakefile", str(ROOT / "Snakefile")]
    done = run_python(command, clean_environment(), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("warm")
def test_pending_and_plan_see_the_keys_of_the_command_line(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    study = ["--configfile", str(SMOKE), "--config", "seeds=[0,1]", "--", "--snakefile", str(ROOT / "Snakefile")]
    assert main(["pending", "--json", *study]) == 0
    pending = json.loads(capsys.readouterr().out)
    assert {job["wildcards"]["seed"] for job in pending["jobs"] if job["rule"] == "dpo"} == {"1"}
    assert main(["plan", "--gpu-hours", "1", *study]) == 0
    assert "records/tiny/crowd/sft-dpo/seed1/bias.parquet" in capsys.readouterr().out


@pytest.mark.usefixtures("warm")
def test_what_a_dry_run_refuses_is_passed_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(smoke(seeeds=[0])))
    for command in (["pending"], ["plan", "--gpu-hours", "1"]):
        assert main([*command, "--configfile", "bad.yaml", "--", "--snakefile", str(ROOT / "Snakefile")]) == 2
        assert "bad.yaml: seeeds: unknown key; did you mean `seeds`?" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "pending --configfile", "plan --gpu-hours 1 --configfile"])
def test_a_template_runs_no_code(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs, mark = tmp_path / "theirs.yaml", tmp_path / "mark"
    code = [f"open({str(mark)!r}, 'w').close()"]
    theirs.write_text(yaml.safe_dump(smoke(__use_yte__=True, __definitions__=code)))
    assert main([*command.split(), str(theirs)]) == 2
    assert f"{theirs}: __use_yte__: a template may run any code" in capsys.readouterr().err
    assert not mark.exists()


def test_snakemake_goes_no_further_with_a_template(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.yaml"
    theirs.write_text(yaml.safe_dump(smoke(__use_yte__=True)))
    run = snakemake(tmp_path, "-n", configfile=theirs)
    assert run.returncode == 1
    assert "__use_yte__: a template may run any code" in run.stdout + run.stderr


def test_check_looks_for_the_files_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = smoke(preferences={"crowd": {"source": "hh", "path": "gone.jsonl"}})
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    assert main(["check", str(tmp_path / "study.yaml")]) == 2
    assert "gone.jsonl" in capsys.readouterr().err


def test_a_closed_output_is_no_error() -> None:
    command = [sys.executable, "-m", "trustdag", "check", str(SMOKE)]
    done = subprocess.run(
        command, stderr=subprocess.PIPE, text=True, check=False, preexec_fn=lambda: os.close(1), close_fds=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "trustdag", "check", str(SMOKE)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_run_that_is_asked_to_end_leaves_no_lock_and_no_process(tmp_path: Path) -> None:
    # Given `trustdag run`, whose first job has begun
    command = ["-m", "trustdag", "run", str(SMOKE), "--cores", "1", "--quiet", "all"]
    environment = clean_environment() | {"PYTHONPATH": str(ROOT / "workflow")}
    with start_python(command, environment, tmp_path) as run:
        until(lambda: any(tmp_path.glob("results/smoke/.jobs/*/*.json")))
        # When it alone is asked to end
        run.terminate()
        run.communicate(timeout=120)
    # Then Snakemake has ended too, and the same command can start again
    assert run.returncode != 0
    assert list((tmp_path / ".snakemake").glob("locks/*")) == []


def until(holds: Callable[[], bool], seconds: float = 120) -> None:
    """Waits until a condition holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("options", [["privacy"], ["privacy", "-n"], ["-n", "privacy"], ["privacy", "--cores", "1"]])
def test_a_target_may_follow_the_study_at_once(options: list[str], tmp_path: Path) -> None:
    command = ["-m", "trustdag", "run", "smoke", *options, *([] if "-n" in options else ["--dry-run"])]
    done = run_python(command, clean_environment() | {"PYTHONPATH": str(ROOT / "workflow")}, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "report.html" not in done.stdout + done.stderr
