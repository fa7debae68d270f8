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
from filelock import FileLock

from trustdag.jobs import processes
from trustdag.jobs import record as job_record

from . import cluster

ROOT = Path(__file__).parents[2]
PATIENCE = 1800
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
    # The longest first, and last what waits for it.
    whole = Path(__file__).parent / "test_study.py"
    items.sort(key=lambda item: (item.path != whole, item.get_closest_marker("gpu01") is not None))


@pytest.fixture(autouse=True)
def one_at_a_time(request: pytest.FixtureRequest, shared: Path) -> Iterator[None]:
    """Tests marked `gpu01`, which use or disturb the node with GPUs, wait for each other in all test processes."""
    if request.node.get_closest_marker("gpu01") is None:
        yield
        return
    with FileLock(shared / "gpu01.lock"):
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all of pytest's processes share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own


def slurm(*command: str) -> str:
    """What a command of Slurm prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def copy_of_tree(folder: Path) -> None:
    """What a clone holds that a study needs, and a site's file: jobs are asked for their state early."""
    for name in ("workflow", "config", "envs", "slurm"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "site.yaml"))
    shutil.copy2(ROOT / "Snakefile", folder)
    (folder / "slurm" / "site.yaml").write_text(yaml.safe_dump({"first_poll": 3, "account": "research"}))


