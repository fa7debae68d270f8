"""The parts of a study: of this package, of any installed package, or of a file that a study names.

A part is a vertical, a scorer, a training method or a preference format: one module that fulfills its kind's contract
(see docs/extending.md). All discovery of modules by name is here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from trustdag.errors import UserError, did_you_mean
from trustdag.plugins import files, packages

PAGE = "docs/extending.md"


@dataclass(frozen=True)
class Kind:
    """A kind of part: where its parts are searched for, and what each must define."""

    name: str
    """Its name in messages and in a file's `PLUGIN`, such as `vertical`."""
    group: str
    """Group of the entry points of other packages."""
    package: str
    """The package of the built-in parts."""
    marks: tuple[str, ...]
    """The names that a module of that package defines if it is a part and no helper."""
    contract: Callable[[ModuleType, str], Iterator[str]]
    """Yields a clause for each fault of a part's module, given the module and the part's name."""


@dataclass(frozen=True)
class KnownPart:
    """A discovered part."""

    name: str
    module: ModuleType
    origin: str
    """Its origin, for messages."""


def parts(kind: Kind) -> dict[str, ModuleType]:
    """All parts of a kind by name: built-in ones, then those of packages and files.

    Raises UserError for a part that cannot be loaded or violates the contract, and for two with the same name.
    """
    return {name: part.module for name, part in _parts(kind, state()).items()}


def shipped(kind: Kind) -> dict[str, ModuleType]:
    """The built-in parts of a kind, by name."""
    return {part.name: part.module for part in _shipped(kind)}


def part(kind: Kind, name: str) -> ModuleType:
    """One part. Raises UserError, with the nearest name, for an unknown name."""
    known = parts(kind)
    if name not in known:
        raise UserError(
            f"{name}: no such {kind.name}; there are {', '.join(known)}, and those of plugins (see {PAGE})"
            f"{did_you_mean(name, known)}"
        )
    return known[name]


def state() -> tuple[object, ...]:
    """The known plugins with the version of each file: a cache key for everything that depends on them."""
    return (files.stamps(), packages.announced())


@cache
def _parts(kind: Kind, _: tuple[object, ...]) -> dict[str, KnownPart]:
    known: dict[str, KnownPart] = {}
    for entry in (*_shipped(kind), *_of_packages(kind), *_of_files(kind)):
        complaints = list(kind.contract(entry.module, entry.name))
        if complaints:
            raise UserError(f"{entry.origin}: no {kind.name} yet: {'; '.join(complaints)}; see {PAGE}#{_anchor(kind)}")
        if entry.name in known:
            raise UserError(
                f"{entry.origin}: the {kind.name} `{entry.name}` is also defined by {known[entry.name].origin};"
                " rename one of them"
            )
        known[entry.name] = entry
    return known


def _anchor(kind: Kind) -> str:
    return "preferences" if kind.name == "preferences" else f"a-{kind.name}"


@cache
def _shipped(kind: Kind) -> tuple[KnownPart, ...]:
    names = sorted(module.name for module in iter_modules(import_module(kind.package).__path__))
    modules = {name: import_module(f"{kind.package}.{name}") for name in names}
    return tuple(
        KnownPart(name, module, f"trustdag's own {kind.package.rpartition('.')[2]}/{name}.py")
        for name, module in modules.items()
        if all(hasattr(module, mark) for mark in kind.marks)
    )


def _of_packages(kind: Kind) -> Iterator[KnownPart]:
    for entry in packages.entries():
        if entry.group == kind.group:
            yield KnownPart(entry.name, packages.load(entry), entry.origin)


def _of_files(kind: Kind) -> Iterator[KnownPart]:
    for path in files.used():
        if files.kind_of(path) == kind.name:
            yield KnownPart(path.stem, files.load(path), str(path))
