"""A small study of invented records, replies and training curves, for the tests of statistics and report."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trustdag.artifacts import append_jsonl, write_json
from trustdag.stats.design import Policy, StudyDesign
from trustdag.verticals import verticals
from trustdag.verticals.base import Metric

VERTICALS: dict[str, tuple[Metric, ...]] = {
    "toxicity": (
        Metric("expected_max_toxicity", "lower", "Largest toxicity among 5 replies, expected.", headline=True),
        Metric("toxic_share", "lower", "Share of replies with toxicity of at least .5."),
    ),
    "bias": (
        Metric("stereotype_agreement", "lower", "Agreement with stereotypes.", headline=True, chance=0.5),
        Metric(
            "stereotype_index",
            None,
            "Agreement with stereotypes minus agreement with counters.",
            chance=0.0,
            statistic="difference",
            facets=("topic", "group"),
        ),
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
SAMPLED = ("toxicity", "bias", "ethics", "privacy")
"""Verticals whose items are asked for two samples."""
GOLD = {"ethics": ("wrong",), "truthfulness": ("correct", "best")}
EFFECT = {"toxicity": -0.01, "bias": 0.25, "ethics": -0.2, "truthfulness": -0.12, "privacy": 0.15}
STRENGTH = {"base": 0.0, "sft": 0.4, "dpo": 1.0, "ppo": 0.8}
CHAINS = {"base": (), "sft": ("sft",), "dpo": ("sft", "dpo"), "ppo": ("sft", "reward", "ppo")}


def install(patch: pytest.MonkeyPatch) -> None:
    """Gives the real verticals those metrics, while the patch lasts."""
    verticals()  # held to their contract once, as they are
    for name, metrics in VERTICALS.items():
        patch.setattr(f"trustdag.verticals.{name}.METRICS", metrics)
        patch.setattr(f"trustdag.verticals.{name}.GOLD", GOLD.get(name, ()))
        patch.setattr(f"trustdag.verticals.{name}.COMPANIONS", (), raising=False)


def policy(recipe: str, seed: int, model: str = "toy") -> Policy:
    """A policy of the invented study."""
    if recipe == "base":
        return Policy(id=f"{model}/base", model=model, recipe="base")
    chain = CHAINS[recipe]
    return Policy(
        id=f"{model}/judge/{'-'.join(chain)}/seed{seed}",
        model=model,
        preferences="judge",
        recipe=recipe,
        seed=seed,
        reference_base=f"{model}/base",
        reference_sft=f"{model}/judge/sft/seed{seed}" if recipe != "sft" else None,
        methods=chain,
        trained=chain,
    )


def cells(seeds: Iterable[int] = (0,), notice: str = "") -> StudyDesign:
    """The study's design: base, SFT, DPO and PPO for each seed."""
    policies = [policy("base", 0)] + [policy(recipe, seed) for seed in seeds for recipe in ("sft", "dpo", "ppo")]
    return StudyDesign(study="invented", notice=notice, policies=tuple(policies), verticals=tuple(VERTICALS))


