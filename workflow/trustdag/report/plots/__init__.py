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
    """Every plot there is, in alphabetical order."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__))


def module(name: str) -> ModuleType:
    """The plot of that name. Raises ModuleNotFoundError if there is none."""
    return import_module(f"{__name__}.{name}")


def of_study(design: StudyDesign) -> list[str]:
    """The plots that a study has something to show in."""
    return [name for name in names() if module(name).applies(design)]
