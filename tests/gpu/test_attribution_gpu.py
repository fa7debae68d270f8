"""Attribution on a CUDA device: replies sampled in bf16, and every method's tensors. Run by `pytest -m gpu`."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.support.attribution_study import POLICY, results_of, task_of
from trustdag.attribution.run import attribute
from trustdag.layout import Results

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

METHODS: list[dict[str, Any]] = [
    {"method": "dot"}, {"method": "cosine"}, {"method": "ekfac"}, {"method": "datainf", "gradients": "lora"},
    {"method": "projected", "projection": 4}, {"method": "tracin"}, {"method": "unrolled"},
]  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A study whose model was trained and asked on the device."""
    return results_of(tmp_path_factory.mktemp("study"))


def scores(results: Results, changes: dict[str, Any]) -> pd.Series:
    """The scores of a job with these settings."""
    attribute(task_of(**changes), results)
    return pd.read_parquet(results.attribution(POLICY, "bias"))["score"]


@pytest.mark.parametrize("changes", METHODS, ids=lambda changes: changes["method"])
def test_a_method_gives_the_scores_of_a_cpu(
    results: Results, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    on_gpu = scores(results, changes)
    # when the same job runs without the device
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    on_cpu = scores(results, changes)
    # then
    assert on_cpu.abs().max() > 0
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=0, atol=0.02 * on_cpu.abs().max())


@pytest.mark.parametrize("query", ["options", "replies"])
def test_replies_that_were_sampled_in_bf16_are_recognized(results: Results, query: str) -> None:
    assert scores(results, {"query": query}).abs().max() > 0
