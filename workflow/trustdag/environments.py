"""The conda environments of the rules, written from what their code imports and from requirements.lock.

An environment holds the packages that the modules of its rules import, at any depth, and what those packages need, each
at the version of the lock. So `.venv` and every environment compute with the same software.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

import yaml

from trustdag.errors import UserError
from trustdag.fingerprint import PACKAGE, reachable
from trustdag.rooms import room_of

ROOT = PACKAGE.parents[1]
ENVS = ROOT / "envs"
LOCK = ROOT / "requirements.lock"
PYTHON = ("python=3.11.7", "pip=23.3.1")
WITHOUT_IMPORT = {
    "train": ("accelerate",),
    "score": ("alt-profanity-check", "scikit-learn"),
}
"""What an environment needs though no module imports it: training's launcher, a scorer's weights and their classes."""
FOR_ALL = ("commands.launch", "cli")
"""What every rule runs: the launcher, and the command line that finds the command."""
PLUGINS = {
    "align": "align",
    "items": "verticals",
    "score": "verticals",
    "statistics": "verticals",
    "report": "verticals",
}
"""Commands that load modules by name, and the package that these are in."""
DESCRIBED = dict.fromkeys(("statistics", "report"), ("scorers", "models", "hub"))
"""Commands that take metrics alone from the verticals: they import these rooms, and call no function in them."""


# --- What the rules run ---


def commands_of(rules: Path = ROOT / "workflow" / "rules") -> dict[str, set[str]]:
    """For each environment the commands that the rules run in it, read from the rule files."""
    found: dict[str, set[str]] = {}
    for path in sorted(rules.glob("*.smk")):
        for block in re.split(r"^\s*rule\b", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            environment = re.search(r'ENVS\s*/\s*"(\w+)\.yaml"', block)
            command = re.search(r'LAUNCH\s*\+\s*f?"(\w+)', block)
            if environment and command:
                found.setdefault(environment.group(1), set()).add(command.group(1))
            elif environment or command:
                raise UserError(f"{path}: a rule that starts a command has to name its environment, and the reverse")
    return found


def modules_of(commands: Iterable[str]) -> list[str]:
    """The modules of this package that commands run: their own, and all that they load by name."""
    modules = list(FOR_ALL)
    for command in commands:
        modules.append(f"commands.{command}")
        if command in PLUGINS:
            modules += _in(PLUGINS[command])
        if command == "prepare":
            modules += _in("data")
        if command == "plot":
            modules += [f"report.{name}" for name in _in("report/plots", "plots")]
    return modules


def _in(folder: str, name: str | None = None) -> list[str]:
    files = (path.stem for path in sorted((PACKAGE / folder).glob("*.py")) if path.stem != "__init__")
    return [f"{name or folder}.{stem}" for stem in files]


# --- What that imports ---


def imports_of(commands: Iterable[str]) -> dict[str, set[str]]:
    """The top-level packages that commands import from elsewhere, at any depth, and the files that do."""
    found: dict[str, set[str]] = {}
    for command in commands:
        never_called = DESCRIBED.get(command, ())
        for path in reachable(*modules_of([command])):
            within_functions = room_of(path) not in never_called
            for name in imported_packages(ast.parse(path.read_text(encoding="utf-8")), within_functions):
                if name not in sys.stdlib_module_names and name != "trustdag":
                    found.setdefault(name, set()).add(str(path.relative_to(PACKAGE)))
    return found


def imported_packages(tree: ast.Module, within_functions: bool) -> Iterable[str]:
    """The top-level packages that a file imports when it runs, with or without the imports in its functions."""
    skipped = [node for node in ast.walk(tree) if _is_for_types(node)]
    if not within_functions:
        skipped += [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node) for each in skipped for node in ast.walk(each)}
    for node in ast.walk(tree):
        if id(node) in inside:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0]


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def packages_of(imports: Mapping[str, Iterable[str]]) -> set[str]:
    """The distributions that provide imports. Raises UserError for one that is not installed."""
    providers = metadata.packages_distributions()
    for name, files in imports.items():
        if name not in providers:
            raise UserError(f"{', '.join(sorted(files))}: imports {name}, which no installed package provides")
    return {canonical(providers[name][0]) for name in imports}


# --- What those need ---


def canonical(name: str) -> str:
    """A distribution's name as the package index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: Path = LOCK) -> dict[str, str]:
    """The version of each package in the lock."""
    lines = (line.partition("#")[0].strip() for line in lock.read_text(encoding="utf-8").splitlines())
    return {canonical(name): version for name, _, version in (line.partition("==") for line in lines if "==" in line)}


def package_closure(packages: Iterable[str], versions: Mapping[str, str]) -> dict[str, str]:
    """The packages and all that they need on Linux, at the lock's versions.

    What the lock leaves out (the CUDA libraries, which torch pins itself) is left out. Raises UserError for a package
    that is asked for and not in the lock.
    """
    from packaging.requirements import Requirement

    found: dict[str, str] = {}
    waiting = [(package, True) for package in packages]
    while waiting:
        name, asked = waiting.pop()
        if name in found:
            continue
        if name not in versions:
            if asked:
                raise UserError(
                    f"{LOCK.name}: {name} is needed and not locked; add it to pyproject.toml and run `make lock`"
                )
            continue
        found[name] = versions[name]
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append((canonical(requirement.name), False))
    return dict(sorted(found.items()))


# --- The files ---


def text_of(name: str, commands: Iterable[str], versions: Mapping[str, str]) -> str:
    """One environment file.

    Args:
        name: the environment's name.
        commands: the commands that run in it.
        versions: locked versions by package.
    """
    direct = packages_of(imports_of(commands)) | set(WITHOUT_IMPORT.get(name, ()))
    pinned = package_closure(direct, versions)
    lines = [
        "# Written by `trustdag environments` from the imports of the rules that name this file and requirements.lock.",
        f"# Imported: {', '.join(sorted(direct))}.",
        f"name: trustdag-{name}",
        "channels: [conda-forge, nodefaults]",
        "dependencies:",
        *(f"  - {each}" for each in PYTHON),
        "  - pip:",
        *(f"      - {package}=={version}" for package, version in pinned.items()),
    ]
    return "\n".join(lines) + "\n"


def resolve(path: Path) -> None:
    """Lets pip's resolver go through an environment's packages without installing any; it needs a package index.

    Raises UserError with pip's words if no set of packages fits.
    """
    pip = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"][-1]["pip"]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", *pip]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{path}: pip finds no solution: {' '.join(done.stderr.split())[-500:]}")


def all_texts() -> dict[Path, str]:
    """Every environment file and what should be in it."""
    versions = locked()
    return {ENVS / f"{name}.yaml": text_of(name, commands, versions) for name, commands in commands_of().items()}
