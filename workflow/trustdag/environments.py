"""Conda environments and container of the rules, generated from their imports and requirements.lock.

An environment has the packages that the modules of its rules import, directly or not, and their dependencies, with the
versions of the lock. So `.venv`, every environment and the container have the same software.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from importlib import metadata
from pathlib import Path

from trustdag.artifacts import sha256_text
from trustdag.errors import UserError
from trustdag.fingerprint import CARRIED, PACKAGE, ROOT, reachable
from trustdag.rooms import room_of

ENVS = ROOT / "envs"
LOCK = ROOT / "requirements.lock"
PYTHON_VERSION = "3.11.7"
CHANNEL = "conda-forge"
"""The only channel, without `nodefaults`, which conda 26.7 would search for as a channel."""
CONDA_PACKAGES = (f"python={PYTHON_VERSION}", "pip=23.3.1")
CONTAINER = ENVS / "trustdag.def"
WITHOUT_IMPORT = {
    "train": ("accelerate",),
    "score": ("alt-profanity-check", "scikit-learn"),
}
"""Packages that an environment needs although no module imports them: the launcher of training, a scorer's weights."""
FOR_ALL = ("commands.launch", "cli")
"""Modules that every rule runs: the launcher and the command line."""
PLUGINS = {
    "align": ("align",),
    "prepare": ("data",),
    **dict.fromkeys(("items", "score", "statistics", "report"), ("verticals", "scorers")),
}
"""Commands that load modules by name, with the packages of these modules."""
DESCRIBED = dict.fromkeys(("statistics", "report"), ("scorers", "models", "hub")) | {"items": ("scorers", "models")}
"""Commands that only use metrics or questions of verticals. They import these rooms but do not call them."""


# --- Which Python a rule's command is started with ---

PYTHON_VARIABLE = "TRUSTDAG_PYTHON"
FOLDER_VARIABLE = "TRUSTDAG_WORKFLOW"
COMMAND = f'PYTHONPATH="${FOLDER_VARIABLE}" "${{{{{PYTHON_VARIABLE}:-$CONDA_PREFIX/bin/python}}}}"'
"""How a rule's command starts Python, in the braces of Snakemake's shell commands.

Its text is the same in every clone. PATH is not asked: `conda activate` puts an environment's folder where that of an
active one stood, which may be behind `.venv`. PYTHONPATH is set here, because Snakemake removes it under conda.
"""


def choose(methods: Collection[str]) -> Path | None:
    """Sets the environment variable of the jobs' Python: that of conda, of the container, or of this process.

    Args:
        methods: The names of Snakemake's `--software-deployment-method`.

    Returns:
        The image of the container, if rules run in one.

    Raises:
        UserError: Both conda and a container are requested, or the container's image is not built.
    """
    os.environ[FOLDER_VARIABLE] = str(_package_folder())
    os.environ["PYTHONNOUSERSITE"] = "1"  # otherwise packages in ~/.local come before those of the environment
    os.environ.pop(PYTHON_VARIABLE, None)
    if "APPTAINER" not in methods:
        if "CONDA" not in methods:
            os.environ[PYTHON_VARIABLE] = sys.executable
        return None
    if "CONDA" in methods:
        raise UserError("--sdm conda apptainer: the image holds no conda; give one of the two")
    os.environ[PYTHON_VARIABLE] = "python"
    built = image()
    if not built.exists():
        raise UserError(f"--sdm apptainer: {built}: no such image; `apptainer build {built} {CONTAINER}` makes it")
    return built


def _package_folder() -> Path:
    """A folder with this package and without packages that an environment has in another version.

    Other packages in its folder would come before the packages of a job's environment.
    """
    if ROOT != CARRIED:
        return PACKAGE.parent
    folder = Path(".snakemake", "trustdag").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{os.getpid()}"
    partial.symlink_to(PACKAGE.resolve())
    partial.replace(folder / "trustdag")
    return folder


# --- What the rules run ---


