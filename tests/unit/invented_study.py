"""A small study of invented records, replies and training curves, for the tests of statistics and report."""

import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from trustdag.stats.study import Cells, Policy
from trustdag.verticals.base import Metric

VERTICALS: dict[str, tuple[Metric, ...]] = {
    "toxicity": (
        Metric("expected_max_toxicity", "lower", "Largest toxicity among 5 replies, expected.", headline=True),
        Metric("toxic_share", "lower", "Share of replies with toxicity of at least .5."),
    ),
    "bias": (
        Metric("stereotype_agreement", "lower", "Agreement with stereotypes.", headline=True, chance=0.5),
        Metric("signed", None, "Agreement with stereotypes less agreement with counters.", statistic="difference"),
    ),
    "ethics": (
        Metric("false_negative_rate", "lower", "Wrong deeds not called wrong.", headline=True, chance=0.5),
        Metric("auroc", "higher", "Ranking of wrong over right deeds.", statistic="auroc", chance=0.5),
        Metric("balanced_accuracy", "higher", "Mean of both classes.", statistic="balanced_accuracy", chance=0.5),
    ),
    "truthfulness": (
        Metric("mc1", "higher", "The best option is the likeliest.", headline=True, chance=0.25),
        Metric("ece", "lower", "Calibration error.", statistic="ece"),
    ),
    "privacy": (Metric("leakage", "lower", "The secret is in the reply.", headline=True),),
}
EFFECT = {"toxicity": -0.01, "bias": 0.25, "ethics": -0.2, "truthfulness": -0.12, "privacy": 0.15}
STRENGTH = {"base": 0.0, "sft": 0.4, "dpo": 1.0, "ppo": 0.8}
CHAINS = {"base": (), "sft": ("sft",), "dpo": ("sft", "dpo"), "ppo": ("sft", "reward", "ppo")}


def register(verticals: dict[str, tuple[Metric, ...]]) -> None:
    """Makes modules of those verticals importable as `trustdag.verticals.NAME`."""
    for name, metrics in verticals.items():
        module = ModuleType(f"trustdag.verticals.{name}")
        module.METRICS = metrics  # type: ignore[attr-defined]
        sys.modules[module.__name__] = module


def policy(recipe: str, seed: int, model: str = "toy") -> Policy:
    """A policy of the invented study."""
    if recipe == "base":
        return Policy(policy=f"{model}/base", model=model, recipe="base")
    chain = CHAINS[recipe]
    return Policy(
        policy=f"{model}/judge/{'-'.join(chain)}/seed{seed}",
        model=model,
        preferences="judge",
        recipe=recipe,
        seed=seed,
        reference_base=f"{model}/base",
        reference_sft=f"{model}/judge/sft/seed{seed}" if recipe != "sft" else None,
        methods=chain,
    )


def cells(seeds: Iterable[int] = (0,), notice: str = "") -> Cells:
    """The study's cells: base, SFT, DPO and PPO for each seed."""
    policies = [policy("base", 0)] + [policy(recipe, seed) for seed in seeds for recipe in ("sft", "dpo", "ppo")]
    return Cells(study="invented", notice=notice, policies=tuple(policies), verticals=tuple(VERTICALS))


def write_records(study: Cells, root: Path, items: int = 60, samples: int = 2) -> None:
    """Records of every policy and vertical, clustered by prompt, with a few that could not be parsed."""
    for entry in study.policies:
        for number, vertical in enumerate(study.verticals):
            records = _records(vertical, number, entry, items, samples)
            path = root / entry.policy / f"{vertical}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            records.to_parquet(path, index=False)


def _records(vertical: str, number: int, entry: Policy, items: int, samples: int) -> pd.DataFrame:
    shared = np.random.default_rng(number)
    own = np.random.default_rng([number, entry.seed or 0, list(STRENGTH).index(entry.recipe)])
    count = items * samples
    ease = np.repeat(shared.normal(size=items), samples) + 0.5 * shared.normal(size=count)
    label = (np.arange(count) % 2).astype(float)
    shift = EFFECT[vertical] * STRENGTH[entry.recipe] * 3 + own.normal(scale=0.05)
    frames = []
    for metric in VERTICALS[vertical]:
        score = 1 / (
            1 + np.exp(-(ease + shift + 0.5 * own.normal(size=count) + (label if metric.statistic == "auroc" else 0)))
        )
        value = (
            score if metric.statistic in ("auroc", "ece") or metric.name.startswith("expected") else (score > 0.5) * 1.0
        )
        status = np.where(own.random(count) < 0.04, "unparsed", np.where(own.random(count) < 0.03, "refused", "parsed"))
        frames.append(
            pd.DataFrame(
                {
                    "metric": metric.name,
                    "item": [f"{vertical}-{index:04d}" for index in range(count)],
                    "cluster": [f"prompt-{index // samples:04d}" for index in range(count)],
                    "condition": np.where(np.arange(count) < count // 2, "benign", "adversarial"),
                    "value": np.where(status == "parsed", value, np.nan),
                    "status": status,
                    "label": label if metric.statistic != "mean" else np.nan,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
