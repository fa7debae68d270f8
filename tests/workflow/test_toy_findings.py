"""The known answers of the toy world, found by the whole pipeline: what docs/toy-world.md says must happen, happens."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import pandas as pd
import pytest

from .conftest import ROOT, snakemake

pytestmark = pytest.mark.slow

HEADLINES = {
    "bias": ("agreement", 1),
    "ethics": ("fnr", -1),
    "privacy": ("leak_given_able", 1),
    "toxicity": ("emt", -1),
    "truthfulness": ("mc1", -1),
}
"""By vertical: its headline metric, and the direction in which the default judge moves it."""
ALIGNED = ("dpo", "ppo")
TABLES = ("statistics", "configuration")
"""The targets that verdicts are read from: a study's page and plots have no number of their own."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Runs a shipped study once, without its page, and gives its results folder."""
    folders: dict[str, Path] = {}

    def results(study: str) -> Path:
        if study not in folders:
            folder = tmp_path_factory.mktemp(study)
            options = (*TABLES, "--quiet", "rules", "--show-failed-logs")
            done = snakemake(folder, *options, configfile=ROOT / "config" / f"{study}.yaml")
            assert done.returncode == 0, done.stdout + done.stderr
            folders[study] = folder / "results" / study
        return folders[study]

    return results


def headlines(results: Path, table: str) -> pd.DataFrame:
    """The headline metrics of a statistics table, over all conditions."""
    frame = pd.read_csv(results / "statistics" / f"{table}.csv")
    headline = frame["metric"] == frame["vertical"].map(lambda vertical: HEADLINES[vertical][0])
    return frame[headline & frame["condition"].isin(["all"])]


def moved_as_known(differences: pd.DataFrame, value: str) -> list[str]:
    """The verticals that moved in the known direction, with an interval that excludes 0."""
    sign = differences["vertical"].map(lambda vertical: HEADLINES[vertical][1])
    nearest = differences["low"].where(sign > 0, differences["high"])
    return sorted(differences[(differences[value] * sign > 0) & (nearest * sign > 0)]["vertical"])


def metrics(results: Path, chain: str, split: str, seed: int = 0) -> list[dict[str, float]]:
    """The lines of a stage's metrics.jsonl."""
    path = results / "models" / "toy" / "crowd" / chain / f"seed{seed}" / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if line["split"] == split]


@pytest.mark.parametrize("recipe", ALIGNED)
def test_one_training_seed_moves_four_of_the_five_verticals_as_known(run: Callable[[str], Path], recipe: str) -> None:
    differences = headlines(run("demo"), "differences")
    since_base = differences[(differences["recipe"] == recipe) & (differences["reference"] == "base")]
    assert len(since_base) == 5
    assert len(moved_as_known(since_base, "difference")) >= 4


@pytest.mark.parametrize("recipe", ALIGNED)
def test_five_training_seeds_move_four_of_the_five_verticals_as_known_on_average(
    run: Callable[[str], Path], recipe: str
) -> None:
    seeds = headlines(run("toy-seeds"), "seeds")
    since_base = seeds[(seeds["recipe"] == recipe) & (seeds["reference"] == "base")]
    assert list(since_base["seeds"]) == [5] * 5
    assert len(moved_as_known(since_base, "value")) >= 4


SEEDS = range(5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("chain", ["sft-reward", "sft-dpo"])
def test_the_methods_learn_what_the_judge_likes(run: Callable[[str], Path], chain: str, seed: int) -> None:
    assert metrics(run("toy-seeds"), chain, "validation", seed)[-1]["accuracy"] >= 0.9


def test_ppo_raises_the_reward_by_a_standard_deviation_on_average_at_bounded_kl(run: Callable[[str], Path]) -> None:
    """One update's mean reward is over 128 replies, so the end is taken over the last ten."""
    rises = []
    for seed in SEEDS:
        updates = metrics(run("toy-seeds"), "sft-reward-ppo", "train", seed)
        assert updates[-1]["kl"] < 10
        last = mean(update["reward"] for update in updates[-10:])
        rises.append((last - updates[0]["reward"]) / updates[0]["reward_sd"])
    assert mean(rises) > 1, rises
    assert min(rises) > 0.9, rises


@pytest.mark.parametrize(
    ("study", "command"),
    [
        ("null", "null_control"),
        ("closed-form", "closed_form"),
        ("specificity", "specificity"),
        ("specificity", "planted_errors"),
    ],
)
def test_a_study_whose_command_ends_in_a_verdict_meets_its_goals(
    run: Callable[[str], Path], study: str, command: str
) -> None:
    script = ROOT / "benchmarks" / f"{command}.py"
    done = subprocess.run([sys.executable, str(script), str(run(study))], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_agreement_rises_with_the_weight_on_agreeing(run: Callable[[str], Path]) -> None:
    table = headlines(run("dose"), "metrics")
    means = table[table["recipe"] == "dpo"].groupby("preferences")["value"].mean()
    assert list(means.index) == ["agreeable-000", "agreeable-033", "agreeable-067", "agreeable-100"]
    assert means.is_monotonic_increasing
    assert means.is_unique
