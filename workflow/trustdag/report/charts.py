"""Data of the page's charts (templates/charts.js): training curves, and the headline metrics by the model's size.

A chart has `keys` (the entries of its legend: group, name, and a color or None) and `views`. A view has panels, and a
panel has series: `keys` (its entries of the legend), `name`, `color`, `look`, and points `[x, y, low, high, words]`, of
which the last three may be missing.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from trustdag.report import published
from trustdag.report.changes import changes, levels
from trustdag.report.draw import QUIET, colors, rows_of, run_colors
from trustdag.report.numbers import interval, number, signed, title
from trustdag.report.plot_settings import PlotSettings
from trustdag.report.plots import reinforcement, training
from trustdag.report.runs import TrainingRun, runs
from trustdag.stats.design import StudyDesign
from trustdag.stats.records import ALL, metrics_of
from trustdag.stats.tables import Tables

Chart = dict[str, Any]
Point = list[Any]
MOST_POINTS = 400
"""Most points of a training curve: of a longer one, the lowest and the highest of each stretch are kept."""
LEVEL, CHANGE = "Level", "Change since the base model"


def training_chart(design: StudyDesign, results: Path, settings: PlotSettings) -> Chart | None:
    """The curves of every run: a panel for each stage and measure, and one legend of the runs; None without curves.

    Args:
        design: The study's policies.
        results: The study's results folder.
        settings: The recipes' colors.
    """
    listed = runs(design, results)
    stages: dict[str, list[TrainingRun]] = {}
    for run in listed:
        stages.setdefault(run.name, []).append(run)
    keys = _run_keys(listed)
    curves = {run.folder: run.curves() for run in listed}
    shades = {folder: color for own in stages.values() for folder, color in run_colors(own, design, settings).items()}
    panels = []
    for stage, own in stages.items():
        is_ppo = own[0].method == "ppo"
        for measure, meaning in (reinforcement if is_ppo else training).MEASURES.items():
            series = []
            for run in own:
                mine = [place for place, key in enumerate(keys) if getattr(run, key["group"]) == key["of"]]
                name = " ".join([stage, *(keys[place]["name"] for place in mine)])
                shared = {"keys": mine, "color": _hexadecimal(shades[run.folder])}
                series += [shared | curve for curve in _curves(curves[run.folder], measure, name)]
            if series:
                x = "update" if is_ppo else "step"
                panels.append(_panel(f"{stage}: {meaning}", x, meaning, stage, series))
    shown = [{"group": key["group"], "name": key["name"], "color": None} for key in keys]
    return {"keys": shown, "views": [{"what": "", "published": False, "panels": panels}]} if panels else None


def _run_keys(listed: Sequence[TrainingRun]) -> list[dict[str, Any]]:
    """The entries of the legend: each model, preference set and seed, where there are several."""
    keys = []
    for group in ("model", "preferences", "seed"):
        values = [value for value in dict.fromkeys(getattr(run, group) for run in listed) if value not in (None, "")]
        names = [f"seed {value}" if group == "seed" else str(value) for value in values]
        if len(values) > 1:
            keys += [{"group": group, "of": value, "name": name} for value, name in zip(values, names, strict=True)]
    return keys


def _panel(heading: str, x: str, y: str, group: str, series: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A panel.

    Args:
        heading: Its title.
        x: Name of the horizontal axis.
        y: Name of the vertical axis.
        group: Panels of one group zoom together.
        series: What it shows.
        more: `log` for a logarithmic horizontal axis, `line` for the height of a line, `note` below the title.
    """
    return {
        "title": heading,
        "x": x,
        "y": y,
        "group": group,
        "series": series,
        "log": False,
        "line": None,
        "note": "",
    } | more


def _curves(table: pd.DataFrame, measure: str, name: str) -> Iterable[dict[str, Any]]:
    """The curves of one run and measure, on training and validation data.

    Args:
        table: The run's `metrics.jsonl`.
        measure: The column.
        name: The run's name, which the reader sees.
    """
    for split, look in (("train", "line"), ("validation", "dots")):
        rows = table[table["split"] == split] if measure in table else table.head(0)
        points = []
        for row in rows_of(rows[rows[measure].notna()]) if len(rows) else []:
            value, spread = float(row[measure]), row.get(f"{measure}_sd")
            band = [] if spread is None or math.isnan(spread) else [_short(value - spread), _short(value + spread)]
            points.append([int(row["step"]), _short(value), *band])
        if points:
            yield {"name": f"{name}, {split}", "look": look, "points": thinned(points)}


