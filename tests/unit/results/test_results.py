"""A finished study as data frames, and compared with another one. The studies are invented: no model runs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import pandas as pd
import pytest

import trustdag
from tests.support import invented_study
from tests.support.invented_pages import invented_verticals
from trustdag.artifacts import write_json
from trustdag.cli import main
from trustdag.errors import UserError
from trustdag.jsonfiles import read_json
from trustdag.results.columns import MEANINGS, as_markdown
from trustdag.results.compare import StudyComparison, as_text, compare
from trustdag.results.study import StudyResults
from trustdag.stamps import stamp
from trustdag.stats import tables
from trustdag.stats.settings import StatisticsSettings

ROOT = Path(__file__).parents[3]
DPO = "toy/judge/sft-dpo/seed0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The results folder of a finished study of four policies and five verticals."""
    with invented_verticals():
        results = tmp_path_factory.mktemp("study") / "invented"
        design = invented_study.cells(notice="All <invented>.")
        invented_study.write_study(design, results, items=20)
        (results / "statistics").mkdir()
        computed = tables.compute(design, results / "records", StatisticsSettings(resamples=200))
        tables.write(computed, results / "statistics")
        yield results


@pytest.fixture
def study(folder: Path) -> StudyResults:
    """That study, opened."""
    return trustdag.load(folder)


