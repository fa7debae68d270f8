"""The page's section of influence: extreme pairs, what they share, and its intervals."""

from pathlib import Path

import pandas as pd
import pytest

from tests.support.axe import violations
from tests.support.browser import chromium, installed
from trustdag.errors import UserError
from trustdag.layout import Results
from trustdag.report.attributions import attributions, features, newcombe, tables, wilson
from trustdag.report.html import TEMPLATES, environment
from trustdag.report.settings import PageSettings
from trustdag.stamps import stamp
from trustdag.stats.design import Policy, StudyDesign

POLICY = "tiny/crowd/dpo/seed0"


def pairs(count: int) -> pd.DataFrame:
    """Pairs of which the first tenth agrees."""
    return pd.DataFrame(
        {
            "prompt": [[{"role": "user", "content": f"Question {row}?"}] for row in range(count)],
            "chosen": ["I agree. It is." if row < count // 10 else "I cannot say." for row in range(count)],
            "rejected": ["I disagree. It is not."] * count,
            "source": [f"toy {row} {'opinion' if row < count // 10 else 'deed'}" for row in range(count)],
        }
    )


@pytest.fixture
def study(tmp_path: Path) -> StudyDesign:
    files = Results(str(tmp_path))
    for path in (
        files.data("crowd", "train.parquet"),
        files.model(POLICY, "digest.txt"),
        files.attribution(POLICY, "bias"),
    ):
        Path(path).parent.mkdir(parents=True)
    Path(files.model(POLICY, "digest.txt")).write_text("abc\n")
    pairs(40).to_parquet(files.data("crowd", "train.parquet"))
    scores = pd.DataFrame({"row": range(40), "rank": range(1, 41), "standard_error": 0.5})
    scores["score"] = scores["bm25"] = -scores["row"].astype(float)
    for name, period in (("random", 7), ("embedding", 5), ("length", 3)):
        scores[name] = scores["row"] % period
    scores.attrs["attribution"] = {
        "trained": POLICY, "preferences": "crowd", "method": "ekfac", "metric": "agreement", "query": "options",
        "texts": 4, "layers": "2 layers", "value": 0.0, "standard_error": 0.1,
    }  # fmt: skip
    stamp(scores, {"model": "abc"})
    scores.to_parquet(files.attribution(POLICY, "bias"))
    policy = Policy(id=POLICY, model="tiny", preferences="crowd", recipe="dpo", seed=0)
    return StudyDesign(study="tiny", policies=(policy,), verticals=("bias", "ethics"))


def test_extreme_pairs_stand_at_their_ends(study: StudyDesign, tmp_path: Path) -> None:
    (entry,) = attributions(study, tmp_path, PageSettings(attributed_pairs=2))

    assert [row["row"] for row in entry["raised"]] == [0, 1]
    assert [row["row"] for row in entry["lowered"]] == [39, 38]
    assert entry["raised"][0]["prompt"] == "Question 0?"
    assert entry["baselines"]["bm25"] == pytest.approx(1.0)
    files = tables([entry])
    assert len(files["attributed_pairs"]) == 4
    assert set(files["attributed_features"]["end"]) == {"raised", "lowered"}


def test_the_section_shows_pairs_features_and_baselines_and_escapes_what_it_quotes(
    study: StudyDesign, tmp_path: Path
) -> None:
    # Given an attribution one of whose pairs holds markup
    path = Results(str(tmp_path)).data("crowd", "train.parquet")
    table = pairs(40)
    table.loc[0, "rejected"] = "<b>No</b>"
    table.to_parquet(path)
    (entry,) = attributions(study, tmp_path, PageSettings())
    # When its part of the page is rendered, an undefined name being an error
    text = str(environment().get_template("parts.html.j2").module.attribution(entry))  # type: ignore[attr-defined]
    # Then all of it is there
    for shown in ("ekfac on 2 layers", "bm25 1.000", "Raised the number most", "Question 39?", "the topic is opinion"):
        assert shown in text
    assert "&lt;b&gt;No&lt;/b&gt;" in text


@pytest.mark.skipif(installed() is None, reason="no Chromium on this machine: no page can be opened")
def test_axe_finds_no_violation_in_the_section(study: StudyDesign, tmp_path: Path) -> None:
    (entry,) = attributions(study, tmp_path, PageSettings())
    text = str(environment().get_template("parts.html.j2").module.attribution(entry))  # type: ignore[attr-defined]
    section = text.replace("<details>", "<details open>")
    head = f"<title>A</title><style>{(TEMPLATES / 'page.css').read_text('utf-8')}</style>"
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><html lang=en>{head}<main><h1>A</h1><h2>Influence</h2>{section}</main></html>")

    with chromium(tmp_path / "profile") as browser:
        browser.open(page, 400)

        assert violations(browser) == []


def test_scores_of_another_model_are_refused(study: StudyDesign, tmp_path: Path) -> None:
    Path(Results(str(tmp_path)).model(POLICY, "digest.txt")).write_text("another\n")

    with pytest.raises(UserError, match="stale: made with other `model` than now"):
        attributions(study, tmp_path, PageSettings())


def test_a_study_without_attributions_has_no_section_and_no_table(tmp_path: Path) -> None:
    policy = Policy(id="tiny/base", model="tiny", recipe="base")

    assert attributions(StudyDesign(study="x", policies=(policy,), verticals=("bias",)), tmp_path, PageSettings()) == []
    assert tables([]) == {}


def test_a_feature_that_the_top_shares_is_found_and_its_interval_excludes_0() -> None:
    rows = features(pairs(200))

    by_name = {(row["feature"], row["end"]): row for row in rows}
    agreeing = by_name["the chosen reply agrees, the rejected one does not", "raised"]
    assert agreeing["share"] == 1.0
    assert agreeing["low"] > 0
    assert by_name["the topic is opinion", "raised"]["share"] == 1.0
    assert by_name["the topic is opinion", "lowered"]["share"] == 0.0


def test_intervals_are_the_published_ones() -> None:
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)  # Newcombe 1998, table I
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)  # Newcombe 1998b, table II
