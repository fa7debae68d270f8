"""A finished study in the formats of other tools; the study is invented."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from huggingface_hub import ModelCard

import trustdag
from tests.support import invented_study
from tests.support.invented_pages import invented_verticals
from trustdag.artifacts import write_json
from trustdag.cli import main
from trustdag.jsonfiles import read_json
from trustdag.report.numbers import interval, signed
from trustdag.results import exports
from trustdag.results.exports.latex import change, escaped, number, one_line
from trustdag.results.series import runs_of
from trustdag.stats import tables
from trustdag.stats.settings import StatisticsSettings

DOCS = Path(__file__).parents[3] / "docs"
DPO = "toy-judge-sft-dpo-seed0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A study whose name and notice hold what LaTeX, Markdown and YAML treat specially."""
    with invented_verticals():
        results = tmp_path_factory.mktemp("study") / "invented"
        design = invented_study.cells(notice="100 % invented:\n\\input{x} # no | data").model_copy(
            update={"study": "50%_of: $x$ & 'y'"}
        )
        invented_study.write_study(design, results, items=20)
        configuration = read_json(results / "configuration.json")
        configuration |= {
            "models": {"toy": {"base": {"source": "hub", "name": "owner/base-model"}}},
            "preferences": {"judge": {"source": "trl", "name": "owner/pairs"}},
        }
        write_json(results / "configuration.json", configuration)
        (results / "statistics").mkdir()
        computed = tables.compute(design, results / "records", StatisticsSettings(resamples=2000))
        tables.write(computed, results / "statistics")
        yield results


def export(folder: Path, name: str, out: Path) -> Path:
    assert main(["export", str(folder), "--to", name, "--out", str(out / name)]) == 0
    return out / name


@pytest.fixture(scope="module")
def latex(folder: Path) -> Path:
    """The study for LaTeX."""
    return export(folder, "latex", folder.parent)


def test_every_format_is_offered() -> None:
    assert exports.names() == ["csv", "latex", "mlflow", "model-card", "tensorboard", "wandb"]


def test_the_files_lie_beside_the_results_and_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(folder), "--to", "csv"]) == 0

    named = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert set(named) == set((folder / "exports" / "csv").iterdir())


def test_csv_files_hold_the_tables_and_what_each_column_means(folder: Path, tmp_path: Path) -> None:
    out = export(folder, "csv", tmp_path)
    study = trustdag.load(folder)

    for name in ("answer", "metrics", "differences"):
        table = pd.read_csv(out / f"{name}.csv")
        assert list(table.columns) == list(getattr(study, name).columns)
        assert len(table) == len(getattr(study, name))
    meanings = pd.read_csv(out / "columns.csv")
    written = {(path.stem, column) for path in out.glob("*.csv") for column in pd.read_csv(path, nrows=0).columns
               if path.stem not in ("columns", "curves")}  # fmt: skip
    assert written <= set(zip(meanings["table"], meanings["column"], strict=True))


@pytest.mark.parametrize("name", ["headlines", "changes", "metrics"])
def test_every_line_of_a_latex_table_has_the_cells_that_its_head_has(latex: Path, name: str) -> None:
    lines = (latex / f"{name}.tex").read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if not line.startswith("%")]

    begun = re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", table[0])
    assert begun
    assert table[1] == r"\toprule"
    assert table[-2:] == [r"\bottomrule", r"\end{tabular}"]
    rows = [line for line in table[2:-2] if line != r"\midrule"]
    assert len(rows) > 10
    for row in rows:
        assert row.endswith(r" \\")
        assert len(re.split(r"(?<!\\)&", row)) == len(begun[1])
        assert row.count("{") == row.count("}")
        assert row.count("$") % 2 == 0


def test_the_latex_headlines_are_the_answers_numbers_with_intervals(folder: Path, latex: Path) -> None:
    text = (latex / "headlines.tex").read_text(encoding="utf-8")
    answer = trustdag.load(folder).answer

    for moved, low, high in answer[["change", "low", "high"]].itertuples(index=False):
        assert change(moved) in text
        assert f"[{number(low)}, {number(high)}]" in text
    assert r"\boldmath$" in text


