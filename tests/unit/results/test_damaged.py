"""Each JSON file of a study's results, damaged in each way: every reader of it ends in one sentence that names it."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import trustdag
from tests.support import invented_study
from tests.support.invented_pages import invented_verticals
from trustdag.cli import main
from trustdag.errors import UserError
from trustdag.report import plots
from trustdag.stats import tables
from trustdag.stats.settings import StatisticsSettings

CONTENTS: dict[str, bytes] = {
    "nothing": b"",
    "a list": b"[]",
    "no keys": b"{}",
    "null": b"null",
    "bytes": bytes(range(128, 256)),
    "5,000 brackets": b"[" * 5_000,
    "wrong types": b'{"facts": 3, "files": 1, "prompt_format": [], "parameters": "many", "settings": null, "splits": 0,'
    b' "step": "one", "split": 1, "policies": {"a": 1}, "verticals": 3, "study": {}, "made_by": []}',
}
FILES = (
    "design.json",
    "configuration.json",
    "data/judge/card.json",
    "items/bias.card.json",
    "models/toy/base/manifest.json",
    "models/toy/judge/sft/seed0/manifest.json",
    "models/toy/judge/sft/seed0/metrics.jsonl",
    ".jobs/code.json",
)
PROPERTIES = ("configuration", "models", "curves", "cards", "answer")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The results of a small study."""
    with invented_verticals():
        results = tmp_path_factory.mktemp("study") / "invented"
        design = invented_study.cells()
        invented_study.write_study(design, results, items=8)
        tables.write(tables.compute(design, results / "records", StatisticsSettings(resamples=100)), results / "tables")
        shutil.move(results / "tables", results / "statistics")
        (results / "plots").mkdir()
        for name in plots.of_study(design):
            (results / "plots" / f"{name}.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
        (results / ".jobs").mkdir()
        (results / ".jobs" / "code.json").write_text("{}")
        yield results


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "invented")


def commands(results: Path) -> Iterator[list[str]]:
    """Every command that reads a study's results."""
    yield [
        "report", "--design", f"{results}/design.json", "--results", str(results),
        "--configuration", f"{results}/configuration.json", "--out", f"{results}/report.html",
        "--tables", f"{results}/tables",
    ]  # fmt: skip
    (results / "report.html").touch()
    yield ["summary", str(results)]
    yield ["compare", str(results), str(results)]
    yield ["label", str(results), "--sheet", f"{results}/sheet.csv", "--vertical", "bias"]


@pytest.mark.parametrize("content", ["a list", "bytes", "wrong types"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_one_sentence(
    name: str, content: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (results / name).is_file()
    (results / name).write_bytes(CONTENTS[content])
    for command in commands(results):
        if main(command) != 0:
            said = capsys.readouterr().err.splitlines()
            assert len(said) <= 10  # a sentence for each unknown key
            assert Path(name).name in " ".join(said)


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_a_user_error_in_python(name: str, content: str, results: Path) -> None:
    (results / name).write_bytes(CONTENTS[content])
    for table in PROPERTIES:
        with contextlib.suppress(UserError):
            getattr(trustdag.load(results), table)
