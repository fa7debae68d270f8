"""An attribution job in several processes gives what one process gives, goes on after a kill, and fails in one line."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from tests.support.attribution_study import POLICY, results_of, task_of
from tests.support.forks import run_python, start_two
from trustdag.attribution.processes import Processes
from trustdag.attribution.run import attribute
from trustdag.attribution.task import AttributionTask
from trustdag.jobs.allocation import Allocation
from trustdag.jobs.record import last_lines
from trustdag.layout import Results

CASES: list[dict[str, Any]] = [
    {"method": "dot"},
    {"method": "cosine"},
    {"method": "tracin", "checkpoints": 2},
    {"method": "datainf", "gradients": "lora"},
    {"method": "ekfac"},
    {"method": "projected", "projection": 4},
    {"method": "unrolled"},
    {"method": "datainf", "block": 16},
    {"method": "ekfac", "block": 16},
]
"""Methods; the pairs make twelve blocks, or one, so that one of two processes has none."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A study of a tiny model, trained by DPO on 12 pairs, that was asked the items of `bias`."""
    return results_of(tmp_path_factory.mktemp("study"))


@pytest.fixture
def table(results: Results) -> Path:
    """The table of `bias`, which is not there yet."""
    path = Path(results.attribution(POLICY, "bias"))
    path.unlink(missing_ok=True)
    return path


@pytest.mark.parametrize("changes", CASES, ids=lambda changes: " ".join(map(str, changes.values())))
def test_two_processes_write_the_scores_of_one(results: Results, table: Path, changes: dict[str, Any]) -> None:
    # Given the scores of one process
    task = task_of(**{"block": 1} | changes)
    attribute(task, results)
    one = pd.read_parquet(table)
    table.unlink()
    # When two processes do the job
    for process in (processes := start_two(attribute, task, results)):
        process.join(300)
    assert [process.exitcode for process in processes] == [0, 0]
    # Then they write the same table, up to the rounding of sums in another order, and leave nothing else
    two = pd.read_parquet(table)
    numbers = ["score", "standard_error", *(name for name in one if str(name).startswith("part:"))]
    largest = one["score"].abs().max()
    for name in numbers:
        assert (one[name] - two[name]).abs().fillna(0).max() <= 1e-6 * largest, name
        assert one[name].isna().equals(two[name].isna())
    pd.testing.assert_frame_equal(two.drop(columns=numbers), one.drop(columns=numbers))
    assert two.attrs == one.attrs
    assert [path.name for path in table.parent.iterdir()] == ["bias.parquet"]


def attribute_and_kill_the_second(task: AttributionTask, results: Results, kept: Path) -> None:
    """Attributes as one of two processes; the second is killed at its first forward pass after the file was written."""

    def kill_when_kept(module: torch.nn.Module, inputs: Any, output: Any) -> None:
        if kept.exists():
            os.kill(os.getpid(), signal.SIGKILL)

    if os.environ["RANK"] == "1":
        torch.nn.modules.module.register_module_forward_hook(kill_when_kept)
    attribute(task, results)


@pytest.mark.parametrize(
    ("changes", "kept"), [({"method": "ekfac"}, "eigenvalues"), ({"method": "tracin", "checkpoints": 2}, "scores 0")]
)
def test_after_one_of_two_processes_was_killed_both_go_on(
    results: Results, table: Path, changes: dict[str, Any], kept: str
) -> None:
    # Given a job of two processes, one of which was killed when it had kept something of a pass
    task = task_of(block=2, **changes)
    attribute(task, results)
    expected = pd.read_parquet(table)
    table.unlink()
    file = table.parent / ".unfinished" / "0" / f"{kept}.2-of-2.pt"
    for process in (processes := start_two(attribute_and_kill_the_second, task, results, file)):
        process.join(300)
    first, second = (process.exitcode for process in processes)
    assert second == -signal.SIGKILL
    assert first not in (0, None)
    assert not table.exists()
    assert file.exists()
    # When both start again
    for process in (processes := start_two(attribute, task, results)):
        process.join(300)
    # Then they write the table, and leave nothing else
    assert [process.exitcode for process in processes] == [0, 0]
    scores = pd.read_parquet(table)["score"]
    assert (scores - expected["score"]).abs().max() <= 1e-6 * expected["score"].abs().max()
    assert [path.name for path in table.parent.iterdir()] == ["bias.parquet"]


def test_what_cannot_be_attributed_is_one_line_of_the_log_of_all_processes(results: Results, tmp_path: Path) -> None:
    # Given a job of two processes on the CPU
    allocation = Allocation(cpus=2, gpu=0, mem_mb=4000, runtime=0, threads=1, accelerate="multi_cpu")
    job = ["--record", str(tmp_path / "record.json"), "--log", str(tmp_path / "log"), "--attempt", "1"]
    command = ["attribute", "--task", task_of(method="ekfac", memory_gb=0.001).as_json(), "--results", results.root]
    # When it is launched
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = run_python(["-m", "trustdag", "launch", *job, *allocation.options(), "--", *command], environment)
    # Then the reason stands once in what a user is shown of its log, without the launcher's report
    lines = last_lines(tmp_path / "log")
    assert done.returncode != 0
    assert ["attribution: ekfac would need" in line for line in lines if line.startswith("trustdag:")] == [True]
    assert not any("Traceback" in line for line in lines)


def test_the_shares_of_a_pass_are_all_of_its_blocks_and_a_share_goes_on_anywhere() -> None:
    blocks = list(range(7))
    shares = [list(Processes(number, 3).share(blocks)) for number in range(3)]

    assert shares == [[0, 3, 6], [1, 4], [2, 5]]
    assert list(Processes(0, 3).share(blocks, start=2)) == [6]
    assert [Processes(1, 3).place(own) for own in range(2)] == shares[1]
