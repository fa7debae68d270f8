"""Records of a whole study to its three tables, through the command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support import invented_study
from trustdag.cli import main
from trustdag.errors import UserError
from trustdag.stats.design import Policy, StudyDesign
from trustdag.stats.settings import StatisticsSettings
from trustdag.stats.tables import compute, read, too_few_resamples, write
from trustdag.verticals.base import Metric

QUICK = StatisticsSettings(resamples=300)
RECORD = {"metric": "share", "cluster": None, "condition": "benign", "value": 1.0, "status": "parsed", "label": np.nan}


@pytest.fixture(autouse=True)
def invented(monkeypatch: pytest.MonkeyPatch) -> None:
    invented_study.install(monkeypatch)


@pytest.fixture
def one_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vertical `bias` with the single metric `share`."""
    monkeypatch.setattr("trustdag.verticals.bias.METRICS", (Metric("share", "lower", "A share.", headline=True),))


def two_policies() -> StudyDesign:
    base, sft = invented_study.policy("base", 0), invented_study.policy("sft", 0)
    return StudyDesign(study="two", policies=(base, sft), verticals=("bias",))


def put(root: Path, policy: str, rows: list[dict[str, Any]]) -> None:
    """Writes records of `bias`; each row gives what differs from RECORD."""
    path = root / policy / "bias.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [RECORD | {"cluster": row["item"]} | row for row in rows]
    pd.DataFrame(records).astype({"value": float, "label": float}).to_parquet(path, index=False)


def pair(root: Path, base: dict[str, float | str], sft: dict[str, float | str]) -> None:
    """Two policies' records from {item: value or status}."""
    for policy, values in (("toy/base", base), ("toy/judge/sft/seed0", sft)):
        rows = [
            {"item": item, "value": np.nan, "status": value}
            if isinstance(value, str)
            else {"item": item, "value": value}
            for item, value in values.items()
        ]
        put(root, policy, rows)


def test_the_command_writes_three_tables_that_read_back(tmp_path: Path) -> None:
    study = invented_study.cells(seeds=(0, 1))
    invented_study.write_records(study, tmp_path / "records", items=20)
    (tmp_path / "design.json").write_text(study.as_json())

    where = ["--design", str(tmp_path / "design.json"), "--records-root", str(tmp_path / "records")]
    code = main(["statistics", *where, "--out", str(tmp_path / "out"), "--settings", '{"resamples": 200}'])

    tables = read(tmp_path / "out")
    assert code == 0
    assert set(tables.metrics["policy"]) == {policy.id for policy in study.policies}
    assert len(tables.differences[tables.differences["headline"]]) == 2 * 5 * (3 + 2)
    assert set(tables.seeds["recipe"]) == {"sft", "dpo", "ppo"}
    assert set(tables.seeds["reference"]) == {"", "base", "sft"}
    assert (
        tables.metrics["n"] == tables.metrics[["parsed", "unparsed", "conflicting", "refused", "failed"]].sum(axis=1)
    ).all()


@pytest.mark.parametrize("name", ["null", "NA", "none", "nan", "07", "1e5", "true"])
def test_names_that_look_like_other_values_read_back_as_they_were(tmp_path: Path, one_metric: None, name: str) -> None:
    # given a study whose model, preference set and recipe have a name that a CSV reader may take for something else
    base = Policy(id=f"{name}/base", model=name, recipe="base")
    trained = Policy(id=f"{name}/{name}/sft/seed0", model=name, preferences=name, recipe=name, seed=0,
                     reference_base=base.id, methods=("sft",), trained=("sft",))  # fmt: skip
    for policy, values in ((base.id, "0110"), (trained.id, "1101")):
        put(tmp_path, policy, [{"item": str(place), "value": float(value)} for place, value in enumerate(values)])
    # when its tables are written and read
    write(compute(StudyDesign(study="x", policies=(base, trained), verticals=("bias",)), tmp_path, QUICK), tmp_path)
    tables = read(tmp_path)
    # then the name is still a text, and the base model has no preference set
    assert tables.metrics[["model", "preferences", "recipe"]].drop_duplicates().to_numpy().tolist() == [
        [name, "", "base"],
        [name, name, name],
    ]
    assert tables.differences[["preferences", "reference_policy"]].iloc[0].tolist() == [name, base.id]


