"""Times the statistics of a large invented study: 30 policies, 40,000 replies each on each of five verticals.

    PYTHONPATH=workflow python benchmarks/statistics_scale.py [--policies N] [--replies N]

Prints processor time (of all processes) beside the time that passed, and the peak memory of the largest process.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from trustdag.layout import records_file
from trustdag.stats.design import Policy, StudyDesign
from trustdag.stats.records import metrics_of
from trustdag.stats.settings import StatisticsSettings
from trustdag.stats.tables import compute, write

VERTICALS = ("toxicity", "bias", "ethics", "truthfulness", "privacy")
CLUSTERS = {"toxicity": 10_000, "bias": 22, "ethics": 6_000, "truthfulness": 817, "privacy": 11}
"""About as many as the benchmarks have."""
GRADED = ("emt", "toxicity", "mc2", "auroc", "calibration_error")
"""Metrics, and starts of names, whose values are not 0 or 1."""


def design(policies: int) -> StudyDesign:
    """Base, SFT, DPO and PPO of several seeds."""
    chains = {"sft": ("sft",), "dpo": ("sft", "dpo"), "ppo": ("sft", "reward", "ppo")}
    designed = [Policy(id="large/base", model="large", recipe="base")]
    for number in range(policies - 1):
        seed, recipe = number // 3, list(chains)[number % 3]
        designed.append(
            Policy(
                id=f"large/hh/{'-'.join(chains[recipe])}/seed{seed}",
                model="large",
                preferences="hh",
                recipe=recipe,
                seed=seed,
                reference_base="large/base",
                reference_sft=f"large/hh/sft/seed{seed}" if recipe != "sft" else None,
                methods=chains[recipe],
            )
        )
    return StudyDesign(study="large", policies=tuple(designed), verticals=VERTICALS)


def records(vertical: str, number: int, replies: int) -> pd.DataFrame:
    """One policy's records, each metric over all items."""
    shared, own = np.random.default_rng(len(vertical)), np.random.default_rng([number, len(vertical)])
    place = np.arange(replies)
    clusters = place * CLUSTERS[vertical] // replies
    ease = shared.normal(size=CLUSTERS[vertical])[clusters] + shared.normal(size=replies)
    frames = []
    for metric in metrics_of(vertical).values():
        label = {"mean": np.nan, "ratio": 1.0}.get(metric.statistic, place // 2 % 2)
        score = 1 / (1 + np.exp(-(ease + own.normal(0, 0.05) + own.normal(size=replies))))
        value = score if metric.name.startswith(GRADED) else (score > 0.5) * 1.0
        parsed = own.random(replies) > 0.03
        counted = np.ones(replies, dtype=bool) if metric.headline else place % 4 == 0
        frame = pd.DataFrame(
            {
                "metric": metric.name,
                "item": np.char.add(f"{vertical}-", np.char.zfill(place.astype(str), 6)),
                "cluster": np.char.add("cluster=", clusters.astype(str)),
                "condition": np.where(place % 2, "benign", "adversarial"),
                "value": np.where(parsed, value, np.nan),
                "status": np.where(parsed, "parsed", "unparsed"),
                "label": label,
            }
        )  # fmt: skip
        for facet in sorted({facet for one in metrics_of(vertical).values() for facet in one.facets}):
            frame[facet] = np.char.add(f"{facet} ", (place % 24).astype(str))
        frames.append(frame[counted])
    return pd.concat(frames, ignore_index=True)


def main() -> None:
    """Writes the records, computes the tables and prints what that took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policies", type=int, default=30)
    parser.add_argument("--replies", type=int, default=40_000, help="of each policy on each vertical")
    arguments = parser.parse_args()
    study = design(arguments.policies)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number, policy in enumerate(study.policies):
            for vertical in study.verticals:
                path = records_file(root, policy.id, vertical)
                path.parent.mkdir(parents=True, exist_ok=True)
                records(vertical, number, arguments.replies).to_parquet(path, index=False)
        print(f"records are written ({processor_seconds():.0f} s of processor time)", flush=True)
        began, used = time.monotonic(), processor_seconds()
        tables = compute(study, root, StatisticsSettings(), lambda line: print(line, flush=True))
        write(tables, root / "statistics")
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(
        f"{arguments.policies} policies x {arguments.replies:,} replies x {len(VERTICALS)} verticals: "
        f"{processor_seconds() - used:.0f} s of processor time, {time.monotonic() - began:.0f} s passed, "
        f"at most {peak / 1024:,.0f} MiB in one process; {len(tables.differences):,} changes"
    )


def processor_seconds() -> float:
    """Of this process and its finished children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
