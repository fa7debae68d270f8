"""`trustdag pending` and `trustdag plan` on a finished study in which something was changed."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from trustdag.cli import main

from .conftest import ROOT, SMOKE
from .test_reruns import copied, edited, linked, reworked

pytestmark = pytest.mark.usefixtures("warm")


@pytest.fixture
def changed(finished: Path, tmp_path: Path) -> Any:
    """The finished study with an edited configuration, and Snakemake's options for it."""

    def change(changes: dict[str, Any], tree: Path = ROOT) -> list[str]:
        configfile = tmp_path / "smoke.yaml"
        config = edited(yaml.safe_load(SMOKE.read_text()), changes)
        configfile.write_text(yaml.safe_dump(config, sort_keys=False))
        folder = linked(finished, tmp_path / "study", configfile)
        return [
            "--configfile",
            str(configfile),
            "--",
            "--snakefile",
            str(tree / "Snakefile"),
            "--directory",
            str(folder),
        ]

    return change


def pending(options: list[str], capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert main(["pending", "--json", *more, *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_changed_parameter_is_named_with_both_values(
    changed: Any, finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    shown = pending(changed({"stages.dpo.beta": 0.2}), capsys)
    reasons = {job["rule"]: job["reason"] for job in shown["jobs"]}
    assert reasons["dpo"] == "beta 0.1 -> 0.2"
    assert reasons["generate"] == "follows dpo"
    assert shown["critical_path"][0]["rule"] == "dpo"
    dpo = next(job for job in shown["jobs"] if job["rule"] == "dpo")
    assert dpo["ready"]
    assert dpo["cost_from"] == "this job"
    assert dpo["seconds"] > 0


def test_changed_code_is_named_by_its_module(
    changed: Any, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    tree = copied(ROOT, tmp_path / "tree")
    module = tree / "workflow" / "trustdag" / "align" / "dpo.py"
    module.write_text(reworked(module.read_text()))
    shown = pending(changed({}, tree), capsys)
    assert {job["reason"] for job in shown["jobs"] if job["rule"] == "dpo"} == {"code of align/dpo.py"}


def test_nothing_pending_is_said(
    changed: Any, finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(finished)
    assert main(["pending", *changed({})]) == 0
    assert capsys.readouterr().out == "Nothing is pending.\n"
