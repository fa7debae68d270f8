"""Parts of one's own in whole studies: docs/extending.md to the letter, and what an edit of a plugin re-runs."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.forks import run_python
from trustdag.commands.new import text

from .conftest import ROOT, SMOKE, snakemake

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
WALK = PAGE.split("\n## ")[1]
"""The section from the template to the report."""
HERE = {"PYTHONPATH": str(ROOT / "workflow")}


def blocks(section: str, language: str) -> list[str]:
    """The code of a section of the page."""
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def run(folder: Path, command: str) -> str:
    """The output of a command line of the docs, started in `folder`."""
    words = shlex.split(command)
    variables = dict(words.pop(0).split("=", 1) for _ in words[:1] if "=" in words[0])
    assert words[0] == "trustdag"
    done = run_python(["-m", *words], os.environ | HERE | variables, folder)
    assert done.returncode == (2 if "--no-plugins" in words else 0), done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def documented(tmp_path: Path) -> Path:
    """A folder in which a user followed the page up to the study."""
    new, _ = blocks(WALK, "sh")
    before, after = blocks(WALK, "python")
    run(tmp_path, new)
    template = (tmp_path / "brevity.py").read_text(encoding="utf-8")
    assert template.count(before) == 1
    (tmp_path / "brevity.py").write_text(template.replace(before, after), encoding="utf-8")
    (study,) = blocks(WALK, "yaml")
    (tmp_path / "study.yaml").write_text(study, encoding="utf-8")
    return tmp_path


def commands() -> Iterator[str]:
    """Every command of the page that follows the template's, but those that train."""
    for block in blocks(PAGE, "sh")[1:]:
        yield from (line for line in block.splitlines() if "--cores" not in line and "summary" not in line)


def test_the_page_is_followed_from_the_template_to_the_dry_run(documented: Path) -> None:
    shown = [run(documented, command) for command in commands()]
    assert "2 models on 1 vertical: study.yaml is valid" in shown[0]
    assert re.search(r"^generate +2$", shown[1], re.MULTILINE)
    assert (documented / "items.parquet").is_file()
    assert "none was run" in shown[-1]


@pytest.mark.slow
def test_the_page_is_followed_to_the_report(documented: Path) -> None:
    for command in blocks(WALK, "sh")[1].splitlines():
        shown = run(documented, command)
    assert "brevity" in shown.lower()
    page = (documented / "results" / "short" / "report.html").read_text(encoding="utf-8")
    assert "are replies as short as they were asked to be?" in page.lower()
    assert "Replies of more words than allowed" in page


