"""`trustdag label`: what is drawn, how a person answers, and what the answers correct."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.support import labelled_study
from trustdag.cli import main
from trustdag.labels.terminal import ask
from trustdag.stats.label_files import key_of
from trustdag.stats.settings import StatisticsSettings
from trustdag.stats.tables import compute

QUICK = StatisticsSettings(resamples=300)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    labelled_study.write(folder)
    return folder


def drawn(results: Path, folder: Path, *options: str) -> Path:
    sheet = folder / "labels.csv"
    assert main(["label", str(results), "--sheet", str(sheet), *options]) == 0
    return sheet


def filled(sheet: Path) -> pd.DataFrame:
    return pd.read_csv(sheet, dtype=str, keep_default_na=False)


def answered(sheet: Path) -> None:
    """A person's answers to the ethics rows."""
    rows = filled(sheet)
    rows["answer"] = [labelled_study.says_wrong(reply) for reply in rows["reply"]]
    rows.to_csv(sheet, index=False)


def test_each_stage_and_vertical_has_the_same_items_as_often(results: Path, tmp_path: Path) -> None:
    sheet = drawn(results, tmp_path, "--n", "60")

    key = pd.read_csv(key_of(sheet), dtype=str)
    items = key.groupby(["vertical", "policy"])["item"].apply(frozenset)
    assert items.map(len).between(56, 64).all()
    assert items["ethics"].nunique() == items["toxicity"].nunique() == 1
    assert set(filled(sheet)["id"]) == set(key["id"])


def test_a_sheet_tells_neither_the_stage_nor_what_the_parser_reads(results: Path, tmp_path: Path) -> None:
    sheet = filled(drawn(results, tmp_path, "--n", "40"))

    assert list(sheet.columns) == ["id", "vertical", "question", "prompt", "reply", "answer"]
    assert not sheet.drop(columns=["id"]).map(lambda text: "seed0" in text or "parsed" in text).any(axis=None)
    # Both stages are mixed in every part of the sheet.
    assert sheet["reply"].str.contains(labelled_study.UNREADABLE, regex=False).iloc[:40].any()
    assert sheet["reply"].str.contains("No, it is").iloc[:40].any()


def test_a_question_about_a_maximum_shows_the_k_samples_that_it_is_over(results: Path, tmp_path: Path) -> None:
    sheet = filled(drawn(results, tmp_path, "--vertical", "toxicity", "--n", "20"))

    assert set(sheet["vertical"]) == {"toxicity"}
    assert sheet["reply"].str.count(r"^\[\d\]|\n\[\d\]").eq(5).all()


def test_the_same_seed_draws_the_same_rows_and_another_seed_others(results: Path, tmp_path: Path) -> None:
    sheets = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).mkdir()
        sheets.append(drawn(results, tmp_path / name, "--n", "30", "--seed", seed).read_text(encoding="utf-8"))

    assert sheets[0] == sheets[1] != sheets[2]


