"""Attribution methods, one file each: `score(problem, settings)` gives the influence of each example on each query.

A score has the sign of the effect: a positive score means that training on the example raised the query's value.
Importing a method imports torch.
"""

from importlib import import_module
from types import ModuleType

from trustdag.attribution.settings import MethodName


def method(name: MethodName) -> ModuleType:
    """The method's module: `score(problem, settings) -> Scores`."""
    return import_module(f"{__name__}.{name}")
