"""The source files of plugins, for the fingerprint of code: a part's own file, and those of its package."""

import ast
from collections.abc import Iterator
from pathlib import Path

from trustdag.plugins import files, packages

FOLDERS = {
    "verticals": ("vertical", "trustdag.verticals"),
    "scorers": ("scorer", "trustdag.scorers"),
    "align": ("method", "trustdag.methods"),
    "data": ("preferences", "trustdag.preferences"),
}
"""For each folder of this package whose modules are parts: their kind, and the group of their entry points."""
PREFIX = "plugin:"
"""Prefix of plugins' files in an index of fingerprints."""


def source_of(module: str) -> Path | None:
    """The file of the part with the name `FOLDER.NAME` in rules, if it is a plugin."""
    folder, _, name = module.partition(".")
    if folder not in FOLDERS:
        return None
    kind, group = FOLDERS[folder]
    for path in files.used():
        if path.stem == name and files.kind_of(path) == kind:
            return path
    for entry in packages.entries():
        if (entry.group, entry.name) == (group, name):
            return _module(Path(entry.home), entry.module.split(".")[1:])
    return None


def label(path: Path) -> str:
    """The name of a plugin's file in an index, without folders of this machine."""
    home = _home(path)
    return PREFIX + (path.name if home is None or not home.is_dir() else str(path.relative_to(home.parent)))


def labelled(name: str) -> Path | None:
    """The file with this `label`, if this process knows it."""
    path = Path(name.removeprefix(PREFIX))
    homes = [Path(entry.home) for entry in packages.entries()]
    candidates = [*files.used(), *(home.parent / path for home in homes)]
    return next((file for file in candidates if file.is_file() and label(file) == name), None)


def imports_of(path: Path, tree: ast.Module) -> Iterator[Path]:
    """The files of its own package that a plugin's file imports, also inside functions."""
    home = _home(path)
    if home is None or not home.is_dir():
        return
    here = list(path.relative_to(home.parent).parent.parts)
    for node in ast.walk(tree):
        names: list[list[str]] = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = here[: len(here) + 1 - node.level] if node.level else []
            base = [*start, *(node.module or "").split(".")] if node.module else start
            names = [base, *([*base, alias.name] for alias in node.names)]
        for name in names:
            if name[:1] == [home.name] and (file := _module(home, name[1:])) is not None:
                yield file


def _home(path: Path) -> Path | None:
    homes = (Path(entry.home) for entry in packages.entries())
    return next((home for home in homes if path == home or home in path.parents), None)


def _module(home: Path, parts: list[str]) -> Path | None:
    if home.is_file():
        return home
    base = home.joinpath(*parts)
    candidates = (base.with_suffix(".py"), base / "__init__.py") if parts else (base / "__init__.py",)
    return next((file for file in candidates if file.is_file()), None)