def study_of_plugins(folder: Path) -> Path:
    """The smoke study in `folder`, with a vertical, a scorer, a method and a preference format of its own."""
    names = {"vertical": "brevity", "scorer": "rude", "method": "shorter", "preferences": "pairs"}
    for kind, name in names.items():
        (folder / f"{name}.py").write_text(text(kind, name), encoding="utf-8")
    lines = [f'{{"question": "What is {n}?", "better": "one", "worse": "two"}}\n' for n in range(60)]
    (folder / "pairs.jsonl").write_text("".join(lines), encoding="utf-8")
    content = yaml.safe_load(SMOKE.read_text(encoding="utf-8"))
    content["plugins"] = [f"{name}.py" for name in names.values()]
    content["preferences"] = {"crowd": {"source": "pairs", "path": str(folder / "pairs.jsonl")}}
    content["stages"] = {name: {"max_steps": 2, "max_length": 128} for name in ("sft", "shorter")}
    content["recipes"] = {"base": [], "sft": ["sft"], "shorter": ["shorter"]}
    few = content["verticals"]["toxicity"]
    content["verticals"] = {"brevity": {}, "toxicity": few | {"score": {"scorers": [{"name": "rude"}]}}, "bias": few}
    (folder / "study.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder / "study.yaml"


EDITS = [
    ("brevity.py", "> settings.words", ">= settings.words", {"score": 3, "items": 1}),
    ("rude.py", '".,!?"', '".,!?;"', {"score": 3}),
    ("shorter.py", "key=len)", "key=len)[1:]", {"shorter": 1}),
    ("pairs.py", '"better")', '"worse")', {"prepare": 1}),
    ("brevity.py", "# raise it", "# lift it", {}),
]


@pytest.mark.parametrize(("name", "before", "after", "rules"), EDITS, ids=[f"{edit[0]} {edit[2]}" for edit in EDITS])
def test_an_edit_of_a_plugin_changes_the_code_of_the_rules_that_use_it(
    name: str, before: str, after: str, rules: dict[str, int], tmp_path: Path
) -> None:
    study = study_of_plugins(tmp_path)
    codes = [codes_of(tmp_path, study)]
    content = (tmp_path / name).read_text(encoding="utf-8")
    assert content.count(before) == 1
    (tmp_path / name).write_text(content.replace(before, after), encoding="utf-8")
    codes.append(codes_of(tmp_path, study))
    changed = [job[0] for job, code in codes[1].items() if codes[0][job] != code]
    # Statistics and the report read the vertical's metrics, and so its file.
    followers = {"statistics": 1, "report": 1} if name == "brevity.py" and rules else {}
    assert {rule: changed.count(rule) for rule in changed} == rules | followers


def codes_of(folder: Path, study: Path) -> dict[tuple[str, str], str]:
    """The fingerprint of the code of each job of a dry run, by its rule and the name of its record."""
    shown = snakemake(folder, "-n", "--printshellcmds", configfile=study)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    records = re.findall(r"--record \S+/\.jobs/([^/]+)/(\S*)\.json .*? --code (\w+)", shown.stdout + shown.stderr)
    return {(rule, record): code for rule, record, code in records}


def test_plugins_reach_the_jobs(tmp_path: Path) -> None:
    study = study_of_plugins(tmp_path)
    for target in ("items/brevity.digest.txt", "data/crowd/digest.txt"):
        done = snakemake(tmp_path, f"results/smoke/{target}", configfile=study)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (tmp_path / "results" / "smoke" / target).is_file()
    assert "plugins that the study names" in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["pending --json", "plan --gpu-hours 1"])
def test_pending_and_plan_know_plugins(command: str, tmp_path: Path) -> None:
    study = study_of_plugins(tmp_path)
    shown = run(tmp_path, f"trustdag {command} --configfile {study.name}")
    assert re.search(r"brevity(?!\.py)", shown)
    assert f"runs the plugins that the study names: {tmp_path / 'brevity.py'}" in shown


def test_evaluate_measures_a_vertical_of_ones_own(tmp_path: Path) -> None:
    from tests.support import tiny_models as tiny

    tiny.write_base(tmp_path / "little", context=256)
    (tmp_path / "brevity.py").write_text(text("vertical", "brevity"), encoding="utf-8")
    options = "--plugins brevity.py --verticals brevity --prompt-format plain --write-only"
    run(tmp_path, f"trustdag evaluate little {options}")
    run(tmp_path, "trustdag check results/evaluation.yaml")


def test_two_studies_of_one_workflow_each_find_their_plugins(tmp_path: Path) -> None:
    content = yaml.safe_load(SMOKE.read_text(encoding="utf-8"))
    for name in ("first", "second"):
        (tmp_path / f"{name}_vertical.py").write_text(text("vertical", f"{name}_vertical"), encoding="utf-8")
    studies = {
        name: content | {"name": name, "plugins": [f"{name}_vertical.py"], "verticals": {f"{name}_vertical": {}}}
        for name in ("first", "second")
    }
    (tmp_path / "studies.yaml").write_text(yaml.safe_dump(studies), encoding="utf-8")
    modules = "".join(
        f'module {name}:\n    snakefile: "{ROOT}/Snakefile"\n    config: config["{name}"]\n'
        f"use rule * from {name} as {name}_*\n"
        for name in studies
    )
    (tmp_path / "Snakefile").write_text(f'configfile: "studies.yaml"\n{modules}', encoding="utf-8")
    command = ["-m", "snakemake", "--cores", "1"]
    command += [f"results/{name}/items/{name}_vertical.digest.txt" for name in studies]
    done = run_python(command, os.environ | HERE, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
