"""The answer of a finished study as text, and the failures of a run."""

import sys
from datetime import datetime
from pathlib import Path

import pandas as pd

from trustdag.errors import UserError
from trustdag.jobs import record as job_record
from trustdag.jsonfiles import read_section
from trustdag.progress import aligned, duration
from trustdag.report.answer import answers, kind_of, pairs_of
from trustdag.report.changes import arm_name, arms, changes, levels, of_arm
from trustdag.report.draw import rows_of
from trustdag.report.gather import run_times
from trustdag.report.numbers import interval, number, signed, title
from trustdag.stats.companions import NOT_UNDERSTOOD
from trustdag.stats.design import StudyDesign
from trustdag.stats.records import ALL
from trustdag.stats.tables import read

COLUMNS = ("recipe", "vertical", "change since base", "interval", "", "items")
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
    parts = [f"Study {design.study}" + (f". {design.notice}" if design.notice else "")]
    for arm in groups:
        headlines = of_arm(all_changes, arm)
        headlines = headlines[headlines["headline"].astype(bool) & headlines["reference"].eq("base")]
        if name := arm_name(arm, groups):
            parts.append(f"{name}:")
        if headlines.empty:
            parts.append("\n".join(aligned([LEVELS, *_level_rows(of_arm(all_levels, arm))])))
            continue
        parts.append("\n".join(aligned([COLUMNS, *_rows(headlines, design)])))
        parts.append("\n".join(answer.sentence for answer in answers(headlines, "base")))
    written = datetime.fromtimestamp(page.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
    parts.append(f"{_cost(results / 'benchmarks')}\nPage of {written}: {page.resolve().as_uri()}")
    return "\n\n".join(parts)


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


def _cost(benchmarks: Path) -> str:
    """Number of jobs, their total time, and the largest memory of one."""
    times = run_times(benchmarks)
    if times.empty:
        return "Cost: not recorded"
    jobs, seconds, memory = int(times["jobs"].sum()), times["seconds"].sum(), times["memory_mib"].max()
    return f"Cost: {jobs} jobs, {duration(seconds)} of job time together, at most {memory:,.0f} MiB in one job"


def failures(results: Path) -> str:
    """The jobs whose last attempt failed, with reason, remedy and the end of their logs; empty if there are none."""
    parts = []
    for path in sorted((results / ".jobs").glob("*/*.json")):
        attempts = job_record.read(path).failures
        if attempts:
            job = " ".join([path.parent.name, *path.name.removesuffix(".json").split(",")])
            log = job_record.last_lines(path.with_suffix(".log"))
            parts.append("\n".join([f"Failed: {job}", f"  {attempts[-1].message}", *(f"  | {line}" for line in log)]))
    return "\n\n".join(parts)


def after_success(results: Path) -> None:
    """Prints the summary after a run, if the study has a page. It has none if only parts were requested."""
    if (results / "report.html").is_file():
        print(f"\n{summary(results)}\n", file=sys.stderr)


def after_failure(results: Path) -> None:
    """Prints the failed jobs, and how to continue the study."""
    again = "Mend this and start the same command again: what is finished stays, and stages go on from checkpoints."
    if failed := failures(results):
        print(f"\n{failed}\n\n{again}\n", file=sys.stderr)