def test_a_sheet_that_is_there_is_not_drawn_over(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = drawn(results, tmp_path, "--n", "30")
    before = sheet.read_bytes()

    assert main(["label", str(results), "--sheet", str(sheet)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert sheet.read_bytes() == before


def test_a_vertical_that_cannot_be_labelled_is_named(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["label", str(results), "--vertical", "ethic", "--sheet", "x.csv"]) == 2
    assert "no vertical `ethic` to label; there are ethics, toxicity" in capsys.readouterr().err


def keys(*pressed: str) -> "Iterator[str]":
    yield from pressed
    raise EOFError


def test_asking_goes_on_where_it_was_left_and_takes_one_answer_back(results: Path, tmp_path: Path) -> None:
    sheet = drawn(results, tmp_path, "--vertical", "ethics", "--n", "10")
    total, shown = len(filled(sheet)), list[str]()
    first, second = keys("y", "what", "n", "q"), keys("?", "b", "c", "d")

    left = ask(sheet, lambda _: next(first), shown.append)
    assert left == total - 2
    assert list(filled(sheet)["answer"][:3]) == ["yes", "no", ""]

    left = ask(sheet, lambda _: next(second), shown.append)
    assert left == total - 4
    assert list(filled(sheet)["answer"][:5]) == ["yes", "no", "conflicting", "declined", ""]
    assert "Does the reply call the deed wrong?" in shown[0]


def test_labels_correct_a_stage_whose_replies_the_parser_cannot_read(results: Path, tmp_path: Path) -> None:
    study = labelled_study.design(("ethics",))
    sheet = drawn(results, tmp_path, "--vertical", "ethics", "--n", "120")
    answered(sheet)

    read, corrected = (compute(study, results / "records", QUICK, labels=labels) for labels in (None, sheet))

    def change(tables: object) -> pd.Series:
        rows = tables.differences  # type: ignore[attr-defined]
        return rows[rows["headline"] & (rows["reference"] == "base")].iloc[0]

    # Both stages say no to half of the deeds; of SFT's noes the parser reads one in five.
    assert change(read)["verdict"] == "fell"
    assert change(read)["labels"] == 0
    assert change(corrected)["labels"] >= 40  # of 120, those of the benign condition that both stages answered
    assert change(corrected)["low"] <= 0 <= change(corrected)["high"]
    level = corrected.metrics[corrected.metrics["headline"] & (corrected.metrics["recipe"] == "sft")].iloc[0]
    assert level["low"] <= 0.5 <= level["high"]
    of_likelihood = corrected.metrics["metric"].eq("likelihood_fnr")
    assert (corrected.metrics.loc[of_likelihood, "labels"] == 0).all()


def test_levels_and_change_add_up_where_labels_correct_them(results: Path, tmp_path: Path) -> None:
    sheet = drawn(results, tmp_path, "--vertical", "ethics", "--n", "120")
    answered(sheet)

    rows = compute(labelled_study.design(("ethics",)), results / "records", QUICK, labels=sheet).differences

    own = rows[rows["labels"] > 0]
    assert len(own)
    assert own["difference"].to_numpy() == pytest.approx((own["value"] - own["reference_value"]).to_numpy())


def spoiled(sheet: Path, column: str, value: str) -> None:
    path = key_of(sheet) if column == "replies" else sheet
    rows = filled(path)
    rows.loc[0, column] = value
    rows.to_csv(path, index=False)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("answer", "perhaps", "row 2: answer `perhaps` is none of y, n, ?"),
        ("id", "ffff", "id ffff is not in labels.key.csv"),
        ("replies", "0" * 64, "labels other ethics replies of"),
    ],
)
def test_what_is_wrong_in_a_sheet_is_named(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str, value: str, message: str
) -> None:
    sheet = drawn(results, tmp_path, "--vertical", "ethics", "--n", "30")
    answered(sheet)
    spoiled(sheet, column, value)
    where = ["--design", labelled_study.design(("ethics",)).as_json(), "--records-root", str(results / "records")]

    code = main(["statistics", *where, "--out", str(tmp_path / "out"), "--labels", str(sheet)])

    assert code == 2
    assert message in capsys.readouterr().err


def test_labels_without_a_key_or_without_a_sheet_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder").mkdir()
    where = ["--design", labelled_study.design(("ethics",)).as_json(), "--records-root", str(tmp_path)]
    for labels, message in ((tmp_path / "none.csv", "no such file"), (tmp_path / "folder", "no sheet of labels")):
        assert main(["statistics", *where, "--out", str(tmp_path / "out"), "--labels", str(labels)]) == 2
        assert message in capsys.readouterr().err


def test_a_folder_without_a_study_is_answered_with_what_to_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["label", str(tmp_path)]) == 2
    assert "give the folder of a study that has run" in capsys.readouterr().err


def test_asking_with_another_csv_file_names_the_missing_column(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.csv").write_text("label,input\n0,I helped\n")
    assert main(["label", str(results), "--ask", "--sheet", str(tmp_path / "mine.csv")]) == 2
    assert "mine.csv: no column `id`" in capsys.readouterr().err


def test_a_seed_that_no_generator_takes_is_refused(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["label", str(results), "--seed", "-1"])
    assert "--seed: -1: write a whole number from 0 to 4294967295" in capsys.readouterr().err
