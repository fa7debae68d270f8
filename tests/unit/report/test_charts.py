"""The data of the charts that a reader can zoom into."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import invented_study
from tests.support.invented_pages import invented_verticals
from trustdag.cli import main
from trustdag.report import published
from trustdag.report.charts import size_chart, thinned, training_chart
from trustdag.report.gather import model_table
from trustdag.report.numbers import title
from trustdag.report.plot_settings import RECIPES, PlotSettings
from trustdag.stats.design import StudyDesign
from trustdag.stats.tables import read

SETTINGS = PlotSettings()
STUDY = invented_study.cells(seeds=(0, 1))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("charts")
    with invented_verticals():
        invented_study.write_study(STUDY, folder, items=12)
        where = ["--design", f"{folder}/design.json", "--records-root", f"{folder}/records"]
        assert main(["statistics", *where, "--out", f"{folder}/statistics", "--settings", '{"resamples": 200}']) == 0
        yield folder


def training(results: Path) -> dict[str, Any]:
    chart = training_chart(STUDY, results, SETTINGS)
    assert chart is not None
    return chart


def sizes(results: Path) -> dict[str, Any]:
    chart = size_chart(STUDY, read(results / "statistics"), model_table(STUDY, results), SETTINGS)
    assert chart is not None
    return chart


def view(chart: dict[str, Any], what: str, is_published: bool) -> dict[str, Any]:
    """The panels of a view by their titles."""
    (chosen,) = [view for view in chart["views"] if (view["what"], view["published"]) == (what, is_published)]
    return {panel["title"]: panel for panel in chosen["panels"]}


def test_every_stage_has_a_panel_for_each_of_its_measures(results: Path) -> None:
    panels = view(training(results), "", is_published=False)

    assert set(panels) == {
        "base: loss", "sft: loss", "dpo: loss", "dpo: pairs ranked rightly", "reward: loss",
        "reward: pairs ranked rightly", "ppo: reward", "ppo: KL divergence per reply",
    }  # fmt: skip
    assert {panel["group"] for panel in panels.values()} == {"base", "sft", "dpo", "reward", "ppo"}


def test_a_curve_is_that_of_the_log(results: Path) -> None:
    (curve, *_) = view(training(results), "", is_published=False)["sft: loss"]["series"]
    lines = (results / "models/toy/judge/sft/seed0/metrics.jsonl").read_text().splitlines()
    logged = [line for line in map(json.loads, lines) if line["split"] == "train"]

    assert curve["name"] == "sft seed 0, train"
    assert curve["points"] == [[line["step"], pytest.approx(line["loss"], rel=1e-4)] for line in logged]


def test_one_legend_names_the_seeds_and_a_stage_has_its_recipes_color(results: Path) -> None:
    chart = training(results)

    assert [(key["group"], key["name"]) for key in chart["keys"]] == [("seed", "seed 0"), ("seed", "seed 1")]
    colors = {title: panel["series"][0]["color"] for title, panel in view(chart, "", is_published=False).items()}
    assert colors["sft: loss"] == RECIPES[1]
    assert colors["dpo: loss"] == colors["dpo: pairs ranked rightly"] == RECIPES[2]


def test_the_spread_of_the_reward_is_a_band(results: Path) -> None:
    (curve, *_) = view(training(results), "", is_published=False)["ppo: reward"]["series"]

    assert all(low < value < high for _, value, low, high in curve["points"])


def test_a_study_that_trains_nothing_has_no_curves(results: Path, tmp_path: Path) -> None:
    given = STUDY.model_copy(update={"policies": STUDY.policies[:1]})

    assert training_chart(given, tmp_path, SETTINGS) is None


def test_a_long_curve_keeps_its_ends_of_every_stretch_in_order() -> None:
    points: list[list[Any]] = [[step, 1.0] for step in range(10_000)]
    points[4321][1], points[77][1] = 9.0, -9.0

    kept = thinned(points, 100)

    assert len(kept) <= 100
    assert [4321, 9.0] in kept
    assert [77, -9.0] in kept
    assert kept == sorted(kept)
    assert thinned(points[:50], 100) == points[:50]


def test_a_panel_shows_each_recipe_with_its_interval_and_single_seeds(results: Path) -> None:
    panel = view(sizes(results), "Level", is_published=False)["Ethics: False negative rate"]
    tables = read(results / "statistics")
    row = tables.seeds.query("recipe == 'dpo' and metric == 'false_negative_rate' and condition == 'all'").iloc[0]

    (mean,) = [series for series in panel["series"] if series["name"] == "dpo"]
    (seeds,) = [series for series in panel["series"] if series.get("of") == "dpo"]
    expected = [1_234_567, *(pytest.approx(row[name], rel=1e-4) for name in ("value", "low", "high"))]
    assert mean["points"][0][:4] == expected
    assert len(seeds["points"]) == 2
    assert panel["log"]
    assert panel["line"] == 0.5


def test_changes_are_measured_from_zero_and_a_base_model_has_none(results: Path) -> None:
    panel = view(sizes(results), "Change since the base model", is_published=False)["Ethics: False negative rate"]

    assert panel["line"] == 0
    assert {series["name"] for series in panel["series"] if series["look"] == "level"} == {"sft", "dpo", "ppo"}


def test_without_a_metric_of_the_papers_there_is_no_view_of_them(results: Path) -> None:
    assert {view["published"] for view in sizes(results)["views"]} == {False}


def test_published_numbers_stand_beside_the_metric_that_measures_the_same(results: Path) -> None:
    # Given a study whose ethics headline has the name of the shipped vertical's
    tables = read(results / "statistics")
    renamed = tables.metrics.replace({"metric": {"false_negative_rate": "fnr"}})
    moved = tables.differences.replace({"metric": {"false_negative_rate": "fnr"}})
    seeds = tables.seeds.replace({"metric": {"false_negative_rate": "fnr"}})
    own = type(tables)(renamed, moved, seeds)

    chart = size_chart(STUDY, own, model_table(STUDY, results), SETTINGS)

    assert chart is not None
    (measure,) = [measure for measure in published.MEASURES if measure.name == "ethics, FNR, benign"]
    for what, start in (("Level", (0.0,) * 5), ("Change since the base model", measure.values[0])):
        (panel,) = view(chart, what, is_published=True).values()
        marks = {series["name"]: series for series in panel["series"] if series["look"] == "published"}
        stages = zip(published.STAGES, measure.values, strict=True)
        for stage, values in [pair for pair in stages if what == "Level" or pair[0] != "base"]:
            points = marks[f"published, {title(stage)}"]["points"]
            assert [point[0] for point in points] == list(published.SIZES.values())
            shown = [value - reference for value, reference in zip(values, start, strict=True)]
            assert [point[1] for point in points] == pytest.approx(shown, abs=1e-9)
            assert points[-1][4].startswith(f"published, Pythia-6.9B, {title(stage)}: ")
        assert marks["published, DPO"]["color"] == RECIPES[2]
        assert ("published, Base" in marks) is (what == "Level")


def test_models_are_told_apart_by_the_legend_where_there_are_several(results: Path, tmp_path: Path) -> None:
    policies = [invented_study.policy(recipe, 0, model) for model in ("one", "two") for recipe in ("base", "sft")]
    study = StudyDesign(study="two", policies=tuple(policies), verticals=("ethics",))
    with invented_verticals():
        invented_study.write_study(study, tmp_path, items=4)

    chart = training_chart(study, tmp_path, SETTINGS)

    assert chart is not None
    assert [(key["group"], key["name"]) for key in chart["keys"]] == [("model", "one"), ("model", "two")]
    names = [series["name"] for series in view(chart, "", is_published=False)["sft: loss"]["series"]]
    assert names == ["sft one, train", "sft one, validation", "sft two, train", "sft two, validation"]
