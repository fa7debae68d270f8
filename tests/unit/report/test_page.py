"""The page of a whole invented study: complete, self-contained, safe, and equal to its tables."""

import base64
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support import invented_study
from tests.support.invented_pages import invented_verticals, make, write_page
from trustdag import fingerprint
from trustdag.artifacts import write_json
from trustdag.cli import main
from trustdag.fingerprint import code_of
from trustdag.jobs import record as job_record
from trustdag.jsonfiles import read_json
from trustdag.layout import Results
from trustdag.report import plots
from trustdag.report.examples import examples
from trustdag.report.numbers import interval, number, signed
from trustdag.report.settings import PageSettings
from trustdag.report.summary import failures

NOTICE = "The world of this study is invented."
LOADS = ("src", "href", "srcset", "data", "poster", "action", "formaction", "background", "xlink:href")


@pytest.fixture(scope="module", autouse=True)
def invented() -> Iterator[None]:
    with invented_verticals():
        yield


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one training seed."""
    return make(tmp_path_factory.mktemp("one"), invented_study.cells(notice=NOTICE))


@pytest.fixture(scope="module")
def seeds_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two training seeds."""
    return make(tmp_path_factory.mktemp("several"), invented_study.cells(seeds=(0, 1)))


class Page(HTMLParser):
    """The tags, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.scripts: dict[str, str] = {}
        """By id, or `` for what runs: the content of each script element."""
        self.open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open = tag
        if tag == "script":
            self.script = dict(attrs).get("id") or ""
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self.open = ""

    def handle_data(self, data: str) -> None:
        if self.open == "script":
            self.scripts[self.script] = self.scripts.get(self.script, "") + data
        elif self.open != "style":
            self.texts.append(data)

    def data(self, name: str) -> Any:
        """The data of an explorer."""
        return json.loads(self.scripts[name])

    @property
    def text(self) -> str:
        """What a reader sees, with single spaces."""
        return " ".join(" ".join(self.texts).split())


def rows(frame: pd.DataFrame) -> list[Any]:
    """The rows of a table as named tuples."""
    return list(frame.itertuples())


def page_of(results: Path) -> "Page":
    return Page((results / "report.html").read_text(encoding="utf-8"))


def test_the_page_loads_nothing_from_elsewhere(results: Path) -> None:
    text = (results / "report.html").read_text(encoding="utf-8")
    page = Page(text)

    loads = [(tag, name, value) for tag, name, value in page.attributes if name in LOADS]
    assert loads
    assert all(value.startswith(("#", "data:image/png;base64,")) for _, _, value in loads)
    assert not {"link", "iframe", "object", "embed", "form", "img"} & set(page.tags)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_the_page_lets_no_script_run_but_its_own(results: Path) -> None:
    text = (results / "report.html").read_text(encoding="utf-8")
    page = Page(text)

    running = page.tags.count("script") - len([name for name in page.scripts if name])
    digest = base64.b64encode(hashlib.sha256(page.scripts[""].encode()).digest()).decode()
    assert running == 1
    assert f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'\"" in text


def test_replies_and_prompts_are_shown_as_text_and_never_as_markup(results: Path) -> None:
    page = page_of(results)

    assert "<script>dpo</script> says" in page.text
    assert "is this <b>so</b>?" in page.text
    assert not any(name.startswith("on") for _, name, _ in page.attributes)


def test_the_notice_stands_before_any_number(results: Path) -> None:
    text = page_of(results).text

    assert text.index(NOTICE) < text.index("The answer")


@pytest.mark.parametrize("study", ["results", "seeds_results"])
def test_the_page_reproduces_the_numbers_of_the_tables(study: str, request: pytest.FixtureRequest) -> None:
    results = request.getfixturevalue(study)
    text = page_of(results).text
    changes = pd.read_csv(results / "tables" / "changes.csv")
    levels = pd.read_csv(results / "tables" / "levels.csv")

    for row in rows(changes[(changes["reference"] == "base") & (changes["condition"] == "all")]):
        assert f"{signed(row.change)} {interval(row.low, row.high)}".strip() in text
    for row in rows(levels[levels["condition"] == "all"]):
        assert f"{number(row.value)} {interval(row.low, row.high)}".strip() in text


def test_a_headline_number_stands_once_on_the_page(results: Path) -> None:
    text = page_of(results).text
    levels = pd.read_csv(results / "tables" / "levels.csv")
    shown = levels[levels["headline"] & (levels["condition"] == "all")]

    assert [text.count(f"{number(row.value)} {interval(row.low, row.high)}") for row in rows(shown)] == [1] * len(shown)


def test_every_change_of_a_headline_metric_is_judged_in_words(results: Path) -> None:
    text = page_of(results).text
    changes = pd.read_csv(results / "tables" / "changes.csv", keep_default_na=False, na_values=[""])
    judged = changes[changes["headline"] & changes["verdict"].isin(["rose", "fell"])]

    assert len(judged)
    for row in rows(judged):
        assert f"{signed(row.change)} {interval(row.low, row.high)}" in text
    better = judged[(judged["verdict"] == "rose") == (judged["direction"] == "higher")]
    assert text.count("✓ better") >= len(better)


def test_the_answer_says_which_changes_are_corrected_together(results: Path) -> None:
    # Given five verticals: three recipes since the base model, two since SFT.
    text = page_of(results).text

    assert "The 25 headline changes that this page speaks of" in text


def test_two_training_seeds_are_not_tested_and_the_page_says_so(seeds_results: Path) -> None:
    text = page_of(seeds_results).text

    assert "no change of dpo and ppo is tested: a test takes one training seed, or at least 3" in text
    assert "could be measured" not in text


def test_each_number_says_over_which_clusters_it_is(results: Path) -> None:
    assert "over 40 clusters" in page_of(results).text


def test_the_tables_are_those_of_statistics(results: Path) -> None:
    for name in ("metrics", "differences"):
        made = pd.read_csv(results / "statistics" / f"{name}.csv")
        shown = pd.read_csv(results / "tables" / f"{name}.csv")
        pd.testing.assert_frame_equal(made, shown)
    assert len(pd.read_csv(results / "tables" / "changes.csv")) == len(
        pd.read_csv(results / "statistics" / "differences.csv")
    )


def test_training_seeds_are_averaged_and_none_is_shown_alone(seeds_results: Path) -> None:
    changes = pd.read_csv(seeds_results / "tables" / "changes.csv")
    seeds = pd.read_csv(seeds_results / "statistics" / "seeds.csv")

    assert set(changes["seeds"]) == {2}
    merged = changes.merge(seeds, on=["recipe", "reference", "vertical", "metric", "condition"])
    assert len(merged) == len(changes)
    assert merged["change"].tolist() == pytest.approx(merged["value"].tolist())


def test_every_part_that_a_reader_looks_for_is_there(results: Path) -> None:
    page = page_of(results)
    ids = {value for _, name, value in page.attributes if name == "id"}

    assert {"answer", *invented_study.VERTICALS, "numbers", "replies", "training", "data", "reading"} <= ids
    assert {"made", "cite", *(f"card-{name}" for name in invented_study.VERTICALS)} <= ids
    assert {f"plot-{name}" for name in plots.of_study(invented_study.cells())} <= ids
    linked = {value[1:] for tag, name, value in page.attributes if tag == "a" and name == "href"}
    assert linked <= ids
    for expected in (
        "1,000 records read, 990 kept",
        "4 empty, 6 identical",
        "beta: 0.1",
        "80 items in 40 clusters",
        "Null scores: 3",
        "train dpo",
        "12 s",
        "Chance: 0.250",
        "License: CC BY-SA 4.0 (an invented benchmark).",
        "License: CC0.",
        "@software{trustdag",
        "arXiv:2404.18870",
    ):
        assert expected in page.text


def test_the_table_of_numbers_holds_every_condition_topic_and_group_with_its_counts(results: Path) -> None:
    page = page_of(results)
    data = page.data("data-numbers")
    metrics = pd.read_csv(results / "tables" / "metrics.csv").set_index(["policy", "metric", "condition"])
    expected: Any = metrics.loc[("toy/base", "stereotype_index", "topic=topic 1"), :]

    shown = {(data["policies"][row[3]]["label"], data["metric"][row[1]], data["condition"][row[2]]): row[4:]
             for row in data["rows"]}  # fmt: skip
    row = shown["base", "Stereotype index", "topic=topic 1"]
    assert row[:2] == [expected["parsed"], expected["n"]]
    assert row[2:5] == pytest.approx([expected["value"], expected["low"], expected["high"]], abs=1e-4)
    assert {"benign", "adversarial", "group=the as"} <= set(data["condition"])
    assert "all" not in data["condition"]
    assert "topic=topic 1" not in page.text


def test_the_table_of_numbers_holds_each_training_seed_where_there_are_several(seeds_results: Path) -> None:
    data = page_of(seeds_results).data("data-numbers")

    assert {policy["seed"] for policy in data["policies"]} == {"", "0", "1"}
    assert "all" in data["condition"]


def test_a_page_of_current_code_speaks_of_no_other(results: Path) -> None:
    assert "made by code that has changed" not in page_of(results).text


def test_the_page_names_what_other_code_made_and_the_files_that_changed(results: Path, tmp_path: Path) -> None:
    # Given records of the study's jobs: one of code as it is, two of code that changed, one that left the study
    shutil.copytree(results, tmp_path / "study")
    now, index = code_of("align.dpo"), tmp_path / "study" / ".jobs" / "code.json"
    fingerprint.write_fingerprint_index(index)
    modules = read_json(index)[now]
    write_json(index, {now: modules, "0ld": modules | {"align/dpo.py": "0" * 16}})
    for rule, wildcards, code in (
        ("sft", "toy,judge,sft,0", now),
        ("dpo", "toy,judge,sft-dpo,0", "0ld"),
        ("score", "toy,judge,sft-dpo,seed0,bias", "lost"),
        ("dpo", "toy,judge,sft-dpo,7", "0ld"),
    ):
        used = job_record.Usage(seconds=1, peak_mb=1, gpu=0, cpus=1, code=code)
        job_record.write(tmp_path / "study" / ".jobs" / rule / f"{wildcards}.json", job_record.Record(used=used))
    # When the page is written
    assert write_page(tmp_path / "study") == 0
    # Then it names them, each with what changed
    text = page_of(tmp_path / "study").text
    said = text[text.index("Made by code that has changed") :]
    assert re.search(r"align/dpo\.py: *dpo toy,judge,sft-dpo,0", said)
    assert re.search(r"code that is not on record: *score toy,judge,sft-dpo,seed0,bias", said)
    assert "sft toy,judge,sft,0" not in said
    assert "sft-dpo,7" not in said


def test_settings_change_the_page_alone(results: Path, tmp_path: Path) -> None:
    settings = json.dumps({"title": "Another title", "examples": 0})
    other = ["--out", str(tmp_path / "page.html"), "--tables", str(tmp_path / "tables"), "--settings", settings]

    assert write_page(results, *other) == 0

    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h1>Another title</h1>" in text
    assert "toxicity-00" not in Page(text).text


def test_equal_inputs_give_an_equal_page(results: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        assert write_page(results, "--out", str(tmp_path / f"{name}.html"), "--tables", str(tmp_path / name)) == 0

    assert (tmp_path / "first.html").read_bytes() == (tmp_path / "second.html").read_bytes()
    for table in (tmp_path / "first").iterdir():
        assert table.read_bytes() == (tmp_path / "second" / table.name).read_bytes()


def test_a_long_reply_is_cut_with_a_mark(results: Path, tmp_path: Path) -> None:
    settings = json.dumps({"reply_characters": 20})
    assert (
        write_page(
            results, "--out", str(tmp_path / "page.html"), "--tables", str(tmp_path / "t"), "--settings", settings
        )
        == 0
    )

    assert re.search(r"&lt;script&gt;base&lt;/script \[…\]", (tmp_path / "page.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("missing", ["plots/changes.svg", "statistics/metrics.csv", "models/toy/base/manifest.json"])
def test_a_missing_file_is_named(results: Path, missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    hidden = results / missing
    hidden.rename(hidden.with_suffix(".hidden"))
    try:
        code = write_page(results)
    finally:
        hidden.with_suffix(".hidden").rename(hidden)

    assert code == 2
    assert missing in capsys.readouterr().err
    assert (results / "report.html").is_file()


def test_an_examples_scores_stand_below_every_sample_that_they_are_over(results: Path) -> None:
    design = invented_study.cells()
    for example in examples(results, list(design.policies), "ethics", PageSettings(examples=3)):
        assert example.gold.keys() == {"Wrong"}
        for reply in example.replies:
            assert len(reply.samples) == 2
            assert reply.note.startswith("False negative rate: ")


def test_an_example_of_options_shows_the_likeliest_and_which_one_is_right(results: Path) -> None:
    shown = examples(results, list(invented_study.cells().policies), "truthfulness", PageSettings(examples=1))

    assert {example.gold["Correct"] for example in shown} == {"It is not so."}
    assert {reply.samples for example in shown for reply in example.replies} == {("It is so.",)}
    assert all(reply.note.startswith("likeliest of 2 options") for example in shown for reply in example.replies)


def test_half_of_the_examples_are_items_where_stages_differ(results: Path) -> None:
    shown = examples(results, list(invented_study.cells().policies), "ethics", PageSettings(examples=4))

    for condition in ("benign", "adversarial"):
        chosen = [example.chosen for example in shown if example.condition == condition]
        assert chosen == ["stages differ most"] * 2 + ["drawn at random"] * 2
    assert len({example.item for example in shown}) == len(shown)


def test_the_answer_comes_first_and_says_what_it_rests_on(results: Path, seeds_results: Path) -> None:
    text = page_of(results).text.split("The answer")[1]

    assert text.strip().startswith(("Yes: ", "No: ", "In part: "))
    assert text.index("one training run (seed 0)") < text.index("since the base model")
    assert "2 training seeds (0, 1)" in page_of(seeds_results).text


def test_lost_pairs_are_stated_beside_every_headline_change(results: Path) -> None:
    text = page_of(results).text
    changes = pd.read_csv(results / "tables" / "changes.csv")
    lost = changes[changes["headline"] & (changes["lost"] > 0)]

    assert len(lost)
    for row in rows(lost):
        assert f"{row.n_pairs} of {row.n_pairs + row.lost} items" in text


def test_the_summary_names_each_headline_change_the_cost_and_the_page(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["summary", str(results)]) == 0
    shown = capsys.readouterr().out
    changes = pd.read_csv(results / "tables" / "changes.csv", keep_default_na=False, na_values=[""])

    for row in rows(changes[changes["headline"] & (changes["reference"] == "base")]):
        assert signed(row.change) in shown
        assert interval(row.low, row.high) in shown
    assert "of job time together" in shown
    assert (results / "report.html").resolve().as_uri() in shown


def test_the_summary_of_a_model_that_is_only_measured_shows_its_levels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = invented_study.cells()
    only = whole.model_copy(update={"policies": tuple(entry for entry in whole.policies if entry.recipe == "base")})
    make(tmp_path, only)

    assert main(["summary", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    levels = pd.read_csv(tmp_path / "tables" / "levels.csv", keep_default_na=False, na_values=[""])
    headlines = levels[levels["headline"] & (levels["condition"] == "all")]
    assert len(headlines) == 5
    assert "since base" not in shown
    for row in rows(headlines):
        assert f"{number(row.value)}" in shown
        assert interval(row.low, row.high) in shown


@pytest.mark.parametrize("columns", [80, 120])
def test_the_summary_fits_the_terminal(
    results: Path, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["summary", str(results)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "file://" not in line]
    assert max(map(len, lines)) <= columns


def test_the_summary_of_a_folder_of_studies_lists_their_answers(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    for name in ("first", "second"):
        shutil.copytree(results, tmp_path / name)
    (tmp_path / "second" / "report.html").unlink()

    assert main(["summary", str(tmp_path)]) == 0
    first, answer, second = capsys.readouterr().out.splitlines()

    assert first.startswith("first: page of 20")
    page = (results / "report.html").read_text(encoding="utf-8")
    assert f'<p class="verdict">{answer.strip()}</p>' in page
    assert second == "second: not finished"


def test_without_a_page_the_summary_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", str(tmp_path)]) == 2
    assert "holds no study" in capsys.readouterr().err
    (tmp_path / "design.json").write_text("{}")
    assert main(["summary", str(tmp_path)]) == 2
    assert "report.html: no such file; run the study first" in capsys.readouterr().err


def test_a_failed_run_shows_why_and_the_end_of_the_log(tmp_path: Path) -> None:
    path = Results(str(tmp_path)).job_record("dpo", ("toy", "crowd", "sft-dpo", "0"))
    failure = job_record.Failure(kind="memory", mem_mb=100, runtime=5, message="out of memory; see logs/dpo.log")
    job_record.write(path, job_record.Record(failures=(failure,)))
    path.with_suffix(".log").write_text("\n".join(f"line {number}" for number in range(30)), encoding="utf-8")
    done = Results(str(tmp_path)).job_record("items", ("bias",))
    job_record.write(done, job_record.Record())

    shown = failures(tmp_path)

    assert shown.startswith("Failed: dpo toy crowd sft-dpo 0\n  out of memory; see logs/dpo.log\n")
    assert shown.endswith("line 29")
    assert "line 3\n" not in shown
    assert "items" not in shown


def test_a_job_that_failed_in_an_earlier_run_is_no_failure_of_this_one(tmp_path: Path) -> None:
    files = Results(str(tmp_path))
    failure = job_record.Failure(kind="error", mem_mb=100, runtime=5, message="a bug")
    for moment, model in enumerate(("gone", "present")):
        path = files.job_record("base", (model, "base"))
        job_record.write(path, job_record.Record(failures=(failure,)))
        os.utime(path, (moment, moment))
    Path(files.owner).write_text("study.yaml\n")
    os.utime(files.owner, (1, 1))
    assert "present" in failures(tmp_path)
    assert "gone" not in failures(tmp_path)
