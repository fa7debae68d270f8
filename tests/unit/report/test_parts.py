"""The small parts of the report: numbers, words, and the choice of rows."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from trustdag.report import published
from trustdag.report.answer import answers, basis, kind_of, pairs_of, sentences, verdict
from trustdag.report.changes import arm_name, arms
from trustdag.report.examples import gold_text
from trustdag.report.gather import run_times
from trustdag.report.numbers import interval, number, prose, signed, title
from trustdag.report.runs import models, runs
from trustdag.stats.companions import judgement
from trustdag.stats.design import Policy, StudyDesign
from trustdag.stats.records import metrics_of

NAN = float("nan")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (number(0.12345), "0.123"),
        (number(-0.5), "−0.500"),  # noqa: RUF001
        (number(-0.0001), "0.000"),
        (number(NAN), "–"),  # noqa: RUF001
        (number(None), "–"),  # noqa: RUF001
        (number(12.4, 0), "12"),
        (signed(0.25), "+0.250"),
        (signed(-0.25), "−0.250"),  # noqa: RUF001
        (signed(-0.0001), "−1e−04"),  # noqa: RUF001
        (signed(0.0), "0.000"),
        (interval(-0.1, 0.2), "[−0.100, 0.200]"),  # noqa: RUF001
        (interval(NAN, NAN), ""),
        (title("likelihood_fnr"), "Likelihood FNR"),
        (title("emt_toxic_prompts"), "EMT toxic prompts"),
        (title("privacy"), "Privacy"),
    ],
)
def test_how_numbers_and_names_are_written(shown: str, expected: str) -> None:
    assert shown == expected


@pytest.mark.parametrize(
    ("verdict", "direction", "expected"),
    [
        ("rose", "higher", "better"),
        ("rose", "lower", "worse"),
        ("fell", "higher", "worse"),
        ("fell", "lower", "better"),
        ("rose", "", "changed"),
        ("no change found", "lower", "no change found"),
        ("", "lower", ""),
    ],
)
def test_a_change_is_judged_by_the_direction_that_is_better(verdict: str, direction: str, expected: str) -> None:
    assert judgement(verdict, direction) == expected


def change(vertical: str, verdict: str, value: float, recipe: str = "dpo", direction: str = "lower") -> dict[str, Any]:
    return {"recipe": recipe, "reference": "base", "vertical": vertical, "metric": "share", "verdict": verdict} | {
        "direction": direction,
        "change": value,
        "n_pairs": 90,
        "lost": 10,
        "family": 2,
    }


def test_the_answer_in_a_sentence() -> None:
    rows = [change("bias", "rose", 0.2), change("ethics", "fell", -0.1), change("privacy", "no change found", 0.01)]

    (answer,) = answers(pd.DataFrame(rows), "base")

    assert answer.sentence == "Since the base model, dpo became worse in 1 of 3 verticals and better in 1."
    assert [row["vertical"] for row in answer.kinds["worse"]] == ["bias"]


def test_an_answer_without_changes_says_so() -> None:
    (answer,) = answers(pd.DataFrame([change("bias", "no change found", 0.0)]), "base")

    assert answer.sentence == "Since the base model, no change of dpo was found in any of 1 verticals."


def test_an_answer_does_not_count_what_was_not_measured() -> None:
    rows = [change("bias", "rose", 0.1), change("ethics", "", NAN), change("privacy", "", NAN)]

    (answer,) = answers(pd.DataFrame(rows), "base")
    (empty,) = answers(pd.DataFrame(rows[1:]), "base")

    assert answer.sentence == "Since the base model, dpo became worse in 1 of 1 verticals."
    assert empty.sentence == "Since the base model, nothing about dpo could be measured."


def test_backticks_become_code_and_nothing_else_becomes_markup() -> None:
    assert prose("says `<b>` & more") == "says <code>&lt;b&gt;</code> &amp; more"


def test_what_was_not_measured_is_not_called_unchanged() -> None:
    row = change("bias", "", NAN)

    assert kind_of(row) == "not measured"


def test_models_and_preference_sets_are_told_apart_only_where_they_differ() -> None:
    frame = pd.DataFrame({"model": ["a", "a", "b", "b"], "preferences": ["", "hh", "", "hh"]})
    groups = arms(frame)

    assert groups == [("a", "hh"), ("b", "hh")]
    assert [arm_name(arm, groups) for arm in groups] == ["a", "b"]
    assert arm_name(groups[0], groups[:1]) == ""
    assert arms(pd.DataFrame({"model": ["a"], "preferences": [""]})) == [("a", "")]


def test_run_times_of_the_studys_present_jobs_are_summed_by_kind(tmp_path: Path) -> None:
    ids = ("m/base", "m/p/sft-dpo/seed0", "m/p/sft-dpo/seed1")
    policies = tuple(Policy(id=name, model="m", recipe="r") for name in ids)
    study = StudyDesign(study="s", policies=policies, verticals=("ethics",))
    for name, seconds in {
        "models/m/base": 10,
        "models/m/p/sft/seed0": 20,
        "models/m/p/sft-dpo/seed0": 5,
        "models/m/p/sft-dpo/seed1": 7,
        "models/m/p/hot/seed1": 1000,
        "models/gone/base": 1000,
        "replies/gone/base/ethics": 1000,
        "items/privacy": 1000,
    }.items():
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:10\t{seconds * 10}\n")

    times = run_times(tmp_path, study).set_index("stage")

    assert times["seconds"].to_dict() == {"train sft": 20, "train dpo": 12, "train base": 10}
    assert times["jobs"]["train dpo"] == 2
    assert times["longest"]["train dpo"] == 7
    assert times["memory_mib"]["train dpo"] == 70


def test_a_job_that_was_killed_has_no_run_time(tmp_path: Path) -> None:
    """Snakemake leaves an empty file of it, which stays if its output is not asked for again."""
    study = StudyDesign(study="s", policies=(Policy(id="m/base", model="m", recipe="base"),), verticals=("ethics",))
    (tmp_path / "statistics.tsv").write_text("")
    assert run_times(tmp_path, study).empty


def test_without_benchmarks_there_are_no_run_times(tmp_path: Path) -> None:
    study = StudyDesign(study="s", policies=(Policy(id="m/base", model="m", recipe="base"),), verticals=("ethics",))
    assert run_times(None, study).empty
    assert run_times(tmp_path, study).empty


def test_the_papers_numbers_are_whole() -> None:
    table = published.table()

    assert len(table) == 9 * 5
    assert table[["base", "sft", "ppo", "dpo"]].notna().all(axis=None)
    row = table[(table["measure"] == "bias, agreement, benign") & (table["size"] == "2.8B")].iloc[0]
    assert row[["base", "sft", "ppo", "dpo"]].tolist() == [0.25, 0.91, 1, 0.75]


@pytest.mark.parametrize("measure", published.MEASURES, ids=lambda measure: measure.name)
def test_a_published_number_is_a_share_with_a_source_and_a_metric_that_measures_it(measure: published.Measure) -> None:
    assert measure.source
    assert measure.metric in metrics_of(measure.vertical)
    assert all(0 <= value * measure.unit <= 1 for values in measure.values for value in values)


def test_given_checkpoints_and_models_without_curves_are_models_of_the_study(tmp_path: Path) -> None:
    base = Policy(id="m/base", model="m", recipe="base")
    external = Policy(id="m/sft", model="m", recipe="sft", methods=("sft",), reference_base="m/base")
    trained = Policy(id="m/hh/sft-dpo/seed0", model="m", preferences="hh", recipe="dpo", seed=0, methods=("sft", "dpo"))
    design = StudyDesign(study="s", policies=(base, external, trained), verticals=("bias",))
    curve = tmp_path / "models/m/hh/sft-dpo/seed0/metrics.jsonl"
    curve.parent.mkdir(parents=True)
    curve.write_text('{"step": 1, "split": "train", "loss": 1.0}\n')

    methods = {str(run.folder.relative_to(tmp_path / "models")): run.method for run in models(design, tmp_path)}

    assert methods == {"m/base": "base", "m/sft": "external", "m/hh/sft-dpo/seed0": "dpo"}
    assert [run.method for run in runs(design, tmp_path)] == ["dpo"]


def test_a_change_over_a_part_of_the_items_says_so() -> None:
    assert pairs_of({"n_pairs": 32, "lost": 92, "seeds": 1}) == "32 of 124 items"
    assert pairs_of({"n_pairs": 124, "lost": 0, "seeds": 1}) == "124 items"
    assert pairs_of({"n_pairs": 372, "lost": 0, "seeds": 3}) == "372 pairs over 3 seeds"


LOST = change("toxicity", "rose", 0.2) | {"judgement": "did not understand the task"}
WORSE, BETTER, SAME = (
    change("bias", "rose", 0.2),
    change("ethics", "fell", -0.1),
    change("privacy", "no change found", 0),
)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([BETTER, SAME], "Yes: dpo became better in 1 of 2 verticals."),
        ([WORSE, SAME], "No: dpo became worse in 1 of 2 verticals."),
        ([WORSE, BETTER], "In part: dpo became better in 1 and worse in 1 of 2 verticals."),
        ([SAME], "No change was found since the base model in any vertical."),
        ([change("bias", "", NAN)], "Nothing could be measured."),
        (
            [LOST, SAME],
            "No change for better or worse was found since the base model in any vertical. "
            "The task was not understood in 1 of 2 verticals.",
        ),
        (
            [LOST, BETTER, SAME],
            "Yes: dpo became better in 1 of 3 verticals. The task was not understood in 1 of 3 verticals.",
        ),
        (
            [LOST, change("ethics", "", NAN)],
            "Nothing can be said: the task was not understood in any of 1 verticals.",
        ),
        ([change("bias", "not tested", 0.1)], "No change is tested: a test takes one training seed, or at least 3."),
        ([], "Nothing is compared with the base model: each vertical shows its levels."),
        ([change("bias", "not tested", 0.2)], "No change is tested: a test takes one training seed, or at least 3."),
        (
            [BETTER, SAME | {"recipe": "ppo"}],
            "In part: dpo became better in 1 of 1 verticals; no change of ppo was found.",
        ),
    ],
)
def test_one_sentence_answers_the_question(rows: list[dict[str, Any]], expected: str) -> None:
    frame = pd.DataFrame(rows, columns=[*WORSE, "judgement"]).fillna({"judgement": ""})

    assert verdict(answers(frame, "base")) == expected


def test_recipes_without_a_change_share_a_sentence() -> None:
    rows = [SAME, LOST, *(row | {"recipe": "ppo"} for row in (SAME, LOST)), BETTER | {"recipe": "hot"}]

    told = sentences(answers(pd.DataFrame(rows).fillna({"judgement": ""}), "base"))

    assert told == [
        "Since the base model, no change for better or worse of dpo and ppo was found in any of 2 verticals; "
        "dpo and ppo did not understand the task in 1.",
        "Since the base model, hot became better in 1 of 1 verticals.",
    ]


def test_the_sentence_says_what_it_rests_on() -> None:
    frame = pd.DataFrame([WORSE, BETTER])

    assert "one training run (seed 3)" in basis(frame, [3])
    assert "Holm's correction over all 2 headline changes of this page" in basis(frame, [3])
    assert "2 training seeds (0, 1)" in basis(frame, [0, 1])
    assert "20 of 200 pairs were lost" in basis(frame, [0])
    assert "lost" not in basis(frame.assign(lost=0), [0])
    assert "given checkpoints" in basis(frame, [])
    assert basis(frame.iloc[:0], []) == ""


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("wrong", True, "yes"),
        ("best", 1, "two"),
        ("agree_option", 0, "one"),
        ("correct", [False, True], "two"),
        ("distractors", ["a", "b", "c"], "a; b; c"),
        ("topic", "greed", "greed"),
    ],
)
def test_gold_columns_are_shown_in_words(name: str, value: Any, expected: str) -> None:
    assert gold_text(name, value, ["one", "two"]) == expected
