"""Edits of code and files while a run is under way: one plain run afterwards leaves nothing stale."""

import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.support.forks import run_snakemake, start_python
from tests.support.tiny_classifiers import write_classifier

from .conftest import ROOT, SMOKE, clean_environment, jobs
from .test_reruns import copied, edited, reworked

BASE = "results/smoke/models/tiny/base"
DPO = "results/smoke/models/tiny/crowd/sft-dpo/seed0/manifest.json"
SCORES = "results/smoke/records/tiny/base/toxicity.parquet"


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A clone and a study in it, whose replies are scored by a classifier of the user's own."""
    clone = copied(ROOT, tmp_path / "clone")
    write_classifier(clone / "judge")
    scorer = {"name": "classifier", "model": "judge", "label": "toxic"}
    config = edited(yaml.safe_load(SMOKE.read_text()), {"verticals.toxicity.score.scorers": [scorer]})
    (clone / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return clone


def arguments(world: Path, *more: str) -> list[str]:
    where = ["--snakefile", str(world / "Snakefile"), "--directory", str(world), "--cores", "2"]
    return [DPO, SCORES, *where, *more, "--configfile", str(world / "study.yaml")]


def plain(world: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    done = run_snakemake(arguments(world, *more), clean_environment())
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_edits_of_code_and_of_the_users_files_while_a_run_is_under_way_leave_nothing_stale(world: Path) -> None:
    # Given a run whose base model is being trained
    command = ["-m", "snakemake", *arguments(world, "--keep-going", "--quiet", "rules")]
    run = start_python(command, clean_environment())
    deadline = time.monotonic() + 200
    while not list(world.glob(f"{BASE}/.checkpoints/*/lock.json")):
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # When the code of a later stage and the scorer's weights are edited
    module = world / "workflow" / "trustdag" / "align" / "dpo.py"
    before = module.read_text()
    module.write_text(reworked(before))
    weights = world / "judge" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    out, err = run.communicate()
    # Then the stage refuses, and what does not depend on its code is made, with the weights that are there now
    assert run.returncode != 0
    assert "align/dpo.py: edited since this run began" in out + err
    assert (world / BASE / "manifest.json").is_file()
    assert not (world / DPO).exists()
    assert (world / SCORES).is_file()
    # And after one plain run, with the code put back, nothing is due
    module.write_text(before)
    plain(world, "--quiet", "rules")
    assert jobs(plain(world, "-n")) == {}
    # And other weights of the scorer score again, without new replies
    weights.write_bytes(weights.read_bytes()[:-1] + b"\2")
    assert jobs(plain(world, "-n")) == {"score": 1}
