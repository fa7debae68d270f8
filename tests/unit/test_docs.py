"""The documentation's links lead somewhere, its pages are found, and the version is the same wherever it is written."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.support.pages import PAGES, ROOT, anchors, links, path_of
from trustdag import __version__

INDEX = path_of("index.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_is_in_the_index_once() -> None:
    listed = [(INDEX.parent / link).resolve() for link in links(INDEX)]
    assert sorted(listed) == [page for page in PAGES if page != INDEX]


def test_generated_pages_are_what_the_code_generates() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}run `python docs/generate.py`"


def test_the_site_is_built_from_exact_versions() -> None:
    lines = (ROOT / "docs" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    packages = [line for line in lines if not line.startswith("#")]
    assert {"Sphinx", "myst-parser", "furo"} <= {line.partition("==")[0] for line in packages}
    assert [line for line in packages if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


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