class TestLoad:
    def test_every_table_has_its_documented_columns(self, study: StudyResults) -> None:
        frames: dict[str, pd.DataFrame] = {
            "answer": study.answer,
            "metrics": study.metrics,
            "differences": study.differences,
            "seeds": study.seeds,
            "records": study.records("bias"),
            "replies": study.replies("bias"),
            "curves": study.curves,
            "models": study.models,
        }
        assert frames.keys() == MEANINGS.keys()
        for name, frame in frames.items():
            assert set(study.columns(name)) <= set(frame.columns), name
            if name not in ("records", "curves", "replies"):  # these hold facets and numbers of their own
                assert list(frame.columns) == [each for each in frame.columns if each in study.columns(name)], name

    def test_replies_and_records_are_of_all_policies_or_of_one(self, study: StudyResults) -> None:
        assert set(study.replies("bias")["policy"]) == {policy.id for policy in study.design.policies}
        of_one = study.replies("bias", DPO)
        assert set(of_one["policy"]) == {DPO}
        assert of_one["prompt"].str.startswith("user: Question").all()
        assert set(study.records("ethics", "toy/base")["policy"]) == {"toy/base"}

    def test_a_notebook_shows_the_answer_with_its_notice_escaped(self, study: StudyResults) -> None:
        html = study._repr_html_()
        assert "All &lt;invented&gt;." in html
        assert html.count("<tr>") >= 15
        assert repr(study).endswith("4 policies, 5 verticals")

    def test_what_is_not_there_is_named(self, study: StudyResults, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="no vertical `biass`"):
            study.records("biass")
        with pytest.raises(UserError, match="no policy `toy/none`"):
            study.replies("bias", "toy/none")
        with pytest.raises(UserError, match=r"design\.json: no such file"):
            trustdag.load(tmp_path)

    def test_the_page_of_columns_is_the_one_that_is_generated(self) -> None:
        assert as_markdown() in (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


def change(path: Path, **values: Any) -> None:
    """Changes a manifest's files and how it was made, as another run would."""
    manifest = read_json(path)
    manifest["files"] = {"model.safetensors": values.pop("weights")}
    manifest["made_by"] |= values
    write_json(path, manifest)


class TestCompare:
    def test_a_study_and_its_copy_are_equal(self, study: StudyResults, tmp_path: Path) -> None:
        copytree(study.folder, tmp_path / "copy")
        comparison = compare(study, trustdag.load(tmp_path / "copy"))
        assert (len(comparison.moved), comparison.equal, comparison.alone) == (0, len(study.metrics), {"a": 0, "b": 0})

    def test_a_stage_with_another_setting_is_the_cause_for_its_policy_alone(
        self, study: StudyResults, tmp_path: Path
    ) -> None:
        # Given a copy in which DPO was trained with another beta, and one of its numbers and one of SFT's moved
        copy = tmp_path / "copy"
        copytree(study.folder, copy)
        for results, beta, weights in ((study.folder, 0.1, "aa"), (copy, 0.3, "bb")):
            change(
                results / "models" / DPO / "manifest.json", settings={"beta": beta, "log_every": beta}, weights=weights
            )
        moved = pd.read_csv(copy / "statistics" / "metrics.csv")
        places = moved.index[moved["policy"].isin([DPO, "toy/judge/sft/seed0"]) & moved["vertical"].eq("bias")]
        moved.loc[places, "value"] += 0.25
        moved.to_csv(copy / "statistics" / "metrics.csv", index=False)

        comparison = compare(study, trustdag.load(copy))

        assert len(comparison.moved) == len(places)
        assert comparison.moved["moved"].tolist() == pytest.approx([0.25] * len(places), abs=1e-5)
        by_policy = {policy: rows["causes"].iloc[0] for policy, rows in comparison.moved.groupby("policy")}
        assert [str(cause) for cause in by_policy[DPO]] == ["dpo: settings.beta: 0.1 -> 0.3"]
        assert by_policy["toy/judge/sft/seed0"] == []

    def test_other_scoring_and_other_code_are_told_from_the_stamps(self, study: StudyResults, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        copytree(study.folder, copy)
        for results, cut, code in ((study.folder, 0.5, "c1"), (copy, 0.7, "c2")):
            path = results / "records" / DPO / "toxicity.parquet"
            records = pd.read_parquet(path)
            stamp(records, {"score": json.dumps({"threshold": cut}), "code": code})
            records.to_parquet(path, index=False)
        moved = pd.read_csv(copy / "statistics" / "metrics.csv")
        moved.loc[moved["policy"].eq(DPO) & moved["vertical"].eq("toxicity"), "value"] += 0.1
        moved.to_csv(copy / "statistics" / "metrics.csv", index=False)

        causes = compare(study, trustdag.load(copy)).moved["causes"].iloc[0]

        assert "score: threshold: 0.5 -> 0.7" in map(str, causes)
        assert "score: code: c1 -> c2" in map(str, causes)

    def test_the_command_prints_both(
        self, study: StudyResults, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        copytree(study.folder, tmp_path / "copy")
        assert main(["compare", str(study.folder), str(tmp_path / "copy")]) == 0
        assert "0 of " in capsys.readouterr().out
        assert main(["compare", str(study.folder), str(tmp_path)]) == 2

    def test_a_page_shows_the_causes_and_each_number_that_moved(
        self, study: StudyResults, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # Given a copy whose DPO was trained otherwise, with a number that moved, and a hostile value among the settings
        copytree(study.folder, tmp_path / "copy")
        path = Path(study.files.model(DPO, "manifest.json").replace(str(study.folder), str(tmp_path / "copy")))
        manifest = read_json(path)
        manifest["files"] = {"model.safetensors": "other"}
        manifest["made_by"]["settings"] = {"beta": "<script>alert(1)</script>"}
        write_json(path, manifest)
        metrics = pd.read_csv(tmp_path / "copy" / "statistics" / "metrics.csv")
        metrics.loc[(metrics["policy"] == DPO) & (metrics["metric"] == "mc1"), "value"] = 0.123
        metrics.to_csv(tmp_path / "copy" / "statistics" / "metrics.csv", index=False)

        # When they are compared as a page
        out = tmp_path / "moved.html"
        assert main(["compare", str(study.folder), str(tmp_path / "copy"), "--html", str(out)]) == 0

        # Then it says what moved and why, and is one file in which nothing foreign runs
        assert capsys.readouterr().out.strip() == out.resolve().as_uri()
        text = out.read_text(encoding="utf-8")
        assert "0.123" in text
        assert re.search(r"settings\.beta: \S+ -&gt; &lt;script&gt;alert\(1\)&lt;/script&gt;", text)
        assert text.count("<script>") == 1
        assert "All &lt;invented&gt;." in text
        assert 'class="plain sortable"' in text


def test_studies_without_a_common_number_are_told_what_is_compared() -> None:
    moved = pd.DataFrame(columns=["policy", "vertical", "metric", "condition", "a", "b", "moved", "causes"])
    hint = "same names of policy, vertical and metric"
    assert hint in as_text(StudyComparison(moved, 0, {"a": 3, "b": 4}), ("one", "other"))
    assert hint not in as_text(StudyComparison(moved, 2, {"a": 3, "b": 4}), ("one", "other"))