def commands_of(rules: Path = ROOT / "workflow" / "rules") -> dict[str, set[str]]:
    """For each environment: the commands of its rules, read from the rule files."""
    commands: dict[str, set[str]] = {}
    for path in sorted(rules.glob("*.smk")):
        for block in re.split(r"^\s*rule\b", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            environment = re.search(r'ENVS\s*/\s*"(\w+)\.yaml"', block)
            command = re.search(r'LAUNCH\w*\s*\+\s*f?"(\w+)', block)
            if environment and command:
                commands.setdefault(environment.group(1), set()).add(command.group(1))
            elif environment or command:
                raise UserError(f"{path}: a rule that starts a command has to name its environment, and the reverse")
    return commands


def modules_of(commands: Iterable[str]) -> list[str]:
    """The modules of this package that commands run: their own, and those that they load by name."""
    modules = list(FOR_ALL)
    for command in commands:
        modules.append(f"commands.{command}")
        modules += [module for package in PLUGINS.get(command, ()) for module in _in(package)]
        if command == "plot":
            modules += [f"report.{name}" for name in _in("report/plots", "plots")]
    return modules


def _in(folder: str, name: str | None = None) -> list[str]:
    files = (path.stem for path in sorted((PACKAGE / folder).glob("*.py")) if path.stem != "__init__")
    return [f"{name or folder}.{stem}" for stem in files]


# --- What that imports ---


def imports_of(commands: Iterable[str]) -> dict[str, set[str]]:
    """The third-party packages that commands import, directly or not, with the importing files."""
    importers: dict[str, set[str]] = {}
    for command in commands:
        never_called = DESCRIBED.get(command, ())
        for path in reachable(*modules_of([command])):
            within_functions = room_of(path) not in never_called
            for name in imported_packages(ast.parse(path.read_text(encoding="utf-8")), within_functions):
                if name not in sys.stdlib_module_names and name != "trustdag":
                    importers.setdefault(name, set()).add(str(path.relative_to(PACKAGE)))
    return importers


def imported_packages(tree: ast.Module, within_functions: bool) -> Iterable[str]:
    """The top-level packages that a file imports when it runs, with or without the imports in its functions."""
    skipped = [node for node in ast.walk(tree) if _is_for_types(node)]
    if not within_functions:
        skipped += [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node) for part in skipped for node in ast.walk(part)}
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
    """A distribution's normalized name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: Path = LOCK) -> dict[str, str]:
    """The version of each package in the lock."""
    lines = (line.partition("#")[0].strip() for line in lock.read_text(encoding="utf-8").splitlines())
    return {canonical(name): version for name, _, version in (line.partition("==") for line in lines if "==" in line)}


def package_closure(packages: Iterable[str], versions: Mapping[str, str]) -> dict[str, str]:
    """The packages and their dependencies on Linux, with the lock's versions.

    Dependencies that are not in the lock (the CUDA libraries, which torch pins) are omitted. Raises UserError if one of
    `packages` is not in the lock.
    """
    from packaging.requirements import Requirement

    closure: dict[str, str] = {}
    waiting = [(package, True) for package in packages]
    while waiting:
        name, asked = waiting.pop()
        if name in closure:
            continue
        if name not in versions:
            if asked:
                raise UserError(
                    f"{LOCK.name}: {name} is needed and not locked; add it to pyproject.toml and run `make lock`"
                )
            continue
        closure[name] = versions[name]
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append((canonical(requirement.name), False))
    return dict(sorted(closure.items()))


# --- The files ---


def pins(name: str, commands: Iterable[str], versions: Mapping[str, str]) -> list[str]:
    """The packages of one environment, as `package==version`.

    Args:
        name: The environment's name.
        commands: The commands that run in it.
        versions: The version of each package in the lock.
    """
    direct = packages_of(imports_of(commands)) | set(WITHOUT_IMPORT.get(name, ()))
    return [f"{package}=={version}" for package, version in package_closure(direct, versions).items()]


def conda_text(name: str, pinned: Iterable[str]) -> str:
    """A conda environment file. Its comment does not depend on code, because a changed comment re-runs the rules."""
    lines = [
        "# Written by `trustdag environments` from the imports of the rules that name this file and requirements.lock.",
        f"name: trustdag-{name}",
        f"channels: [{CHANNEL}]",
        "dependencies:",
        *(f"  - {package}" for package in CONDA_PACKAGES),
        "  - pip:",
        *(f"      - {pin}" for pin in pinned),
    ]
    return "\n".join(lines) + "\n"


def container_text(pinned: Iterable[str]) -> str:
    """The definition of the Apptainer image in which every rule can run."""
    lines = [
        "# Written by `trustdag environments`: the packages of all files in envs/, for `snakemake --sdm apptainer`.",
        "Bootstrap: docker",
        f"From: python:{PYTHON_VERSION}-slim",
        "",
        "%post",
        "    pip install --no-cache-dir" + "".join(f" \\\n        {pin}" for pin in pinned),
        "",
        "%test",
        "    python -m pip check",
    ]
    return "\n".join(lines) + "\n"


def image(definition: Path = CONTAINER) -> Path:
    """The image of a definition. Its name contains the definition's digest."""
    digest = sha256_text([definition.read_text(encoding="utf-8")])[:12]
    return definition.with_name(f"trustdag-{digest}.sif")


def resolve(path: Path) -> None:
    """Runs pip's resolver on an environment's packages without installing them. It needs a package index.

    Raises UserError with pip's message if there is no solution.
    """
    pip = re.findall(r"^[ -]*(\S+==\S+)(?: \\)?$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", *pip]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{path}: pip finds no solution: {' '.join(done.stderr.split())[-500:]}")


def all_texts() -> dict[Path, str]:
    """The expected content of every conda and Apptainer file."""
    versions = locked()
    pinned = {name: pins(name, commands, versions) for name, commands in commands_of().items()}
    texts = {ENVS / f"{name}.yaml": conda_text(name, packages) for name, packages in pinned.items()}
    return texts | {CONTAINER: container_text(sorted(set().union(*pinned.values())))}
