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
from functools import partial
from itertools import product
from math import ceil, sqrt
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

import kept
from retraining import KINDS, World, parser_of, print_table, world_from

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)
RANKINGS = ("unrolled", "ekfac", "bm25", "random")
MEASURES = ("undone by log-odds", "undone by replies", "reward accuracy, points")
SETTINGS = ("policy", "start", "verticals", "query", "pairs", "samples")
"""The arguments that all numbers follow from."""


def measured(world: World, vertical: str, samples: int) -> dict[str, float]:
    """The numbers of the model as it is now.

    Args:
        world: The stage.
        vertical: The vertical.
        samples: Sampled replies to each item.
    """
    numbers = {"log-odds": world.measure()[vertical], "accuracy": world.reward_accuracy()}
    return numbers | {"replies": world.sampled(vertical, samples)}


def ends(world: World, vertical: str, samples: int) -> dict[str, dict[str, float]]:
    """The numbers before the training and after that on all pairs.

    Args:
        world: The stage.
        vertical: The vertical.
        samples: Sampled replies to each item.
    """
    world.train()
    after = measured(world, vertical, samples)
    world.untrain()
    return {"before": measured(world, vertical, samples), "all": after}


def pruned(world: World, kind: str, dropped: np.ndarray, samples: int) -> dict[str, float]:
    """The numbers after training without some pairs.

    Args:
        world: The stage, with one vertical.
        kind: Kind of retraining.
        dropped: Numbers of the pairs.
        samples: Sampled replies to each item.
    """
    (vertical,) = world.numbers
    world.trainings(np.delete(np.arange(len(world.replay.examples)), dropped))[kind]()
    return measured(world, vertical, samples)


def of_seed(folder: kept.Kept, arguments: argparse.Namespace, seed: int) -> list[dict[str, Any]]:
    """What each pruning of one seed did. Trains without each ranking's first pairs, as far as the folder lacks it.

    Args:
        folder: The folder.
        arguments: The command line.
        seed: The seed.
    """
    samples, (vertical,), start = arguments.samples, arguments.verticals, f"retrainings/seed{seed}-ends"
    if folder.workers:
        world = world_from(arguments, seed)
        scorings = {
            name: partial(kept.scored, world, method) for name, method in kept.named(seed, arguments.methods).items()
        }
        folder.complete(scorings | {start: partial(ends, world, vertical, samples)})
    scores = folder.scores(seed, arguments.methods)
    cases = {
        f"retrainings/seed{seed}-{kind.replace(' ', '-')}-{ranking}-{share:g}": (kind, ranking, share)
        for kind, ranking, share in product(arguments.kinds, RANKINGS, arguments.shares)
        if ranking in scores
    }
    if folder.workers:
        (numbers,) = folder.rows([start])
        sign = np.sign(numbers["all"]["log-odds"] - numbers["before"]["log-odds"])

        def run(kind: str, ranking: str, share: float) -> dict[str, Any]:
            order = np.argsort(-sign * scores[ranking][vertical])
            after = pruned(world, kind, order[: ceil(share * len(order))], samples)
            return {"seed": seed, "retraining": kind, "ranking": ranking, "share": share, "pruned": after} | numbers

        folder.complete({name: partial(run, *case) for name, case in cases.items()})
    return folder.rows([*cases])


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
    """Prints the table of all seeds."""
    parser = parser_of(__doc__)
    parser.set_defaults(verticals=["bias"], methods=["unrolled", "ekfac"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="shares of the pairs that are dropped")
    parser.add_argument("--samples", type=int, default=8, help="sampled replies to each item")
    kept.add_arguments(parser)
    arguments = parser.parse_args()
    folder = kept.Kept.open(arguments, SETTINGS)
    print_table(table([row for seed in arguments.seeds for row in of_seed(folder, arguments, seed)]))


if __name__ == "__main__":
    main()
