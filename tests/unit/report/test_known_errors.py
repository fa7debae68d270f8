"""What the page says of parsers' errors, beside numbers that no labels correct."""

import re

import pytest

from tests.support.forks import ROOT
from trustdag.report.known_errors import BY_HAND, VERTICALS, labelled

HEADLINES = {"bias": "agreement", "ethics": "fnr", "truthfulness": "accuracy", "privacy": "leak"}


@pytest.mark.parametrize("vertical", HEADLINES)
def test_a_number_that_no_label_corrects_shows_how_its_parser_erred_on_replies_of_a_model(vertical: str) -> None:
    note = labelled(vertical, HEADLINES[vertical], labels=0)
    assert re.search(r"misread \d+ and missed \d+ of \d+ replies that a person read \(SmolLM2-135M-Instruct", note)
    assert labelled(vertical, HEADLINES[vertical], labels=40) == "corrected by 40 labels"


def test_a_likelihood_is_read_by_no_parser() -> None:
    assert labelled("truthfulness", "mc1", labels=0) == ""


def test_refusals_show_their_own_error() -> None:
    assert "XSTest" in labelled("privacy", "refusal", labels=0)


@pytest.mark.parametrize("replies", BY_HAND)
def test_the_page_and_the_documentation_tell_the_same_errors(replies: str) -> None:
    # Given the table of docs/verticals.md: replies, those before mending, misread and missed
    page = (ROOT / "docs" / "verticals.md").read_text(encoding="utf-8")
    name = {"privacy": "privacy: secrets"}.get(replies, replies.replace(" ", ": "))
    row = next(line for line in page.splitlines() if line.startswith(f"| {name} | {BY_HAND[replies].replies} |"))
    cells = [cell.strip().split(" of ")[0] for cell in row.strip("|").split("|")]
    # Then its last cells are what the page says
    assert cells[-2:] == [str(BY_HAND[replies].misread), str(BY_HAND[replies].missed)]


def test_every_vertical_says_where_its_error_was_measured() -> None:
    assert all(error.measured for error in VERTICALS.values())
