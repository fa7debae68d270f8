"""The fingerprint of the code that a rule uses. It ignores formatting, comments and docstrings.

Snakemake does not track the modules that a command imports. So the params of each rule contain a hash of the syntax
trees of its module and of all modules of this package that it imports, directly or not.
"""

import ast
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from trustdag.artifacts import is_settled, sha256_file, state_of, write_cache
from trustdag.errors import UserError
from trustdag.jsonfiles import EVERY, read_cache
from trustdag.plugins import kinds, sources

PACKAGE = Path(__file__).parent
CARRIED = PACKAGE / "_workflow"
"""Where a wheel carries the files of the workflow (see setup.py)."""
ROOT = CARRIED if CARRIED.is_dir() else PACKAGE.parents[1]
"""The folder of Snakefile, rules, environments, profiles and configuration: that of the clone or of the wheel."""


RUN = "TRUSTDAG_CODE"
"""The environment variable of the fingerprints of a run, for its jobs."""
_PYTHON = str(sys.implementation.cache_tag)
KEPT = PACKAGE / "__pycache__" / f"fingerprints.{_PYTHON}.json"
"""The digest and the imports of each module, by the state of its file: parsing all of them takes a fifth of a start."""
_PARSED: dict[str, Any] = {}
"""What this process adds to that file."""
_INDEX: dict[str, dict[str, str]] = {}
"""For each requested fingerprint: the hash of each of its modules."""


def code_of(*modules: str) -> str:
    """The hash (16 hexadecimal digits) of the named modules of this package and all modules of it that they import.

    Names are relative to the package, such as `align.dpo`. A plugin has a name of the same form: `verticals.brevity`.
    Raises FileNotFoundError for a module that does not exist.
    """
    return _code_of(modules, kinds.state())


@cache
def _code_of(modules: tuple[str, ...], _: tuple[object, ...]) -> str:
    files = [file for path in sorted(reachable(*modules)) for file in (path, *_data_beside(path))]
    trees = {_label(file): digest_of(file) for file in files}
    fingerprint = _digest(json.dumps(trees))
    _INDEX[fingerprint] = trees
    return fingerprint


def announce() -> None:
    """Announces every requested fingerprint to the jobs of a run, for `refuse_edited`.

    Syntax trees differ between versions of Python, so its name stands before them.
    """
    os.environ[RUN] = ",".join([_PYTHON, *_INDEX])


def refuse_edited(code: str, index: Path) -> None:
    """Raises UserError in a job whose code was edited since its run began.

    The result would be stored under the code of the run's begin. A scheduler's job computes its fingerprint anew. A job
    here has that of the run's begin, and its modules are compared. A job of another Python cannot compare.

    Args:
        code: The fingerprint in the job's command.
        index: The file of `write_fingerprint_index`.
    """
    python, *begun = os.environ.get(RUN, "").split(",")
    if python != _PYTHON:
        return
    edited = changed(read_fingerprint_index(index).get(code, {}))
    if edited or code not in begun:
        names = ", ".join(edited[:3]) or "the code of this job"
        raise UserError(f"{names}: edited since this run began; start it again: what is finished stays")


def write_fingerprint_index(path: Path) -> None:
    """Adds the modules of every requested fingerprint to a JSON file, to find changed modules later."""
    _keep()
    known = read_fingerprint_index(path)
    if not _INDEX.keys() <= known.keys():
        write_cache(path, known | _INDEX)


def read_fingerprint_index(path: Path) -> dict[str, dict[str, str]]:
    """What `write_fingerprint_index` wrote. A missing or damaged index is empty: it only names what has changed."""
    return read_cache(path, {EVERY: {EVERY: str}})


def changed(modules: Mapping[str, str]) -> list[str]:
    """The modules of a fingerprint (in the form of `write_fingerprint_index`) that have changed since."""
    return [name for name, digest in modules.items() if _digest_now(name) != digest]