@cache
def tree() -> Path:
    """A copy of the sources: an edit made while the tests run would change what a later run makes."""
    folder = Path(tempfile.mkdtemp(prefix="trustdag-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy_of_tree(folder)
    return folder


class Workflow:
    """`snakemake --profile slurm` in a folder of its own, with its jobs' records."""

    def __init__(self, folder: Path, results: str, command: list[str], site: Path) -> None:
        self.folder = folder
        self.results = folder / "results" / results
        self.command = [sys.executable, "-m", "snakemake", *command]
        self.environment = os.environ | {"TRUSTDAG_SITE": str(site)}
        self.said = folder / "snakemake.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Starts Snakemake and returns at once."""
        command = [*self.command, *options]
        with self.said.open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env=self.environment, start_new_session=True
            )

    def wait(self, seconds: float = PATIENCE) -> int:
        """Waits for the end; the exit code."""
        assert self.process is not None
        return self.process.wait(seconds)

    def finish(self) -> str:
        """Waits for the end, which has to be a good one; what Snakemake said."""
        code = self.wait()
        assert code == 0, self.said.read_text()[-3000:]
        return self.said.read_text()

    def lives(self) -> bool:
        """Whether Snakemake still runs."""
        return self.process is not None and self.process.poll() is None

    def wait_until(self, condition: Callable[[], Any], what: str) -> None:
        """Waits for a condition. Fails, naming it, when the time is up or the workflow has ended without it."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.lives(), f"the workflow ended before {what}: {self.said.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}"
            time.sleep(0.2)

    def kill(self) -> None:
        """Kills the main process and all that it started on this host, as a login node's reboot does."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Ends what a failed test left running."""
        if self.lives():
            self.kill()
        for record in self.results.glob(".jobs/*/*.json"):
            running = job_record.read(record).running
            if running is not None and running.slurm_job is not None:
                subprocess.run(["scancel", running.slurm_job], check=False)

    def record(self, rule: str, wildcards: str) -> Path:
        """The file in which a job says how its attempts ended."""
        return self.results / ".jobs" / rule / f"{wildcards}.json"

    def slurm_job(self, record: Path) -> str:
        """The Slurm job in which a job runs."""
        running = job_record.read(record).running
        assert running is not None
        assert running.slurm_job is not None
        return running.slurm_job

    def command_of(self, record: Path) -> int | None:
        """The process of our package that does a running job's work; None before it has started."""
        running = job_record.read(record).running
        family = processes.descendants(running.pid) if running is not None else []
        commands = [pid for pid in family if processes.arguments(pid)[1:3] == ["-m", "trustdag"]]
        return commands[0] if commands else None


class Stage(Workflow):
    """A study of one stage that trains for a while and saves often; by default the base model."""

    rule, model_id = "base", "tiny/base"

    def __init__(self, folder: Path, asked: dict[str, Any], steps: int) -> None:
        configfile = folder / "study.yaml"
        configfile.write_text(yaml.safe_dump(self.study(asked, steps)))
        command = [f"results/slurm/models/{self.model_id}/manifest.json"]
        command += ["--snakefile", str(tree() / "Snakefile"), "--profile", str(tree() / "slurm")]
        command += ["--directory", str(folder), "--latency-wait", "5", "--configfile", str(configfile)]
        super().__init__(folder, "slurm", command, tree() / "slurm" / "site.yaml")
        self.model = self.results / "models" / self.model_id
        self.log = self.results / "logs" / "models" / f"{self.model_id}.log"
        self.job = self.record(self.rule, self.model_id.replace("/seed", "/").replace("/", ","))

    def study(self, asked: dict[str, Any], steps: int) -> dict[str, Any]:
        """A study whose base model takes a while to train, and saves often."""
        base = {"source": "scratch", "corpus": "crowd", "vocabulary": 400, "hidden_size": 64, "layers": 2, "heads": 2}
        base |= {"context": 64, "batch_size": 8, "steps": steps, "checkpoint_every": 20, "log_every": 10}
        return {
            "name": "slurm",
            "models": {"tiny": {"base": base}},
            "preferences": {"crowd": {"source": "toy", "pairs": 200}},
            "recipes": {"base": []},
            "verticals": {"privacy": {"items": {"source": "toy", "n": 24}}},
            "resources": {"rules": {"base": {"cpus": 1, "gpu": 0, "mem_mb": 4000} | asked}},
        }

    def wait_for_checkpoint(self) -> None:
        """Waits until the training has saved once, so that something can be lost."""
        self.wait_until(lambda: self.step() > 0, "a checkpoint")

    def step(self) -> int:
        """The step of the newest checkpoint; 0 if there is none."""
        steps = [int(path.name.rpartition("-")[2]) for path in self.model.glob(".checkpoints/*/checkpoint-*")]
        return max(steps, default=0)

    def digest(self) -> str:
        """What the model is, by content."""
        return json.loads((self.model / "manifest.json").read_text())["sha256"]

    def failures(self) -> list[str]:
        """The kinds of the failures that are on record."""
        return [failure.kind for failure in job_record.read(self.job).failures]

    def trained_steps(self) -> list[int]:
        """The steps in metrics.jsonl, in order."""
        lines = (self.model / "metrics.jsonl").read_text().splitlines()
        return [record["step"] for record in map(json.loads, lines) if record["split"] == "train"]


class TwoNodes(Stage):
    """SFT with a process on each of two nodes: gloo on CPUs in place of GPUs."""

    rule, model_id = "sft", "tiny/crowd/sft/seed0"

    def __init__(self, folder: Path, steps: int) -> None:
        folder.mkdir()
        super().__init__(folder, {"gpu": 2, "nodes": 2, "accelerate": "multi_cpu"}, steps)
        site = {"first_poll": 3, "account": "research", "gpu": {"partition": "wide"}}
        (folder / "site.yaml").write_text(yaml.safe_dump(site))
        self.environment["TRUSTDAG_SITE"] = str(folder / "site.yaml")

    def study(self, asked: dict[str, Any], steps: int) -> dict[str, Any]:
        """A base model that is soon done, and an SFT that takes a while."""
        study = super().study({}, steps=10)
        sft = {"max_steps": steps, "batch_size": 8, "max_length": 64, "checkpoint_every": 20, "log_every": 10}
        study["resources"]["rules"]["sft"] = {"cpus": 1, "mem_mb": 4000} | asked
        return study | {"recipes": {"sft": ["sft"]}, "stages": {"sft": sft}}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Starts a run with what its training job asks for."""
    started: list[Stage] = []

    def begin(steps: int = 200, **asked: Any) -> Stage:
        run = Stage(tmp_path, asked, steps)
        started.append(run)
        run.start()
        return run

    yield begin
    for run in started:
        run.stop()


@pytest.fixture(scope="session")
def undisturbed(shared: Path) -> Callable[[int], str]:
    """The digest of the model that a run without failures makes, by its number of steps; made once for all workers."""

    def digest(steps: int) -> str:
        folder = shared / f"undisturbed-{steps}"
        with FileLock(f"{folder}.lock"):
            folder.mkdir(exist_ok=True)
            run = Stage(folder, {}, steps)
            if not run.model.exists():
                run.start("--executor", "local", "--cores", "1")
                run.finish()
        return run.digest()

    return digest
