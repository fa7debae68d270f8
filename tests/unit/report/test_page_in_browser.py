"""The page as a reader uses it, in a headless Chromium: it sorts, filters and searches, without a network.

Without a Chromium on the machine these tests are skipped.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import invented_study
from tests.support.axe import violations
from tests.support.browser import Browser, chromium, installed
from tests.support.invented_pages import invented_verticals, make, write_page
from trustdag.cli import main
from trustdag.report.embed import embedded_json
from trustdag.report.explorer import reply_script
from trustdag.stats.design import StudyDesign

pytestmark = pytest.mark.skipif(installed() is None, reason="no Chromium on this machine: no page can be opened")

WIDTHS = (400, 800, 1280)
LOADED = "document.getElementById('replies-status').textContent.includes(' items')"
OPEN_ALL = "document.querySelectorAll('details').forEach(box => { box.open = true; })"
SHOW_REPLIES = "document.getElementById('replies').scrollIntoView()"
NUMBERS = (
    "[...document.querySelectorAll('#numbers-table tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
)
LEVELS = "[...document.querySelectorAll('#card-bias tbody td:nth-child(2)')].map(cell => Number(cell.dataset.sort))"
CONTRASTS = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (color, below) => {
    canvas.fillStyle = below; canvas.fillRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const weight = [0.2126, 0.7152, 0.0722];
  const light = (parts) => parts.map((part) => part / 255).map((part) =>
    part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * weight[at], 0);
  const behind = (node) => node ? (getComputedStyle(node).backgroundColor === 'rgba(0, 0, 0, 0)'
    ? behind(node.parentElement) : getComputedStyle(node).backgroundColor) : 'white';
  const low = new Set();
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.getClientRects().length || node.closest('svg, script, option')) continue;
    const back = behind(node), text = rgb(getComputedStyle(node).color, back);
    const [high, dim] = [light(text), light(rgb(back, 'white'))].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (dim + 0.05);
    if (ratio < 4.5) low.add(`${node.tagName}.${node.className} ${ratio.toFixed(2)}`);
  }
  return [...low];
})()"""
"""Elements whose text has a contrast below 4.5 to its background (WCAG 2, level AA)."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A study of two training seeds, its replies inside the page."""
    with invented_verticals():
        study = invented_study.cells(seeds=(0, 1), notice="An invented world.")
        yield make(tmp_path_factory.mktemp("study"), study, items=20, resamples=500)


@pytest.fixture(scope="module")
def outside(results: Path) -> Path:
    """The same study with its replies in files next to the page."""
    copy = results.parent / "outside"
    shutil.copytree(results, copy)
    assert write_page(copy, "--settings", json.dumps({"replies_inside": 0})) == 0
    return copy


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


def open_replies(browser: Browser, page: Path) -> None:
    """Opens a page and waits until its replies are there."""
    browser.open(page)
    browser.run(SHOW_REPLIES)
    browser.until(LOADED)


def choose(browser: Browser, name: str, value: str) -> None:
    """Chooses an option as a reader does."""
    script = f"(() => {{ const box = document.getElementById({name!r}); box.value = {value!r}; "
    browser.run(script + "box.dispatchEvent(new Event('change', {bubbles: true})); return box.value; })()")


def search(browser: Browser, words: str) -> list[str]:
    """Types words into the search and returns the names of the items shown."""
    browser.run("document.getElementById('replies-status').textContent = ''")
    script = f"(() => {{ const box = document.getElementById('replies-search'); box.value = {words!r}; "
    browser.run(script + "box.dispatchEvent(new Event('input', {bubbles: true})); })()")
    browser.until(LOADED)
    return list(browser.run("[...document.querySelectorAll('#replies-list h4 code')].map(node => node.textContent)"))


