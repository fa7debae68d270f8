"""`snakemake --sdm conda` or `apptainer`: each rule runs in its environment, wherever Snakemake is started."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support import conda_stand_in
from trustdag import environments

from .conftest import ROOT, SMOKE, jobs
from .test_reruns import copied

DATA = "results/smoke/data/crowd/card.json"
BASE = "results/smoke/models/tiny/base/manifest.json"
CONDA = ("--sdm", "conda")


@dataclass
class CondaUser:
    """Somebody with conda: a copy of the workflow, a folder to work in, and a shell."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.log = self.folder / "started.log"
        self.bin = conda_stand_in.install(self.folder / "conda", self.log)
        self.tree = copied(ROOT, self.folder / "tree")
        self.path = [str(self.bin), *os.get_exec_path()]

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs Snakemake in this shell, in a working directory of its own."""
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(self.tree / "Snakefile")]
        command += ["--directory", str(self.folder / "work"), *arguments, "--cores", "2", "--configfile", str(SMOKE)]
        dropped = ("SNAKEMAKE", "CONDA", "PYTHONPATH", "TRUSTDAG")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
        environment |= {"PATH": os.pathsep.join(self.path)} | self.variables
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    def make(self, target: str, *arguments: str) -> None:
        """Makes a file, in conda's environments."""
        done = self.snakemake(target, *CONDA, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    def activate_base(self) -> None:
        """Has conda's base environment active, with the virtual environment that holds Snakemake on top of it."""
        self.variables["CONDA_PREFIX"] = str(self.folder / "conda")
        self.path.insert(0, str(Path(sys.executable).parent))

    def started(self) -> list[str]:
        """The environment and the command of each start of an environment's Python."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [f"{line.split()[0]} {line.split(' -- ')[1].split()[0]}" for line in lines if " -- " in line]


@pytest.fixture
def user(tmp_path: Path) -> CondaUser:
    return CondaUser(tmp_path)


def test_a_rule_runs_in_its_environment_when_base_is_active_and_a_virtual_environment_on_top(user: CondaUser) -> None:
    user.activate_base()
    user.make(DATA)
    assert user.started() == ["trustdag-data prepare"]


def test_without_conda_a_rule_runs_in_snakemakes_own_environment_though_base_is_active(user: CondaUser) -> None:
    user.activate_base()
    done = user.snakemake(DATA)
    assert done.returncode == 0, done.stdout + done.stderr
    assert user.started() == []


@pytest.mark.parametrize("options", [["--sdm", "conda"], []], ids=["conda", "no conda"])
def test_packages_in_the_home_folder_are_not_imported(user: CondaUser, options: list[str]) -> None:
    poisoned = user.folder / "home" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / "pyarrow"
    poisoned.mkdir(parents=True)
    (poisoned / "__init__.py").write_text("raise ImportError('the package of the home folder was imported')\n")
    user.variables["PYTHONUSERBASE"] = str(user.folder / "home")
    done = user.snakemake(DATA, *options)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_runs_in_its_environment_and_again_when_its_file_is_edited(user: CondaUser) -> None:
    # Given data, made in their environment
    user.make(DATA)
    assert user.started() == ["trustdag-data prepare"]
    # When the environment of training is edited, then the data stay; when theirs is, they are made again
    for name, planned in (("train", {}), ("data", {"prepare": 1})):
        environment = user.tree / "envs" / f"{name}.yaml"
        environment.write_text(environment.read_text().replace("pip=23.3.1", "pip=23.3.2"))
        assert jobs(user.snakemake(DATA, "-n", *CONDA)) == planned


@pytest.mark.slow
def test_an_edited_environment_file_runs_what_depends_on_its_rules(user: CondaUser) -> None:
    # Given data and a base model, each made in its own environment
    user.make(BASE)
    assert jobs(user.snakemake(BASE, "-n", *CONDA)) == {}
    # When the environment of training is edited
    environment = user.tree / "envs" / "train.yaml"
    before = environment.read_text()
    environment.write_text(before.replace("pip=23.3.1", "pip=23.3.2"))
    # Then the data stay, and the other way round the model follows its data
    assert jobs(user.snakemake(BASE, "-n", *CONDA)) == {"base": 1}
    environment.write_text(before)
    other = user.tree / "envs" / "data.yaml"
    other.write_text(other.read_text().replace("pip=23.3.1", "pip=23.3.2"))
    assert jobs(user.snakemake(BASE, "-n", *CONDA)) == {"prepare": 1, "base": 1}


def test_the_cache_between_studies_tells_the_environments_apart(user: CondaUser) -> None:
    cache = user.folder / "cache"
    cache.mkdir()
    user.variables["SNAKEMAKE_OUTPUT_CACHE"] = str(cache)
    user.make(DATA, "--cache", "prepare")
    (user.folder / "work").rename(user.folder / "first")
    done = user.snakemake(DATA, "--cache", "prepare")
    assert done.returncode == 0, done.stdout + done.stderr
    keys = {path.name.split("_")[0] for path in cache.iterdir()}
    assert len(keys) == 2, sorted(path.name for path in cache.iterdir())


def test_with_apptainer_a_rule_runs_in_the_image_with_the_images_python(user: CondaUser) -> None:
    # Given the image, and a stand-in for apptainer that starts commands with the image's PATH and host's environment
    environments.image(user.tree / "envs" / "trustdag.def").touch()
    inside = user.folder / "image"
    inside.mkdir()
    (inside / "python").write_text(f'#!/bin/sh\necho "image $*" >> {user.log}\nexec {sys.executable} "$@"\n')
    apptainer = '#!/bin/bash\n[ "$1" = --version ] && { echo apptainer version 1.4.0; exit; }\n'
    apptainer += f'export PATH={inside}:/usr/bin:/bin\nexec bash -c "${{@: -1}}"\n'
    (user.bin / "apptainer").write_text(apptainer)
    for program in (inside / "python", user.bin / "apptainer"):
        program.chmod(0o755)
    # When a file is made, with conda's base active outside
    user.activate_base()
    done = user.snakemake(DATA, "--sdm", "apptainer")
    # Then the image's Python made it
    assert done.returncode == 0, done.stdout + done.stderr
    assert user.started() == ["image prepare"]


@pytest.mark.slow
def test_the_whole_study_runs_each_rule_in_its_environment(user: CondaUser) -> None:
    user.activate_base()
    done = user.snakemake(*CONDA, "--quiet", "rules", "--show-failed-logs")
    assert done.returncode == 0, done.stdout + done.stderr
    training = {f"trustdag-train {command}" for command in ("base", "align", "generate")}
    pages = {f"trustdag-report {command}" for command in ("statistics", "plot", "report")}
    expected = {"trustdag-data prepare", "trustdag-data items", "trustdag-score score"} | training | pages
    assert set(user.started()) == expected