@pytest.mark.parametrize(
    ("value", "on_the_page", "in_latex"),
    [
        (0.1234, "+0.123", "$+0.123$"),
        (-0.1234, "\N{MINUS SIGN}0.123", "$-0.123$"),
        (0.00004, "+4e\N{MINUS SIGN}05", r"$+4\times 10^{-5}$"),
        (-0.00004, "\N{MINUS SIGN}4e\N{MINUS SIGN}05", r"$-4\times 10^{-5}$"),
        (0.0, "0.000", "$0.000$"),
        (-0.0, "0.000", "$0.000$"),
        (float("nan"), "\N{EN DASH}", "--"),
    ],
)
def test_a_change_has_the_same_digits_on_the_page_and_in_latex(value: float, on_the_page: str, in_latex: str) -> None:
    assert signed(value) == on_the_page
    assert change(value) == in_latex


def test_a_level_that_rounds_to_zero_has_no_sign_in_latex() -> None:
    assert number(-0.00004) == "$0.000$"
    assert number(-0.25) == "$-0.250$"


def test_a_text_of_the_study_cannot_leave_its_comment_or_become_a_command(folder: Path, tmp_path: Path) -> None:
    for path in export(folder, "latex", tmp_path).glob("*.tex"):
        assert [
            line for line in path.read_text(encoding="utf-8").splitlines() if "input" in line and line[0] != "%"
        ] == []
    assert one_line("a\r\nb\u2028c") == "a b c"
    assert escaped("50%_{x}&$#^~\\") == (r"50\%\_\{x\}\&\$\#\textasciicircum{}\textasciitilde{}\textbackslash{}")


def test_figures_are_pdf_as_wide_as_a_column(latex: Path) -> None:
    figures = latex / "figures"

    widths = {}
    for path in figures.glob("*.pdf"):
        content = path.read_bytes()
        box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content)
        assert content.startswith(b"%PDF")
        assert box
        widths[path.stem] = float(box[1]) / 72
    assert widths["changes"] == pytest.approx(3.25)
    assert widths["levels"] == pytest.approx(6.75)
    assert len(widths) >= 5


def test_a_model_card_holds_the_results_as_the_hub_reads_them(folder: Path, tmp_path: Path) -> None:
    out = export(folder, "model-card", tmp_path)
    study = trustdag.load(folder)
    card = ModelCard.load(out / DPO / "README.md")

    results = {result.dataset_type: result for result in card.data.eval_results or []}
    assert {name.removeprefix("trustdag/") for name in results} == set(study.design.verticals)
    metrics = study.metrics
    row = metrics[(metrics["policy"] == "toy/judge/sft-dpo/seed0") & (metrics["metric"] == "mc1")
                  & (metrics["condition"] == "all")].iloc[0]  # fmt: skip
    published = results["trustdag/truthfulness"]
    assert published.metric_value == pytest.approx(row["value"], abs=1e-5)
    assert published.metric_args is not None
    assert published.metric_args["interval"] == pytest.approx([row["low"], row["high"]], abs=1e-5)
    assert published.metric_args["better"] == "higher"
    assert (card.data.base_model, card.data.datasets) == ("owner/base-model", "owner/pairs")
    assert card.data.tags == ["trustdag", "sft", "dpo"]
    assert "100 % invented" in card.text


def test_every_policy_has_a_card(folder: Path, tmp_path: Path) -> None:
    out = export(folder, "model-card", tmp_path)

    assert {path.parent.name for path in out.rglob("README.md")} == {
        policy.id.replace("/", "-") for policy in trustdag.load(folder).design.policies
    }


def test_a_card_of_one_training_seed_has_the_changes_of_that_seed(tmp_path: Path) -> None:
    # given a study with three training seeds
    with invented_verticals():
        design = invented_study.cells(seeds=(0, 1, 2))
        invented_study.write_study(design, tmp_path / "study", items=20)
        computed = tables.compute(design, tmp_path / "study" / "records", StatisticsSettings(resamples=2000))
        tables.write(computed, tmp_path / "study" / "statistics")
        out = export(tmp_path / "study", "model-card", tmp_path)
    # then the change in the card of a seed is that of the seed, and not the mean over seeds
    rows = computed.differences.query("metric == 'mc1' and condition == 'all' and reference == 'base'")
    for policy, row in rows[rows["recipe"] == "dpo"].set_index("policy").iterrows():
        card = (out / str(policy).replace("/", "-") / "README.md").read_text()
        assert f"| {signed(row['difference'])} {interval(row['low'], row['high'])} |" in card


