"""The linear datamodelling score: do sums of scores rank retrainings on half of the pairs as measuring them does?

    python benchmarks/lds.py results/demo --config config/demo.yaml --pairs 400 --subsets 30 --out FOLDER

takes a finished study, trains the policy's last stage on some of its pairs, scores them with each method, retrains on
random halves, and measures each model (`retraining.py` says what is measured). Of a PPO policy the stage is its reward
model's. Two kinds of retraining:

- `in place`: the pairs left out weigh 0, all others keep their places in the steps (what MAGIC's authors measure);
- `anew`: the pairs left out are gone, the others are shuffled anew and there are half as many steps (what a user does).

`anew` also trains the same halves in another order. The square root of that rank correlation is the ceiling: what a
score that is right about the pairs, and knows nothing of the order, can expect.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retraining import AGAIN, KINDS, Scores, World, parser_of, print_table, spearman_interval, world_from


def retrained(world: World, subsets: int, kinds: list[str]) -> Iterator[dict[str, Any]]:
    """Each half: which pairs it keeps, and the numbers after each kind of retraining.

    Args:
        world: The stage.
        subsets: How many halves.
        kinds: Kinds of retraining.
    """
    count = len(world.replay.examples)
    for number in range(subsets):
        chosen = np.sort(np.random.default_rng(number).permutation(count)[: count // 2])
        row: dict[str, Any] = {"kept": chosen.tolist()}
        for kind, train in world.trainings(chosen).items():
            if kind in kinds or (kind == AGAIN and "anew" in kinds):
                train()
                row[kind] = world.measure()
        yield row


def table(rows: list[dict[str, Any]], scores: Scores) -> pd.DataFrame:
    """The score of each method, vertical and kind of retraining."""
    lines = []
    for kind in [kind for kind in KINDS if kind in rows[0]]:
        for vertical in rows[0][kind]:
            measured = np.array([row[kind][vertical] for row in rows])
            entries = {
                name: np.array([by_vertical[vertical][row["kept"]].sum() for row in rows])
                for name, by_vertical in scores.items()
            }
            if kind == "anew":
                entries["same halves, another order"] = np.array([row[AGAIN][vertical] for row in rows])
            for name, predicted in entries.items():
                value, low, high = spearman_interval(predicted, measured)
                lines.append(
                    {"retraining": kind, "vertical": vertical, "method": name, "spearman": value, "low": low,
                     "high": high, "retrainings": len(rows), "spread": measured.std()}
                )  # fmt: skip
    return pd.DataFrame(lines)


def main() -> None:
    """Writes retrainings.jsonl and lds.csv, and prints the latter."""
    parser = parser_of(__doc__)
    parser.add_argument("--subsets", type=int, default=30, help="how many halves")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--out", type=Path, required=True, help="folder for lds.csv and the retrainings")
    arguments = parser.parse_args()
    world = world_from(arguments, seed=0)
    scores = world.scores(arguments.methods)
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with (arguments.out / "retrainings.jsonl").open("w", encoding="utf-8") as file:
        for row in retrained(world, arguments.subsets, arguments.kinds):
            rows.append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()
            if len(rows) >= 8:
                table(rows, scores).to_csv(arguments.out / "lds.csv", index=False)
    print_table(table(rows, scores).to_dict("records"))


if __name__ == "__main__":
    main()
