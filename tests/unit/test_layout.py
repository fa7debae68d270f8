"""The identity of a model and the paths of a study: written and parsed in one module."""

import re
from pathlib import Path

import pytest

from trustdag.layout import ModelId, Results, job_kind, model_of_record, record_name

ROOT = Path(__file__).parents[2]
BASE = ModelId("tiny", ())
GIVEN = ModelId("tiny", ("sft", "dpo"))
TRAINED = ModelId("tiny", ("sft", "reward", "ppo"), "crowd", -3)


@pytest.mark.parametrize(
    ("model_id", "text"),
    [(BASE, "tiny/base"), (GIVEN, "tiny/sft-dpo"), (TRAINED, "tiny/crowd/sft-reward-ppo/seed-3")],
)
def test_a_model_is_written_and_parsed(model_id: ModelId, text: str) -> None:
    assert str(model_id) == text
    assert ModelId.parse(text) == model_id


@pytest.mark.parametrize("text", ["tiny", "tiny/crowd/sft", "tiny/crowd/sft/0", "a/b/c/d/e"])
def test_other_texts_are_no_models(text: str) -> None:
    with pytest.raises(ValueError, match="neither MODEL/CHAIN nor"):
        ModelId.parse(text)


def test_a_model_after_fewer_stages_keeps_its_preferences_and_seed() -> None:
    assert str(TRAINED.after(1)) == "tiny/crowd/sft/seed-3"


def test_a_record_is_named_by_the_wildcards_of_its_job() -> None:
    name = record_name(TRAINED.wildcards)
    assert name == "tiny,crowd,sft-reward-ppo,-3"
    assert model_of_record(name) == "tiny"
    assert Results("r").job_record("score", ["tiny/base", "bias"]) == Path("r/.jobs/score/tiny,base,bias.json")


@pytest.mark.parametrize(
    ("benchmark", "kind"),
    [
        ("score/tiny/base/bias.tsv", "score"),
        ("models/tiny/base.tsv", "train base"),
        ("models/tiny/sft-dpo.tsv", "train base"),
        ("models/tiny/crowd/sft-dpo/seed0.tsv", "train dpo"),
    ],
)
def test_a_benchmark_file_tells_the_kind_of_its_job(benchmark: str, kind: str) -> None:
    assert job_kind(Path(benchmark)) == kind


def test_paths_are_written_nowhere_else() -> None:
    grammar = re.compile(
        r"/seed|seed\{|\"-\"\.(?:join|split)|split\(\"[-/]\"\)|f\"results/"
        r"|[/}](?:records|replies|items|models|plots|statistics|benchmarks|logs|\.jobs)/"
    )
    sources = [ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]
    sources += (ROOT / "workflow" / "trustdag").rglob("*.py")
    written = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sources
        if path.name != "layout.py"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if grammar.search(line.replace("tests/unit/", ""))
        and not re.search(r"^\s*(?:#|from|import|\"\"\")|help=", line)
    ]
    assert written == []
