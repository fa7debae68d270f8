"""Plugins in files that a study names: their list, in this process and in the jobs that it starts, and loading."""

import ast
import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from trustdag.errors import UserError, did_you_mean, first_line

VARIABLE = "TRUSTDAG_PLUGINS"
"""The environment variable of the files, separated as in PATH. Jobs inherit it, also on a cluster and in conda."""
MARK = "PLUGIN"
"""The name that each file sets to its kind."""
KINDS = ("vertical", "scorer", "method", "preferences")
NAME = re.compile(r"[a-z][a-z0-9_]*")
_LOADED: dict[tuple[Path, str], ModuleType] = {}


def used() -> list[Path]:
    """The files whose parts this process knows."""
    return [Path(name) for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]


def use(paths: Sequence[Path]) -> None:
    """Makes the parts of these files, and of no others, known to this process and the processes that it starts.

    Raises UserError for a file that is no plugin. Runs none of them.
    """
    resolved = list(dict.fromkeys(path.resolve() for path in paths))
    for path in resolved:
        kind_of(path)
        if os.pathsep in str(path):
            raise UserError(f"{path}: plugins: the path has `{os.pathsep}`, which separates paths; rename the folder")
    os.environ[VARIABLE] = os.pathsep.join(map(str, resolved))


def use_also(paths: Sequence[Path]) -> None:
    """As `use`, in addition to the known files, because one workflow may have several studies."""
    use([*used(), *paths])


def say(paths: Sequence[Path]) -> None:
    """Prints which files of a study are run, because a configuration alone runs no code."""
    if paths:
        print(
            f"trustdag: runs the plugins that the study names: {', '.join(map(str, paths))}",
            file=sys.stderr,
            flush=True,
        )


def named_by(config: dict[str, Any], configfiles: Iterable[tuple[Path, dict[str, Any]]], origin: str) -> list[Path]:
    """The files that a study's `plugins` names, relative to the last of its YAML files that has this key.

    Args:
        config: The merged configuration.
        configfiles: The study's files with their keys, in order.
        origin: The name of the configuration in errors.

    Raises:
        UserError: `plugins` is no list of texts.
    """
    named = config.get("plugins") or []
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise UserError(f"{origin}: plugins: write a list of Python files (got {named!r:.100})")
    folder = Path()
    for path, keys in configfiles:
        if keys.get("plugins") == named:
            folder = path.parent
    return [(folder / Path(name).expanduser()).absolute() for name in named]


def stamps() -> tuple[tuple[str, int, int], ...]:
    """The known files, each with its modification time and size."""
    return tuple((str(path), *_stamp(path)) for path in used())


def _stamp(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except OSError as error:
        raise UserError(f"{path}: plugins: {error.strerror}; a study names its plugins relative to itself") from None
    return facts.st_mtime_ns, facts.st_size


def kind_of(path: Path) -> str:
    """The kind of part that a file declares, read without running it. Raises UserError if it declares none."""
    _stamp(path)
    if path.suffix != ".py" or not NAME.fullmatch(path.stem):
        raise UserError(f"{path}: plugins: the file's name is the part's: small letters, digits and _, then `.py`")
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}: plugins: not a Python file: {first_line(error)}") from None
    values = [
        node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        if any(isinstance(target, ast.Name) and target.id == MARK for target in node.targets)
    ]
    if not values or values[-1] not in KINDS:
        got = f" (got {values[-1]!r})" if values else ""
        near = did_you_mean(str(values[-1]), KINDS) if values else ""
        raise UserError(
            f"{path}: plugins: set {MARK} to one of {', '.join(map(repr, KINDS))}{got}{near}; see docs/extending.md"
        )
    return str(values[-1])


def load(path: Path) -> ModuleType:
    """The file's module, run once for each version of the file. Raises UserError with the line where it fails."""
    content = path.read_bytes()
    key = (path, hashlib.sha256(content).hexdigest())
    if key not in _LOADED:
        name = f"trustdag_plugin_{path.stem}_{key[1][:8]}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None, "the name ends in .py"
        assert spec.loader is not None, "the name ends in .py"
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # pydantic looks up the names in annotations there
        try:
            exec(compile(content, str(path), "exec"), module.__dict__)  # noqa: S102 - the plugin
        except Exception as error:
            del sys.modules[name]
            raise UserError(failure(path, error)) from error
        _LOADED[key] = module
    return _LOADED[key]


def failure(path: Path, error: Exception) -> str:
    """Why a plugin cannot be loaded: its line and the error."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    hint = ""
    if isinstance(error, ModuleNotFoundError):
        hint = "; a plugin's file may import trustdag and installed packages, and no file beside it"
    return f"{path}:{line}: the plugin fails when it is loaded: {type(error).__name__}: {first_line(error)}{hint}"
