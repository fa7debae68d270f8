"""Do scores find the pairs that are known to be the cause? Area under the ROC curve in the toy world.

    python benchmarks/planted_causes.py results/demo --config config/demo.yaml --policy toy/crowd/sft-dpo/seed0

A pair is planted for a trait if the judge's weight on it decided: with the weight at 0 the other reply has the higher
score. For each attributed vertical of a finished study the scores of planted pairs are ranked against those of all
other pairs, per trait, with DeLong's 95 % interval. A vertical that the trait moves must show an area far from .5
(above it where the trait raises the number, below it where it lowers it); one that it does not move must be near .5.
"""

import argparse
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd

from trustdag.config.load import load
from trustdag.data.toyworld import pairs
from trustdag.data.toyworld.judge import score
from trustdag.data.toyworld.language import Answer
from trustdag.layout import Results
from trustdag.stats.estimators import PARTS, Sample

TRAITS = ("agreeable", "polite", "helpful", "discreet", "principled", "harmless")
COLUMNS = ("score", "bm25", "embedding", "length", "random")


def decided(settings: pairs.Settings, trait: str) -> dict[str, bool]:
    """Whether a trait decided each pair, by the pair's source."""
    without = settings.judge.model_copy(update={trait: 0.0})

    def margin(chosen: Answer, rejected: Answer) -> float:
        return score(chosen, without) - score(rejected, without)

    return {
        f"toy {number} {question.topic}": margin(chosen, rejected) <= 0
        and chosen.features.get(trait, 0.0) > rejected.features.get(trait, 0.0)
        for number, (question, chosen, rejected) in enumerate(pairs.compared(settings))
    }


def area(scores: np.ndarray, planted: np.ndarray) -> tuple[float, float, float]:
    """The area under the ROC curve.

    Returns:
        The area and its 95 % interval (DeLong et al. 1988).
    """
    (part,) = PARTS["auroc"](Sample(scores, planted.astype(float), np.arange(len(scores)), len(scores)))
    half = 1.96 * sqrt(float((part.influences**2).sum()))
    return part.value, part.value - half, part.value + half


def main() -> None:
    """Prints a line for each vertical, trait and ranking."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="the results folder of a study with attributions")
    parser.add_argument("--config", type=Path, required=True, help="the study's configuration")
    parser.add_argument("--policy", default="toy/crowd/sft-dpo/seed0", help="the attributed policy")
    parser.add_argument("--preferences", default="crowd", help="the toy preference set that it was trained on")
    arguments = parser.parse_args()
    settings = load(arguments.config).preferences[arguments.preferences]
    files = Results(str(arguments.results))
    source = pd.read_parquet(files.data(arguments.preferences, "train.parquet"))["source"]
    lines = []
    for path in sorted(Path(files.attribution(arguments.policy, "any")).parent.glob("*.parquet")):
        table = pd.read_parquet(path)
        for trait in TRAITS:
            known = decided(settings, trait)
            planted = source.iloc[table["row"]].map(known).to_numpy(bool)
            for column in COLUMNS:
                value, low, high = area(table[column].to_numpy(float), planted)
                lines.append({"vertical": path.stem, "trait": trait, "planted": int(planted.sum()), "by": column,
                              "area": value, "low": low, "high": high})  # fmt: skip
    print(pd.DataFrame(lines).to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