def test_metrics_and_differences_worked_out_by_hand(tmp_path: Path, one_metric: None) -> None:
    pair(tmp_path, {"a": 0, "b": 0, "c": 0, "d": 1, "e": "refused"}, {"a": 1, "b": 1, "c": "unparsed", "d": 1, "e": 0})

    tables = compute(two_policies(), tmp_path, QUICK)

    base, sft = tables.metrics.to_dict("records")
    assert (base["value"], base["n"], base["parsed"], base["refused"]) == (0.25, 5, 4, 1)
    assert (sft["value"], sft["n"], sft["parsed"], sft["unparsed"]) == (0.75, 5, 4, 1)
    change = tables.differences.iloc[0]
    # Over a, b and d, which both parsed: 1 against 1/3. Of the four ways to swap a and b, two are as extreme.
    assert (change["n_pairs"], change["lost"]) == (3, 2)
    assert (change["value"], change["reference_value"]) == (1, pytest.approx(1 / 3))
    assert change["difference"] == pytest.approx(2 / 3)
    assert change["p"] == change["p_holm"] == 0.5
    assert change["verdict"] == "no change found"


def test_items_that_one_arm_lacks_are_lost_pairs(tmp_path: Path, one_metric: None) -> None:
    pair(tmp_path, {"a": 0, "b": 0, "c": 0}, {"b": 1, "c": 1, "d": 1})

    change = compute(two_policies(), tmp_path, QUICK).differences.iloc[0]

    assert (change["n_pairs"], change["lost"]) == (2, 2)
    assert change["difference"] == 1


def test_all_unparsed_is_no_number_rather_than_zero(tmp_path: Path, one_metric: None) -> None:
    pair(tmp_path, {"a": 0, "b": 1}, {"a": "unparsed", "b": "unparsed"})

    tables = compute(two_policies(), tmp_path, QUICK)
    write(tables, tmp_path / "out")

    sft = tables.metrics.iloc[1]
    assert (sft["n"], sft["parsed"], sft["unparsed"]) == (2, 0, 2)
    assert sft[["value", "low", "high", "detectable"]].isna().all()
    change = tables.differences.iloc[0]
    assert (change["n_pairs"], change["lost"], change["verdict"]) == (0, 2, "")
    assert change[["difference", "low", "high", "p", "p_holm"]].isna().all()
    text = (tmp_path / "out" / "metrics.csv").read_text().splitlines()[2]
    assert ",,,,cluster," in text


def test_constant_arms_have_intervals(tmp_path: Path, one_metric: None) -> None:
    items = [f"i{index:02d}" for index in range(20)]
    pair(tmp_path, dict.fromkeys(items, 0), dict.fromkeys(items, 1))

    tables = compute(two_policies(), tmp_path, QUICK)

    assert tables.metrics.iloc[0][["low", "high"]].tolist() == pytest.approx([0, 0.17968], abs=1e-5)
    change = tables.differences.iloc[0]
    assert change[["low", "high"]].tolist() == pytest.approx([1 - np.sqrt(2) * 0.17968, 1], abs=1e-5)
    assert change["p"] < 0.01
    assert change["verdict"] == "rose"


def test_one_cluster_gives_numbers_but_no_interval(tmp_path: Path, one_metric: None) -> None:
    rows = [{"item": "a", "cluster": "only", "value": 0.2}, {"item": "b", "cluster": "only", "value": 0.4}]
    put(tmp_path, "toy/base", rows)
    put(tmp_path, "toy/judge/sft/seed0", [row | {"value": 0.5} for row in rows])

    tables = compute(two_policies(), tmp_path, QUICK)

    assert tables.metrics.iloc[0]["value"] == pytest.approx(0.3)
    assert tables.metrics.iloc[0][["low", "high"]].isna().all()
    assert tables.differences.iloc[0]["difference"] == pytest.approx(0.2)
    assert tables.differences.iloc[0]["p"] == 1.0


def test_several_conditions_are_shown_apart_as_well(tmp_path: Path, one_metric: None) -> None:
    rows = [{"item": f"{condition}{index}", "condition": condition, "value": float(condition == "adversarial")}
            for condition in ("benign", "adversarial") for index in range(6)]  # fmt: skip
    put(tmp_path, "toy/base", rows)
    put(tmp_path, "toy/judge/sft/seed0", rows)

    metrics = compute(two_policies(), tmp_path, QUICK).metrics

    base = metrics[metrics["policy"] == "toy/base"].set_index("condition")
    assert base["value"].to_dict() == {"all": 0.5, "adversarial": 1, "benign": 0}
    assert base["n"].to_dict() == {"all": 12, "adversarial": 6, "benign": 6}
    assert base["headline"].to_dict() == {"all": True, "adversarial": False, "benign": False}


