"""The whole smoke study by `snakemake --profile slurm`, with one failure after another: it ends as without any."""

import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml

from trustdag.jsonfiles import read_json

from . import cluster
from .conftest import Workflow, copy_of_tree, slurm

GPU: dict[str, int | str] = {"gpu": 1, "accelerate": "none"}
REQUESTS: dict[str, dict[str, int | str]] = {
    "base": {"gpu": 0},
    "sft": GPU,
    "reward": GPU,
    "dpo": {"gpu": 0},
    "ppo": GPU,
    # Less than it takes: the first attempt runs out of memory.
    "statistics": {"mem_mb": 300},
}


@dataclass(frozen=True)
class Failure:
    """What happens to one job, once its command runs."""

    rule: str
    wildcards: str
    strike: Callable[[Workflow, Path], None]


def kill_the_command(study: Workflow, record: Path) -> None:
    pid = study.command_of(record)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def requeue(study: Workflow, record: Path) -> None:
    slurm("scontrol", "requeue", study.slurm_job(record))


def cancel(study: Workflow, record: Path) -> None:
    slurm("scancel", study.slurm_job(record))


def preempt(study: Workflow, record: Path) -> None:
    slurm("sbatch", "--partition=urgent", "--gpus=4", "--output=/dev/null", "--wrap", "sleep 5")


def kill_the_node(study: Workflow, record: Path) -> None:
    cluster.kill_node("gpu01")
    time.sleep(5)
    cluster.start_node("gpu01")


FAILURES = [
    Failure("base", "tiny,base", kill_the_command),
    Failure("sft", "tiny,crowd,sft,0", requeue),
    Failure("reward", "tiny,crowd,sft-reward,0", preempt),
    Failure("dpo", "tiny,crowd,sft-dpo,0", cancel),
    Failure("ppo", "tiny,crowd,sft-reward-ppo,0", kill_the_node),
]
VERTICALS = ("toxicity", "bias", "ethics", "truthfulness", "privacy")


@pytest.mark.gpu01
def test_the_study_ends_as_without_failures_and_no_finished_job_runs_twice(tmp_path: Path) -> None:
    # Given a clone with a site's file, and the same study done on this machine without a cluster
    study, calm = (in_a_clone(tmp_path / name) for name in ("slurm", "calm"))
    calm.start("--executor", "local", "--cores", "2")
    calm.finish()
    try:
        # When a job of each stage fails in a way of its own, and then the main process is killed
        study.start()
        strike_all(study)
        study.kill()
        study.start("--unlock")
        assert study.wait() == 0
        study.start()
        study.finish()
    finally:
        study.stop()
    # Then it is complete, with the same results, and what had finished did not run again
    assert results_of(study.results) == results_of(calm.results)
    assert finished_jobs(study) - finished_jobs(calm) == Counter()
    logs = study.results / "logs"
    attempts = {path.relative_to(logs): headlines(path) for path in logs.rglob("*.log")}
    # Replies are not among them: they are generated on the node that is killed, and while the main process is.
    # On a busy machine another job may be on that node, too: Slurm starts it again under the same number.
    calm_ones = {path for path, lines in attempts.items() if path.parts[0] in ("data", "items", "records")}
    assert calm_ones
    again = {path: attempts[path] for path in calm_ones if len(submissions(attempts[path])) > 1}
    assert not again, "a job that did not fail was submitted again"
    given = [int(line.split(" MB")[0].split()[-1]) for line in attempts[Path("statistics.log")]]
    assert given[-1] > int(REQUESTS["statistics"]["mem_mb"])


def headlines(log: Path) -> list[str]:
    """The line under which each attempt's output stands."""
    return [line for line in log.read_text().splitlines() if line.startswith("--- attempt")]


def submissions(lines: list[str]) -> set[str]:
    """The Slurm jobs, or machines, of some attempts."""
    return {line.split(", ")[2].split(":")[0] for line in lines}


def in_a_clone(folder: Path) -> Workflow:
    """The smoke study, some of its jobs on GPUs, in a folder that holds what a clone does."""
    copy_of_tree(folder)
    config = yaml.safe_load((folder / "config" / "smoke.yaml").read_text())
    config["resources"] = {"rules": {rule: {"cpus": 1, **asked} for rule, asked in REQUESTS.items()}}
    (folder / "config" / "smoke.yaml").write_text(yaml.safe_dump(config))
    command = ["--profile", "slurm", "--configfile", "config/smoke.yaml"]
    return Workflow(folder, "smoke", command, folder / "slurm" / "site.yaml")


def strike_all(study: Workflow) -> None:
    """Lets each job fail as soon as its command runs; returns while replies of the last model are generated."""
    last = [study.record("generate", f"tiny,crowd,sft-reward-ppo,seed0,{vertical}") for vertical in VERTICALS]
    waiting = list(FAILURES)

    def all_struck() -> bool:
        for failure in list(waiting):
            record = study.record(failure.rule, failure.wildcards)
            if study.command_of(record) is not None:
                failure.strike(study, record)
                waiting.remove(failure)
        return not waiting and any(study.command_of(record) is not None for record in last)

    study.wait_until(all_struck, "every job to run")


def results_of(folder: Path) -> dict[str, object]:
    """What the study found: models by digest, replies, records and statistics by content."""
    manifests = {str(path.relative_to(folder)): read_json(path)["sha256"] for path in folder.rglob("manifest.json")}
    tables = {str(path.relative_to(folder)): path for path in folder.rglob("*.parquet")}
    statistics = {path.name: path.read_text() for path in folder.glob("statistics/*.csv")}
    return manifests | {name: pd.read_parquet(path).to_json() for name, path in tables.items()} | statistics


def finished_jobs(study: Workflow) -> Counter[str]:
    """How many jobs of each rule Snakemake has seen to their end, over all its runs."""
    return Counter(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", study.said.read_text()))


def test_the_sites_file_is_checked_before_anything_is_submitted(tmp_path: Path) -> None:
    study = in_a_clone(tmp_path / "clone")
    for asked, message in (
        ({"gpu": {"partition": "h100"}}, "gpu.partition: no partition h100; there are gpu, main, urgent"),
        ({"gpu": {"gpu_model": "h100"}}, "gpu.gpu_model: no GPU of type h100; there are a100"),
        ({"account": "physics"}, "account: no account of yours is named physics; there are research, "),
    ):
        (tmp_path / "site.yaml").write_text(yaml.safe_dump(asked))
        done = subprocess.run(
            study.command,
            cwd=study.folder,
            env=study.environment | {"TRUSTDAG_SITE": str(tmp_path / "site.yaml")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert f"{tmp_path / 'site.yaml'}: {message}" in done.stderr
        assert "has been submitted" not in done.stderr
