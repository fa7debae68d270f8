"""The wheel carries the workflow: docs/starting.md is followed in an empty folder, with the installed package alone."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pages import commands_of, path_of
from trustdag.plugins import files

from .conftest import ROOT

COMMANDS = commands_of(path_of("starting.md"))
TRAINING = ("trustdag run study.yaml --cores 2", "trustdag summary results/first")
"""The commands of the page that take minutes."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel of this clone is installed, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).exists() and not name.startswith(("tests", "docs")):
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name) if (ROOT / name).is_file() else None
    pip = [sys.executable, "-m", "pip"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    build = [*pip, "wheel", *quiet, "--no-build-isolation", "--wheel-dir", str(folder), str(folder / "source")]
    for command in (
        build,
        [*pip, "install", *quiet, "--target", str(folder / "site"), "--find-links", str(folder), "trustdag"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def installed(site: Path, folder: Path, *arguments: str) -> str:
    """The output of the installed `trustdag`, started in `folder`, where nothing points at the clone."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TRUSTDAG", "SNAKEMAKE"))}
    done = subprocess.run(
        [sys.executable, "-m", "trustdag", *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(ROOT / "workflow") not in done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """An empty folder called `first`, as on the page."""
    (tmp_path / "first").mkdir()
    return tmp_path / "first"


def followed(site: Path, folder: Path, command: str) -> str:
    """The output of a command line of the page."""
    name, *arguments = shlex.split(command)
    assert name == "trustdag"
    return installed(site, folder, *arguments)


def test_the_page_is_followed_in_an_empty_folder(site: Path, first: Path) -> None:
    shown = {command: followed(site, first, command) for command in COMMANDS if command not in TRAINING}
    assert "3 models on 2 verticals: study.yaml is valid" in shown["trustdag check study.yaml"]
    assert re.search(r"^generate +6$", shown["trustdag run study.yaml --dry-run"], re.MULTILINE)
    assert re.search(r"^ppo +1$", shown["trustdag run smoke --dry-run"], re.MULTILINE)
    assert "generate" in shown["trustdag pending study.yaml"]
    # And jobs run, and go to a cluster
    installed(site, first, "run", "study.yaml", "--cores", "1", "results/first/items/ethics.digest.txt")
    assert (first / "results" / "first" / "items" / "ethics.digest.txt").is_file()
    assert re.search(r"^generate +6$", installed(site, first, "run", "study.yaml", "--profile", "slurm", "-n"), re.M)


@pytest.mark.slow
def test_the_page_is_followed_to_the_report(site: Path, first: Path) -> None:
    for command in (COMMANDS[0], *TRAINING):
        assert command in COMMANDS
        shown = followed(site, first, command)
    assert "ethics" in shown.lower()
    assert (first / "results" / "first" / "report.html").is_file()


def test_the_wheel_carries_environments_scripts_and_templates(site: Path, tmp_path: Path) -> None:
    for kind in files.KINDS:
        installed(site, tmp_path, "new", kind, f"my_{kind}")
    carried = site / "trustdag" / "_workflow"
    assert {path.name for path in (carried / "envs").glob("*.yaml")} == {p.name for p in (ROOT / "envs").glob("*.yaml")}
    assert os.access(carried / "slurm" / "bin" / "sbatch", os.X_OK)


def test_a_carried_workflow_gives_conda_the_package_and_nothing_beside_it(site: Path, tmp_path: Path) -> None:
    code = (
        "from trustdag import environments as e; import os; e.choose(['CONDA']); print(os.environ['TRUSTDAG_WORKFLOW'])"
    )
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert [path.name for path in Path(done.stdout.strip()).iterdir()] == ["trustdag"]