def test_a_facets_values_have_rows_of_their_own_worked_out_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = Metric("share", "lower", "A share.", headline=True, facets=("topic",))
    monkeypatch.setattr("trustdag.verticals.bias.METRICS", (metric,))
    topics = {"greed": "abcd", "loans": "ef"}
    facts = [{"item": item, "topic": topic, "cluster": item} for topic, items in topics.items() for item in items]
    put(tmp_path, "toy/base", [fact | {"value": 0.0} for fact in facts])
    said = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.0, "e": 0.0}
    put(tmp_path, "toy/judge/sft/seed0", [
        fact | ({"value": said[fact["item"]]} if fact["item"] in said else {"value": np.nan, "status": "unparsed"})
        for fact in facts
    ])  # fmt: skip

    tables = compute(two_policies(), tmp_path, QUICK)

    sft = tables.metrics[tables.metrics["recipe"] == "sft"].set_index("condition")
    assert sft["value"].to_dict() == {"all": 0.6, "topic=greed": 0.75, "topic=loans": 0}
    assert sft["n"].to_dict() == {"all": 6, "topic=greed": 4, "topic=loans": 2}
    assert sft["unparsed"].to_dict() == {"all": 1, "topic=greed": 0, "topic=loans": 1}
    assert sft["low"]["topic=greed"] < 0.75 < sft["high"]["topic=greed"]
    assert sft["headline"].to_dict() == {"all": True, "topic=greed": False, "topic=loans": False}
    change = tables.differences.set_index("condition")
    assert change["difference"].to_dict() == {"all": 0.6, "topic=greed": 0.75, "topic=loans": 0}
    assert change["n_pairs"].to_dict() == {"all": 5, "topic=greed": 4, "topic=loans": 1}
    # Of the eight ways to swap a, b and c, two are as extreme; e never differs.
    assert change["p"].to_dict() == {"all": 0.25, "topic=greed": 0.25, "topic=loans": 1}


def test_a_facets_values_are_corrected_together_and_leave_the_headline_metrics_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [f"i{index:02d}" for index in range(48)]
    facts = [
        {"item": item, "topic": f"topic {index % 3}", "group": f"group {index % 2}"} for index, item in enumerate(items)
    ]
    for policy, value in (("toy/base", 0.0), ("toy/judge/sft/seed0", 1.0)):
        put(tmp_path, policy, [fact | {"value": value if index < 24 else 0.0} for index, fact in enumerate(facts)])
    differences = {}
    for facets in ((), ("topic", "group")):
        metric = Metric("share", "lower", "A share.", headline=True, facets=facets)
        monkeypatch.setattr("trustdag.verticals.bias.METRICS", (metric,))
        differences[facets] = compute(two_policies(), tmp_path, QUICK).differences.set_index("condition")

    plain, split = differences.values()
    assert plain["p_holm"]["all"] == split["p_holm"]["all"] == plain["p"]["all"]
    # Eight of sixteen items differ in each of three topics: 2 of 2^8 swaps are as extreme. Twelve in each group.
    assert split["p"]["topic=topic 0"] == 2 / 2**8
    assert split["p_holm"]["topic=topic 0"] == 3 * 2 / 2**8
    assert split["p_holm"]["group=group 0"] == 2 * split["p"]["group=group 0"]
    assert set(split["verdict"]) == {"rose"}


def test_draws_that_shift_both_arms_alike_widen_their_values_and_not_their_difference(
    tmp_path: Path, one_metric: None
) -> None:
    # Given a calibration that might lie .1 higher or lower, everywhere.
    rng = np.random.default_rng(0)
    items = {f"i{index:02d}": value for index, value in enumerate(rng.uniform(0.3, 0.7, 40))}
    widths = {}
    for name, shifts in (("without", None), ("with", np.array([-0.1, 0.0, 0.1]))):
        for policy, change in (("toy/base", 0.0), ("toy/judge/sft/seed0", 0.05)):
            rows = []
            for at, (item, ease) in enumerate(items.items()):
                value = ease + change * (at % 3)
                rows.append({"item": item, "value": value} | ({} if shifts is None else {"draws": value + shifts}))
            put(tmp_path, policy, rows)
        tables = compute(two_policies(), tmp_path, QUICK)
        widths[name] = [float((table["high"] - table["low"]).iloc[0]) for table in (tables.metrics, tables.differences)]

    assert widths["with"][0] > 2 * widths["without"][0]
    assert widths["with"][1] == pytest.approx(widths["without"][1])


