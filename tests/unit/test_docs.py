"""The documentation's links lead somewhere, its pages are found, and the version is the same wherever it is written."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

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


def docs_module(name: str) -> ModuleType:
    """A module of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_gallery_has_an_answer_for_each_shipped_study_and_no_other() -> None:
    answers = docs_module("gallery").ANSWERS
    assert answers.keys() == {path.stem for path in (ROOT / "config").glob("*.yaml")}
    assert all(answer == "" or answer.endswith(".") for answer in answers.values())


def test_pictures_of_pages_are_small_and_of_shipped_studies() -> None:
    pictures = list((ROOT / "docs" / "figures").glob("page-*.webp"))
    assert {path.stem.removeprefix("page-") for path in pictures} <= {path.stem for path in ROOT.glob("config/*.yaml")}
    assert max(path.stat().st_size for path in pictures) <= 60_000


def test_the_site_links_and_holds_the_pages_of_studies_that_were_run(tmp_path: Path) -> None:
    study_pages = docs_module("study_pages")
    (tmp_path / "results" / "demo" / "tables" / "replies").mkdir(parents=True)
    (tmp_path / "results" / "demo" / "report.html").write_text("a page")
    (tmp_path / "results" / "demo" / "tables" / "replies" / "bias.js").write_text("replies")
    (tmp_path / "results" / "unfinished").mkdir()

    text = study_pages.linked(path_of("studies.md").read_text(), study_pages.found(tmp_path / "results"))
    study_pages.copy(tmp_path / "results", tmp_path / "site")

    (page,) = re.findall(r'<a href="\.\./([^"]*)">', text)
    assert (tmp_path / "site" / page).read_text() == "a page"
    assert (tmp_path / "site" / page).with_name("tables").joinpath("replies", "bias.js").is_file()


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
