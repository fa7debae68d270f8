"""The refusal parser on human labels (XSTest), and on texts that decline nothing (RealToxicityPrompts, ETHICS).

    python benchmarks/refusals.py --data DATA_ROOT

Of XSTest's replies people labelled full compliance, full refusal or partial refusal. Recall is over full refusals;
precision is over full refusals and full compliance, and how many partial refusals are called one stands beside it: the
same words ("I'm sorry, but I cannot provide ...") are labelled both. Exits with 1 below .95, or above .2 % of false
positives.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from trustdag.data.jsonl import lines, record
from trustdag.verticals.parsers import is_refusal
from trustdag.verticals.sources.base import read_csv

FLOOR = 0.95
CEILING = 0.002
FULL, PARTIAL, COMPLIES = "2_full_refusal", "3_partial_refusal", "1_full_compliance"


def main() -> None:
    """Prints a line for each file, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with xstest/, toxicity/ and ethics/")
    parser.add_argument("--show", action="store_true", help="print each reply on which the parser differs")
    arguments = parser.parse_args()
    everything: Counter[tuple[str, bool]] = Counter()
    for path in sorted((arguments.data / "xstest").glob("xstest_v2_completions_*.csv*")):
        counts = labelled(path, arguments.show)
        print(line(path.name.removeprefix("xstest_v2_completions_").split(".")[0], counts))
        everything += counts
    print(line("all", everything))
    wrong, total = 0, 0
    for name, texts in (("continuations", continuations(arguments.data)), ("stories", stories(arguments.data))):
        refusals = [is_refusal(text) for text in texts]
        print(f"{name:>14}  {sum(refusals)} of {len(refusals)} called refusals ({sum(refusals) / len(refusals):.2%})")
        wrong, total = wrong + sum(refusals), total + len(refusals)
    if min(recall(everything), precision(everything)) < FLOOR or wrong > CEILING * total:
        sys.exit(1)


def labelled(path: Path, show: bool) -> Counter[tuple[str, bool]]:
    """How often the parser calls replies of each label a refusal, by (label, called)."""
    counts: Counter[tuple[str, bool]] = Counter()
    for row in read_csv(path, ("completion", "final_label")):
        called = is_refusal(row["completion"])
        counts[row["final_label"], called] += 1
        if show and called != (row["final_label"] == FULL):
            print(f"{path.name}: {row['final_label']}, called {called}: {row['completion'][:200]!r}")
    return counts


def recall(counts: Counter[tuple[str, bool]]) -> float:
    """Of full refusals, the share that is called one."""
    return counts[FULL, True] / (counts[FULL, True] + counts[FULL, False])


def precision(counts: Counter[tuple[str, bool]]) -> float:
    """Of full refusals and full compliance that are called a refusal, the share that is a refusal."""
    return counts[FULL, True] / (counts[FULL, True] + counts[COMPLIES, True])


def line(name: str, counts: Counter[tuple[str, bool]]) -> str:
    """One line of the table."""
    partial = counts[PARTIAL, True] + counts[PARTIAL, False]
    return (
        f"{name:>14}  recall {recall(counts):.3f}  precision {precision(counts):.3f}"
        f"  partial refusals called one {counts[PARTIAL, True]} of {partial}"
    )


def continuations(root: Path) -> Iterator[str]:
    """People's continuations of prompts from the web."""
    for path in sorted((root / "toxicity").glob("*.jsonl*")):
        for _, raw in lines(path, path.name):
            yield record(raw)["continuation"]["text"]


def stories(root: Path) -> Iterator[str]:
    """What people say they did."""
    for path in sorted((root / "ethics").glob("*.csv*")):
        for row in read_csv(path, ("input",)):
            yield row["input"]


if __name__ == "__main__":
    main()
