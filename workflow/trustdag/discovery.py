"""Modules found by file name: a new file is a new vertical, method or format, with no registry to edit."""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def modules_with(package: str, *attributes: str) -> dict[str, ModuleType]:
    """The modules directly in `package`, by name, that define all of `attributes`; helpers beside them do not count."""
    path = import_module(package).__path__
    found = {entry.name: import_module(f"{package}.{entry.name}") for entry in iter_modules(path)}
    return {name: module for name, module in sorted(found.items()) if all(hasattr(module, each) for each in attributes)}
