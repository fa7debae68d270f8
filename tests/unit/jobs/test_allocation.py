"""The command line of a job from its allocation."""

import argparse
import importlib.util
import math
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from trustdag.errors import UserError
from trustdag.fingerprint import ROOT
from trustdag.jobs import allocation
from trustdag.jobs.allocation import NO_LIMIT, Allocation, command_line, on_machine, on_node

HELD = Path("held")


def test_the_warning_comes_a_tenth_before_the_end_but_no_more_than_ten_minutes() -> None:
    def warning(runtime: int) -> float | None:
        return Allocation(cpus=1, gpu=0, mem_mb=1, runtime=runtime).warning()

    assert warning(10) == 9 * 60
    assert warning(1440) == 1430 * 60


def test_a_job_without_a_limit_is_never_told_to_stop() -> None:
    assert Allocation(cpus=1, gpu=0, mem_mb=1, runtime=NO_LIMIT).warning() == math.inf


def test_gpu_jobs_start_one_process_on_each_gpu_through_accelerate() -> None:
    command = command_line(Allocation(8, 2, 1, 1, accelerate="fsdp"), ["align", "dpo"], HELD)
    assert command[1:4] == ["-m", "accelerate.commands.launch", "--config_file"]
    assert command[command.index("--num_processes") + 1] == "2"
    assert command[-4:] == ["-m", "trustdag", "align", "dpo"]


def test_cpu_jobs_start_as_they_are() -> None:
    assert command_line(Allocation(8, 0, 1, 1, accelerate="cpu"), ["score"], HELD)[1:] == ["-m", "trustdag", "score"]


@pytest.mark.parametrize(("cpus", "threads", "processes"), [(4, 2, 2), (4, 1, 4), (7, 2, 3)])
def test_several_processes_on_the_cpu_are_as_many_as_its_cores_have_threads_for(
    cpus: int, threads: int, processes: int
) -> None:
    given = Allocation(cpus, 0, 1, 1, threads=threads, accelerate="multi_cpu")
    command = command_line(given, ["attribute"], HELD)
    assert command[command.index("--num_processes") + 1] == str(processes)
    assert command[-3:] == ["-m", "trustdag", "attribute"]


def test_cores_for_one_process_start_it_as_it_is() -> None:
    given = Allocation(2, 0, 1, 1, threads=2, accelerate="multi_cpu")
    assert command_line(given, ["attribute"], HELD)[1:] == ["-m", "trustdag", "attribute"]


@pytest.mark.parametrize(
    ("scheduled", "here", "gpu", "accelerate"),
    [(False, 0, 0, "ddp"), (False, 1, 1, "gpu"), (False, 2, 2, "ddp"), (False, 8, 4, "ddp"), (True, 0, 4, "ddp")],
)
def test_without_a_scheduler_a_job_has_at_most_the_gpus_of_the_machine(
    scheduled: bool, here: int, gpu: int, accelerate: str
) -> None:
    asked = Allocation(cpus=2, gpu=4, mem_mb=1, runtime=NO_LIMIT, accelerate="ddp")
    assert on_machine(asked, scheduled, here) == Allocation(2, gpu, 1, NO_LIMIT, accelerate=accelerate)


def test_several_nodes_without_a_scheduler_stay_refused() -> None:
    asked = on_machine(Allocation(8, 4, 1, 1, nodes=2, accelerate="ddp"), scheduled=False, gpus=0)
    with pytest.raises(UserError, match="Slurm does not run it"):
        command_line(asked, [], HELD)


def test_an_unknown_accelerate_configuration_is_named() -> None:
    with pytest.raises(UserError, match=r"tpu\.yaml: no such file"):
        command_line(Allocation(8, 1, 1, 1, accelerate="tpu"), [], HELD)


def test_deepspeed_that_is_not_installed_is_said_before_the_job_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "deepspeed" else name)
    with pytest.raises(UserError, match=r"deepspeed\.yaml: needs DeepSpeed, .*pip install deepspeed"):
        command_line(Allocation(8, 2, 1, 1, accelerate="deepspeed"), ["align", "ppo"], HELD)


def test_every_shipped_accelerate_configuration_is_read_by_accelerate() -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    shipped = sorted((ROOT / "config" / "accelerate").glob("*.yaml"))
    assert {path.stem for path in shipped} >= {"gpu", "ddp", "fsdp"}
    for path in shipped:
        assert load_config_from_file(str(path)).compute_environment == "LOCAL_MACHINE"


def test_a_process_computes_with_the_threads_of_the_study_and_no_library_takes_fewer() -> None:
    environment = Allocation(cpus=16, gpu=4, mem_mb=1, runtime=1, threads=2).environment()
    assert (environment["OMP_NUM_THREADS"], environment["MKL_DYNAMIC"], environment["OMP_DYNAMIC"]) == (
        "2",
        "FALSE",
        "FALSE",
    )


def test_on_several_nodes_slurm_starts_one_launcher_on_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    given = Allocation(16, 8, 32_000, 60, nodes=2, accelerate="fsdp")
    command = command_line(given, ["align", "dpo"], HELD)
    assert command[:2] == ["srun", "--jobid=77"]
    assert {"--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=16", "--overlap"} <= set(command)
    assert command[command.index("-m") : command.index("-m") + 3] == ["-m", "trustdag", "node"]
    assert command[-3:] == ["--", "align", "dpo"]


def test_a_node_joins_the_others_at_the_first_ones_address() -> None:
    second = on_node(Allocation(16, 8, 1, 1, nodes=2, accelerate="fsdp"), 1, "gpu01", 4567, ["align", "dpo"])
    options = dict(pairwise(second))
    assert (options["--num_processes"], options["--num_machines"], options["--machine_rank"]) == ("8", "2", "1")
    assert (options["--main_process_ip"], options["--main_process_port"]) == ("gpu01", "4567")
    assert second[-4:] == ["-m", "trustdag", "align", "dpo"]


def test_several_nodes_need_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(UserError, match=r"needs 2 nodes, but Slurm does not run it; .*`--profile slurm`"):
        command_line(Allocation(16, 8, 1, 1, nodes=2, accelerate="fsdp"), [], HELD)


def test_an_allocation_is_read_from_its_options() -> None:
    given = Allocation(16, 8, 32_000, 60, nodes=2, accelerate="fsdp", code="abc")
    parser = argparse.ArgumentParser()
    allocation.add_arguments(parser)
    assert allocation.from_arguments(parser.parse_args(given.options())) == given
