"""The GPUs of a machine, and that two jobs never have one that only one may have."""

import multiprocessing
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from trustdag.jobs import gpus


def devices(folder: Path, *names: str) -> Path:
    """A folder like /dev with these files."""
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (("null", "nvidiactl", "nvidia-uvm"), ()),
        (("nvidia0", "nvidiactl"), ("0",)),
        (("nvidia0", "nvidia1", "nvidia2"), ("0", "1", "2")),
        (("dxg",), ("0",)),
        (("kfd", "dri/renderD128", "dri/renderD129"), ("0", "1")),
        (("dri/renderD128",), ()),
    ],
    ids=["none", "one", "three", "wsl", "amd", "graphics only"],
)
def test_gpus_are_known_by_their_device_files(tmp_path: Path, files: tuple[str, ...], names: tuple[str, ...]) -> None:
    assert gpus.on_machine({}, devices(tmp_path, *files)) == names


@pytest.mark.parametrize(
    ("value", "names"), [("1,3", ("1", "3")), ("", ()), ("-1", ()), ("GPU-5ebe, MIG-7", ("GPU-5ebe", "MIG-7"))]
)
def test_the_users_own_choice_holds(tmp_path: Path, value: str, names: tuple[str, ...]) -> None:
    assert gpus.on_machine({gpus.VISIBLE: value}, devices(tmp_path, "nvidia0", "nvidia1")) == names


def test_jobs_go_to_the_gpus_with_the_fewest_jobs(tmp_path: Path) -> None:
    with ExitStack() as jobs:
        taken = [jobs.enter_context(gpus.claim(1, 2, ["0", "1"], tmp_path)) for _ in range(4)]
    assert taken == [("0",), ("1",), ("0",), ("1",)]


def test_a_job_of_several_gpus_has_different_ones(tmp_path: Path) -> None:
    with gpus.claim(1, 2, ["0", "1", "2"], tmp_path), gpus.claim(2, 2, ["0", "1", "2"], tmp_path) as taken:
        assert taken == ("1", "2")


def _hold(folder: Path, entered: "multiprocessing.synchronize.Event") -> None:
    with gpus.claim(1, 1, ["0"], folder):
        entered.set()
        time.sleep(60)


def test_a_job_waits_until_a_killed_one_has_given_its_gpu_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    context = multiprocessing.get_context("fork")
    entered = context.Event()
    other = context.Process(target=_hold, args=(tmp_path, entered))
    other.start()
    assert entered.wait(30)
    killer = subprocess.Popen([sys.executable, "-c", f"import os, time; time.sleep(1); os.kill({other.pid}, 9)"])
    # when
    with gpus.claim(1, 1, ["0"], tmp_path) as taken:
        # then
        assert taken == ("0",)
        other.join(5)
        assert not other.is_alive()
    killer.wait(5)
    assert capsys.readouterr().err == "trustdag: waiting for 1 of the GPUs 0, which other jobs use\n"


def test_a_command_sees_the_gpus_of_its_job_alone(tmp_path: Path) -> None:
    job = f"test-{os.getpid()}-{tmp_path.name}"
    with gpus.visible(1, 1, ["4", "5"], 1, job) as first, gpus.visible(1, 1, ["4", "5"], 1, job) as second:
        assert (first[gpus.VISIBLE], second[gpus.VISIBLE]) == ("4", "5")


def test_a_command_without_a_gpu_sees_none() -> None:
    with gpus.visible(0, 1, ["0"], 1, None) as environment:
        assert environment == {gpus.VISIBLE: gpus.NONE}


@pytest.mark.parametrize(("names", "nodes"), [((), 1), (("0",), 2)], ids=["only Slurm knows them", "several nodes"])
def test_what_slurm_places_is_left_alone(names: tuple[str, ...], nodes: int) -> None:
    with gpus.visible(2, 1, names, nodes, "7") as environment:
        assert environment == {}
