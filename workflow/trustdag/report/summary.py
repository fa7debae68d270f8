"""The answer of a finished study as text, and the failures of a run."""

import shutil
import sys
import textwrap
from datetime import datetime
from pathlib import Path

import pandas as pd

from trustdag.errors import UserError
from trustdag.jobs import record as job_record
from trustdag.jsonfiles import read_section
from trustdag.layout import Results
from trustdag.progress import aligned, duration
from trustdag.report.answer import answers, kind_of, pairs_of, sentences, study_answers, verdict
from trustdag.report.changes import arm_name, arms, changes, levels, of_arm
from trustdag.report.draw import rows_of
from trustdag.report.gather import run_times
from trustdag.report.numbers import interval, number, signed, title
from trustdag.stats.companions import NOT_UNDERSTOOD
from trustdag.stats.design import StudyDesign
from trustdag.stats.records import ALL
from trustdag.stats.tables import read

UNLIMITED = 1000
"""Columns of an output that is no terminal: no line is broken."""
COLUMNS = ("recipe", "vertical", "since base", "interval", "", "items")
LEVELS = ("recipe", "vertical", "level", "interval", "")
"""Columns for a study that measures models as they are."""


def summary(results: Path) -> str:
    """The headline changes as a table, the answer in words, the cost of the study, and the path of its page.

    A model that nothing was trained from has its levels in the place of changes.

    Raises UserError if the study has no statistics or no page yet.
    """
    page = results / "report.html"
    if not page.is_file():
        raise UserError(f"{page}: no such file; run the study first, and give its folder, such as results/demo")
    design = read_section(results / "design.json", StudyDesign)
    tables = read(results / "statistics")
    all_changes, all_levels = changes(tables), levels(tables)
    groups = arms(all_levels)
    width = shutil.get_terminal_size((UNLIMITED, 24)).columns
    parts = [textwrap.fill(f"Study {design.study}" + (f". {design.notice}" if design.notice else ""), width)]
    for arm in groups:
        headlines = of_arm(all_changes, arm)
        headlines = headlines[headlines["headline"].astype(bool) & headlines["reference"].eq("base")]
        if name := arm_name(arm, groups):
            parts.append(f"{name}:")
        if headlines.empty:
            parts.append(_table([LEVELS, *_level_rows(of_arm(all_levels, arm))], width))
            continue
        parts.append(_table([COLUMNS, *_rows(headlines, design)], width))
        parts.append("\n".join(textwrap.fill(line, width) for line in sentences(answers(headlines, "base"))))
    cost = f"Cost: {_cost(results, design)}"
    parts.append(f"{cost}\nPage of {_moment(page.stat().st_mtime)}: {page.resolve().as_uri()}")
    return "\n\n".join(parts)


def overview(folder: Path) -> str:
    """The studies in a folder of results, the latest first: when each page was written, its cost, and its answer.

    Raises UserError if there is none.
    """
    studies = [path.parent for path in folder.glob("*/design.json")]
    if not studies:
        raise UserError(f"{folder}: holds no study; give a study's folder, such as results/demo, or that of several")
    width = shutil.get_terminal_size((UNLIMITED, 24)).columns
    pages = {study: study / "report.html" for study in studies}
    written = {study: page.stat().st_mtime if page.is_file() else 0.0 for study, page in pages.items()}
    parts = []
    for study in sorted(studies, key=lambda study: (-written[study], study.name)):
        if not written[study]:
            parts.append(f"{study.name}: not finished")
            continue
        tables = read(study / "statistics")
        headlines = changes(tables)
        answer = verdict(study_answers(headlines[headlines["headline"].astype(bool)], arms(levels(tables))))
        cost = _cost(study, read_section(study / "design.json", StudyDesign))
        answer = textwrap.fill(answer, width, initial_indent="  ", subsequent_indent="  ")
        parts.append(f"{study.name}: page of {_moment(written[study])}, {cost}\n{answer}")
    return "\n".join(parts)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def _table(rows: list[tuple[str, ...]], width: int) -> str:
    """The rows as lines; on a narrow terminal without the numbers of items, or the names of the metrics too."""
    shorter = [row[:5] for row in rows]
    shortest = [(row[0], row[1].partition(":")[0], *row[2:]) for row in shorter]
    tables = [aligned(table) for table in (rows, shorter, shortest)]
    return "\n".join(next((lines for lines in tables if max(map(len, lines)) <= width), tables[-1]))


def _rows(headlines: pd.DataFrame, design: StudyDesign) -> list[tuple[str, ...]]:
    """The rows of the table, one for each recipe and vertical."""
    order = {name: place for place, name in enumerate(design.verticals)}
    recipes = {name: place for place, name in enumerate(dict.fromkeys(headlines["recipe"]))}
    rows = sorted(rows_of(headlines), key=lambda row: (recipes[row["recipe"]], order[row["vertical"]]))
    return [
        (
            row["recipe"],
            f"{row['vertical']}: {title(row['metric'])}",
            signed(row["change"]),
            interval(row["low"], row["high"]),
            kind_of(row),
            pairs_of(row),
        )
        for row in rows
    ]


def _level_rows(values: pd.DataFrame) -> list[tuple[str, ...]]:
    """The headline levels, one row for each recipe and vertical."""
    headlines = values[values["headline"].astype(bool) & values["condition"].eq(ALL)]
    return [
        (
            row["recipe"],
            f"{row['vertical']}: {title(row['metric'])}",
            number(row["value"]),
            interval(row["low"], row["high"]),
            row["understood"] if row["understood"] == NOT_UNDERSTOOD else "",
        )
        for row in rows_of(headlines)
    ]


def _cost(results: Path, design: StudyDesign) -> str:
    """Number of jobs, their total time, and the largest memory of one."""
    times = run_times(results / "benchmarks", design)
    if times.empty:
        return "cost not recorded"
    jobs, seconds, memory = int(times["jobs"].sum()), times["seconds"].sum(), times["memory_mib"].max()
    return f"{jobs} jobs, {duration(seconds)} of job time together, at most {memory:,.0f} MiB in one job"


def failures(results: Path) -> str:
    """The failed jobs of the last run, with reason, remedy and the end of their logs; empty if there are none.

    Records of jobs that failed in an earlier run stay, also if the study no longer has them.
    """
    mark = Path(Results(str(results)).owner)  # written when a run starts
    began = mark.stat().st_mtime if mark.is_file() else 0.0
    parts = []
    for path in sorted((results / ".jobs").glob("*/*.json")):
        attempts = job_record.read(path).failures
        if attempts and path.stat().st_mtime >= began:
            job = " ".join([path.parent.name, *path.name.removesuffix(".json").split(",")])
            log = job_record.last_lines(path.with_suffix(".log"))
            parts.append("\n".join([f"Failed: {job}", f"  {attempts[-1].message}", *(f"  | {line}" for line in log)]))
    return "\n\n".join(parts)


def after_success(results: Path) -> None:
    """Prints the summary after a run that wrote the page."""
    print(f"\n{summary(results)}\n", file=sys.stderr)


def after_failure(results: Path) -> None:
    """Prints the failed jobs, and how to continue the study."""
    again = "Mend this and start the same command again: what is finished stays, and stages go on from checkpoints."
    if failed := failures(results):
        print(f"\n{failed}\n\n{again}\n", file=sys.stderr)
