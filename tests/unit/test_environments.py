"""The rules' conda environments: in step with the lock and with what the rules import."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from trustdag import environments
from trustdag.environments import all_texts, commands_of, imports_of, locked, package_closure
from trustdag.errors import UserError
from trustdag.fingerprint import PACKAGE, ROOT

TEXTS = all_texts()
NAMES = sorted(commands_of())


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_environment_is_what_its_rules_and_the_lock_make_it(path: Path) -> None:
    assert path.exists(), "run `trustdag environments` and commit what it wrote"
    assert path.read_text() == TEXTS[path], "run `trustdag environments` and commit what it wrote"


def test_there_is_no_environment_that_no_rule_names() -> None:
    assert sorted(path.stem for path in environments.ENVS.glob("*.yaml")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_environment_is_valid_and_every_version_exact(name: str) -> None:
    described = yaml.safe_load((environments.ENVS / f"{name}.yaml").read_text())
    assert described.keys() == {"name", "channels", "dependencies"}
    assert described["channels"] == ["conda-forge"], "conda 26.7 takes every other word for a channel"
    *conda, pip = described["dependencies"]
    assert all(re.fullmatch(r"[a-z]+=\d+(\.\d+)+", each) for each in conda)
    versions = locked()
    for line in pip["pip"]:
        package, _, version = line.partition("==")
        assert versions[package] == version


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_imports_nothing_that_its_environment_lacks(name: str) -> None:
    """By the files alone, and so also where the file was edited by hand."""
    listed = set(yaml.safe_load((environments.ENVS / f"{name}.yaml").read_text())["dependencies"][-1]["pip"])
    names = {line.partition("==")[0] for line in listed}
    imported = environments.packages_of(imports_of(commands_of()[name]))
    assert imported <= names, "run `trustdag environments` and commit what it wrote"


@pytest.mark.parametrize(("name", "command"), [(name, each) for name in NAMES for each in sorted(commands_of()[name])])
def test_a_command_starts_where_only_its_environments_packages_are(name: str, command: str) -> None:
    script = ROOT / "tests" / "only_environment.py"
    done = subprocess.run(
        [sys.executable, script, environments.ENVS / f"{name}.yaml", command, "--help"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(PACKAGE.parent), "PATH": ""},
    )
    assert "usage:" in done.stdout, done.stderr[-1000:]


def test_torch_is_installed_twice_at_most() -> None:
    assert sum("torch==" in text for path, text in TEXTS.items() if path.suffix == ".yaml") == 2


@pytest.mark.parametrize("name", ["data", "report"])
def test_data_and_reports_install_no_torch(name: str) -> None:
    text = (environments.ENVS / f"{name}.yaml").read_text()
    assert "torch==" not in text
    assert "transformers==" not in text


def test_training_has_its_launcher() -> None:
    assert "accelerate==" in (environments.ENVS / "train.yaml").read_text()


def test_imports_for_types_alone_are_not_needed(tmp_path: Path) -> None:
    import ast

    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\ndef f():\n    import numpy\n"
    assert set(environments.imported_packages(ast.parse(source), within_functions=True)) == {"typing", "numpy"}
    assert set(environments.imported_packages(ast.parse(source), within_functions=False)) == {"typing"}


def test_a_closure_holds_what_its_packages_need() -> None:
    closure = package_closure(["pandas"], locked())
    assert {"pandas", "numpy", "python-dateutil"} <= closure.keys()
    assert "torch" not in closure


def test_a_package_that_is_not_locked_is_named_with_the_mend() -> None:
    with pytest.raises(UserError, match="nowhere is needed and not locked"):
        package_closure(["nowhere"], {"pandas": "1"})


def test_an_import_that_nobody_provides_is_named_with_its_file() -> None:
    with pytest.raises(UserError, match=r"a/b\.py: imports nowhere"):
        environments.packages_of({"nowhere": {"a/b.py"}})


def test_a_rule_without_an_environment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.smk").write_text('rule a:\n    shell:\n        LAUNCH\n        + "score x"\n')
    with pytest.raises(UserError, match="has to name its environment"):
        commands_of(tmp_path)


# --- The container ---


def test_the_container_holds_the_packages_of_every_environment_at_the_same_versions() -> None:
    definition = TEXTS[environments.CONTAINER]
    listed = [re.findall(r"\S+==\S+", text) for path, text in TEXTS.items() if path.suffix == ".yaml"]
    assert sorted(set().union(*listed)) == sorted(re.findall(r"\S+==\S+", definition))
    assert "From: python:3.11.7-slim" in definition


def test_the_section_that_builds_the_container_is_one_command_of_the_shell(tmp_path: Path) -> None:
    post = TEXTS[environments.CONTAINER].partition("%post\n")[2].partition("%test")[0]
    (tmp_path / "pip").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "pip").chmod(0o755)
    done = subprocess.run(["/bin/sh", "-e"], input=post, capture_output=True, text=True, env={"PATH": str(tmp_path)})
    command, option, *pins = done.stdout.splitlines()
    assert (command, option, done.returncode) == ("install", "--no-cache-dir", 0)
    assert pins == re.findall(r"\S+==\S+", TEXTS[environments.CONTAINER])


def test_another_definition_is_another_image(tmp_path: Path) -> None:
    definition = tmp_path / "trustdag.def"
    definition.write_text("torch==1")
    first = environments.image(definition)
    definition.write_text("torch==2")
    assert first != environments.image(definition)
    assert first.suffix == ".sif"


# --- Which Python ---


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRUSTDAG_PYTHON", "TRUSTDAG_WORKFLOW", "PYTHONNOUSERSITE"):
        monkeypatch.setenv(name, "something else")


@pytest.mark.parametrize(
    ("methods", "python"), [((), sys.executable), (("ENV_MODULES",), sys.executable), (("CONDA",), None)]
)
def test_a_command_starts_the_python_of_its_environment(
    methods: tuple[str, ...], python: str | None, clean: None
) -> None:
    assert environments.choose(methods) is None
    assert os.environ.get("TRUSTDAG_PYTHON") == python
    assert os.environ["TRUSTDAG_WORKFLOW"] == str(PACKAGE.parent)
    assert os.environ["PYTHONNOUSERSITE"] == "1"


def test_conda_within_a_container_is_refused(clean: None) -> None:
    with pytest.raises(UserError, match="give one of the two"):
        environments.choose(("CONDA", "APPTAINER"))


def test_a_container_without_its_image_says_how_to_build_it(clean: None) -> None:
    if environments.image().exists():
        pytest.skip("the image was built here")
    with pytest.raises(UserError, match=r"no such image; `apptainer build .*\.sif .*trustdag\.def` makes it"):
        environments.choose(("APPTAINER",))
