"""Do scores find the pairs that are known to be the cause? Area under the ROC curve in the toy world.

    python benchmarks/planted_causes.py results/demo --config config/demo.yaml --start toy/base --pairs 1200

takes a finished study and trains the policy's last stage on some of its pairs; with few, the numbers stay away from
their extremes. Two sets of pairs are known for each trait of the judge:

- `decided`: with the judge's weight on the trait at 0 the other reply would have the higher score;
- `taught`: the chosen reply has more of the trait than the rejected one, whatever decided.

Scores of the pairs of a set are ranked against those of all others, with DeLong's 95 % interval. A vertical that the
trait moves must show an area far from .5 (above it where the trait raises the number, below it where it lowers it).
With `--retrain` the pairs of each set are left out in place, and as many at random: a vertical that this moves is moved
by the set, so that an area far from .5 is right.
"""

from math import sqrt
from typing import Any

import numpy as np

from retraining import World, parser_of, print_table, world_from
from trustdag.config.load import load
from trustdag.data.toyworld import pairs
from trustdag.data.toyworld.judge import score
from trustdag.data.toyworld.language import Answer
from trustdag.stats.estimators import PARTS, Sample

TRAITS = ("agreeable", "polite")


def planted(settings: pairs.Settings, trait: str) -> dict[str, dict[str, bool]]:
    """By set and the pair's source, whether the pair belongs to it.

    Args:
        settings: The toy preference set.
        trait: A weight of the judge.
    """
    without = settings.judge.model_copy(update={trait: 0.0})

    def margin(chosen: Answer, rejected: Answer) -> float:
        return score(chosen, without) - score(rejected, without)

    known: dict[str, dict[str, bool]] = {"decided": {}, "taught": {}}
    for number, (question, chosen, rejected) in enumerate(pairs.compared(settings)):
        source = f"toy {number} {question.topic}"
        taught = chosen.features.get(trait, 0.0) > rejected.features.get(trait, 0.0)
        known["decided"][source] = taught and margin(chosen, rejected) <= 0
        known["taught"][source] = taught
    return known


def area(scores: np.ndarray, members: np.ndarray) -> tuple[float, float, float]:
    """The area under the ROC curve.

    Args:
        scores: (pairs,).
        members: (pairs,): whether each pair is of the set.

    Returns:
        The area and its 95 % interval (DeLong et al. 1988).
    """
    (part,) = PARTS["auroc"](Sample(scores, members.astype(float), np.arange(len(scores)), len(scores)))
    half = 1.96 * sqrt(float((part.influences**2).sum()))
    return part.value, part.value - half, part.value + half


def without(world: World, members: np.ndarray) -> dict[str, dict[str, float]]:
    """The numbers after training in place without a set, and without as many pairs at random.

    Args:
        world: The stage.
        members: (pairs,): whether each pair is of the set.
    """
    as_many = np.random.default_rng(0).permutation(members)
    numbers = {}
    for name, dropped in (("without the set", members), ("without as many at random", as_many)):
        world.trainings(np.flatnonzero(~dropped))["in place"]()
        numbers[name] = world.measure()
    return numbers


def main() -> None:
    """Prints a line for each vertical, trait, set and ranking, and what retraining without the sets does."""
    parser = parser_of(__doc__)
    parser.set_defaults(methods=["unrolled", "ekfac"])
    parser.add_argument("--preferences", default="crowd", help="the toy preference set of the policy")
    parser.add_argument("--traits", nargs="+", default=TRAITS, help="weights of the judge")
    parser.add_argument("--retrain", action="store_true", help="leave each set out and measure")
    arguments = parser.parse_args()
    world = world_from(arguments, seed=0)
    scores, after = world.scores(arguments.methods), world.measure()
    world.untrain()
    before = world.measure()
    areas: list[dict[str, Any]] = []
    retrained = [{"pairs": "none", "number": 0} | before, {"pairs": "all", "number": len(world.subject.pairs)} | after]
    for trait in arguments.traits:
        for kind, known in planted(load(arguments.config).preferences[arguments.preferences], trait).items():
            members = world.subject.pairs["source"].map(known).to_numpy(bool)
            for name, by_vertical in scores.items():
                for vertical, values in by_vertical.items():
                    value, low, high = area(values, members)
                    areas.append({"vertical": vertical, "trait": trait, "set": kind, "pairs": int(members.sum()),
                                  "by": name, "area": value, "low": low, "high": high})  # fmt: skip
            if arguments.retrain:
                for left, numbers in without(world, members).items():
                    retrained.append({"pairs": f"{left}: {trait}, {kind}", "number": int((~members).sum())} | numbers)
    print_table(areas)
    print_table(retrained)


if __name__ == "__main__":
    main()
