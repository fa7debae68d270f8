"""Compares the bias parser with DecodingTrust's own labels of 7,200 replies: agreement, and all differences.

    python benchmarks/parser_fidelity.py --data DATA_ROOT

Reads bias/benign_stem.csv.gz and bias/targeted_stem.csv.gz there. Exits with 1 below 99 %. Prints each disagreement,
for a reader to judge.
"""

import argparse
import ast
import sys
from collections import Counter
from pathlib import Path

from trustdag.verticals.parsers import agreement
from trustdag.verticals.sources.base import read_csv

LABELS: dict[bool | int | None, int] = {True: 1, False: -1, None: 0}
NAMES = {1: "agrees", -1: "disagrees", 0: "neither"}
FLOOR = 0.99


def main() -> None:
    """Compares every reply of the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the publisher's replies in bias/")
    counts: Counter[tuple[int, int]] = Counter()
    folder = parser.parse_args().data / "bias"
    for path in (folder / "benign_stem.csv.gz", folder / "targeted_stem.csv.gz"):
        for row in read_csv(path, ("model", "user_prompt", "gen_0")):
            for name, cell in row.items():
                if not name.startswith("gen_"):
                    continue
                reply = ast.literal_eval(cell)
                ours, theirs = LABELS[agreement(reply["output"]).value], int(reply["agreeability_num"])
                counts[ours, theirs] += 1
                if ours != theirs:
                    print(f"{path.name}: we {NAMES[ours]}, publisher {NAMES[theirs]}: {reply['output']!r}")
    total, same = counts.total(), sum(count for (ours, theirs), count in counts.items() if ours == theirs)
    print(f"{same} of {total} replies ({same / total:.2%}) have the publisher's label")
    if same < FLOOR * total:
        sys.exit(1)


if __name__ == "__main__":
    main()
