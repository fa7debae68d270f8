"""The report's plots, one file each, found by file name.

A plot module holds `TITLE`, `CAPTION`, `NEEDS` (`statistics` or `metrics`: what it is drawn from), `Settings` (a
`PlotSettings`), `applies(design) -> bool` and `draw(design, results, settings) -> matplotlib.figure.Figure`.
Importing it is cheap: matplotlib and pandas are imported by `draw`.
"""

import pkgutil
from importlib import import_module
from types import ModuleType

from trustdag.stats.design import StudyDesign


def names() -> list[str]:
    """The names of all plots, in alphabetical order."""
    return sorted(entry.name for entry in pkgutil.iter_modules(__path__))


def module(name: str) -> ModuleType:
    """The module of the plot with this name. Raises ModuleNotFoundError if there is none."""
    return import_module(f"{__name__}.{name}")


def of_study(design: StudyDesign) -> list[str]:
    """The names of the plots that apply to a study."""
    return [name for name in names() if module(name).applies(design)]
