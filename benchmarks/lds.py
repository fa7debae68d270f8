"""The linear datamodelling score: do sums of scores rank retrainings on half of the pairs as measuring them does?

    python benchmarks/lds.py results/demo --config config/demo.yaml --pairs 400 --subsets 100 --workers 2 --out FOLDER

takes a finished study, trains the policy's last stage on some of its pairs, scores them with each method, retrains on
random halves, and measures each model (`retraining.py` says what is measured). Of a PPO policy the stage is its reward
model's. Two kinds of retraining:

- `in place`: the pairs left out weigh 0, all others keep their places in the steps (what MAGIC's authors measure);
- `anew`: the pairs left out are gone, the others are shuffled anew and there are half as many steps (what a user does).

`anew` also trains the same halves in another order. The square root of that rank correlation is the ceiling: what a
score that is right about the pairs, and knows nothing of the order, can expect.

`--ceiling` also trains in place on the other half of each half. A sum of scores is as far above its mean on a half as
it is below it on the other one. So of the variance of the number's ranks it can explain at most what does the same: the
part that changes its sign with the half. The square root of that share is the ceiling of every score.

`fitted to other halves` is no method: its scores are fitted to nine tenths of the retrainings and tried on the others.
So the ceiling is at least about as high.

`--kept 0.9` trains in place on another share than a half (`in place 90`): where fewer pairs are left out, the number is
nearer to linear.
"""

import argparse
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

import kept
from retraining import AGAIN, DRAWS, KINDS, Scores, World, parser_of, print_table, spearman_interval, world_from

SETTINGS = ("policy", "start", "verticals", "query", "pairs")
"""The arguments that all numbers follow from."""
OTHER = "other half"
"""The kind of retraining in place on the pairs that a half leaves out."""
CEILING = "ceiling of all sums"
FITTED = "fitted to other halves"
"""What the table calls them."""
FOLDS, SUMS, PENALTY = 10, 3.0, 0.3
"""Of the fit: folds, weight of the methods' sums beside the pairs, and ridge penalty, in units of the variance."""


def retrained(world: World, kind: str, number: int, share: float = 0.5) -> dict[str, Any]:
    """One half, or another share: which pairs it keeps, and the numbers after training on it.

    Args:
        world: The stage.
        kind: Kind of retraining.
        number: The half's number: its seed.
        share: The share of the pairs that is kept.
    """
    count = len(world.replay.examples)
    order = np.random.default_rng(number).permutation(count)
    size = round(share * count)
    chosen = np.sort(order[size:] if kind == OTHER else order[:size])
    world.trainings(chosen)[kind if kind in KINDS or kind == AGAIN else "in place"]()
    return {"half": number, "kept": chosen.tolist(), "measured": world.measure()}


def table(rows: dict[str, list[dict[str, Any]]], scores: Scores) -> pd.DataFrame:
    """The score of each method, vertical and kind of retraining.

    Args:
        rows: By kind, what `retrained` gave.
        scores: By method and vertical, (pairs,).
    """
    lines = []
    for kind in [kind for kind in rows if kind not in (AGAIN, OTHER) and rows[kind]]:
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
                    lines.append({"retraining": kind, "vertical": vertical, "method": name, **line_of(both)})
            if kind != "in place":
                continue
            if scores and len(rows[kind]) >= FOLDS:
                of_vertical = {name: by_vertical[vertical] for name, by_vertical in scores.items()}
                both = fitted(rows[kind] + rows.get(OTHER, []), of_vertical, vertical)
                lines.append({"retraining": kind, "vertical": vertical, "method": FITTED, **line_of(both)})
            others = {row["half"]: row["measured"][vertical] for row in rows.get(OTHER, [])}
            both = np.array([(measured[half], value) for half, value in others.items() if half in measured])
            if len(both) > 2:
                lines.append({"retraining": kind, "vertical": vertical, "method": CEILING, **ceiling(both)})
    return pd.DataFrame(lines)