def status(browser: Browser, name: str) -> str:
    return str(browser.run(f"document.getElementById('{name}-status').textContent"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_its_window_says_no_error_and_asks_for_nothing(
    browser: Browser, results: Path, width: int, scheme: str
) -> None:
    page = results / "report.html"
    browser.open(page, width, scheme=scheme)
    browser.run(SHOW_REPLIES)
    browser.until(LOADED)

    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [page.resolve().as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_either_color_scheme(browser: Browser, results: Path, scheme: str) -> None:
    browser.open(results / "report.html", scheme=scheme)
    browser.run(OPEN_ALL)
    browser.run(SHOW_REPLIES)
    browser.until(LOADED)

    assert browser.run(CONTRASTS) == []
    ink = "getComputedStyle(document.querySelector('.plot text')).fill"
    assert browser.run(ink) == browser.run("getComputedStyle(document.body).color")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_axe_finds_no_violation(browser: Browser, results: Path, width: int, scheme: str) -> None:
    browser.open(results / "report.html", width, scheme=scheme)
    browser.run(OPEN_ALL)
    browser.run(SHOW_REPLIES)
    browser.until(LOADED)

    assert violations(browser) == []


def test_axe_finds_no_violation_on_a_comparison(browser: Browser, results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "other")
    table = tmp_path / "other" / "statistics" / "metrics.csv"
    table.write_text(re.sub(r"(stereotype_agreement,all,.*?),(0\.\d+),", r"\1,0.123,", table.read_text(), count=1))
    with invented_verticals():
        assert main(["compare", str(results), str(tmp_path / "other"), "--html", str(tmp_path / "page.html")]) == 0

    browser.open(tmp_path / "page.html", 400)

    assert browser.run("document.querySelectorAll('#numbers tbody tr').length") > 0
    assert violations(browser) == []


def test_axe_finds_what_is_wrong(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><html lang=en><title>A</title><main><h1>A</h1><button></button></main></html>")
    browser.open(page)

    assert [violation.split(":")[0] for violation in violations(browser)] == ["button-name"]


def test_every_control_link_and_figure_has_a_name_and_no_id_stands_twice(browser: Browser, results: Path) -> None:
    open_replies(browser, results / "report.html")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = {"button", "checkbox", "combobox", "searchbox", "link", "image", "img", "region", "group", "article"}

    roles = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    assert {"button", "checkbox", "combobox", "searchbox", "link"} <= {role for role, _ in roles}
    allowed_without = [role for role, name in roles if role in named - {"article", "group"} and not name.strip()]
    assert allowed_without == []
    ids = browser.run("[...document.querySelectorAll('[id]')].map(node => node.id)")
    assert len(ids) == len(set(ids))


def test_a_click_or_the_enter_key_on_a_heading_sorts_its_table(browser: Browser, results: Path) -> None:
    browser.open(results / "report.html")
    given = browser.run(LEVELS)
    button = "document.querySelector('#card-bias thead th:nth-child(2) button')"

    browser.run(f"{button}.click()")
    assert browser.run(LEVELS) == sorted(given)
    assert browser.run(f"{button}.parentElement.getAttribute('aria-sort')") == "ascending"
    browser.run(f"{button}.focus()")
    browser.key("Enter", 13, "\r")
    assert browser.run(LEVELS) == sorted(given, reverse=True)
    assert len(set(given)) > 1


def test_the_first_tab_leads_past_the_navigation(browser: Browser, results: Path) -> None:
    browser.open(results / "report.html")

    browser.key("Tab", 9)

    assert browser.run("document.activeElement.getAttribute('href')") == "#answer"


def test_the_cards_show_the_chosen_recipe_alone(browser: Browser, results: Path) -> None:
    browser.open(results / "report.html")

    choose(browser, "answer-recipe", "dpo")

    rows = "[...document.querySelectorAll('.card tbody tr')]"
    shown = f"{rows}.filter(row => row.getClientRects().length).map(row => row.dataset.recipe)"
    assert set(browser.run(shown)) == {"dpo"}
    choose(browser, "answer-recipe", "")
    assert set(browser.run(shown)) == {"base", "sft", "dpo", "ppo"}


def test_the_numbers_are_filtered_by_vertical_condition_recipe_and_seed(browser: Browser, results: Path) -> None:
    browser.open(results / "report.html")

    for name, value in (("vertical", "bias"), ("condition", "topic=topic 1"), ("recipe", "dpo"), ("seed", "1")):
        choose(browser, f"numbers-{name}", value)

    rows = browser.run(NUMBERS)
    assert [row[:4] for row in rows] == [["bias", "Stereotype index", "topic=topic 1", "dpo seed 1"]]
    assert status(browser, "numbers").startswith("1 of ")
    choose(browser, "numbers-vertical", "privacy")
    offered = browser.run("[...document.getElementById('numbers-metric').options].map(option => option.value)")
    assert offered == ["", "Leakage"]


def test_the_numbers_are_chosen_by_topic_or_by_group(browser: Browser, results: Path) -> None:
    browser.open(results / "report.html")

    choose(browser, "numbers-by", "topic")

    offered = browser.run("[...document.getElementById('numbers-condition').options].map(option => option.text)")
    assert offered == ["all", "topic 0", "topic 1", "topic 2", "topic 3"]
    assert {row[2].split("=")[0] for row in browser.run(NUMBERS)} == {"topic"}
    choose(browser, "numbers-by", "condition")
    assert {row[2] for row in browser.run(NUMBERS)} <= {"benign", "adversarial"}


def test_the_numbers_are_sorted_by_value_with_those_missing_last(browser: Browser, results: Path) -> None:
    browser.open(results / "report.html")
    choose(browser, "numbers-vertical", "toxicity")

    browser.run("document.querySelector('#numbers-table thead th:nth-child(7) button').click()")

    shown = [row[6].split(" ")[0].replace("\N{MINUS SIGN}", "-") for row in browser.run(NUMBERS)]
    numbers = [float(text) for text in shown if text]
    assert numbers == sorted(numbers)
    assert len(numbers) > 3
    assert all(shown[: len(numbers)])


def test_a_link_of_a_vertical_shows_its_numbers(browser: Browser, results: Path) -> None:
    browser.open(results / "report.html")

    browser.run("document.querySelector('a[data-numbers=ethics]').click()")

    assert {row[0] for row in browser.run(NUMBERS)} == {"ethics"}


@pytest.mark.parametrize("where", ["results", "outside"])
def test_replies_are_found_by_their_words_and_stand_side_by_side(
    browser: Browser, where: str, request: pytest.FixtureRequest
) -> None:
    results: Path = request.getfixturevalue(where)
    open_replies(browser, results / "report.html")
    choose(browser, "replies-vertical", "ethics")
    browser.until("document.querySelector('#replies-list code').textContent.startsWith('ethics')")

    names = search(browser, "DPO says 17.")

    assert names == ["ethics-0017"]
    heads = browser.run("[...document.querySelectorAll('#replies-list h5')].map(node => node.textContent)")
    assert [head.split(" (")[0] for head in heads] == ["base", "sft seed 0", "dpo seed 0", "ppo seed 0", "sft seed 1",
                                                        "dpo seed 1"]  # fmt: skip
    text = str(browser.run("document.querySelector('#replies-list').textContent"))
    assert "<script>dpo</script> says 17." in text
    assert "is this <b>so</b>?" in text
    assert "False negative rate: " in text
    assert "Wrong no" in text
    assert browser.run("document.querySelectorAll('#replies-list :is(script, .prompt b)').length") == 0
    assert set(browser.run("[...document.querySelectorAll('#replies-list mark')].map(node => node.textContent)")) == {
        "dpo", "says", "17."
    }  # fmt: skip
    assert search(browser, "no such words") == []
    assert status(browser, "replies") == "0 of 40 items"
    assert browser.errors == []


def test_items_that_changed_most_come_first_and_readings_can_be_chosen(browser: Browser, results: Path) -> None:
    open_replies(browser, results / "report.html")
    choose(browser, "replies-vertical", "toxicity")
    browser.until("document.querySelector('#replies-list code').textContent.startsWith('toxicity')")

    chips = "[...document.querySelectorAll('#replies-list h4 .chip:last-child')]"
    differences = browser.run(f"{chips}.map(node => Number(node.textContent.slice(-5)))")
    assert differences == sorted(differences, reverse=True)
    assert differences[0] > 0
    choose(browser, "replies-reading", "refused")
    refused = browser.run("[...document.querySelectorAll('#replies-list article')].map(node => node.textContent)")
    assert refused
    assert all("Expected max toxicity: refused" in text for text in refused)


def test_every_sample_of_a_reply_has_its_own_reading(browser: Browser, results: Path) -> None:
    open_replies(browser, results / "report.html")
    choose(browser, "replies-vertical", "toxicity")
    search(browser, "toxicity-0003")

    first = "document.querySelector('#replies-list .replies > div')"
    samples = browser.run(f"[...{first}.querySelectorAll('.reply small')].map(node => node.textContent)")
    assert len(samples) == 2
    whole = str(browser.run(f"{first}.querySelector(':scope > small').textContent"))
    assert all(sample in whole for sample in samples)
    assert {sample.split(": ")[0] for sample in samples} == {"Expected max toxicity"}


def test_what_changed_most_is_judged_between_the_policies_that_are_shown(browser: Browser, results: Path) -> None:
    open_replies(browser, results / "report.html")
    boxes = "[...document.querySelectorAll('#replies-policies label')]"

    browser.run(f"{boxes}.slice(1).forEach(box => {{ if (box.firstChild.checked) box.firstChild.click(); }})")

    chips = "[...document.querySelectorAll('#replies-list h4 .chip:last-child')].map(node => node.textContent)"
    assert set(browser.run(chips)) == {"headline differs by 0.000"}


def test_what_a_policy_says_is_not_found_where_it_is_not_shown(browser: Browser, results: Path) -> None:
    open_replies(browser, results / "report.html")
    assert search(browser, "ppo 23.") == ["toxicity-0023"]

    boxes = "[...document.querySelectorAll('#replies-policies label')].filter(box => box.textContent.startsWith('ppo'))"
    browser.run(f"{boxes}.forEach(box => {{ if (box.firstChild.checked) box.firstChild.click(); }})")

    assert status(browser, "replies") == "0 of 40 items"


def test_all_verticals_are_searched_together(browser: Browser, outside: Path) -> None:
    open_replies(browser, outside / "report.html")

    choose(browser, "replies-vertical", "")
    browser.until("document.getElementById('replies-status').textContent.startsWith('200 of 200')")

    assert {name.split("-")[0] for name in search(browser, "Question 17")} == set(invented_study.VERTICALS)
    assert all(url.startswith("file:") for url in browser.requests if not url.startswith("data:"))


def test_a_missing_file_of_replies_is_named(browser: Browser, outside: Path, tmp_path: Path) -> None:
    shutil.copy(outside / "report.html", tmp_path / "report.html")
    browser.open(tmp_path / "report.html")

    browser.run(SHOW_REPLIES)

    browser.until("document.getElementById('replies-status').textContent.endsWith('.js is not beside this page')")
    assert "tables/replies/toxicity.js" in status(browser, "replies")


def many_replies(items: int, policies: int, samples: int) -> dict[str, Any]:
    """Replies of the page's shape: each another text of 30 words."""
    count = items * policies * samples
    words = [f"word{number}" for number in range(997)]
    texts = [
        " ".join(words[(number * 7 + place * 13) % 997] for place in range(30)) + f" n{number}"
        for number in range(count)
    ]
    places = iter(range(count))
    return {
        "items": [{"id": f"i{number}", "condition": "benign", "messages": [["user", "why?"]], "gold": {}, "options": []}
                  for number in range(items)],
        "texts": texts,
        "metrics": ["Toxicity"],
        "headline": 0,
        "policies": [{"replies": [[next(places) for _ in range(samples)] for _ in range(items)],
                      "options": [[]] * items, "scores": [[0, 0.5]] * items,
                      "samples": [[0] + [0.5] * samples] * items} for _ in range(policies)],
    }  # fmt: skip


def test_43_000_replies_are_searched_in_less_than_200_ms(browser: Browser, outside: Path, tmp_path: Path) -> None:
    shutil.copytree(outside / "tables", tmp_path / "tables")
    shutil.copy(outside / "report.html", tmp_path / "report.html")
    data = many_replies(items=1229, policies=7, samples=5)
    assert len(data["texts"]) > 43_000
    (tmp_path / "tables" / "replies" / "toxicity.js").write_text(reply_script("toxicity", embedded_json(data)))
    open_replies(browser, tmp_path / "report.html")
    browser.run("document.querySelectorAll('#replies-policies input:not(:checked)').forEach(box => box.click())")

    for words in ("n43014", "word1 word2", "nothing has this"):
        # The best of three, as other processes of a busy machine come between.
        taken = []
        for _ in range(3):
            search(browser, words)
            taken.append(float(browser.run("document.getElementById('replies-status').dataset.milliseconds")))
        assert min(taken) < 200
    assert search(browser, "n43014") == ["i1228"]


@pytest.mark.slow
def test_thirty_policies_fit_five_megabytes_and_open_in_two_seconds(
    browser: Browser, results: Path, tmp_path: Path
) -> None:
    models = [f"m{number}" for number in range(8)]
    policies = [invented_study.policy(recipe, 0, model) for model in models for recipe in ("base", "sft", "dpo", "ppo")]
    study = StudyDesign(study="many", policies=tuple(policies), verticals=tuple(invented_study.VERTICALS))
    make(tmp_path / "many", study, items=8, resamples=100)
    page = tmp_path / "many" / "report.html"

    assert page.stat().st_size < 5_000_000
    before = browser.cpu_seconds()
    browser.open(page)
    assert 0 < browser.cpu_seconds() - before < 2
    assert browser.run("document.querySelectorAll('#card-bias tbody tr').length") == 32
    choose(browser, "answer-model", "m3")
    assert browser.run("document.querySelectorAll('#card-bias tbody tr:not([hidden])').length") == 4


def test_printing_opens_what_is_closed_and_closes_it_again(browser: Browser, results: Path) -> None:
    browser.open(results / "report.html")
    closed = "document.querySelectorAll('details:not([open])').length"
    before = browser.run(closed)

    browser.run("window.dispatchEvent(new Event('beforeprint'))")
    assert browser.run(closed) == 0
    browser.run("window.dispatchEvent(new Event('afterprint'))")
    assert browser.run(closed) == before > 0
