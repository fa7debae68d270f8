"""The page's charts as a reader uses them, in a headless Chromium: zoom, keys, legend and published figures.

Without a Chromium on the machine these tests are skipped.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import invented_study
from tests.support.axe import violations
from tests.support.browser import Browser, chromium, installed
from tests.support.invented_pages import invented_verticals, make

pytestmark = pytest.mark.skipif(installed() is None, reason="no Chromium on this machine: no page can be opened")

PANEL = "document.querySelectorAll('#chart-training .panel')[1]"
SVG = f"{PANEL}.querySelector('svg')"
SAID = f"{PANEL}.querySelector('output').textContent"
RESET = "[...document.querySelectorAll('#chart-training button')].find(button => button.textContent === 'Reset zoom')"
LEGEND = "[...document.querySelectorAll('#chart-training .legend button')]"
KEYS = {"+": (187, "+"), "-": (189, "-"), "0": (48, "0"), "ArrowRight": (39, ""), "ArrowDown": (40, "")}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The page of a study of two training seeds."""
    with invented_verticals():
        study = invented_study.cells(seeds=(0, 1))
        yield make(tmp_path_factory.mktemp("study"), study, items=10, resamples=500) / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


def ticks(browser: Browser, panel: str = SVG) -> list[float]:
    """The numbers below the horizontal axis of a panel."""
    script = f"[...{panel}.querySelectorAll('g[aria-hidden] text[text-anchor=middle]')].slice(0, -1)"
    return [float(text) for text in browser.run(f"{script}.map(node => node.textContent)")]


def press(browser: Browser, *keys: str) -> None:
    """Presses keys on the panel."""
    browser.run(f"{SVG}.focus()")
    for key in keys:
        browser.key(key, *KEYS[key])


def mouse(browser: Browser, kind: str, across: float, **more: float | str) -> None:
    """A movement of the mouse at a share of the panel's width, or what its button or wheel does there."""
    left, top, width, height = browser.run(
        f"(() => {{ {SVG}.scrollIntoView({{block: 'center'}}); const box = {SVG}.getBoundingClientRect(); "
        "return [box.left, box.top, box.width, box.height]; })()"
    )
    where = {"x": left + across * width, "y": top + height / 2}
    browser.call("Input.dispatchMouseEvent", type=kind, **where, **more)


def drag(browser: Browser, start: float, end: float) -> None:
    mouse(browser, "mousePressed", start, button="left", buttons=1, clickCount=1)
    mouse(browser, "mouseMoved", end, button="left", buttons=1)
    mouse(browser, "mouseReleased", end, button="left", clickCount=1)


def test_a_drag_zooms_into_all_panels_of_a_stage_and_reset_shows_the_whole_curve(browser: Browser, page: Path) -> None:
    browser.open(page)
    whole = ticks(browser)
    assert browser.run(f"{RESET}.disabled")

    drag(browser, 0.4, 0.7)

    zoomed = ticks(browser)
    assert min(whole) <= min(zoomed)
    assert max(zoomed) - min(zoomed) < max(whole) - min(whole)
    browser.run(f"{RESET}.click()")
    assert ticks(browser) == whole
    assert browser.errors == []


def test_panels_of_one_stage_zoom_together_and_others_stay(browser: Browser, page: Path) -> None:
    browser.open(page)
    panels = "[...document.querySelectorAll('#chart-training .panel')]"
    loss, ranked, other = (
        f"{panels}.find(panel => panel.textContent.startsWith('{name}')).querySelector('svg')"
        for name in ("dpo: loss", "dpo: pairs", "sft: loss")
    )
    before = ticks(browser, other)

    browser.run(f"{loss}.dispatchEvent(new KeyboardEvent('keydown', {{key: '+'}}))")

    assert ticks(browser, loss) == ticks(browser, ranked) != before
    assert ticks(browser, other) == before


def test_the_wheel_zooms_only_into_a_panel_that_has_the_focus(browser: Browser, page: Path) -> None:
    browser.open(page)
    whole = ticks(browser)
    turn = (
        f"(() => {{ const box = {SVG}.getBoundingClientRect(), clientX = box.left + box.width / 2; "
        f"return {SVG}.dispatchEvent(new WheelEvent('wheel', {{deltaY: -400, clientX, cancelable: true}})); }})()"
    )

    scrolls_the_page = browser.run(turn)

    assert scrolls_the_page
    assert ticks(browser) == whole
    browser.run(f"{SVG}.focus()")
    for _ in range(5):
        assert not browser.run(turn)
    assert ticks(browser) != whole


def test_the_mouse_reads_the_nearest_point(browser: Browser, page: Path) -> None:
    browser.open(page)

    mouse(browser, "mouseMoved", 0.5)

    assert re.fullmatch(r"sft seed [01], (train|validation): [\d.]+ at step \d+", browser.until(SAID))


