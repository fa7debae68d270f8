"""The linear datamodelling score: do sums of scores rank retrainings on half of the pairs as measuring them does?

    python benchmarks/lds.py results/demo --config config/demo.yaml --pairs 400 --subsets 100 --workers 2 --out FOLDER

takes a finished study, trains the policy's last stage on some of its pairs, scores them with each method, retrains on
random halves, and measures each model (`retraining.py` says what is measured). Of a PPO policy the stage is its reward
model's. Two kinds of retraining:

- `in place`: the pairs left out weigh 0, all others keep their places in the steps (what MAGIC's authors measure);
- `anew`: the pairs left out are gone, the others are shuffled anew and there are half as many steps (what a user does).

`anew` also trains the same halves in another order. The square root of that rank correlation is the ceiling: what a
score that is right about the pairs, and knows nothing of the order, can expect.
"""

import argparse
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

import kept
from retraining import AGAIN, KINDS, Scores, World, parser_of, print_table, spearman_interval, world_from

SETTINGS = ("policy", "start", "verticals", "query", "pairs")
"""The arguments that all numbers follow from."""


def retrained(world: World, kind: str, number: int) -> dict[str, Any]:
    """One half: which pairs it keeps, and the numbers after training on it.

    Args:
        world: The stage.
        kind: Kind of retraining.
        number: The half's number: its seed.
    """
    count = len(world.replay.examples)
    chosen = np.sort(np.random.default_rng(number).permutation(count)[: count // 2])
    world.trainings(chosen)[kind]()
    return {"half": number, "kept": chosen.tolist(), "measured": world.measure()}


def table(rows: dict[str, list[dict[str, Any]]], scores: Scores) -> pd.DataFrame:
    """The score of each method, vertical and kind of retraining.

    Args:
        rows: By kind, what `retrained` gave.
        scores: By method and vertical, (pairs,).
    """
    lines = []
    for kind in [kind for kind in KINDS if rows.get(kind)]:
        for vertical in rows[kind][0]["measured"]:
            measured = {row["half"]: row["measured"][vertical] for row in rows[kind]}
            entries = {
                name: {row["half"]: by_vertical[vertical][row["kept"]].sum() for row in rows[kind]}
                for name, by_vertical in scores.items()
            }
            if kind == "anew":
                entries["same halves, another order"] = {
                    row["half"]: row["measured"][vertical] for row in rows.get(AGAIN, [])
                }
            for name, predicted in entries.items():
                both = np.array([(value, measured[half]) for half, value in predicted.items() if half in measured])
                if len(both) > 2:
                    value, low, high = spearman_interval(both[:, 0], both[:, 1])
                    lines.append(
                        {"retraining": kind, "vertical": vertical, "method": name, "spearman": value, "low": low,
                         "high": high, "retrainings": len(both), "spread": both[:, 1].std()}
                    )  # fmt: skip
    return pd.DataFrame(lines)


def names_of(kinds: list[str], subsets: int) -> dict[str, list[str]]:
    """By kind of retraining, the names of its halves; `anew` has a second order too.

    Args:
        kinds: The kinds.
        subsets: How many halves.
    """
    trained = [*kinds, *([AGAIN] if "anew" in kinds else [])]
    return {kind: [f"retrainings/{kind.replace(' ', '-')}-{number}" for number in range(subsets)] for kind in trained}


def main() -> None:
    """Prints the table, and writes it to lds.csv."""
    arguments = arguments_of()
    folder = kept.Kept.open(arguments, SETTINGS)
    names = names_of(arguments.kinds, arguments.subsets)
    if folder.workers:
        world = world_from(arguments, seed=0)
        scorings: dict[str, kept.Run] = {
            name: partial(kept.scored, world, method) for name, method in kept.named(0, arguments.methods).items()
        }
        retrainings = {
            name: partial(retrained, world, kind, number)
            for kind, of_kind in names.items()
            for number, name in enumerate(of_kind)
        }
        folder.complete(scorings | retrainings)
    rows, scores = {kind: folder.rows(names[kind]) for kind in names}, folder.scores(0, arguments.methods)
    lines = table(rows, scores)
    lines.to_csv(arguments.out / "lds.csv", index=False)
    print_table(lines.to_dict("records"))


def arguments_of() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--subsets", type=int, default=100, help="how many halves")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    kept.add_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
