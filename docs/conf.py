"""Sphinx's configuration of the documentation site (`make docs`).

The pages are plain Markdown that reads the same without the site: the root is the repository, so that links between its
files hold, and the navigation is taken from the lists of docs/index.md.
"""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

import study_pages  # type: ignore[import-not-found]  # noqa: E402

SECTION = re.compile(r"^## (?P<title>.+)\n\n(?P<links>(?:- .+\n?)+)", re.MULTILINE)
LINK = re.compile(r"^- \[(?P<title>[^\]]+)\]\((?P<page>[^)]+)\.md\)", re.MULTILINE)

project = "trustdag"
copyright = "the trustdag developers"  # noqa: A001 - the name that Sphinx reads
version = release = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)[0]

extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["docs/*.md", "*.md", "config/*.md", "examples/*.md"]
exclude_patterns = [".*", "benchmarks", "docs/_build", "results", "tests", "workflow"]

myst_heading_anchors = 4
nitpicky = True

html_theme = "furo"
html_title = f"trustdag {version}"
html_copy_source = False
html_show_sphinx = False
html_extra_path = ["site"]
html_static_path = ["site.css"]
html_css_files = ["site.css"]


def navigation(index: str) -> str:
    """The hidden tables of contents of an index page: one for each section with a list of pages."""
    trees = []
    for section in SECTION.finditer(index):
        entries = [f"{link['title']} </{Path('docs', link['page'])}>" for link in LINK.finditer(section["links"])]
        caption = section["title"].partition(":")[0]
        trees.append("\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```"]))
    return "\n\n".join(trees) + "\n"


def folders_as_pages(text: str, folder: Path) -> str:
    """The text with links to folders leading to their README.md, as on a repository's pages."""

    def page(link: re.Match[str]) -> str:
        return f"]({link[1]}/README.md)" if (folder / link[1] / "README.md").is_file() else link[0]

    return re.sub(r"\]\(([^)#:\s]+)\)", page, text)


def copy_pages(app: Sphinx, error: Exception | None) -> None:
    """Copies the studies' pages into the site."""
    if error is None:
        study_pages.copy(ROOT / "results", Path(app.outdir))


def prepare(app: Sphinx, name: str, source: list[str]) -> None:  # noqa: ARG001 - Sphinx passes all three
    """Adapts a page's source: links to folders, and on the index page the navigation."""
    source[0] = folders_as_pages(source[0], (ROOT / name).parent)
    if name == "docs/studies":
        source[0] = study_pages.linked(source[0], study_pages.found(ROOT / "results"))
    if name == root_doc:
        source[0] += "\n" + navigation(source[0])


def setup(app: Sphinx) -> None:
    """Connects our steps to the build."""
    app.connect("source-read", prepare)
    app.connect("build-finished", copy_pages)