def test_arms_of_different_calibrations_are_to_be_scored_again(tmp_path: Path, one_metric: None) -> None:
    put(tmp_path, "toy/base", [{"item": "a", "draws": [0.1, 0.2]}, {"item": "b", "draws": [0.1, 0.2]}])
    put(tmp_path, "toy/judge/sft/seed0", [{"item": "a"}, {"item": "b"}])

    with pytest.raises(UserError, match="share: not all policies were scored with the same calibration; score again"):
        compute(two_policies(), tmp_path, QUICK)


def test_values_that_agree_under_the_fit_but_not_under_its_refits_are_as_unsure_as_the_refits(
    tmp_path: Path, one_metric: None
) -> None:
    rows = [{"item": f"i{index:02d}", "value": 0.0, "draws": [0.0, 0.0, 1.0]} for index in range(20)]
    put(tmp_path, "toy/base", rows)
    put(tmp_path, "toy/judge/sft/seed0", rows)

    base = compute(two_policies(), tmp_path, QUICK).metrics.iloc[0]

    assert (base["value"], base["low"], base["high"]) == (0, 0, 1)


def test_records_without_a_facets_column_are_to_be_scored_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = Metric("share", "lower", "A share.", headline=True, facets=("topic",))
    monkeypatch.setattr("trustdag.verticals.bias.METRICS", (metric,))
    pair(tmp_path, {"a": 0}, {"a": 1})

    with pytest.raises(UserError, match="share: the records have no column `topic`; score again"):
        compute(two_policies(), tmp_path, QUICK)


def test_the_order_of_the_rows_changes_nothing(tmp_path: Path) -> None:
    study = invented_study.cells()
    invented_study.write_records(study, tmp_path / "as-is", items=15)
    for path in (tmp_path / "as-is").rglob("*.parquet"):
        shuffled = tmp_path / "shuffled" / path.relative_to(tmp_path / "as-is")
        shuffled.parent.mkdir(parents=True, exist_ok=True)
        pd.read_parquet(path).sample(frac=1, random_state=len(path.name)).to_parquet(shuffled, index=False)

    for folder in ("as-is", "shuffled"):
        write(compute(study, tmp_path / folder, QUICK), tmp_path / "out" / folder)

    for name in ("metrics", "differences", "seeds"):
        first, second = ((tmp_path / "out" / folder / f"{name}.csv").read_bytes() for folder in ("as-is", "shuffled"))
        assert first == second


def test_all_headline_changes_that_the_answer_speaks_of_are_one_family(tmp_path: Path) -> None:
    study = invented_study.cells()
    invented_study.write_records(study, tmp_path, items=30)

    differences = compute(study, tmp_path, QUICK).differences

    headline = differences[differences["headline"].astype(bool)]
    # Five verticals: three recipes since the base model, two since SFT.
    assert set(headline["family"]) == {25}
    smallest = headline.sort_values("p").iloc[0]
    assert smallest["p_holm"] == pytest.approx(min(1, 25 * smallest["p"]))
    by_themselves = ~differences["headline"].astype(bool) & ~differences["condition"].str.contains("=")
    assert differences.loc[by_themselves, "p_holm"].isna().all()
    assert set(differences.loc[by_themselves, "family"]) == {1}


def test_over_training_seeds_the_means_are_the_family_and_each_seed_is_one_apart(tmp_path: Path) -> None:
    study = invented_study.cells(seeds=(0, 1, 2))
    invented_study.write_records(study, tmp_path, items=20)

    tables = compute(study, tmp_path, QUICK)

    changes = tables.seeds[(tables.seeds["reference"] != "") & tables.seeds["headline"]]
    assert set(changes["family"]) == {25}
    assert changes["p_holm"].notna().all()
    assert set(tables.differences.loc[tables.differences["headline"].astype(bool), "family"]) == {25}


def test_two_training_seeds_have_an_interval_and_no_test(tmp_path: Path) -> None:
    study = invented_study.cells(seeds=(0, 1))
    invented_study.write_records(study, tmp_path, items=20)

    seeds = compute(study, tmp_path, QUICK).seeds

    assert seeds.loc[seeds["headline"], ["low", "high"]].notna().all(axis=None)
    assert seeds["p"].isna().all()
    assert set(seeds.loc[seeds["reference"] == "", "verdict"]) == {""}
    assert set(seeds.loc[seeds["headline"] & (seeds["reference"] != ""), "verdict"]) == {"not tested"}
    assert np.isinf(seeds.loc[seeds["headline"] & (seeds["reference"] != ""), "detectable"]).all()


