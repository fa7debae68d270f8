"""Tables for a paper (booktabs, with intervals), and the plots as PDF with the width of one or two columns."""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from trustdag.report import draw, plots
from trustdag.report.answer import kind_of
from trustdag.report.changes import changes, levels
from trustdag.report.draw import rows_of
from trustdag.report.numbers import rounded, rounded_change, title
from trustdag.results.study import StudyResults
from trustdag.stats.records import ALL

COLUMN = 3.25
"""Width of a column of a two-column paper, in inches."""
BOTH_COLUMNS = 6.75
"""Width of both columns, for plots with a panel for each vertical or stage."""
WIDE = ("answers", "levels", "seeds", "training")
"""These plots."""
MARKER = 3.0
"""Size of a figure's dots, in points."""
FONT = 7.0
"""Size of a figure's text, in points."""
SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip
DIRECTIONS = {"lower": r" $\downarrow$", "higher": r" $\uparrow$"}
EXPONENT = re.compile(r"e-0*(\d+)$")
POWER_OF_TEN = r"\\times 10^{-\1}"
REFERENCES = {"base": "base", "sft": "SFT", "control": "control"}


def write(study: StudyResults, folder: Path) -> None:
    """Writes headlines.tex, changes.tex, metrics.tex and the figures."""
    differences = changes(study.tables)
    values = levels(study.tables)
    values = values[values["condition"] == ALL]
    notes = [
        f"% Study {one_line(study.design.study)}. Needs \\usepackage{{booktabs}}.",
        "% Changes are paired by item; [low, high] is the study's interval; bold: found after Holm's correction.",
    ]
    if study.design.notice:
        notes.append(f"% {one_line(study.design.notice)}")
    for name, lines in (
        ("headlines", headline_table(values, differences)),
        ("changes", change_table(differences)),
        ("metrics", metric_table(values)),
    ):
        (folder / f"{name}.tex").write_text("\n".join([*notes, *lines]) + "\n", encoding="utf-8")
    (folder / "figures").mkdir()
    for name in plots.of_study(study.design):
        _figure(study, name, folder / "figures" / f"{name}.pdf")


def headline_table(values: pd.DataFrame, differences: pd.DataFrame) -> list[str]:
    """Each policy's headline metrics, and their changes since the base model.

    Args:
        values: Levels.
        differences: Changes.
    """
    keys = ["model", "preferences", "recipe", "vertical", "metric"]
    whole = differences[differences["headline"].astype(bool) & (differences["condition"] == ALL)]
    since = whole[whole["reference"] == "base"]
    changed = {tuple(row[key] for key in keys): row for row in rows_of(since)}
    lines = []
    headlines = values[values["headline"].astype(bool)]
    for vertical, rows in headlines.groupby("vertical", sort=False):
        for number, row in enumerate(rows_of(rows)):
            name = f"{title(str(vertical))}: {title(row['metric'])}"
            first = escaped(name) + DIRECTIONS.get(row["direction"], "") if number == 0 else ""
            since_base = changed.get(tuple(row[key] for key in keys))
            lines.append(
                [first, policy(row, values), *_level(row), *(_change(since_base) if since_base else ("", "", ""))]
            )
        lines.append([])
    heads = ["Vertical", "Policy", "Level", "", "Change since base", "", "Verdict"]
    return tabular("llrlrll", heads, lines[:-1])


def change_table(differences: pd.DataFrame) -> list[str]:
    """The headline changes since every reference."""
    rows = rows_of(differences[differences["headline"].astype(bool) & (differences["condition"] == ALL)])
    lines = [
        [escaped(title(row["vertical"])), policy(row, differences), REFERENCES[row["reference"]], *_change(row),
         f"{row['n_pairs']:,.0f}"]
        for row in rows
    ]  # fmt: skip
    return tabular("lllrllr", ["Vertical", "Policy", "Since", "Change", "", "Verdict", "Pairs"], lines)


def metric_table(values: pd.DataFrame) -> list[str]:
    """Every metric of every policy over all items."""
    lines = [
        [escaped(title(row["vertical"])), escaped(title(row["metric"])), policy(row, values), *_level(row)]
        for row in rows_of(values)
    ]
    return tabular("lllrl", ["Vertical", "Metric", "Policy", "Level", ""], lines)


def tabular(columns: str, heads: list[str], lines: list[list[str]]) -> list[str]:
    """A booktabs table; an empty line of cells becomes a rule.

    Args:
        columns: Alignments.
        heads: Names of the columns.
        lines: Cells that are LaTeX.
    """
    body = [f"{' & '.join(cells)} \\\\" if cells else r"\midrule" for cells in lines]
    head = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", f"{' & '.join(heads)} \\\\", r"\midrule"]
    return [*head, *body, r"\bottomrule", r"\end{tabular}"]


def policy(row: dict[str, Any], among: pd.DataFrame) -> str:
    """A recipe's name, with model and preference set if the table has several."""
    several = [row[name] for name in ("model", "preferences") if among[name].replace("", pd.NA).nunique() > 1]
    return escaped(" ".join([*(str(name) for name in several if name), row["recipe"]]))


def escaped(text: str) -> str:
    """A text, escaped for LaTeX."""
    return "".join(SPECIAL.get(character, character) for character in text)


def one_line(text: str) -> str:
    """A text that can stand in a comment: a line's end would end the comment."""
    return " ".join(text.split())


def number(value: float) -> str:
    """A number as LaTeX; a dash for a missing one."""
    return _math(rounded(value))


def change(value: float) -> str:
    """A difference as LaTeX, with its sign; a dash for a missing one."""
    return _math(rounded_change(value))


def _math(shown: str) -> str:
    """A number in math mode, where a hyphen is a minus sign and `4e-05` would be a product."""
    return f"${EXPONENT.sub(POWER_OF_TEN, shown)}$" if shown else "--"


def _interval(row: dict[str, Any]) -> str:
    return "" if pd.isna(row["low"]) else f"[{number(row['low'])}, {number(row['high'])}]"


def _level(row: dict[str, Any]) -> tuple[str, str]:
    return number(row["value"]), _interval(row)


def _change(row: dict[str, Any]) -> tuple[str, str, str]:
    """The change, its interval and verdict; the change is bold if the change was found."""
    value = change(row["change"])
    strong = rf"{{\boldmath{value}}}" if row["verdict"] in ("rose", "fell") else value
    return strong, _interval(row), escaped(kind_of(row))


def _figure(study: StudyResults, name: str, path: Path) -> None:
    """Draws a plot of the study with a paper's width and font."""
    from matplotlib import pyplot

    module = plots.module(name)
    width = BOTH_COLUMNS if name in WIDE else COLUMN
    dots = {"marker": MARKER} if "marker" in module.Settings.model_fields else {}
    settings = module.Settings(width=width, font_size=FONT, **dots)
    with draw.style(settings):
        figure = module.draw(study.design, study.folder, settings)
        draw.write_figure(figure, path)
        pyplot.close(figure)
