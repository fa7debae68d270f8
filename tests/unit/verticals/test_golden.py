"""Golden cases: an item, what a model replied, and the records that must come of it (`tests/golden/VERTICAL.json`)."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.support.verticals_fixtures import ITEMS, frame, settings_of
from trustdag.verticals import verticals

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = [
    (path.stem, case, content["score"])
    for path in sorted(GOLDEN.glob("*.json"))
    if path.stem in ITEMS
    for content in [json.loads(path.read_text())]
    for case in content["cases"]
]


def test_every_vertical_has_golden_cases() -> None:
    assert {vertical for vertical, _, _ in CASES} == set(verticals())


@pytest.mark.parametrize(("vertical", "case", "score"), CASES, ids=[f"{v}: {c['name']}" for v, c, _ in CASES])
def test_golden(vertical: str, case: dict[str, Any], score: dict[str, Any]) -> None:
    import pandas as pd

    asked = [case, *case.get("with", [])]
    items: Any = frame([each["item"] for each in asked])
    rows = []
    for row, each in zip(items.itertuples(), asked, strict=True):
        for sample, text in enumerate(each["replies"]):
            rows.append((row.item, "generate", sample, text, -1.0, 1, True, "ok"))
        for option, value in enumerate(each.get("logprobs", [])):
            number = math.nan if value is None else value
            rows.append((row.item, "likelihood", option, row.options[option], number, 1, True, "ok"))
    names = ["item", "kind", "sample", "reply", "logprob", "tokens", "ended", "status"]
    records = verticals()[vertical].score(items, pd.DataFrame(rows, columns=names), settings_of(vertical, **score))
    mine = records[records["item"] == "i0"]
    recorded = {row.metric: [row.value, row.status, row.label] for row in mine.itertuples()}
    assert set(recorded) == set(case["expected"])
    for metric, (value, status, *label) in case["expected"].items():
        assert recorded[metric][1] == status, metric
        assert recorded[metric][0] == pytest.approx(math.nan if value is None else value, abs=1e-6, nan_ok=True), metric
        assert recorded[metric][2] == pytest.approx(label[0] if label else math.nan, nan_ok=True), metric
