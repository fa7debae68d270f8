"""Does dropping the pairs with the highest scores undo what the training did to a vertical, and at what price?

    python benchmarks/pruning.py results/demo --config config/demo.yaml --start toy/base --pairs 400 --out FOLDER

takes a finished study, trains the policy's last stage on some of its pairs, and retrains without the share of pairs
that a ranking puts first, in the direction of the vertical's change: in place and anew (`retraining.World.trainings`).
It prints, for each ranking and share, how much of the change from the start is undone (1: all of it; more: the number
moved the other way), by the log-odds of options and by the metric over sampled replies, and the change of the reward
accuracy on held-out pairs, in points. A seed draws the pairs and orders their training. Intervals are of Student's t
over seeds. Few pairs and steps keep the number from an extreme.
"""

import argparse
from collections.abc import Iterator
from itertools import product
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from retraining import KINDS, World, parser_of, print_table, world_from
from trustdag.artifacts import append_jsonl
from trustdag.jsonfiles import read_jsonl

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)
RANKINGS = ("unrolled", "ekfac", "bm25", "random")
MEASURES = ("undone by log-odds", "undone by replies", "reward accuracy, points")


def measured(world: World, vertical: str, samples: int) -> dict[str, float]:
    """The numbers of the model as it is now.

    Args:
        world: The stage.
        vertical: The vertical.
        samples: Sampled replies to each item.
    """
    numbers = {"log-odds": world.measure()[vertical], "accuracy": world.reward_accuracy()}
    return numbers | {"replies": world.sampled(vertical, samples)}


def pruned(world: World, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Trains anew without each ranking's first pairs: the numbers beside those of the start and of all pairs.

    Args:
        world: The stage, trained on all pairs.
        arguments: The command line.
    """
    (vertical,) = world.numbers
    scores = world.scores([name for name in RANKINGS if name in arguments.methods])
    count, seed = len(world.replay.examples), world.replay.seed
    after = measured(world, vertical, arguments.samples)
    world.untrain()
    before = measured(world, vertical, arguments.samples)
    print_table([{"seed": seed, "weights": "before"} | before, {"seed": seed, "weights": "after"} | after])
    sign = np.sign(after["log-odds"] - before["log-odds"])
    known = {"seed": seed, "before": before, "all": after}
    for ranking, share in product([name for name in RANKINGS if name in scores], arguments.shares):
        kept = np.sort(np.argsort(-sign * scores[ranking][vertical])[ceil(share * count) :])
        for kind, train in world.trainings(kept).items():
            if kind in arguments.kinds:
                train()
                now = measured(world, vertical, arguments.samples)
                yield {"retraining": kind, "ranking": ranking, "share": share, "pruned": now} | known


def effects(row: dict[str, Any]) -> dict[str, float]:
    """What one pruning did."""
    undone = [
        (row["all"][name] - row["pruned"][name]) / (row["all"][name] - row["before"][name])
        for name in ("log-odds", "replies")
    ]
    return dict(zip(MEASURES, [*undone, 100 * (row["pruned"]["accuracy"] - row["all"]["accuracy"])], strict=True))


def mean_with_interval(values: np.ndarray) -> str:
    """The mean over seeds and its 95 % interval; of one seed there is no interval."""
    mean, count = values.mean(), len(values)
    if count == 1:
        return f"{mean:.2f}"
    half = student.ppf(0.975, count - 1) * values.std(ddof=1) / sqrt(count)
    return f"{mean:.2f} [{mean - half:.2f}, {mean + half:.2f}]"


def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mean over seeds of each ranking and share, with its 95 % interval."""
    keys = ["retraining", "ranking", "share"]
    frame = pd.DataFrame([{key: row[key] for key in keys} | effects(row) for row in rows])
    lines = []
    for group_keys, group in frame.groupby(keys, sort=False):
        line: dict[str, Any] = dict(zip(keys, group_keys, strict=True)) | {"seeds": len(group)}
        for name in MEASURES:
            line[name] = mean_with_interval(group[name].to_numpy())
        lines.append(line)
    return lines


def main() -> None:
    """Adds to retrainings.jsonl the seeds that it lacks, and prints the table of all."""
    parser = parser_of(__doc__)
    parser.set_defaults(verticals=["bias"], methods=["unrolled", "ekfac"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="shares of the pairs that are dropped")
    parser.add_argument("--samples", type=int, default=8, help="sampled replies to each item")
    parser.add_argument("--out", type=Path, required=True, help="folder for the retrainings")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "retrainings.jsonl"
    rows = read_jsonl(path) if path.is_file() else []
    for seed in sorted(set(arguments.seeds) - {row["seed"] for row in rows}):
        for row in pruned(world_from(arguments, seed), arguments):
            rows.append(row)
            append_jsonl(path, row)
    print_table(table(rows))


if __name__ == "__main__":
    main()