# --- Runs of a tracker ---


def test_every_policy_is_a_run_with_the_curves_of_its_chain(folder: Path) -> None:
    study = trustdag.load(folder)
    runs = {run.name: run for run in runs_of(study)}

    assert list(runs) == [policy.id for policy in study.design.policies]
    dpo = runs["toy/judge/sft-dpo/seed0"]
    assert dpo.settings["stages"] == "sft -> dpo"
    assert dpo.settings["seed"] == "0"
    own = study.curves[study.curves["policy"] == dpo.name]
    points = [point for point in dpo.points if point.stage == "dpo"]
    assert [point.step for point in points] == own["step"].tolist()
    assert dpo.stages[-2:] == ["sft", "dpo"]
    values = [point.values.get("dpo/train/loss") for point in points if "dpo/train/loss" in point.values]
    assert values == own[own["split"] == "train"]["loss"].dropna().tolist()


def test_a_run_has_the_headlines_and_changes_with_their_intervals(folder: Path) -> None:
    study = trustdag.load(folder)
    (run,) = [run for run in runs_of(study) if run.name == "toy/judge/sft-dpo/seed0"]

    for table, column, kind in ((study.metrics, "value", "headline"), (study.differences, "difference", "change")):
        rows = table[(table["policy"] == run.name) & (table["metric"] == "mc1") & (table["condition"] == "all")]
        row = (rows[rows["reference"] == "base"] if "reference" in rows else rows).iloc[0]
        name = f"{kind}/truthfulness/mc1"
        assert [run.numbers[name], run.numbers[f"{name}/low"], run.numbers[f"{name}/high"]] == [
            row[column], row["low"], row["high"],
        ]  # fmt: skip
    (base,) = [run for run in runs_of(study) if run.name == "toy/base"]
    assert not [name for name in base.numbers if name.startswith("change/")]


COMMANDS = re.findall(r"trustdag export results/demo --to (\w+)\n", (DOCS / "tracking.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", COMMANDS)
def test_an_export_to_a_tracker_writes_files_or_names_the_missing_package(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    code = main(["export", str(folder), "--to", name, "--out", str(tmp_path / name)])

    if find_spec(name):
        assert code == 0
        assert [path for path in (tmp_path / name).rglob("*") if path.is_file()]
    else:
        assert code == 2
        assert re.search(rf"--to: {name}: not installed; `pip install {name}", capsys.readouterr().err)
        assert not (tmp_path / name).exists()


def test_the_docs_page_exports_to_every_tracker() -> None:
    assert COMMANDS == ["tensorboard", "wandb", "mlflow"]


def test_a_folder_without_a_study_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path), "--to", "csv"]) == 2
    assert "design.json: no such file; give the folder of a study that has run" in capsys.readouterr().err


def test_files_of_the_user_are_not_replaced_by_an_export(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given a folder with a paper
    paper = tmp_path / "paper"
    paper.mkdir()
    (paper / "main.tex").write_text("mine")
    # when a study is exported to it, it is refused
    assert main(["export", str(folder), "--to", "csv", "--out", str(paper)]) == 2
    assert "paper holds main.tex, which is no part of this export and would be lost" in capsys.readouterr().err
    assert [path.read_text() for path in paper.iterdir()] == ["mine"]
    # and so are the results themselves
    assert main(["export", str(folder), "--to", "csv", "--out", str(folder)]) == 2
    assert (folder / "design.json").is_file()


def test_an_export_replaces_an_earlier_one(folder: Path, tmp_path: Path) -> None:
    first = sorted(path.name for path in export(folder, "csv", tmp_path).iterdir())
    assert sorted(path.name for path in export(folder, "csv", tmp_path).iterdir()) == first
