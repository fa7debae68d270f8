"""A study's results in the formats of other tools, one file each, found by file name.

A format's module holds `write(study, folder)`, which fills an empty folder. Importing it may be slow.
"""

import pkgutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.artifacts import atomic_folder

if TYPE_CHECKING:
    from trustdag.results.study import StudyResults


def names() -> list[str]:
    """The names of the formats, in alphabetical order."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def export(study: "StudyResults", name: str, out: Path) -> list[Path]:
    """Writes a study in one format.

    Args:
        study: A finished study.
        name: One of `names()`.
        out: The folder to write, which replaces what was there.

    Returns:
        The files.
    """
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    with atomic_folder(out) as folder:
        module.write(study, folder)
    return sorted(path for path in out.rglob("*") if path.is_file())
