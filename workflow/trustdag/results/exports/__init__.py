"""A study's results in the formats of other tools, one file each, found by file name.

A format's module holds `write(study, folder)`, which fills an empty folder. Importing it may be slow.
"""

import pkgutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.artifacts import atomic_folder
from trustdag.errors import UserError

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
        out: The folder to write. It replaces an earlier export.

    Returns:
        The files.

    Raises:
        UserError: The folder holds files that this export does not write, and is not the default one.
    """
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    with atomic_folder(out) as folder:
        module.write(study, folder)
        if out != default_folder(study.folder, name):
            _refuse_other_files(out, folder)
    return _files(out)


def default_folder(results: Path, name: str) -> Path:
    """The folder of a format's export within the results: nothing else is written there."""
    return results / "exports" / name


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def _refuse_other_files(out: Path, written: Path) -> None:
    """Raises UserError for a file in `out` that would be lost, because `written` has none of the same name."""
    other = [path for path in _files(out) if not (written / path.relative_to(out)).exists()]
    if other:
        raise UserError(
            f"--out: {out} holds {other[0].relative_to(out)}, which is no part of this export and would be lost; name a"
            " new folder"
        )
