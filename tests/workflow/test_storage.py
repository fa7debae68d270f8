"""What machines and hands do to a study: fewer cores, a kill, results that were copied, a model that was damaged."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from trustdag.jsonfiles import read_json
from trustdag.layout import Results

from .conftest import ROOT, SMOKE, jobs, snakemake

SFT = "results/smoke/models/tiny/crowd/sft/seed0"
BASE = "results/smoke/models/tiny/base"


def edited(path: Path, **sections: Any) -> Path:
    """The smoke study with other sections."""
    path.write_text(yaml.safe_dump(yaml.safe_load(SMOKE.read_text()) | sections, sort_keys=False))
    return path


def test_weights_are_those_of_the_study_whatever_cores_it_gets(finished: Path, tmp_path: Path) -> None:
    # Given the study on two cores, whose base model and SFT take two threads
    made_by = read_json(finished / BASE / "manifest.json")["made_by"]
    assert made_by["threads"] == 2
    # When it is run on one core
    done = snakemake(tmp_path, f"{SFT}/manifest.json", "--cores", "1", "--quiet", "rules")
    assert done.returncode == 0, done.stdout + done.stderr
    # Then the weights are the same
    for folder in (BASE, SFT):
        ours, theirs = (read_json(root / folder / "manifest.json") for root in (tmp_path, finished))
        assert ours["files"]["model.safetensors"] == theirs["files"]["model.safetensors"]
        assert ours["made_by"]["threads"] == 2


def test_an_edit_of_the_threads_is_seen_where_it_counts(study: Path, tmp_path: Path) -> None:
    file = edited(tmp_path / "study.yaml", threads={"rules": {"dpo": 2, "ppo": 1, "generate": 1}})
    (study / Results.of("smoke").owner).unlink()
    due = jobs(snakemake(study, "--dry-run", configfile=file))
    assert due["dpo"] == 1
    assert not {"base", "sft", "reward", "ppo"} & due.keys()


def test_results_that_were_copied_without_what_snakemake_knows_are_not_taken_for_an_edited_study(
    study: Path, tmp_path: Path
) -> None:
    # Given results that were copied with their times, but without .snakemake
    shutil.rmtree(study / ".snakemake")
    same = snakemake(study, "--dry-run")
    assert "made elsewhere or before .snakemake was deleted, with the present configuration" in same.stderr
    # When the study is then edited
    config = yaml.safe_load(SMOKE.read_text())
    config["stages"]["dpo"] = config["stages"]["dpo"] | {"learning_rate": 3e-5}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (study / Results.of("smoke").owner).unlink()
    # Then the dry run says what Snakemake does not see, and a run with something to do refuses
    edit = snakemake(study, "--dry-run", configfile=tmp_path / "study.yaml")
    assert "does not see what was edited since" in edit.stderr
    assert "other values of stages.dpo.learning_rate)" in edit.stderr
    (study / "results" / "smoke" / "report.html").unlink()
    run = snakemake(study, "--quiet", "rules", configfile=tmp_path / "study.yaml")
    assert run.returncode != 0
    assert "stages.dpo.learning_rate" in run.stdout + run.stderr


def test_after_a_kill_of_everything_a_plain_start_goes_on_once_it_is_unlocked(tmp_path: Path) -> None:
    # Given a study whose processes are all killed in the middle of a job
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    command += [f"{BASE}/manifest.json", "--cores", "1", "--quiet", "rules", "--configfile", str(SMOKE)]
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    deadline = time.monotonic() + 200
    while not list(tmp_path.glob(f"{BASE}/.checkpoints/*/lock.json")):
        assert process.poll() is None, (tmp_path / "out").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # When it is unlocked, as Snakemake says, and started again without any other option
    unlocked = snakemake(tmp_path, "--unlock")
    assert unlocked.returncode == 0, unlocked.stdout + unlocked.stderr
    again = snakemake(tmp_path, f"{BASE}/manifest.json", "--quiet", "rules")
    # Then it goes on
    assert again.returncode == 0, again.stdout + again.stderr


def test_a_damaged_model_is_refused_where_it_is_read(study: Path) -> None:
    # Given a finished model in whose weights one bit was flipped since
    weights = study / SFT / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    # When something asks it again
    run = snakemake(study, "--forcerun", "results/smoke/replies/tiny/crowd/sft/seed0/bias.parquet", "--quiet", "rules")
    # Then it is refused, by name, and with what to do
    assert run.returncode != 0
    assert "model.safetensors: not as manifest.json has it" in run.stdout + run.stderr
    assert f"{SFT} and run snakemake again" in run.stdout + run.stderr