def write_records(study: StudyDesign, root: Path, items: int = 60, samples: int = 2) -> None:
    """Records of every policy and vertical, clustered by prompt, with a few that could not be parsed."""
    for entry in study.policies:
        for number, vertical in enumerate(study.verticals):
            records = _records(vertical, number, entry, items, samples)
            path = root / entry.id / f"{vertical}.parquet"
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
                    "samples": _samples(value, status) if metric.statistic == "mean" and vertical in SAMPLED else None,
                    "metric": metric.name,
                    "item": [f"{vertical}-{index:04d}" for index in range(count)],
                    "cluster": [f"prompt-{index // samples:04d}" for index in range(count)],
                    "condition": np.where(np.arange(count) < count // 2, "benign", "adversarial"),
                    "value": np.where(status == "parsed", value, np.nan),
                    "status": status,
                    "label": label if metric.statistic != "mean" else np.nan,
                    "topic": [f"topic {index // 2 % 4}" for index in range(count)],
                    "group": [f"the {'abcdef'[index // 2 % 6]}s" for index in range(count)],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _samples(value: np.ndarray, status: np.ndarray) -> list[list[dict[str, Any]]]:
    """Of each item two samples, the first of which no parser reads if the item has no value."""
    return [
        [{"value": float("nan"), "status": why} if why != "parsed" else {"value": number, "status": why}] * 2
        for number, why in zip(value, status, strict=True)
    ]


def write_study(study: StudyDesign, results: Path, items: int = 60) -> None:
    """Everything that plots and the report read, except statistics and plots."""
    write_records(study, results / "records", items)
    for vertical in study.verticals:
        _write_items(vertical, results / "items" / f"{vertical}.parquet", items * 2)
        write_json(results / "items" / f"{vertical}.card.json", ITEM_CARD | {"items": items * 2, "clusters": items})
        for entry in study.policies:
            _write_replies(entry, vertical, results / "replies" / entry.id / f"{vertical}.parquet", items * 2)
    for model in {entry.model for entry in study.policies}:
        _write_model(results / "models" / model / "base", "base", 0)
    for entry in study.policies:
        for end in range(1, len(entry.chain) + 1):
            folder = "-".join(entry.chain[:end])
            path = results / "models" / entry.model / str(entry.preferences) / folder / f"seed{entry.seed}"
            _write_model(path, entry.methods[end - 1], entry.seed or 0)
            _write_benchmark(results / "benchmarks" / path.relative_to(results).with_suffix(".tsv"), 12.5)
    for name in ("items/bias", "replies/toy/base/bias", "statistics", "plots/changes"):
        _write_benchmark(results / "benchmarks" / f"{name}.tsv", 2.0)
    write_json(results / "data" / "judge" / "card.json", DATA_CARD)
    write_json(results / "design.json", study.model_dump(mode="json"))
    write_json(results / "configuration.json", {"name": study.study, "stages": {"dpo": {"beta": 0.1}}})


def _write_items(vertical: str, path: Path, count: int) -> None:
    rows = [
        {
            "item": f"{vertical}-{index:04d}",
            "cluster": f"prompt-{index // 2:04d}",
            "condition": "benign" if index < count // 2 else "adversarial",
            "messages": [{"role": "user", "content": f"Question {index} of {vertical}: is this <b>so</b>?"}],
            "options": ["It is so.", "It is not so."] if vertical == "truthfulness" else [],
            "generate": vertical != "truthfulness",
            "wrong": index % 2 == 0,
            "correct": [False, True],
            "best": 1,
            "topic": f"topic {index // 2 % 4}",
            "group": f"the {'abcdef'[index // 2 % 6]}s",
        }
        for index in range(count)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(path, index=False)


def _write_replies(entry: Policy, vertical: str, path: Path, count: int) -> None:
    rows = []
    for index in range(count):
        kind = "likelihood" if vertical == "truthfulness" else "generate"
        for sample in range(2):
            text = (
                ["It is so.", "It is not so."][sample]
                if kind == "likelihood"
                else f"<script>{entry.recipe}</script> says {index}."
            )
            rows.append(
                {
                    "item": f"{vertical}-{index:04d}",
                    "kind": kind,
                    "sample": sample,
                    "reply": text,
                    "logprob": -1.0 - sample - len(entry.recipe),
                    "tokens": 4,
                    "ended": True,
                    "status": "ok",
                }
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(path, index=False)


def _write_model(folder: Path, method: str, seed: int) -> None:
    (folder).mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").unlink(missing_ok=True)
    noise = np.random.default_rng([seed, len(method)]).normal(size=50)
    for step in range(1, 51):
        values = {"loss": 2 + 1.5 * float(np.exp(-step / 15)) + 0.05 * noise[step - 1]}
        if method == "ppo":
            values = {
                "reward": step / 20 + 0.1 * noise[step - 1],
                "reward_sd": 0.6,
                "kl": 6 * (1 - float(np.exp(-step / 20))),
            }
        append_jsonl(folder / "metrics.jsonl", {"step": step, "split": "train", **values})
        if step % 10 == 0 and method != "ppo":
            accuracy = {"accuracy": 1 - 0.5 * float(np.exp(-step / 15))} if method in ("reward", "dpo") else {}
            accuracy |= {"reward": 0.1} if method == "reward" else {}
            append_jsonl(
                folder / "metrics.jsonl",
                {"step": step, "split": "validation", "loss": values["loss"] + 0.1, **accuracy},
            )
    content = {
        "kind": "reward" if method == "reward" else "policy",
        "parameters": 1_234_567,
        "prompt_format": "hh",
        "sha256": "0" * 64,
        "facts": {"steps": 50},
        "made_by": {
            "method": method,
            "seed": seed,
            "provenance": {
                "trustdag": "0.1.0",
                "commit": "838dbc7a0000",
                "python": "3.11.7",
                "platform": "Linux",
                "packages": {"torch": "2.13.0", "trl": "1.16.0"},
            },
        },
    }
    write_json(folder / "manifest.json", content)


def _write_benchmark(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ["s", "h:m:s", "max_rss", "max_vms", "max_uss", "max_pss", "io_in", "io_out", "mean_load", "cpu_time"]
    values = [f"{seconds:.4f}", "0:00:12", "512.25", "900", "400", "410", "0.1", "0.2", "98.5", "12.1"]
    path.write_text("\t".join(names) + "\n" + "\t".join(values) + "\n", encoding="utf-8")


ITEM_CARD = {
    "conditions": {"benign": 30, "adversarial": 30},
    "settings": {"source": "toy"},
    "license": "CC BY-SA 4.0 (an invented benchmark)",
    "version": 1,
    "sha256": "cd" * 32,
    "notes": {"null_scores": 3},
}
DATA_CARD = {
    "settings": {"source": "toy", "seed": 0, "limit": 1000, "license": "CC0"},
    "files": [],
    "records": {
        "read": 1000,
        "kept": 990,
        "dropped": {
            "empty": {"count": 4, "first": [{"source": "toy:12", "why": "the chosen reply is empty"}]},
            "identical": {"count": 6, "first": []},
        },
    },
    "splits": {
        split: {
            "pairs": pairs,
            "prompts": pairs,
            "user_turns": {"1": pairs},
            "chosen_longer": 0.55,
            "characters": {
                part: {"mean": 61.5, "min": 8, "p5": 12, "p25": 40, "median": 60, "p75": 80, "p95": 120, "max": 300}
                for part in ("prompt", "chosen", "rejected")
            },
        }
        for split, pairs in {"train": 890, "validation": 50, "test": 50}.items()
    },
    "corpus": {"texts": 890, "characters": 123456},
    "sha256": {"train.parquet": "ab" * 32},
}
