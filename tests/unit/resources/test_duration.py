"""Estimated durations of jobs, compared with recorded runs of the project's studies."""

import math
from pathlib import Path

import pytest

from trustdag.artifacts import write_json
from trustdag.attribution.settings import VerticalAttribution
from trustdag.config.load import load
from trustdag.config.study import Study
from trustdag.resources import calibration
from trustdag.resources.duration import seconds
from trustdag.resources.workload import asked_of, pairs_of, text_tokens

CONFIG = Path(__file__).parents[3] / "config"
BASE, VERTICAL = {"model": "", "external": "base"}, {"policy": "", "vertical": "ethics"}


def trained(chain: str) -> dict[str, str]:
    return {"model": "", "preferences": "crowd", "chain": chain, "seed": "0"}


JOBS: dict[str, dict[str, str]] = {
    "base": BASE,
    "sft": trained("sft"),
    "reward": trained("sft-reward"),
    "dpo": trained("sft-dpo"),
    "ppo": trained("sft-reward-ppo"),
    "generate": VERTICAL,
    "score": VERTICAL,
    "statistics": {},
    "plot": {},
    "report": {},
    "items": {},
    "prepare": {},
}
RECORDED = {
    # Processor seconds of a job on the machine of docs/performance.md; `benchmarks/estimates.py` prints them.
    "smoke": {
        "base": 7.1, "sft": 6.7, "reward": 6.5, "dpo": 7.7, "ppo": 5.8, "generate": 5.8, "score": 0.9,
        "statistics": 2.3, "plot": 1.6, "report": 2.5, "items": 0.8, "prepare": 0.9,
    },
    "demo": {
        "base": 66.7, "sft": 12.4, "reward": 36.4, "dpo": 26.5, "ppo": 40.6, "generate": 4.9, "score": 0.7,
        "statistics": 6.6, "plot": 1.1, "report": 1.5, "items": 0.7, "prepare": 1.0,
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_is_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def study(name: str) -> Study:
    return load(CONFIG / f"{name}.yaml")


def expected(asked: Study, rule: str) -> float:
    (model,) = asked.models
    wildcards = {key: value or (f"{model}/base" if key == "policy" else model) for key, value in JOBS[rule].items()}
    return seconds(asked, rule, wildcards, gpus=0, cpus=1)


@pytest.mark.parametrize(("name", "rule"), [(name, rule) for name, record in RECORDED.items() for rule in record])
def test_a_job_is_expected_to_take_what_it_took_within_a_factor_of_two(name: str, rule: str) -> None:
    assert 0.5 < expected(study(name), rule) / RECORDED[name][rule] < 2


@pytest.mark.parametrize("name", RECORDED)
def test_a_whole_study_is_expected_to_take_what_it_took(name: str) -> None:
    counts = {"generate": 20, "score": 20, "plot": 6, "items": 5}
    sums = [
        sum(counts.get(rule, 1) * duration for rule, duration in durations.items())
        for durations in (RECORDED[name], {rule: expected(study(name), rule) for rule in RECORDED[name]})
    ]
    assert 0.6 < sums[1] / sums[0] < 1.6


def test_a_real_model_on_one_core_is_expected_to_take_what_it_took() -> None:
    # SmolLM2-135M-Instruct: 455 replies of at most 32 tokens to prompts of 94
    asked = load(CONFIG / "smollm2.yaml", data_root="data")
    write_json(
        Path("results/smollm2/items/privacy.card.json"),
        {"generate": 455, "options": 0, "characters": {"mean": 329.0}},
    )
    wildcards = {"policy": "smollm2-135m/base", "vertical": "privacy"}
    assert 0.5 < seconds(asked, "generate", wildcards, gpus=0, cpus=1) / 128 < 2


REAL = {"toxicity": 44, "bias": 163, "ethics": 165, "truthfulness": 98, "privacy": 119}
"""Processor seconds of `generate` for SmolLM2-135M-Instruct in config/smollm2.yaml."""


@pytest.mark.parametrize("vertical", REAL)
def test_questions_to_a_real_model_are_estimated_before_its_items_are_made(vertical: str) -> None:
    asked = load(CONFIG / "smollm2.yaml", data_root="data")
    wildcards = {"policy": "smollm2-135m/base", "vertical": vertical}
    assert 0.5 < seconds(asked, "generate", wildcards, gpus=0, cpus=1) / REAL[vertical] < 2


def test_the_attribution_of_a_real_model_is_expected_to_take_what_it_took() -> None:
    # 400 pairs of SmolLM2-135M-Instruct by DataInf, adapters of rank 4, one query of 384 texts
    asked = load(CONFIG / "smollm2-attribution.yaml", data_root="data")
    wildcards = {"policy": "smollm2-135m/hh/sft-dpo/seed0"}
    assert 0.5 < seconds(asked, "attribute", wildcards, gpus=0, cpus=1) / 1315 < 2


@pytest.mark.parametrize(
    ("method", "gradients", "passes"),
    [("dot", "full", 1), ("datainf", "full", 3), ("datainf", "lora", 1), ("ekfac", "full", 3), ("tracin", "full", 6)],
)
def test_an_attribution_is_expected_to_take_the_passes_of_its_method(method: str, gradients: str, passes: int) -> None:
    settings = VerticalAttribution.model_validate({"method": method, "gradients": gradients})
    assert settings.passes == passes


# --- What is counted ---


def test_a_gpu_is_expected_to_take_as_long_as_resources_describe_it() -> None:
    asked = load(CONFIG / "smollm2.yaml", data_root="data")
    job = {"model": "smollm2-135m", "preferences": "hh", "chain": "sft", "seed": "0"}
    cpu = seconds(asked, "sft", job, gpus=0, cpus=1)
    one, two = (seconds(asked, "sft", job, gpus=gpus, cpus=4) for gpus in (1, 2))
    start = 6.5
    assert cpu > 10 * one
    assert (one - start) / (two - start) == pytest.approx(2)


def test_cores_share_the_work_of_a_large_model_alone() -> None:
    large, small = load(CONFIG / "smollm2.yaml", data_root="data"), study("demo")
    job = {"model": "smollm2-135m", "preferences": "hh", "chain": "sft", "seed": "0"}
    assert seconds(large, "sft", job, gpus=0, cpus=4) < 0.5 * seconds(large, "sft", job, gpus=0, cpus=1)
    job = {**trained("sft"), "model": "toy"}
    assert seconds(small, "sft", job, gpus=0, cpus=4) == seconds(small, "sft", job, gpus=0, cpus=1)


def test_pairs_and_texts_are_those_of_what_was_prepared() -> None:
    asked = study("demo")
    assert pairs_of(asked, "crowd") == 4500  # 5,000 without two splits of 5 %
    lengths = {"prompt": {"mean": 70.0}, "chosen": {"mean": 35.0}}
    write_json(Path("results/demo/data/crowd/card.json"), {"splits": {"train": {"pairs": 7, "characters": lengths}}})
    assert pairs_of(asked, "crowd") == 7
    assert text_tokens(asked, "crowd", asked.stages["sft"]) == pytest.approx(30)
    assert text_tokens(asked, "crowd", asked.stages["ppo"]) == pytest.approx(20 + 24)


def test_items_are_those_that_were_made() -> None:
    asked = study("smoke")
    assert asked_of(asked, "bias")[0] == 24
    write_json(Path("results/smoke/items/bias.card.json"), {"generate": 9, "options": 4, "characters": {"mean": 35.0}})
    assert asked_of(asked, "bias") == (9, 4, pytest.approx(10))


# --- The machine ---


def test_the_calibration_is_short_and_finite() -> None:
    assert 0 < calibration.slowness() < math.inf