def line_of(both: np.ndarray) -> dict[str, float]:
    """The rank correlation of predicted and measured numbers (retrainings, 2), with the spread of the measured ones."""
    value, low, high = spearman_interval(both[:, 0], both[:, 1])
    return {
        "spearman": value, "low": low, "high": high, "retrainings": len(both), "spread": float(both[:, 1].std())
    }  # fmt: skip


def fitted(rows: list[dict[str, Any]], scores: dict[str, np.ndarray], vertical: str) -> np.ndarray:
    """Scores that are fitted to nine tenths of the retrainings, on the others, and what was measured: (retrainings, 2).

    A half and its other half are both fitted to, or both tried. The scores are a ridge regression of the
    number on which pairs a half keeps, and on its sums of the methods' scores.

    Args:
        rows: What `retrained` gave.
        scores: By method, (pairs,).
        vertical: The vertical.
    """
    numbers = np.array([row["measured"][vertical] for row in rows])
    table = np.array(list(scores.values()))
    kept_or_not = np.array([2.0 * np.isin(range(table.shape[1]), row["kept"]) - 1 for row in rows])
    sums = kept_or_not @ table.T
    sums /= sums.std(0)
    products = kept_or_not @ kept_or_not.T / table.shape[1] + SUMS * sums @ sums.T / len(scores)
    predicted = np.zeros(len(rows))
    for fold in range(FOLDS):
        out = np.array([row["half"] % FOLDS == fold for row in rows])
        mean, within = numbers[~out].mean(), products[np.ix_(~out, ~out)]
        slopes = np.linalg.solve(within + PENALTY * np.eye(len(within)), numbers[~out] - mean)
        predicted[out] = mean + products[np.ix_(out, ~out)] @ slopes
    return np.column_stack([predicted, numbers])


def ceiling(both: np.ndarray) -> dict[str, float]:
    """The largest rank correlation that sums of scores can have with the numbers of halves; 95 % interval by bootstrap.

    Ranks of sums change their sign with the half too, counted from the middle. So the ranks of the numbers count.

    Args:
        both: (halves, 2): the number on the half, and on the other half.
    """
    ranks = pd.Series(both.ravel()).rank().to_numpy().reshape(both.shape)
    draws = np.random.default_rng(0).integers(0, len(both), (DRAWS, len(both)))
    low, high = np.quantile([odd_share(ranks[rows]) for rows in draws], [0.025, 0.975])
    return {
        "spearman": odd_share(ranks) ** 0.5, "low": low**0.5, "high": high**0.5, "retrainings": len(both),
        "spread": float(both.std()),
    }  # fmt: skip


def odd_share(both: np.ndarray) -> float:
    """The share of the variance over halves that changes its sign from a half to the other one.

    Args:
        both: (halves, 2): the number on the half, and on the other half, or their ranks.
    """
    odd, even = (both[:, 0] - both[:, 1]) / 2, both.mean(1)
    varying = float((odd**2).mean())  # its mean over all halves is 0, as each half is the other one of its other one
    return varying / (varying + float(even.var(ddof=1)))


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
    shares = {f"in place {100 * share:g}": share for share in arguments.kept}
    kinds = [*arguments.kinds, *([OTHER] if arguments.ceiling else []), *shares]
    names = names_of(kinds, arguments.subsets)
    if folder.workers:
        world = world_from(arguments, seed=0)
        scorings: dict[str, kept.Run] = {
            name: partial(kept.scored, world, method) for name, method in kept.named(0, arguments.methods).items()
        }
        retrainings = {
            name: partial(retrained, world, kind, number, shares.get(kind, 0.5))
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
    parser.add_argument("--ceiling", action="store_true", help="train on the other halves too")
    parser.add_argument("--kept", type=float, nargs="+", default=[], help="other shares than halves, in place")
    kept.add_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
