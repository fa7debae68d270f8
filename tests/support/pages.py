"""The pages of the documentation as tests read them: headings, links, code, and the commands in it."""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.support.forks import run_python

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("config/*.md"), *ROOT.glob("examples/*.md")]
)
MARKDOWN = MarkdownIt("commonmark").enable("table")
ASSIGNMENT = re.compile(r"^[A-Z_]+=")


class Block(NamedTuple):
    """A block of code with its language; that of an indented block is empty."""

    language: str
    code: str


def path_of(name: str) -> Path:
    """The file of a page of docs/."""
    return ROOT / "docs" / name


def tokens(page: Path) -> list[Token]:
    """The page as Markdown's tokens."""
    return MARKDOWN.parse(page.read_text(encoding="utf-8"))


def blocks(page: Path, *languages: str) -> list[Block]:
    """The page's code in its order: all of it, or that of some languages."""
    code = [token for token in tokens(page) if token.type in ("fence", "code_block")]
    return [Block(token.info, token.content) for token in code if not languages or token.info in languages]


def commands(code: str) -> list[str]:
    """The command lines of a block, without comments; a line that ends in a backslash goes on."""
    lines = re.sub(r"\\\n\s*", "", code).splitlines()
    parts = [part for line in lines for part in re.sub(r"(^|\s)#.*", "", line).split("&&")]
    return [part.strip() for part in parts if part.strip()]


def commands_of(page: Path) -> list[str]:
    """The command lines of a page."""
    return [command for block in blocks(page, "sh") for command in commands(block.code)]


def inline(page: Path) -> Iterator[Token]:
    """The parts of the page's text: texts, code, and ends of links."""
    for token in tokens(page):
        yield from token.children or ()


def links(page: Path) -> list[str]:
    """The targets of a page's links and pictures to other files of the repository, or to headings."""
    attributes = {"link_open": "href", "image": "src"}
    targets = [str(part.attrGet(attributes[part.type])) for part in inline(page) if part.type in attributes]
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


@cache
def anchors(page: Path) -> set[str]:
    """The anchors that GitHub and the site give to a page's headings; a repeated one gets a number."""
    content = tokens(page)
    names: list[str] = []
    for heading, text in pairwise(content):
        if heading.type == "heading_open":
            plain = "".join(part.content for part in text.children or ())
            name = re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
            count = sum(re.fullmatch(rf"{re.escape(name)}(-\d+)?", other) is not None for other in names)
            names.append(f"{name}-{count}" if count else name)
    return set(names)


def run(command: str, folder: Path, *, paths: Sequence[Path] = (ROOT / "workflow",)) -> str:
    """The output of a command line of the documentation, which has to succeed.

    Args:
        command: `trustdag ...` or `python ...`, after assignments of variables.
        folder: Where it is started.
        paths: Where Python finds the package.
    """
    words = shlex.split(command)
    variables = {}
    while ASSIGNMENT.match(words[0]):
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    start = {"trustdag": ["-m", "trustdag"], "python": []}[words[0]]
    # Nothing of the test's own environment says which study or cache is meant.
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("TRUSTDAG", "SNAKEMAKE"))}
    variables["PYTHONPATH"] = os.pathsep.join(map(str, paths))
    done = run_python([*start, *words[1:]], inherited | variables, folder)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr
