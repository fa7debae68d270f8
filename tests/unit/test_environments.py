"""The rules' conda environments: in step with the lock and with what the rules import."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from trustdag import environments
from trustdag.environments import all_texts, commands_of, imports_of, locked, package_closure
from trustdag.errors import UserError
from trustdag.fingerprint import PACKAGE

TEXTS = all_texts()
NAMES = sorted(commands_of())


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_every_environment_is_what_its_rules_and_the_lock_make_it(path: Path) -> None:
    assert path.exists(), "run `trustdag environments` and commit what it wrote"
    assert path.read_text() == TEXTS[path], "run `trustdag environments` and commit what it wrote"


def test_there_is_no_environment_that_no_rule_names() -> None:
    assert sorted(path.stem for path in environments.ENVS.glob("*.yaml")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_environment_is_valid_and_every_version_exact(name: str) -> None:
    found = yaml.safe_load((environments.ENVS / f"{name}.yaml").read_text())
    assert found.keys() == {"name", "channels", "dependencies"}
    assert "defaults" not in found["channels"]
    *conda, pip = found["dependencies"]
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
    script = environments.ROOT / "tests" / "only_environment.py"
    done = subprocess.run(
        [sys.executable, script, environments.ENVS / f"{name}.yaml", command, "--help"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(PACKAGE.parent), "PATH": ""},
    )
    assert "usage:" in done.stdout, done.stderr[-1000:]


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
    found = package_closure(["pandas"], locked())
    assert {"pandas", "numpy", "python-dateutil"} <= found.keys()
    assert "torch" not in found


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
