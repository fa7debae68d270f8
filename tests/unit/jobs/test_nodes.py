"""A job on several nodes: each records its memory, and the first node watches all of them."""

import sys
from pathlib import Path

import pytest

from trustdag.jobs import nodes, watch
from trustdag.jobs.allocation import Allocation
from trustdag.jobs.nodes import WatchOfNodes

GIVEN = Allocation(cpus=1, gpu=2, mem_mb=1000, runtime=60, nodes=2, accelerate="ddp")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SAMPLE_SECONDS", 0.05)


def source(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_a_node_notes_the_memory_that_it_holds_and_ends_as_its_part_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_NODEID", "1")
    work = tmp_path / "python"
    work.write_text(
        f"#!{sys.executable}\nimport time; held = bytearray(60_000_000); time.sleep(0.5); raise SystemExit(7)\n"
    )
    work.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(work))  # what starts accelerate, which starts the command
    assert nodes.run(GIVEN, "gpu01", 1, tmp_path / "held", ["work"]) == 7
    assert float((tmp_path / "held" / "1").read_text()) > 60


def test_the_first_node_takes_the_memory_of_the_one_that_holds_most(tmp_path: Path) -> None:
    noted: list[float] = []
    held = tmp_path / "held"
    watched = WatchOfNodes(1000, noted.append, held)
    work = f"import pathlib, time; held = pathlib.Path({str(held)!r}); held.mkdir();"
    work += "(held / '0').write_text('700'); (held / '1').write_text('900'); time.sleep(0.5)"
    assert watched.run(source(work), None, {}) == 0
    assert (watched.peak_mb, noted) == (900, [900])
    assert not held.exists()


def test_slurm_passes_signals_on_to_every_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scancel").write_text(f"#!/bin/sh\necho $@ >> {tmp_path}/sent\n")
    (tmp_path / "scancel").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    watched = WatchOfNodes(0.1, lambda _: None, tmp_path / "held")
    # The time is nearly up, so it is told to save; then somebody stops the job.
    work = "import os, signal, time; time.sleep(1); os.kill(os.getppid(), signal.SIGTERM); time.sleep(1)"
    watched.run(source(work), None, {})
    assert (tmp_path / "sent").read_text().splitlines() == ["--signal=USR1 77", "--signal=TERM 77"]
    assert watched.warned
    assert watched.terminated
