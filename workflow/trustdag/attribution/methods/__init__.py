"""Attribution methods, one file each: `score(problem, settings)` gives the influence of each example on each query.

All scores have the sign of the effect: a positive one means that the example, being in the data, raised the query's
number. Importing a method imports torch.
"""

from importlib import import_module
from types import ModuleType

from trustdag.attribution.settings import MethodName


def method(name: MethodName) -> ModuleType:
    """The method's module: `score(problem, settings) -> Scores`."""
    return import_module(f"{__name__}.{name}")