def test_every_point_is_reached_by_keys_and_said(browser: Browser, page: Path) -> None:
    browser.open(page)
    lines = (page.parent / "models/toy/judge/sft/seed0/metrics.jsonl").read_text().splitlines()
    logged = [line for line in map(json.loads, lines) if line["split"] == "train"]

    press(browser, "ArrowRight")
    curves = {str(browser.run(SAID)).split(":")[0]}
    for _ in range(3):
        press(browser, "ArrowDown")
        curves.add(str(browser.run(SAID)).split(":")[0])
    assert curves == {f"sft seed {seed}, {split}" for seed in (0, 1) for split in ("train", "validation")}
    while not str(browser.run(SAID)).startswith("sft seed 0, train"):
        press(browser, "ArrowDown")
    steps = set()
    for _ in range(len(logged)):
        browser.run(f"{SVG}.dispatchEvent(new KeyboardEvent('keydown', {{key: 'ArrowRight'}}))")
        steps.add(str(browser.run(SAID)))
    last = logged[-1]
    assert f"sft seed 0, train: {last['loss']:.4g} at step {last['step']}" in steps


def test_keys_zoom_and_show_the_whole_curve_again(browser: Browser, page: Path) -> None:
    browser.open(page)
    whole = ticks(browser)

    press(browser, "+", "+")
    assert max(ticks(browser)) - min(ticks(browser)) < max(whole) - min(whole)
    assert str(browser.run(SAID)).startswith("step ")
    press(browser, "0")
    assert ticks(browser) == whole


def test_one_legend_hides_a_seed_in_every_panel(browser: Browser, page: Path) -> None:
    browser.open(page)
    curves = "document.querySelectorAll('#chart-training path.series').length"
    before = browser.run(curves)
    assert browser.run(f"{LEGEND}.map(button => button.textContent)") == ["seed 0", "seed 1"]

    browser.run(f"{LEGEND}[1].click()")

    assert browser.run(f"{LEGEND}[1].getAttribute('aria-pressed')") == "false"
    base = 2  # curves of the base model, which no seed trained
    assert browser.run(curves) == (before - base) / 2 + base
    browser.run(f"{LEGEND}[1].click()")
    assert browser.run(curves) == before


def with_published(page: Path, copy: Path) -> Path:
    """A copy of the page with a published view of its first panel, as studies of the shipped verticals have."""
    text = page.read_text(encoding="utf-8")
    data = re.search(r'id="data-chart-sizes">(.*?)</script>', text)
    assert data is not None
    chart = json.loads(data[1])
    panel = dict(chart["views"][0]["panels"][0])
    words = "published, Pythia-6.9B, DPO: 0.497"
    mark = {"keys": [2], "name": "published, DPO", "color": "#e69f00", "look": "published"}
    panel["series"] = [*panel["series"], mark | {"points": [[6.9e9, 0.497, None, None, words]]}]
    chart["views"].append({"what": "Level", "published": True, "panels": [panel]})
    chart["views"].append({"what": "Change since the base model", "published": True, "panels": [panel]})
    copy.write_text(text.replace(data[1], json.dumps(chart)), encoding="utf-8")
    return copy


def test_published_figures_are_hollow_marks_and_are_shown_when_asked_for(
    browser: Browser, page: Path, tmp_path: Path
) -> None:
    browser.open(with_published(page, tmp_path / "page.html"))
    hollow = "document.querySelectorAll('#chart-sizes .hollow').length"
    assert browser.run(hollow) == 0

    browser.run("document.querySelector('#chart-sizes input[type=checkbox]').click()")

    assert browser.run(hollow) == 1
    svg = "document.querySelector('#chart-sizes svg')"
    browser.run(f"{svg}.dispatchEvent(new KeyboardEvent('keydown', {{key: 'ArrowRight'}}))")
    said = set()
    for _ in range(8):
        browser.run(f"{svg}.dispatchEvent(new KeyboardEvent('keydown', {{key: 'ArrowDown'}}))")
        said.add(browser.run("document.querySelector('#chart-sizes output').textContent"))
    assert "published, Pythia-6.9B, DPO: 0.497" in said
    assert violations(browser) == []


def test_changes_are_shown_instead_of_levels(browser: Browser, page: Path) -> None:
    browser.open(page)
    names = "[...document.querySelectorAll('#chart-sizes circle')].length"
    levels = browser.run(names)

    browser.run(
        "(() => { const box = document.querySelector('#chart-sizes select'); box.selectedIndex = 1; "
        "box.dispatchEvent(new Event('change')); })()"
    )

    assert 0 < browser.run(names) < levels