def test_so_few_random_swaps_that_nothing_can_be_found_are_warned_of(tmp_path: Path) -> None:
    study = invented_study.cells()
    invented_study.write_records(study, tmp_path, items=20)
    tables = compute(study, tmp_path, QUICK)

    # Twenty-five headline changes: the least p-value must be below .05 / 25.
    assert "none can be found; set it to at least 500" in too_few_resamples(tables, QUICK)
    assert too_few_resamples(tables, StatisticsSettings(resamples=500)) == ""


def test_a_change_that_the_test_cannot_find_says_so(tmp_path: Path, one_metric: None) -> None:
    # Of five clusters, the least p-value is 2 / 32.
    items = [f"i{index}" for index in range(5)]
    pair(tmp_path, dict.fromkeys(items, 0), dict.fromkeys(items, 1))

    change = compute(two_policies(), tmp_path, QUICK).differences.iloc[0]

    assert np.isinf(change["detectable"])
    assert (change["clusters"], change["few_clusters"], change["verdict"]) == (5, True, "no change found")
    assert change["low"] <= 0


def test_a_conditional_metric_counts_what_its_condition_holds_for(tmp_path: Path, monkeypatch: Any) -> None:
    metric = Metric("share", "lower", "A share.", headline=True, statistic="ratio")
    monkeypatch.setattr("trustdag.verticals.bias.METRICS", (metric,))
    able = {"toy/base": range(12), "toy/judge/sft/seed0": range(2, 30)}
    for policy, items in able.items():
        told = [(at, float(at in items and at % 2), float(at in items)) for at in range(30)]
        put(tmp_path, policy, [{"item": f"i{at:02d}", "value": value, "label": label} for at, value, label in told])

    tables = compute(two_policies(), tmp_path, QUICK)

    assert tables.metrics["n"].tolist() == tables.metrics["parsed"].tolist() == [12, 28]
    change = tables.differences.iloc[0]
    assert (change["n_pairs"], change["lost"], change["difference"]) == (10, 20, 0)


def test_a_conditional_metric_has_no_change_where_too_few_items_count_for_both(
    tmp_path: Path, monkeypatch: Any
) -> None:
    metric = Metric("share", "lower", "A share.", headline=True, statistic="ratio")
    monkeypatch.setattr("trustdag.verticals.bias.METRICS", (metric,))
    for policy, able in (("toy/base", 9), ("toy/judge/sft/seed0", 30)):
        put(tmp_path, policy, [{"item": f"i{at:02d}", "value": 0.0, "label": float(at < able)} for at in range(30)])

    change = compute(two_policies(), tmp_path, QUICK).differences.iloc[0]

    assert (change["n_pairs"], change["lost"], change["verdict"]) == (9, 21, "")
    assert np.isnan(change["difference"])


def test_the_population_is_what_the_clusters_are(tmp_path: Path, monkeypatch: Any) -> None:
    metric = Metric("share", "lower", "A share.", headline=True, facets=("topic", "group"))
    monkeypatch.setattr("trustdag.verticals.bias.METRICS", (metric,))
    rows = [
        {"item": f"{topic} {group}", "cluster": f"topic={topic}", "topic": topic, "group": group, "value": 1.0}
        for topic in ("greed", "loans", "wit")
        for group in ("one", "two", "three", "four")
    ]
    put(tmp_path, "toy/base", rows)
    put(tmp_path, "toy/judge/sft/seed0", rows)

    base = compute(two_policies(), tmp_path, QUICK).metrics.query("recipe == 'base'").set_index("condition")

    assert (base["population"]["all"], base["clusters"]["all"]) == ("topic", 3)
    assert (base["population"]["group=one"], base["clusters"]["group=one"]) == ("topic", 3)
    # Within a topic the statements are a sample of groups alone.
    assert (base["population"]["topic=wit"], base["clusters"]["topic=wit"]) == ("group", 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "lost"}, "status `lost` is none of parsed, unparsed, conflicting, refused, failed"),
        ({"metric": "stranger"}, "the metric `stranger`, which the vertical does not define"),
        ({"value": np.nan}, "`share` of `a` is parsed but has the value nan"),
        ({"value": np.inf}, "`share` of `a` is parsed but has the value inf"),
        ({"cluster": "elsewhere"}, "item `a` has another cluster or condition in another policy"),
    ],
)
def test_records_that_cannot_be_are_refused(
    tmp_path: Path, one_metric: None, change: dict[str, Any], message: str
) -> None:
    pair(tmp_path, {"a": 0, "b": 0}, {"a": 1, "b": 1})
    put(tmp_path, "toy/base", [{"item": "a"} | change, {"item": "b"}])

    with pytest.raises(UserError, match=message):
        compute(two_policies(), tmp_path, QUICK)


