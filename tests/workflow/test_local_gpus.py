"""A machine with GPUs and no scheduler: no job has more than there are, and no more start than can have one."""

import re
from pathlib import Path

import pytest

from .conftest import snakemake

WANTS_FOUR = "resources={gpu_from: 0, rules: {sft: {gpu: 4}}}"


@pytest.mark.parametrize(("there", "gets"), [("0", "1"), ("0,1", "2"), ("", "4")], ids=["one", "two", "none"])
def test_a_job_gets_at_most_the_gpus_of_the_machine(tmp_path: Path, there: str, gets: str) -> None:
    # When a stage wants four GPUs; without any the job itself goes on on the CPU
    run = snakemake(tmp_path, "-n", "-p", "--config", WANTS_FOUR, CUDA_VISIBLE_DEVICES=there)
    # Then
    assert run.returncode == 0, run.stdout + run.stderr
    command = next(line for line in run.stdout.splitlines() if " align sft " in line)
    assert re.findall(r"--gpu (\d+)", command) == [gets]


def test_the_users_own_number_holds(tmp_path: Path) -> None:
    run = snakemake(
        tmp_path, "-n", "-p", "--config", WANTS_FOUR, "--resources", "gpu=3", CUDA_VISIBLE_DEVICES="0"
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "--gpu 3 " in next(line for line in run.stdout.splitlines() if " align sft " in line)
