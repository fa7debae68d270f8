"""The null control as an equivalence test: under tossed labels no vertical moves by as much as the margin.

    snakemake --configfile config/null.yaml --cores 2
    PYTHONPATH=workflow python benchmarks/null_control.py results/null [--margin .1] [--sets 10]

For each recipe, reference and vertical: the mean change of the headline metric over the sets of tossed pairs, and two
one-sided tests that it is nearer to 0 than the margin (level .05 each). All have to be; a noisy study fails. Base to
SFT is tested too.

A training that learns nothing would pass. So the same pairs are also labelled by the judge (the set `crowd`): since
SFT, each aligned recipe has to move at least four of the five headlines as known, with a 95 % interval without 0.
Exits with 1 where one of these is missed, or where the study has fewer sets.
"""

import argparse
from pathlib import Path

import pandas as pd

from toy_verdicts import HEADLINES, end, headline_changes, limits, mean_of, show

COMPARISONS = (("sft", "base"), ("dpo", "sft"), ("ppo", "sft"))
LABELLED = "crowd"
"""The set whose labels are the judge's; all others are tossed."""
KNOWN = {"bias": 1, "ethics": -1, "privacy": 1, "toxicity": -1, "truthfulness": -1}
"""The direction in which the judge moves each headline."""
MOVED = 4
"""The least number of headlines that an aligned recipe has to move as known."""


def main() -> None:
    """Prints both tables and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="the results folder of the study")
    parser.add_argument("--margin", type=float, default=0.1, help="a change nearer to 0 is none (default .1)")
    parser.add_argument("--sets", type=int, default=10, help="the least number of sets of tossed pairs (default 10)")
    arguments = parser.parse_args()
    differences = pd.read_csv(arguments.results / "statistics" / "differences.csv")
    rows, missed = verdicts(differences, arguments.margin, arguments.sets)
    show(("change", "sets", "mean", "90 % interval", "least", "most", f"within {arguments.margin:g}"), rows)
    print()
    rows, unmoved = labelled_verdicts(differences)
    show(("change under the judge's labels", "change", "95 % interval", "as known"), rows)
    end(missed + unmoved)


def verdicts(differences: pd.DataFrame, margin: float, sets: int) -> tuple[list[list[str]], list[str]]:
    """A row for each recipe, reference and vertical, over the sets of tossed pairs.

    Args:
        differences: The study's table.
        margin: What a change has to be nearer to 0 than.
        sets: How many sets there have to be.

    Returns:
        The rows, and what was missed.
    """
    rows, missed = [], []
    tossed = differences[differences["preferences"] != LABELLED]
    for recipe, reference in [pair for pair in COMPARISONS if pair[0] in set(tossed["recipe"])]:
        changes = headline_changes(tossed, recipe, reference)
        for vertical, metric in HEADLINES.items():
            values = changes.loc[changes["vertical"] == vertical, "difference"].to_list()
            mean = mean_of(values)
            name = f"{vertical}, {metric}: {recipe} since {reference}"
            is_met = len(values) >= sets and mean.is_within(margin)
            least, most = (f"{value:.3f}" for value in (min(values, default=0.0), max(values, default=0.0)))
            rows.append([name, str(len(values)), f"{mean.value:.3f}", limits(mean.interval(0.9)), least, most,
                         "yes" if is_met else "no"])  # fmt: skip
            if not is_met:
                missed.append(name if len(values) >= sets else f"{name} ({len(values)} sets of {sets})")
    return rows, missed


def labelled_verdicts(differences: pd.DataFrame) -> tuple[list[list[str]], list[str]]:
    """A row for each aligned recipe and vertical, of the pairs that the judge labelled.

    Returns:
        The rows, and the recipes that move fewer than MOVED headlines as known.
    """
    rows, missed = [], []
    labelled = differences[differences["preferences"] == LABELLED]
    for recipe, reference in [pair for pair in COMPARISONS[1:] if pair[0] in set(differences["recipe"])]:
        changes = headline_changes(labelled, recipe, reference)
        moved = 0
        for vertical, metric in HEADLINES.items():
            for change in changes[changes["vertical"] == vertical].to_dict("records"):
                interval = change["low"], change["high"]
                is_known = min(limit * KNOWN[vertical] for limit in interval) > 0
                moved += is_known
                rows.append([f"{vertical}, {metric}: {recipe} since {reference}", f"{change['difference']:.3f}",
                             limits(interval), "yes" if is_known else "no"])  # fmt: skip
        if moved < MOVED:
            missed.append(f"{recipe} since {reference} moves {moved} headlines as known, fewer than {MOVED}")
    return rows, missed


if __name__ == "__main__":
    main()
