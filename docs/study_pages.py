"""The pages of studies that were run in this clone, as part of the documentation site."""

import shutil
from collections.abc import Iterable
from pathlib import Path


def found(results: Path) -> list[str]:
    """The studies below a folder of results that have a page."""
    return sorted(path.parent.name for path in results.glob("*/report.html"))


def linked(gallery: str, studies: Iterable[str]) -> str:
    """The gallery with a link to the page of each of these studies, below the study's heading."""
    for study in studies:
        link = f'<a href="../pages/{study}/report.html">The page of its latest run</a>'
        gallery = gallery.replace(f"\n## {study}\n", f"\n## {study}\n\n{link}\n", 1)
    return gallery


def copy(results: Path, site: Path) -> None:
    """Copies each page, and the replies that lie beside it, into the site."""
    for study in found(results):
        folder = site / "pages" / study
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(results / study / "report.html", folder / "report.html")
        replies = Path("tables", "replies")
        if (results / study / replies).is_dir():
            shutil.copytree(results / study / replies, folder / replies, dirs_exist_ok=True)
