"""Every kind of failure of a cluster's job: the study completes with the same result as without the failure."""

import importlib.util
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from trustdag.jobs import record as job_record

from . import cluster
from .conftest import Stage, TwoNodes, slurm

STEPS = 200
Start = Callable[..., Stage]
Undisturbed = Callable[[int], str]


def cancel(run: Stage) -> None:
    slurm("scancel", run.slurm_job(run.job))


def requeue(run: Stage) -> None:
    slurm("scontrol", "requeue", run.slurm_job(run.job))


def preempt(run: Stage) -> None:
    """A job of the urgent partition takes the node's four GPUs for some seconds."""
    slurm("sbatch", "--partition=urgent", "--gpus=4", "--output=/dev/null", "--wrap", "sleep 5")


def kill_the_trainer(run: Stage) -> None:
    trainer = run.command_of(run.job)
    assert trainer is not None
    os.kill(trainer, signal.SIGKILL)


def kill_the_node(run: Stage) -> None:
    """The node's daemon and all its jobs die; it comes back a little later."""
    cluster.kill_node("gpu01")
    time.sleep(5)
    cluster.start_node("gpu01")


@pytest.mark.parametrize(
    ("fail", "gpu"),
    [
        (cancel, 0),
        (requeue, 0),
        (kill_the_trainer, 0),
        pytest.param(preempt, 1, marks=pytest.mark.gpu01),
        pytest.param(kill_the_node, 1, marks=pytest.mark.gpu01),
    ],
)
def test_a_stage_that_is_stopped_goes_on_from_its_checkpoint(
    fail: Callable[[Stage], None], gpu: int, start: Start, undisturbed: Undisturbed
) -> None:
    run = start(STEPS, gpu=gpu)
    run.wait_for_checkpoint()
    fail(run)
    run.finish()
    assert run.digest() == undisturbed(STEPS)
    assert run.trained_steps() == sorted(set(run.trained_steps())), "a step was trained twice"
    assert run.failures() == []
    assert not list(run.model.glob(".checkpoints/*")), "checkpoints of a finished stage are removed"
    assert run.log.read_text().count("--- attempt") >= 2


@pytest.mark.gpu01
def test_a_stage_on_two_nodes_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    calm, disturbed = (TwoNodes(tmp_path / name, STEPS) for name in ("calm", "disturbed"))
    try:
        calm.start()
        disturbed.start()
        disturbed.wait_for_checkpoint()
        requeue(disturbed)
        for run in (calm, disturbed):
            run.finish()
    finally:
        for run in (calm, disturbed):
            run.stop()
    assert disturbed.digest() == calm.digest()
    assert disturbed.trained_steps() == sorted(set(disturbed.trained_steps())), "a step was trained twice"
    for run, attempts in ((calm, 1), (disturbed, 2)):
        assert run.log.read_text().count(": 2 nodes, 1 CPUs, 2 GPUs") == attempts
        used = job_record.read(run.job).used
        assert used is not None
        assert used.peak_mb > 100, "what the nodes hold is noted"


def test_a_stage_that_runs_out_of_time_goes_on_with_more(start: Start, undisturbed: Undisturbed) -> None:
    steps = 8000
    run = start(steps, runtime=1)
    run.finish()
    assert run.digest() == undisturbed(steps)
    text = run.log.read_text()
    assert "SIGUSR1: saved a checkpoint" in text
    assert "2 minutes" in text


def test_a_stage_that_runs_out_of_memory_gets_more(start: Start, undisturbed: Undisturbed) -> None:
    run = start(STEPS, mem_mb=250)
    run.finish()
    assert run.digest() == undisturbed(STEPS)
    given = [
        int(line.split(" MB")[0].split()[-1]) for line in run.log.read_text().splitlines() if "--- attempt" in line
    ]
    assert given[-1] > 250
    assert sorted(given) == given


def test_the_main_process_is_killed_and_started_again(start: Start, undisturbed: Undisturbed) -> None:
    """The orphan gets a signal to save and end. The next job continues from there; there is one writer at a time."""
    steps = 4000  # long enough for the job to outlive the main process
    run = start(steps)
    run.wait_for_checkpoint()
    orphan, reached = run.slurm_job(run.job), run.step()
    run.kill()
    run.start("--unlock")
    assert run.wait() == 0
    run.start()
    run.finish()
    assert run.digest() == undisturbed(steps)
    assert run.trained_steps() == sorted(set(run.trained_steps()))
    assert reached > 0
    assert run.log.read_text().count("--- attempt") == 2
    assert orphan not in slurm("squeue", "-h", "-o", "%i").split()


@pytest.mark.gpu01
def test_a_bug_is_not_tried_again_and_asks_for_no_gpu(tmp_path: Path) -> None:
    if importlib.util.find_spec("deepspeed") is not None:
        pytest.skip("DeepSpeed is installed, so that a job can start with it")
    run = Stage(tmp_path, {"gpu": 1, "accelerate": "deepspeed"}, STEPS)
    run.start()
    try:
        assert run.wait() == 1
        assert "needs DeepSpeed" in "".join(
            path.read_text() for path in (tmp_path / ".snakemake" / "slurm_logs").rglob("*.log")
        )
        submitted = slurm("sacct", "-nXP", "-o", "WorkDir,ReqTRES").splitlines()
        own = [line for line in submitted if line.startswith(str(tmp_path))]
        assert sum("gres/gpu" in line for line in own) == 1
    finally:
        run.stop()


@pytest.mark.gpu01
def test_jobs_get_what_the_estimate_asks_for(start: Start) -> None:
    run = start(STEPS, mem_mb=3100, runtime=33, gpu=1, accelerate="none")
    run.wait_until(lambda: run.job.exists() and job_record.read(run.job).running, "the job")
    asked = slurm("scontrol", "show", "job", run.slurm_job(run.job))
    assert "mem=3100M" in asked
    assert "gres/gpu=1" in asked
    assert "TimeLimit=00:33:00" in asked
    assert "Partition=main" in asked
    assert "Account=research" in asked
