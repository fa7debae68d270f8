"""A study on the one-machine Slurm, and ways to make its jobs fail."""

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from trustdag import jobs, processes

from . import cluster

ROOT = Path(__file__).parents[2]
PATIENCE = 900
"""Seconds that a run may take on a machine that does other things as well."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test of this folder, and skips them with a reason where no cluster is up."""
    up = shutil.which("scontrol") is not None and cluster.running("slurmctld") and cluster.succeeds("scontrol", "ping")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slurm)
            item.add_marker(pytest.mark.timeout(2 * PATIENCE))
            if not up:
                item.add_marker(pytest.mark.skip(reason="no Slurm here; start one with `make slurm-up` (Debian, root)"))


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
    """Waits for a condition. Fails, naming it, when the time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)


@cache
def tree() -> Path:
    """A copy of the sources: an edit made while the tests run would change what a later run makes."""
    folder = Path(tempfile.mkdtemp(prefix="trustdag-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in ("workflow", "config", "envs", "slurm"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "site.yaml"))
    shutil.copy2(ROOT / "Snakefile", folder)
    return folder


class Run:
    """`snakemake --profile slurm` for one target, in a folder of its own."""

    def __init__(self, folder: Path, asked: dict[str, Any], steps: int) -> None:
        self.folder = folder
        self.configfile = folder / "study.yaml"
        self.configfile.write_text(yaml.safe_dump(study(asked, steps)))
        self.target = "results/slurm/models/tiny/base/manifest.json"
        self.model = folder / "results" / "slurm" / "models" / "tiny" / "base"
        self.record = folder / "results" / "slurm" / ".jobs" / "base" / "tiny,base.json"
        self.log = folder / "results" / "slurm" / "logs" / "models" / "tiny" / "base.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Starts Snakemake and returns at once."""
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(tree() / "Snakefile")]
        command += [
            "--profile",
            str(tree() / "slurm"),
            "--directory",
            str(self.folder),
            "--configfile",
            str(self.configfile),
        ]
        command += ["--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "5", *options, self.target]
        with (self.folder / "snakemake.log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)

    def finish(self) -> str:
        """Waits for the end, which has to be a good one; what Snakemake said."""
        assert self.process is not None
        code = self.process.wait(PATIENCE)
        said = (self.folder / "snakemake.log").read_text()
        assert code == 0, said[-3000:]
        return said

    def slurm_job(self) -> str:
        """The Slurm job in which the training runs."""
        running = jobs.read(self.record).running
        assert running is not None
        assert running.slurm_job is not None
        return running.slurm_job

    def trainer(self) -> int:
        """The process that trains."""
        running = jobs.read(self.record).running
        assert running is not None
        family = processes.descendants(running.pid)
        return next(pid for pid in family if processes.arguments(pid)[1:4] == ["-m", "trustdag", "base"])

    def wait_for_checkpoint(self) -> None:
        """Waits until the training has saved once, so that something can be lost."""
        wait_until(lambda: self.step() > 0, "a checkpoint")

    def step(self) -> int:
        """The step of the newest checkpoint; 0 if there is none."""
        found = [int(path.name.rpartition("-")[2]) for path in self.model.glob(".checkpoints/*/checkpoint-*")]
        return max(found, default=0)

    def digest(self) -> str:
        """What the model is, by content."""
        return json.loads((self.model / "manifest.json").read_text())["sha256"]

    def failures(self) -> list[str]:
        """The kinds of the failures that are on record."""
        return [failure.kind for failure in jobs.read(self.record).failures]

    def trained_steps(self) -> list[int]:
        """The steps that metrics.jsonl tells of, in order."""
        lines = (self.model / "metrics.jsonl").read_text().splitlines()
        return [record["step"] for record in map(json.loads, lines) if record["split"] == "train"]

    def stop(self) -> None:
        """Ends whatever is left of the run."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        running = jobs.read(self.record).running if self.record.exists() else None
        if running is not None and running.slurm_job is not None:
            subprocess.run(["scancel", running.slurm_job], check=False)


def study(asked: dict[str, Any], steps: int) -> dict[str, Any]:
    """A study whose base model takes a while to train, and saves often."""
    base = {"source": "scratch", "corpus": "crowd", "vocabulary": 400, "hidden_size": 64, "layers": 2, "heads": 2}
    base |= {"context": 64, "batch_size": 8, "steps": steps, "checkpoint_every": 20, "log_every": 10}
    return {
        "name": "slurm",
        "models": {"tiny": {"base": base}},
        "preferences": {"crowd": {"source": "toy", "pairs": 200}},
        "recipes": {"base": []},
        "verticals": {"privacy": {"items": {"source": "toy", "n": 24}}},
        "resources": {"rules": {"base": {"cpus": 1, "gpu": 1, "mem_mb": 4000} | asked}},
    }


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts a run with what its training job asks for."""
    started: list[Run] = []

    def begin(steps: int = 200, **asked: Any) -> Run:
        run = Run(tmp_path, asked, steps)
        started.append(run)
        run.start()
        return run

    yield begin
    for run in started:
        run.stop()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """The digest of the model that a run without failures makes, by its number of steps."""
    known: dict[int, str] = {}

    def digest(steps: int) -> str:
        if steps not in known:
            run = Run(tmp_path_factory.mktemp("undisturbed"), {}, steps)
            command = [sys.executable, "-m", "snakemake", run.target, "--snakefile", str(tree() / "Snakefile")]
            command += ["--cores", "1", "--directory", str(run.folder), "--configfile", str(run.configfile)]
            command += ["--config", 'resources={"rules": {"base": {"gpu": 0, "cpus": 1}}}']
            done = subprocess.run(command, cwd=run.folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-3000:]
            known[steps] = run.digest()
        return known[steps]

    return digest


def kill(pid: int) -> None:
    """As the kernel kills."""
    os.kill(pid, signal.SIGKILL)