def thinned(points: list[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most so many of a curve's points: the lowest and the highest of each stretch, so that no peak is lost."""
    if len(points) <= most:
        return points
    stretches = most // 2
    kept: list[Point] = []
    for place in range(stretches):
        stretch = points[place * len(points) // stretches : (place + 1) * len(points) // stretches]
        ends = [min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])]
        kept += [point for point in stretch if point in ends][:2]
    return kept


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _hexadecimal(color: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in color)


@dataclass(frozen=True)
class SizeData:
    """What the panels of one view are made from."""

    what: str
    """LEVEL or CHANGE."""
    values: pd.DataFrame
    """A row for each model, preference set, recipe and metric, over its training seeds: `value`, `low`, `high`."""
    singles: pd.DataFrame
    """The same by policy, without intervals."""
    sizes: dict[str, int]
    """Parameters of the base models."""
    palette: dict[str, str]
    """Colors of the recipes."""


def size_chart(design: StudyDesign, tables: Tables, models: pd.DataFrame, settings: PlotSettings) -> Chart | None:
    """Headline metrics and their changes by the number of parameters, with the paper's numbers in views of their own.

    Args:
        design: The study's policies and verticals.
        tables: The study's statistics.
        models: The table of models, for their parameters.
        settings: The recipes' colors.

    Returns:
        The chart; None if no headline metric has a value.
    """
    bases = models[models["stage"] == "base"]
    sizes = dict(zip(bases["model"], bases["parameters"].astype(int), strict=True))
    palette = colors(list(dict.fromkeys(policy.recipe for policy in design.policies)), settings)
    since = changes(tables).rename(columns={"change": "value"})
    single = tables.differences.drop(columns="value").rename(columns={"difference": "value"})
    views = []
    for what, values, singles in (
        (LEVEL, levels(tables), tables.metrics),
        (CHANGE, since[since["reference"] == "base"], single[single["reference"] == "base"]),
    ):
        data = SizeData(what, _whole(values), _whole(singles), sizes, palette)
        headlines = data.values[data.values["headline"].astype(bool)]
        pairs = list(dict.fromkeys(zip(headlines["vertical"], headlines["metric"], strict=True)))
        own = [panel for pair in pairs if (panel := _metric_panel(data, *pair))["series"]]
        beside = [_beside_paper(data, measure, design) for measure in published.MEASURES]
        for is_published, panels in ((False, own), (True, [panel for panel in beside if panel is not None])):
            if panels:
                views.append({"what": what, "published": is_published, "panels": panels})
    keys = [{"group": "recipe", "name": name, "color": color} for name, color in palette.items()]
    return {"keys": keys, "views": views} if views else None


def _whole(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[(frame["condition"] == ALL) & frame["value"].notna()]


def _metric_panel(data: SizeData, vertical: str, metric: str) -> dict[str, Any]:
    """A metric's panel; without series if it was not measured.

    Args:
        data: The view's numbers.
        vertical: The vertical.
        metric: The metric.
    """
    rows = data.values[(data.values["vertical"] == vertical) & (data.values["metric"] == metric)]
    single = data.singles[(data.singles["vertical"] == vertical) & (data.singles["metric"] == metric)]
    arms = list(dict.fromkeys(zip(rows["recipe"], rows["preferences"], strict=True)))
    several = len({preferences for _, preferences in arms if preferences}) > 1
    series = []
    for recipe, preferences in arms:
        name = f"{recipe} on {preferences}" if several and preferences else recipe
        shared = {"keys": [list(data.palette).index(recipe)], "color": data.palette[recipe]}
        own, seeds = (
            frame[(frame["recipe"] == recipe) & (frame["preferences"] == preferences)] for frame in (rows, single)
        )
        points = [_size_point(data, name, row) for row in rows_of(own)]
        series.append(shared | {"name": name, "look": "level", "points": sorted(points)})
        if seeds["seed"].nunique() > 1:
            marks = [[data.sizes[row["model"]], _short(row["value"])] for row in rows_of(seeds)]
            series.append(shared | {"name": f"{name}, a seed", "of": name, "look": "seed", "points": marks})
    known = metrics_of(vertical).get(metric)
    chance = known.chance if known and data.what == LEVEL else None
    note = f"{known.direction} is better" if known and known.direction else "neither direction is better"
    more = {"log": True, "line": 0.0 if data.what == CHANGE else chance, "note": note}
    return _panel(f"{title(vertical)}: {title(metric)}", "parameters", data.what.lower(), "sizes", series, **more)


def _size_point(data: SizeData, name: str, row: dict[str, Any]) -> Point:
    told = signed if data.what == CHANGE else number
    words = f"{name} of {row['model']}: {told(row['value'])} {interval(row['low'], row['high'])}".strip()
    ends = [None if math.isnan(row[end]) else _short(row[end]) for end in ("low", "high")]
    return [data.sizes[row["model"]], _short(row["value"]), *ends, words]


def _beside_paper(data: SizeData, measure: published.Measure, design: StudyDesign) -> dict[str, Any] | None:
    """The panel of a published measure, with the study's numbers of its metric; None if the study has none.

    Args:
        data: The view's numbers.
        measure: The paper's.
        design: The study's policies, whose recipes have the colors of the stages.
    """
    panel = _metric_panel(data, measure.vertical, measure.metric)
    if not panel["series"]:
        return None
    recipes = {policy.methods[-1] if policy.methods else "base": policy.recipe for policy in reversed(design.policies)}
    told = signed if data.what == CHANGE else number
    for stage, values in zip(published.STAGES, measure.values, strict=True):
        start = measure.values[0] if data.what == CHANGE else (0.0,) * len(values)
        points: list[Point] = []
        for (size, parameters), value, reference in zip(published.SIZES.items(), values, start, strict=True):
            shown = _short((value - reference) * measure.unit)
            words = f"published, Pythia-{size}, {title(stage)}: {told(shown)}"
            points.append([int(parameters), shown, None, None, words])
        if stage != "base" or data.what == LEVEL:
            recipe = stage if stage in data.palette else recipes.get(stage, "")
            keys = [list(data.palette).index(recipe)] if recipe else []
            color = data.palette.get(recipe, QUIET)
            name = f"published, {title(stage)}"
            panel["series"].append({"keys": keys, "name": name, "color": color, "look": "published", "points": points})
    return panel