@pytest.mark.parametrize(
    ("statistic", "record", "message"),
    [
        ("auroc", {"value": 0.5}, "share: item `a` has no label, which `auroc` needs"),
        ("ece", {"value": 1.5, "label": 1}, "share: the value of item `a` is no probability"),
    ],
)
def test_a_statistic_gets_what_it_needs(
    tmp_path: Path,
    one_metric: None,
    monkeypatch: pytest.MonkeyPatch,
    statistic: str,
    record: dict[str, float],
    message: str,
) -> None:
    monkeypatch.setattr("trustdag.verticals.bias.METRICS", (Metric("share", None, "", True, statistic),))
    for policy in ("toy/base", "toy/judge/sft/seed0"):
        put(tmp_path, policy, [{"item": "a"} | record])

    with pytest.raises(UserError, match=message):
        compute(two_policies(), tmp_path, QUICK)


def test_an_item_that_stands_twice_is_refused(tmp_path: Path, one_metric: None) -> None:
    put(tmp_path, "toy/base", [{"item": "a"}, {"item": "a"}])

    with pytest.raises(UserError, match=r"bias.parquet: item `a` stands twice under `share`"):
        compute(two_policies(), tmp_path, QUICK)


def test_missing_and_damaged_files_are_named(tmp_path: Path, one_metric: None) -> None:
    with pytest.raises(UserError, match=r"toy/base/bias.parquet: no such file"):
        compute(two_policies(), tmp_path, QUICK)

    pair(tmp_path, {"a": 0}, {"a": 0})
    (tmp_path / "toy/base/bias.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(UserError, match=r"toy/base/bias.parquet: not a Parquet file of records"):
        compute(two_policies(), tmp_path, QUICK)

    pd.DataFrame({"metric": ["share"]}).to_parquet(tmp_path / "toy/base/bias.parquet")
    with pytest.raises(UserError, match="no column item, cluster"):
        compute(two_policies(), tmp_path, QUICK)


def test_a_file_without_a_record_is_no_measurement(tmp_path: Path, one_metric: None) -> None:
    pair(tmp_path, {"a": 0}, {"a": 0})
    records = pd.read_parquet(tmp_path / "toy/base/bias.parquet")
    records[:0].to_parquet(tmp_path / "toy/base/bias.parquet")
    with pytest.raises(UserError, match=r"toy/base/bias.parquet: holds no record"):
        compute(two_policies(), tmp_path, QUICK)


def test_a_study_that_compares_with_a_stranger_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    study = {
        "study": "s",
        "verticals": ["bias"],
        "policies": [{"id": "a/base", "model": "a", "recipe": "base", "reference_base": "b/base"}],
    }
    (tmp_path / "design.json").write_text(json.dumps(study))

    code = main(
        [
            "statistics",
            "--design",
            str(tmp_path / "design.json"),
            "--records-root",
            str(tmp_path),
            "--out",
            str(tmp_path),
        ]
    )

    assert code == 2
    assert "policy a/base is compared with b/base, which is not listed" in capsys.readouterr().err


def test_an_item_of_several_samples_counts_by_the_share_that_was_read(tmp_path: Path, one_metric: None) -> None:
    # Given an item of which two samples in ten could be read, beside two that were read in full
    rows = [{"item": "a", "value": 1.0, "weight": 0.2}, *({"item": name, "value": 0.0, "weight": 1.0} for name in "bc")]
    put(tmp_path, "toy/base", [{"item": name, "value": 0.0} for name in "abc"])
    put(tmp_path, "toy/judge/sft/seed0", rows)
    tables = compute(two_policies(), tmp_path, QUICK)
    # Then level and change are over 2.2 items
    levels = tables.metrics[tables.metrics["condition"] == "all"].set_index("policy")["value"]
    assert levels["toy/judge/sft/seed0"] == pytest.approx(0.2 / 2.2)
    changes = tables.differences[tables.differences["condition"] == "all"]
    assert changes["difference"].to_list() == pytest.approx([0.2 / 2.2])
    assert changes["value"].to_list() == pytest.approx([0.2 / 2.2])
