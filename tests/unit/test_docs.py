"""The documentation's links lead somewhere, and the version is the same wherever it is written."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from trustdag import __version__

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[str]:
    """The links of a page to other files of the repository, or to headings."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    yield from (target for target in LINK.findall(text) if not re.match(r"[a-z]+:", target))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_the_version_is_the_same_in_every_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"]
    changelog = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {project, str(citation), changelog[0]} == {__version__}


TERM = re.compile(r"^\| ([^|]+) \| ([^|]+) \| `([^`]+)`(?: `([^`]+)`)? \|$", re.MULTILINE)
GLOSSARY = TERM.findall((ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("term", "sentence", "home", "name"), GLOSSARY, ids=[entry[0] for entry in GLOSSARY])
def test_a_term_of_the_glossary_has_a_home(term: str, sentence: str, home: str, name: str) -> None:
    text = (ROOT / home).read_text(encoding="utf-8")
    assert re.search(rf"\b{re.escape(name)}\b", text), f"{term}: {home} does not hold {name}"
    assert sentence.endswith(".")


def test_every_row_of_the_glossary_is_read() -> None:
    rows = re.findall(r"^\| (?!term)[^|-]", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == len(GLOSSARY) > 40
