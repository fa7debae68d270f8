"""Embedded data are never executed, for any content of replies and plots."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from trustdag.errors import UserError
from trustdag.report.embed import embedded_json, inline_svg
from trustdag.report.explorer import reply_script

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]>",
    "a\u2028b\u2029c",
    "\\u003c/script>",
    'quote " and \\',
    "&lt;script&gt;",
    "\x00\x1b\ufeff\U0001f600",
)


class Tags(HTMLParser):
    """The tags of a document and the text of its only script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_ends_the_element_that_holds_it(text: str) -> None:
    document = Tags(f'<script type="application/json">{embedded_json({"reply": text, text: 1})}</script>')

    assert document.tags == ["script"]
    assert json.loads(document.text) == {"reply": text, text: 1}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_script_file_of_replies_holds_one_call_and_no_character_that_ends_a_line_of_it(text: str) -> None:
    script = reply_script("bias", embedded_json([text]))

    assert script.startswith('trustdagReplies("bias", [')
    assert script.endswith("]);\n")
    assert not set(script) & set("<>&\u2028\u2029")


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        embedded_json([float("nan")])


SVG = """<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/x.dtd">
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt" height="9pt"
 viewBox="0 0 9 9" onload="alert(1)"><metadata>x</metadata><style>*{fill:red}</style><script>alert(2)</script>
<defs><path id="a" d="M0 0"/></defs><g id="mark-0"><title>dpo &lt;b&gt;</title><use xlink:href="#a"/></g>
<g style="clip-path: url(#c); fill: #1c2430"><text onclick="alert(3)">bias</text></g>
<path style="fill: url(https://x.example/y)"/><image xlink:href="https://x.example/z.png"/>
<foreignObject><p>no</p></foreignObject><a xlink:href="javascript:alert(4)"><text>link</text></a></svg>"""


def test_a_plot_in_the_page_can_be_read_and_runs_and_loads_nothing(tmp_path: Path) -> None:
    path = tmp_path / "plot.svg"
    path.write_text(SVG, encoding="utf-8")

    shown = inline_svg(path, "changes")

    assert "<title>dpo &lt;b&gt;</title>" in shown
    assert ">bias</text>" in shown
    assert not any(
        bad in shown for bad in ("alert", "example", "foreignObject", "metadata", "style>", "xmlns", "width=")
    )


def test_ids_of_two_plots_differ_and_colors_follow_the_page(tmp_path: Path) -> None:
    path = tmp_path / "plot.svg"
    path.write_text(SVG, encoding="utf-8")

    shown = inline_svg(path, "levels")

    assert 'id="levels-a"' in shown
    assert 'href="#levels-a"' in shown
    assert "url(#levels-c)" in shown
    assert "fill: var(--ink)" in shown


def test_a_damaged_plot_is_named(tmp_path: Path) -> None:
    (tmp_path / "plot.svg").write_text("<svg", encoding="utf-8")

    with pytest.raises(UserError, match=r"plot\.svg: not an SVG file .*; delete it"):
        inline_svg(tmp_path / "plot.svg", "changes")