def _digest_now(name: str) -> str | None:
    path = sources.labelled(name) if name.startswith(sources.PREFIX) else PACKAGE / name
    return digest_of(path) if path is not None and path.is_file() else None


def _label(path: Path) -> str:
    return str(path.relative_to(PACKAGE)) if path.is_relative_to(PACKAGE) else sources.label(path)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


@cache
def content_of(folder: str) -> str:
    """The hash (16 hexadecimal digits) of the files in a folder of this package that are not Python, as templates."""
    digest = hashlib.sha256()
    for path in sorted((PACKAGE / folder).iterdir()):
        if path.is_file() and path.suffix != ".py":
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def reachable(*modules: str) -> set[Path]:
    """The files of the named modules and of all modules of this package that they import, directly or not."""
    paths: set[Path] = set()
    waiting = [_path_of(name.split(".")) or sources.source_of(name) for name in modules]
    while waiting:
        path = waiting.pop()
        if path is None:
            raise FileNotFoundError(f"no module of trustdag among {modules}")
        if path not in paths:
            paths.add(path)
            waiting.extend(imports_of(path))
    return paths


def _path_of(parts: list[str]) -> Path | None:
    base = PACKAGE.joinpath(*parts)
    if base.with_suffix(".py").is_file():
        return base.with_suffix(".py")
    return base / "__init__.py" if (base / "__init__.py").is_file() else None


def imports_of(path: Path) -> tuple[Path, ...]:
    """The modules of this package that a file imports, also inside functions."""
    return _read(path, *state_of(path))[1]


def _data_beside(path: Path) -> list[Path]:
    """The files with the name of a module of this package and another suffix, such as weights: they are part of it."""
    return [file for file in _data_in(path.parent) if file.stem == path.stem] if path.is_relative_to(PACKAGE) else []


@cache
def _data_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix not in (".py", ".pyc")]


def digest_of(path: Path) -> str:
    """The hash (16 hexadecimal digits) of a module's syntax tree without docstrings, or of another file's content."""
    if path.suffix != ".py":
        return sha256_file(path)[:16]
    return _read(path, *state_of(path))[0]


@cache
def _read(path: Path, *state: int) -> tuple[str, tuple[Path, ...]]:
    """A file's digest and imports. Each version of a module of this package is parsed once, by any process."""
    if not path.is_relative_to(PACKAGE):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        plugins = tuple(sources.imports_of(path, tree))
        digest, names = _parsed(tree)
        return digest, (*plugins, *_paths_of(names))
    label, exact = _label(path), [*state, *state_of(Path(__file__))]
    kept = _kept().get(label)
    if kept is None or kept["state"] != exact:
        digest, names = _parsed(ast.parse(path.read_text(encoding="utf-8")))
        kept = {"state": exact, "digest": digest, "imports": names}
        if is_settled(list(state)):
            _PARSED[label] = kept
    return kept["digest"], tuple(_paths_of(kept["imports"]))


@cache
def _kept() -> dict[str, Any]:
    """What earlier processes read."""
    return read_cache(KEPT, {EVERY: {"state": list, "digest": str, "imports": list}})


def _keep() -> None:
    """Keeps what this process parsed, where Python would keep its byte code."""
    if _PARSED and os.access(PACKAGE, os.W_OK) and not sys.dont_write_bytecode:
        write_cache(KEPT, _kept() | _PARSED)


def _paths_of(names: list[str]) -> Iterator[Path]:
    for name in names:
        path = _path_of(name.split("."))
        if path is not None:
            yield path


def _parsed(tree: ast.Module) -> tuple[str, list[str]]:
    """The digest of a syntax tree without docstrings, and the names in this package that it imports."""
    names: list[str] = []
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_docstring(statement)] or [ast.Pass()]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    ours = [name.removeprefix("trustdag.") for name in names if name.startswith("trustdag.")]
    return _digest(ast.dump(tree)), list(dict.fromkeys(ours))


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Every statement at any depth, and the handlers and cases with statements."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting.extend(getattr(node, part, ()))


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
