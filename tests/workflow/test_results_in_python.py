"""A finished study in Python: the code of docs/python.md and of examples/tour.ipynb runs on the smoke study."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.support.pages import ROOT, blocks, commands_of, path_of, run

NOTEBOOK = ROOT / "examples" / "tour.ipynb"
SHOWN = """
def shown(value):
    return value._repr_html_() if hasattr(value, "_repr_html_") else repr(value)
"""
"""What a notebook does with the last value of a cell."""


@pytest.fixture
def beside_results(finished: Path, tmp_path: Path) -> Path:
    """A folder with the smoke study as results/demo, for reading alone."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "demo").symlink_to(finished / "results" / "smoke")
    return tmp_path


def as_script(cells: list[str]) -> str:
    """The cells as one script, which prints what a notebook would show after each."""
    lines = [SHOWN]
    for cell in cells:
        body = ast.parse(cell).body
        last = body[-1]
        if isinstance(last, ast.Expr):
            body[-1] = ast.parse(f"print(shown({ast.unparse(last.value)}))").body[0]
        lines.append("\n".join(map(ast.unparse, body)))
    return "\n".join(lines)


def output_of(code: str, folder: Path) -> str:
    """What Python code prints, in a process of its own; it may warn of nothing."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "MPLBACKEND": "Agg"}
    command = [sys.executable, "-W", "error::UserWarning", "-W", "error::FutureWarning", "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_notebook_runs_on_a_finished_study(beside_results: Path) -> None:
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    shown = output_of(as_script(cells), beside_results)
    assert "headline changes since the base model" in shown
    assert "tiny/crowd/sft-reward-ppo/seed0" in shown
    assert "nan%" not in shown


def test_the_notebook_is_small_and_holds_no_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert [
        cell for cell in notebook.cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)
    ] == []
    assert NOTEBOOK.stat().st_size < 20_000


def test_the_page_is_followed_in_python(beside_results: Path) -> None:
    (block,) = blocks(path_of("python.md"), "python")
    code = block.code.replace("toy/base", "tiny/base")  # the smoke study's model
    assert int(output_of(f"{code}\nprint(len(study.metrics))", beside_results)) > 0


def test_the_page_is_followed_on_the_command_line(study: Path) -> None:
    (study / "results" / "smoke").rename(study / "results" / "demo")
    for command in commands_of(path_of("python.md")):
        run(command, study)
    exports = study / "results" / "demo" / "exports"
    assert {path.name for path in exports.iterdir()} == {"latex", "csv", "model-card"}
