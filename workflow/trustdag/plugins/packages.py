"""Parts of installed packages, from their entry points, in this process and in the jobs that it starts."""

import importlib.util
import json
import os
import sys
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType

from trustdag.errors import UserError, first_line

VARIABLE = "TRUSTDAG_PACKAGES"
"""The environment variable of the workflow's entry points, because jobs may run another Python under conda."""
GROUPS = ("trustdag.verticals", "trustdag.scorers", "trustdag.methods", "trustdag.preferences")


@dataclass(frozen=True)
class Entry:
    """One entry point."""

    group: str
    name: str
    module: str
    """Such as `mylab.conciseness`."""
    home: str
    """Folder of the module's top-level package, or the file of a top-level module."""

    @property
    def origin(self) -> str:
        """Its name in messages."""
        return f"the installed package {self.module.partition('.')[0]} (entry point {self.group}: {self.name})"


def entries() -> tuple[Entry, ...]:
    """The entry points that the workflow announced, or else those of the packages of this Python."""
    text = announced()
    return _installed() if text is None else tuple(Entry(**fields) for fields in json.loads(text))


def announced() -> str | None:
    """The announcement of the workflow, or None."""
    return os.environ.get(VARIABLE)


def announce() -> None:
    """Announces the entry points and the folders of their packages to the processes that this one starts."""
    os.environ[VARIABLE] = json.dumps([asdict(entry) for entry in entries()])


@cache
def _installed() -> tuple[Entry, ...]:
    return tuple(
        Entry(group, point.name, point.value, _home(point))
        for group in GROUPS
        for point in sorted(metadata.entry_points(group=group), key=lambda point: point.name)
    )


def _home(point: metadata.EntryPoint) -> str:
    spec = importlib.util.find_spec(point.value.partition(".")[0])
    if spec is None or (spec.origin is None and not spec.submodule_search_locations):
        raise UserError(
            f"entry point {point.group}: {point.name} = {point.value}: no such module; reinstall its package"
        )
    folders = list(spec.submodule_search_locations or ())
    return folders[0] if folders else str(spec.origin)


def load(entry: Entry) -> ModuleType:
    """The entry point's module. Raises UserError if it cannot be imported."""
    top = entry.module.partition(".")[0]
    if importlib.util.find_spec(top) is None:
        _mount(top, Path(entry.home))
    try:
        return import_module(entry.module)
    except Exception as error:
        raise UserError(
            f"{entry.origin}: cannot be imported: {type(error).__name__}: {first_line(error)};"
            " fix it, or uninstall the package"
        ) from error


def _mount(top: str, home: Path) -> None:
    """Makes one package of another Python importable here, without the other packages in its folder."""
    folders = [str(home)] if home.is_dir() else None
    file = home / "__init__.py" if home.is_dir() else home
    spec = importlib.util.spec_from_file_location(top, file, submodule_search_locations=folders)
    assert spec is not None, f"{home} is a package or a module"
    assert spec.loader is not None, f"{home} is a package or a module"
    module = importlib.util.module_from_spec(spec)
    sys.modules[top] = module
    spec.loader.exec_module(module)
