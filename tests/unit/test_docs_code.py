"""Code in the documentation: a test runs it or its reason stands here, and a command names only what exists."""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser

from tests.support.pages import ASSIGNMENT, PAGES, ROOT, blocks, commands_of
from trustdag import cli, commands

LANGUAGES = {"sh", "python", "yaml", "json", "toml", "text", "bibtex"}
FOLLOWED = {
    "starting.md": "tests/workflow/test_wheel.py",
    "extending.md": "tests/workflow/test_plugins.py",
    "tutorial-data.md": "tests/workflow/test_tutorials.py",
    "tutorial-model.md": "tests/workflow/test_tutorials.py",
    "tutorial-cluster.md": "tests/workflow/test_tutorials.py",
    "python.md": "tests/workflow/test_results_in_python.py",
    "ppo.md": "tests/unit/rl/test_library_page.py",
    "tracking.md": "tests/unit/results/test_exports.py",
}
"""Pages whose code a test takes from the page and runs."""
COMMANDS_NOT_RUN = {
    r"make (demo|test|lint|docs|real)\b": "it is a whole suite or study; the workflow of .github runs it, or a person",
    r"make (slurm-up|slurm-down|test-slurm)$|pytest ": "it is a test itself",
    r"(git clone|make setup|source|cd|cp)\b": "it sets up the machine",
    r"sbatch |.*--profile slurm": "it needs Slurm: tests/slurm runs the smoke study so",
    r".*--sdm ": "it needs conda or Apptainer: tests/workflow/test_conda.py runs it with a stand-in",
    r"snakemake fetch ": "it needs a network",
    r"(PYTHONPATH=workflow )?python benchmarks/": "it takes minutes to days; what it measured stands beside it",
    r".*(\b[A-Z]{3,}\b|my-study)": "the names are the reader's; tests run the command with others",
    r"snakemake (demo|(--cores \d )?--configfile config/)": "it trains for minutes; tests plan each shipped study",
}
"""Patterns of commands that no test takes from their page, with the reason."""
PYTHON_NOT_RUN = {
    "architecture.md": "signatures of a contract, without bodies; tests/unit/plugins holds parts to it",
    "statistics.md": "the shape of a plot's file; tests/unit/report draws each shipped one",
}
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
WRITTEN = [(name, command) for name in NAMES for command in commands_of(ROOT / name)]
NOT_FOLLOWED = [(name, command) for name, command in WRITTEN if Path(name).name not in FOLLOWED]


@pytest.mark.parametrize("name", NAMES)
def test_code_stands_in_fences_with_a_known_language(name: str) -> None:
    assert {block.language for block in blocks(ROOT / name)} <= LANGUAGES


@pytest.mark.parametrize(("page", "test"), FOLLOWED.items())
def test_the_test_that_follows_a_page_names_it(page: str, test: str) -> None:
    assert page in (ROOT / test).read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "command"), NOT_FOLLOWED)
def test_a_command_that_no_test_runs_has_its_reason(name: str, command: str) -> None:
    assert any(re.match(pattern, command) for pattern in COMMANDS_NOT_RUN), f"{name}: {command}"


def test_every_reason_is_needed() -> None:
    unused = {
        pattern for pattern in COMMANDS_NOT_RUN if not any(re.match(pattern, command) for _, command in NOT_FOLLOWED)
    }
    assert unused == set()


def test_python_is_run_or_has_its_reason() -> None:
    pages = {Path(name).name for name in NAMES if blocks(ROOT / name, "python")}
    assert pages - FOLLOWED.keys() == PYTHON_NOT_RUN.keys()


@pytest.mark.parametrize(("name", "command"), WRITTEN)
def test_a_command_names_only_what_exists(name: str, command: str) -> None:
    assert list(complaints(command)) == [], name


@pytest.mark.parametrize(
    "command",
    [
        "trustdag chek study.yaml",
        "trustdag check --no-plugin study.yaml",
        "trustdag run smoke --dryrunn",
        "trustdag align dpo --police X",
        "snakemake --configfile config/gone.yaml",
        "python benchmarks/gone.py",
        "python benchmarks/ppo.py --form small",
        "make test-all",
        "pytest tests/unit/gone",
        "cp slurm/gone.yaml x",
        "conda create",
    ],
)
def test_a_wrong_command_would_be_seen(command: str) -> None:
    assert len(list(complaints(command))) == 1


def complaints(command: str) -> Iterator[str]:
    """What a command line names that does not exist: commands, options, targets, and files of the repository."""
    words = [word for word in shlex.split(command) if not ASSIGNMENT.match(word)]
    program, arguments = words[0], words[1:]
    options = [word.partition("=")[0] for word in arguments if word.startswith("--") and word != "--"]
    known: set[str] | str = set(options)
    if program == "trustdag":
        if arguments[0] not in cli.command_names():
            yield f"no command {arguments[0]}"
            return
        known = options_of(arguments[0])
    elif program == "snakemake":
        known = snakemakes_options()
    elif program == "python":
        script = ROOT / arguments[0]
        known = source_of(script) if script.is_file() else ""
        options = options if script.is_file() else []
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        yield from (f"no target {word}" for word in arguments if word not in targets)
    elif program not in ("cp", "cd", "git", "pytest", "sbatch", "source"):
        yield f"no program {program}"
    yield from (f"no option {option}" for option in options if option not in known)
    files = [word for word in arguments if re.match(r"(config|benchmarks|tests|slurm|docs)/", word)]
    made = {"config/my-study.yaml", "slurm/site.yaml"}
    yield from (f"no file {word}" for word in files if word not in made and not (ROOT / word).exists())


def source_of(script: Path) -> str:
    """The source of a script and of the files beside it that it imports."""
    text = script.read_text(encoding="utf-8")
    beside = [script.with_name(f"{name}.py") for name in re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE)]
    return "".join([text, *(source_of(path) for path in beside if path.is_file())])


@cache
def options_of(command: str) -> set[str]:
    """The long options of a command of trustdag, and Snakemake's where the command passes them on."""
    module = import_module(f"{commands.__name__}.{command.replace('-', '_')}")
    parser = cli.Parser(allow_abbrev=False)
    module.add_arguments(parser)
    passes_on = "snakemake" in ast.unparse(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")))
    return set(parser.options()) | (snakemakes_options() if passes_on else set())


@cache
def snakemakes_options() -> set[str]:
    """The long options of snakemake itself."""
    return set(re.findall(r"--[\w-]+", get_argument_parser().format_help()))
