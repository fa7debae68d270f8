"""Leave-one-out and brittleness: what happens to a number when single pairs, or the first k of a ranking, are left out?

    python benchmarks/leave_out.py results/demo --config config/demo.yaml --start toy/base --verticals bias \\
      --pairs 400 --out FOLDER

takes a finished study and trains the policy's last stage on some of its pairs. First it leaves out single pairs, drawn
at random: Spearman's correlation of their scores with what each of them did, by retraining in place and in double
precision, with a bootstrap interval. Then it leaves out the first k pairs of each ranking, in the direction of the
vertical's change: the number that is left, in place, beside that without as many pairs at random.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

import kept
from retraining import Scores, World, parser_of, print_table, spearman_interval, world_from

SETTINGS = ("policy", "start", "verticals", "query", "pairs", "epochs")
"""The arguments that all numbers follow from."""
WHOLE, ENDS = "retrainings/double-all", "retrainings/ends"
"""The numbers with all pairs, in double precision; and those before and after the training, in single precision."""


def without(world: World, pairs: list[int]) -> dict[str, Any]:
    """The numbers after training in place without some pairs.

    Args:
        world: The stage.
        pairs: Numbers of the pairs.
    """
    world.trainings(np.delete(np.arange(len(world.replay.examples)), pairs))["in place"]()
    return {"without": pairs, "measured": world.measure()}


def in_double_precision(world: World, pairs: list[int]) -> dict[str, Any]:
    """As `without`: the effect of one pair is near the rounding of single precision.

    Args:
        world: The stage.
        pairs: Numbers of the pairs.
    """
    subject = world.subject.in_double_precision()
    return without(replace(world, subject=subject, replay=subject.replay()), pairs)


def ends(world: World) -> dict[str, Any]:
    """The numbers after training on all pairs, and before it."""
    world.train()
    after = world.measure()
    world.untrain()
    return {"after": after, "before": world.measure()}


def agreement(scores: Scores, whole: dict[str, float], alone: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rank correlation of scores with the effects of single pairs: the number with all pairs less that without one.

    Args:
        scores: By method and vertical, (pairs,).
        whole: The numbers with all pairs.
        alone: What leaving out single pairs gave.
    """
    lines = []
    for vertical, name in product(whole, scores):
        effects = np.array([whole[vertical] - row["measured"][vertical] for row in alone])
        value, low, high = spearman_interval(scores[name][vertical][[row["without"][0] for row in alone]], effects)
        lines.append({"vertical": vertical, "method": name, "spearman": value, "low": low, "high": high})
    return lines


def dropped(
    scores: Scores, numbers: dict[str, Any], rankings: Sequence[str], counts: Sequence[int]
) -> dict[tuple[str, int, str], list[int]]:
    """By vertical, k and ranking, the first k pairs, in the direction of the vertical's change.

    Args:
        scores: By method and vertical, (pairs,).
        numbers: What `ends` gave.
        rankings: Methods and baselines.
        counts: The k.
    """
    pairs = {}
    for vertical, count, name in product(numbers["before"], counts, [name for name in rankings if name in scores]):
        sign = np.sign(numbers["after"][vertical] - numbers["before"][vertical])
        pairs[vertical, count, name] = np.argsort(-sign * scores[name][vertical])[:count].tolist()
    return pairs


def brittleness(folder: kept.Kept, names: Mapping[tuple[str, int, str], str]) -> pd.DataFrame:
    """The number without the first k pairs of each ranking, as far as the folder has it: a column for each ranking.

    Args:
        folder: The folder.
        names: By vertical, k and ranking, the name of the retraining.
    """
    lines = [
        {"vertical": vertical, "dropped": count, "ranking": ranking, "number": row["measured"][vertical]}
        for (vertical, count, ranking), name in names.items()
        for row in folder.rows([name])
    ]
    table = pd.DataFrame(lines, columns=["vertical", "dropped", "ranking", "number"])
    return table.pivot(index=["vertical", "dropped"], columns="ranking", values="number").reset_index()


def main() -> None:
    """Prints both tables."""
    arguments = arguments_of()
    folder = kept.Kept.open(arguments, SETTINGS)
    pairs = np.sort(np.random.default_rng(0).permutation(arguments.pairs)[: arguments.single]).tolist()
    alone = {f"retrainings/double-without-{pair}": [pair] for pair in pairs}
    settings = {"epochs": arguments.epochs} if arguments.epochs else {}
    world = world_from(arguments, seed=0, **settings) if folder.workers else None
    if world:
        runs: dict[str, kept.Run] = {
            name: partial(kept.scored, world, method) for name, method in kept.named(0, arguments.methods).items()
        }
        runs |= {name: partial(in_double_precision, world, left) for name, left in ({WHOLE: []} | alone).items()}
        folder.complete(runs | {ENDS: partial(ends, world)})
    scores = folder.scores(0, arguments.methods)
    for whole in folder.rows([WHOLE]):
        print_table(agreement(scores, whole["measured"], folder.rows([*alone])))
    for numbers in folder.rows([ENDS]):
        left_out = dropped(scores, numbers, arguments.rankings, arguments.drops)
        names = {key: "retrainings/{}-first-{}-by-{}".format(*key) for key in left_out}
        if world:
            folder.complete({name: partial(without, world, left_out[key]) for key, name in names.items()})
        print_table([{"pairs": "none"} | numbers["before"], {"pairs": "all"} | numbers["after"]])
        print_table(brittleness(folder, names).to_dict("records"))


def arguments_of() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--epochs", type=int, help="epochs of the training; by default the study's own")
    parser.add_argument("--single", type=int, default=20, help="how many pairs are left out one by one")
    parser.add_argument("--drops", type=int, nargs="+", default=[4, 8, 16, 32, 64], help="pairs dropped together")
    parser.add_argument("--rankings", nargs="+", default=["unrolled", "ekfac", "bm25", "random"])
    kept.add_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
