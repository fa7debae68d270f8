"""The report: everything gathered, rendered into one HTML file, and the same tables as CSV."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from trustdag.artifacts import atomic_file, atomic_folder
from trustdag.errors import UserError
from trustdag.jsonfiles import EVERY, read_json, read_object
from trustdag.report import attributions as attributed
from trustdag.report import html, plots, published
from trustdag.report.answer import REFERENCES, answers, basis, claim, kind_of, sentences, study_answers, verdict
from trustdag.report.cards import cards, companions_of
from trustdag.report.changes import CHANCE, arm_name, arms, changes, levels, of_arm
from trustdag.report.charts import size_chart, training_chart
from trustdag.report.draw import rows_of
from trustdag.report.embed import inline_svg
from trustdag.report.examples import examples
from trustdag.report.explorer import numbers_data, packed_replies, reply_script
from trustdag.report.gather import data_cards, model_table, run_times, software
from trustdag.report.known_errors import REFUSALS, VERTICALS
from trustdag.report.plot_settings import PlotSettings
from trustdag.report.settings import PageSettings
from trustdag.stats.design import Policy, StudyDesign
from trustdag.stats.records import ALL, metrics_of
from trustdag.stats.tables import Tables, read
from trustdag.verticals import vertical as vertical_module
from trustdag.yamlfiles import read_yaml

REPLIES = "replies"
"""Folder beside the CSV tables of the replies that do not fit the page."""


@dataclass(frozen=True)
class Source:
    """Paths of the page's inputs."""

    design: StudyDesign
    results: Path
    configuration: Path | None = None
    benchmarks: Path | None = None


def write(source: Source, settings: PageSettings, out: Path, tables: Path) -> None:
    """Writes the page to `out` and its tables as CSV into the folder `tables`.

    Args:
        source: Paths of the page's inputs.
        settings: Settings of the page.
        out: The HTML file.
        tables: The folder of CSV files.
    """
    statistics = read(source.results / "statistics")
    context, frames = gather(source, statistics, settings)
    packed = packed_replies(source.results, source.design)
    inside = sum(len(text.encode()) for text in packed.values()) <= settings.replies_inside * 1_000_000
    beside = Path(os.path.relpath(tables / REPLIES, out.parent))
    context["replies"] = packed if inside else {}
    context["reply_index"] = {
        "labels": [policy["label"] for policy in context["numbers"]["policies"]],
        "verticals": list(packed),
        "files": {} if inside else {name: (beside / f"{name}.js").as_posix() for name in packed},
    }
    page = html.render("page", context)
    with atomic_folder(tables) as folder:
        for name, frame in frames.items():
            frame.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
        for name, text in packed.items() if not inside else ():
            (folder / REPLIES).mkdir(exist_ok=True)
            (folder / REPLIES / f"{name}.js").write_text(reply_script(name, text), encoding="utf-8")
    with atomic_file(out) as partial:
        partial.write_text(page, encoding="utf-8")


def gather(
    source: Source, statistics: Tables, settings: PageSettings
) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """The content of the page, and its tables.

    Args:
        source: Paths of the page's inputs.
        statistics: The study's tables.
        settings: Settings of the page.

    Returns:
        The template's context, and the tables by the name of their file.
    """
    design, results = source.design, source.results
    every_change, values = changes(statistics), levels(statistics)
    trained = model_table(design, results)
    times = run_times(source.benchmarks, design)
    groups = arms(values)
    headlines = every_change[every_change["headline"].astype(bool)]
    influence = attributed.attributions(design, results, settings)
    seeds = sorted({policy.seed for policy in design.policies if policy.seed is not None})
    told = [_arm(arm, groups, every_change, values, statistics.metrics) for arm in groups]
    context = {
        "title": settings.title,
        "design": design,
        "arms": told,
        "cards": cards(told, design.verticals, {name: metrics_of(name) for name in design.verticals}),
        "numbers": numbers_data(design, statistics),
        "companions": {name: companions_of(name) for name in design.verticals},
        "plots": _plots(design, results),
        "charts": _charts(design, results, statistics, trained),
        "verticals": [_vertical(name, source, settings) for name in design.verticals],
        "published": rows_of(published.table()),
        "models": rows_of(trained),
        "software": software(design, results),
        "data_cards": data_cards(design, results),
        "times": rows_of(times),
        "configuration": _configuration(source.configuration),
        "seeds": seeds,
        "verdict": verdict(study_answers(headlines, groups)),
        "sentences": [line for arm in told for line in _since_others(arm)],
        "basis": basis(headlines, seeds),
        "known_errors": VERTICALS | {"refusals": REFUSALS},
        "claim": claim(headlines),
        "attributions": influence,
    }
    frames = attributed.tables(influence) | {
        "published": published.table(),
        "changes": every_change,
        "levels": values,
        "models": trained,
        "run_times": times,
    }
    return context, frames | {name: getattr(statistics, name) for name in ("metrics", "differences", "seeds")}


def _since_others(arm: dict[str, Any]) -> list[str]:
    """The answers of an arm's recipes for references other than the base model, which the verdict is about."""
    start = f"{arm['name']}: " if arm["name"] else ""
    return [
        start + sentence
        for reference in REFERENCES
        if reference != "base"
        for sentence in sentences(arm["answers"][reference])
    ]


