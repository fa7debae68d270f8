"""The tutorials are followed to the letter, each in an empty folder. docs/starting.md is followed in test_wheel.py."""

from pathlib import Path

import pytest

from tests.support import tiny_models as tiny
from tests.support.pages import Block, blocks, commands, path_of, run

TUTORIALS = ("tutorial-data.md", "tutorial-model.md", "tutorial-cluster.md")
MINUTES = (
    "trustdag run study.yaml --cores 2",
    "trustdag evaluate my-model --prompt-format plain --toy --limit 8 --verticals ethics",
    "trustdag summary results/evaluation",
)
"""What takes minutes, and what needs it."""
SUBMITS = "TRUSTDAG_SITE=site.yaml trustdag run study.yaml --profile slurm"
"""It needs a Slurm: tests/slurm runs the smoke study so."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as the tutorials want it: with nothing but the models that a reader has."""
    (tmp_path / "mine").mkdir()
    for name in ("my-model", "my-model-sft"):
        tiny.write_base(tmp_path / name, context=512)  # as long as the default `max_length` of a stage
        (tmp_path / name / "model").rename(tmp_path / "mine" / name)
    return tmp_path / "mine"


def follow(block: Block, folder: Path, slowly: bool) -> dict[str, str]:
    """Does what a block of a tutorial says, and returns what each command printed.

    A block of YAML is a site's file, or changes keys of the study.
    """
    if block.language == "python":
        (folder / "block.py").write_text(block.code, encoding="utf-8")
        return {"": run("python block.py", folder)}
    if block.language == "yaml":
        file = "site.yaml" if block.code.startswith("account") else "changes.yaml"
        (folder / file).write_text(block.code, encoding="utf-8")
        return {} if file == "site.yaml" else {"": run("trustdag check study.yaml changes.yaml", folder)}
    chosen = [command for command in commands(block.code) if slowly or command not in MINUTES]
    return {command: run(command, folder) for command in chosen if command != SUBMITS}


def followed(page: str, folder: Path, slowly: bool = False) -> dict[str, str]:
    """What each command of a tutorial printed."""
    printed: dict[str, str] = {}
    for block in blocks(path_of(page), "sh", "python", "yaml"):
        printed |= follow(block, folder, slowly)
    return printed


def test_the_tutorial_of_ones_own_data_is_followed(folder: Path) -> None:
    printed = followed("tutorial-data.md", folder)
    prepared = next(text for command, text in printed.items() if command.startswith("trustdag prepare"))
    assert "225 records read, 225 kept" in prepared
    assert "3 models on 1 vertical: study.yaml is valid" in printed["trustdag check study.yaml"]
    assert "dpo                  1" in printed["trustdag run study.yaml --dry-run"]


def test_the_tutorial_of_ones_own_model_is_followed(folder: Path) -> None:
    printed = followed("tutorial-model.md", folder)
    assert "my-model/pairs/sft-dpo/seed0" in printed["trustdag check study.yaml"]
    assert "critical path" in printed["trustdag pending study.yaml"]


def test_the_tutorial_of_a_cluster_is_followed_to_the_submission(folder: Path) -> None:
    printed = followed("tutorial-cluster.md", folder)
    assert "slurm_partition main" in printed["TRUSTDAG_SITE=site.yaml trustdag site --offline"]
    assert SUBMITS in [
        command for block in blocks(path_of("tutorial-cluster.md"), "sh") for command in commands(block.code)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS[:2])
def test_a_tutorial_is_followed_to_the_report(page: str, folder: Path) -> None:
    followed(page, folder, slowly=True)
    assert (folder / "results" / "mine" / "report.html").is_file()
