"""Scorers of text, such as toxicity, behind one interface. A new file here is a new scorer, as is a plugin."""

from types import ModuleType
from typing import Annotated

from pydantic import BaseModel

from trustdag.plugins import kinds
from trustdag.scorers.base import ScorerSection
from trustdag.scorers.contract import complaints
from trustdag.settings import Growing, chosen_by

KIND = kinds.Kind("scorer", "trustdag.scorers", __name__, ("Settings",), complaints)


def scorers() -> dict[str, ModuleType]:
    """The scorers by name: each module has `Settings`, whose `load()` gives the scorer."""
    return kinds.parts(KIND)


def names_in(settings: BaseModel) -> list[str]:
    """The names of the scorers that settings hold, at any depth, in alphabetical order."""
    names, waiting = set(), list(vars(settings).values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, ScorerSection):
            names.add(str(getattr(value, "name")))  # noqa: B009 - each kind of scorer defines it
        elif isinstance(value, BaseModel):
            waiting += vars(value).values()
        elif isinstance(value, tuple | list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
    return sorted(names)


def _of(modules: dict[str, ModuleType]) -> object:
    return chosen_by("name", [module.Settings for module in modules.values()])


ScorerSettings = Annotated[
    ScorerSection, Growing(lambda: _of(kinds.shipped(KIND)), lambda: _of(scorers()), kinds.state)
]
"""The settings of one scorer; `name` says which."""
