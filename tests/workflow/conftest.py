"""Whole studies run by Snakemake itself, as a user runs it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support import warm_jobs
from tests.support.forks import run_snakemake, variables_of_jobs

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "config" / "smoke.yaml"


def snakemake(
    folder: Path, *arguments: str, configfile: Path = SMOKE, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs Snakemake on our workflow with `folder` as its working directory, and variables in its environment."""
    return run_snakemake(arguments_for(folder, *arguments, configfile=configfile), clean_environment() | variables)


def arguments_for(folder: Path, *arguments: str, configfile: Path = SMOKE) -> list[str]:
    where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    return [*where, "--cores", "2", *arguments, "--configfile", str(configfile)]


def clean_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE")}


def jobs(run: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """How many jobs of each rule a dry run would start; empty if there is nothing to be done."""
    assert run.returncode == 0, run.stdout + run.stderr
    lines = (run.stdout + run.stderr).splitlines()
    if "Job stats:" not in lines:
        return {}
    table = lines[lines.index("Job stats:") + 3 :]
    counted = {}
    for line in table:
        if not line.strip() or line.startswith("total"):
            break
        rule, count = line.split()
        counted[rule] = int(count)
    return counted


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the finished smoke study. It is made once for all test processes and must not be changed."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    folder = shared / "smoke"
    with FileLock(str(folder) + ".lock"):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            run = snakemake(folder, "--quiet", "rules", "--show-failed-logs")
            assert run.returncode == 0, run.stdout + run.stderr
            (folder / "done").touch()
    return folder


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that start Snakemake get forks in place of new Pythons."""
    for name, value in variables_of_jobs().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.executable", str(warm_jobs.PYTHON))


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished smoke study that a test may change."""
    folder = tmp_path / "study"
    shutil.copytree(finished, folder, symlinks=True)
    return folder