def _arm(
    arm: tuple[str, str],
    among: list[tuple[str, str]],
    every_change: pd.DataFrame,
    values: pd.DataFrame,
    metrics: pd.DataFrame,
) -> dict[str, Any]:
    """One model with one preference set: its answers, and its table of each vertical."""
    own_changes, own_values = of_arm(every_change, arm), of_arm(values, arm)
    headlines = own_changes[own_changes["headline"].astype(bool)]
    return {
        "name": arm_name(arm, among),
        "recipes": list(dict.fromkeys(own_values["recipe"])),
        "answers": {reference: answers(headlines, reference) for reference in REFERENCES},
        "family": int(headlines["family"].max()) if len(headlines) else 0,
        "changes": {
            (*_key(row), row["recipe"], row["reference"]): row | {"kind": kind_of(row)} for row in rows_of(own_changes)
        },
        "values": {(*_key(row), row["recipe"]): row for row in rows_of(own_values)},
        "chance": _chances(own_values),
        "counts": _counts(of_arm(metrics, arm)),
    }


def _key(row: dict[str, Any]) -> tuple[str, str, str]:
    return (row["vertical"], row["metric"], row["condition"])


def _chances(values: pd.DataFrame) -> dict[tuple[str, str], float | None]:
    """The chance level of each metric, if known."""
    whole = rows_of(values[values["condition"] == ALL])
    return {(row["vertical"], row["metric"]): None if pd.isna(row["chance"]) else row["chance"] for row in whole}


def _counts(metrics: pd.DataFrame) -> dict[tuple[str, str, str, str], dict[str, int]]:
    """Number of a recipe's records of each status, for a metric and a condition, over its training seeds."""
    names = ["n", "parsed", "unparsed", "conflicting", "refused", "failed"]
    summed = metrics.groupby(["vertical", "metric", "condition", "recipe"], as_index=False)[names].sum()
    return {(*_key(row), row["recipe"]): row for row in rows_of(summed)}


ITEMS_CARD = {
    "items": int,
    "clusters": int,
    "conditions": {EVERY: int},
    "settings": {"source": str},
    "sha256": str,
    "notes": dict,
}
"""What the page shows of a card of items."""


def _vertical(name: str, source: Source, settings: PageSettings) -> dict[str, Any]:
    """A vertical's definition, with examples of its items and replies."""
    shown = _shown_policies(source.design)
    return {
        "name": name,
        "description": _description(name),
        "card": read_object(source.results / "items" / f"{name}.card.json", ITEMS_CARD, "a card of items"),
        "metrics": [metric for metric in metrics_of(name).values() if not metric.name.endswith(CHANCE)],
        "examples": [
            {"model": policies[0].model, "items": examples(source.results, policies, name, settings)}
            for policies in shown
        ],
    }


def _description(vertical: str) -> str:
    """The first paragraph of a vertical's docstring, without its name."""
    text = (vertical_module(vertical).__doc__ or "").split("\n\n")[0].strip().split(": ", 1)[-1]
    return text[:1].upper() + text[1:]


def _shown_policies(design: StudyDesign) -> list[list[Policy]]:
    """For each model and preference set, one policy of each recipe: the first training seed's."""
    shown = []
    trained = dict.fromkeys((policy.model, policy.preferences) for policy in design.policies if policy.preferences)
    alone = [(model, None) for model in dict.fromkeys(policy.model for policy in design.policies)]
    missing = [arm for arm in alone if arm[0] not in {model for model, _ in trained}]
    for model, preferences in [*trained, *missing]:
        own = [
            policy for policy in design.policies if policy.model == model and policy.preferences in (None, preferences)
        ]
        shown.append(list({policy.recipe: policy for policy in reversed(own)}.values())[::-1])
    return shown


def _charts(design: StudyDesign, results: Path, statistics: Tables, trained: pd.DataFrame) -> dict[str, Any]:
    """The charts that a reader can zoom into.

    Args:
        design: The study's policies and verticals.
        results: The study's results folder.
        statistics: The study's tables.
        trained: The table of models.
    """
    sizes = size_chart(design, statistics, trained, PlotSettings())
    has_published = sizes is not None and any(view["published"] for view in sizes["views"])
    training = training_chart(design, results, PlotSettings())
    return {"sizes": sizes, "training": training, "has_published": has_published}


def _plots(design: StudyDesign, results: Path) -> dict[str, dict[str, str]]:
    """Each plot of the study as SVG, which is embedded in the page."""
    embedded = {}
    for name in plots.of_study(design):
        path = results / "plots" / f"{name}.svg"
        if not path.is_file():
            raise UserError(f"{path}: no such file; run `trustdag plot {name}` first")
        module = plots.module(name)
        embedded[name] = {"title": module.TITLE, "caption": module.CAPTION, "svg": inline_svg(path, name)}
    return embedded


def _configuration(path: Path | None) -> str:
    import yaml

    if path is None:
        return ""
    content = read_json(path) if path.suffix == ".json" else read_yaml(path)
    return yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False, allow_unicode=True, width=100)
