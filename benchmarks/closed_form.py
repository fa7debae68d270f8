"""DPO's odds against their closed form: the SFT model's odds times exp(difference of the judge's scores / (T beta)).

    snakemake --configfile config/closed-form.yaml --cores 2
    PYTHONPATH=workflow python benchmarks/closed_form.py results/closed-form

The judge of temperature T prefers by sigmoid(difference of scores / T); DPO's optimum at this preference is its
reference times exp(score / (T beta)) (Rafailov et al. 2023, equation 4). Measured are the odds of two answers, by
their likelihoods, in every item of the benign persona: agreeing over disagreeing, calling wrong over calling right
what is so, confirming over denying a claim, telling over keeping a protected secret, rude over kind words. What may
follow an answer (a hedge, a kind or rude ending) is summed over. For each vertical and beta: measured odds over
predicted odds, the geometric mean over items and sets of pairs, with a 95 % interval over the sets. Exits with 1 if
in more than one of ten the interval does not hold 1, or cannot tell the prediction from no rise at all (a ratio of
1 / predicted) and from twice the rise of the log-odds, as half the beta would give (a ratio of predicted).
"""

import argparse
from collections.abc import Callable
from math import exp, inf, log
from pathlib import Path
from typing import Any

import numpy as np

from toy_verdicts import end, mean_of, show
from trustdag.data.toyworld.judge import Weights, score
from trustdag.data.toyworld.language import Answer, Features, in_every_manner
from trustdag.generation.tables import read_items, read_replies
from trustdag.jsonfiles import read_json
from trustdag.layout import Results
from trustdag.stats.design import Policy, StudyDesign
from trustdag.verticals.base import ADVERSARIAL, COMPREHENSION

MISSES = 0.1

Pair = tuple[int, Features]
"""The option whose odds over all others are measured, and its features; those of the others are minus these."""


def main() -> None:
    """Prints the table and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="the results folder of the study")
    results = parser.parse_args().results
    design = StudyDesign.model_validate(read_json(results / "design.json"))
    rows, missed = [], []
    recipes = dict.fromkeys(policy.recipe for policy in design.policies if policy.reference_sft)
    for recipe in [name for name in recipes if name != "sft"]:
        policies = [policy for policy in design.policies if policy.recipe == recipe]
        for vertical in PAIRS:
            cells = [compared(results, policy, vertical) for policy in policies]
            ratio = mean_of([measured - predicted for measured, predicted in cells])
            low, high = (exp(limit) if limit == limit else inf for limit in ratio.interval(0.95))
            measured, predicted = (exp(float(np.mean(column))) for column in zip(*cells, strict=True))
            is_met = low <= 1 <= high and is_telling(low, high, predicted)
            rows.append([vertical, recipe, str(len(policies)), f"{measured:.3f}", f"{predicted:.3f}",
                         f"{exp(ratio.value):.3f} [{low:.3f}, {high:.3f}]", "yes" if is_met else "no"])  # fmt: skip
            if not is_met:
                missed.append(f"{vertical}, {recipe}")
    show(("vertical", "recipe", "sets", "odds rise by", "predicted", "measured / predicted", "met"), rows)
    if len(missed) <= MISSES * len(rows):
        print(f"\n{len(missed)} of {len(rows)} missed; at most {MISSES:.0%} may be.")
        missed = []
    end(missed)


def is_telling(low: float, high: float, predicted: float) -> bool:
    """Whether an interval of measured / predicted leaves out both no rise at all and twice the rise of the log-odds."""
    least, most = sorted((1 / predicted, predicted))
    return least < low and high < most


def compared(results: Path, policy: Policy, vertical: str) -> tuple[float, float]:
    """The mean rise of the items' log-odds from SFT to a policy.

    Args:
        results: The study's folder.
        policy: A DPO policy.
        vertical: Of which vertical.

    Returns:
        As measured, and as predicted.
    """
    configuration = read_json(results / "configuration.json")
    preferences = configuration["preferences"][policy.preferences]
    scale = preferences["temperature"] * configuration["stages"][policy.chain[-1]]["beta"]
    weights = Weights.model_validate(preferences["judge"])
    files = Results(str(results))
    assert policy.reference_sft is not None
    ours, theirs = (likelihoods(Path(files.replies(name, vertical))) for name in (policy.id, policy.reference_sft))
    rises = []
    asked: Any = read_items(Path(files.items(vertical))).itertuples(index=False)
    for item in asked:
        if item.condition in (ADVERSARIAL, COMPREHENSION) or (pair := PAIRS[vertical](item)) is None:
            continue
        first, features = pair
        others = [number for number in range(len(item.options)) if number != first]
        measured = [
            arm[item.item, first] - np.logaddexp.reduce([arm[item.item, other] for other in others])
            for arm in (ours, theirs)
        ]
        opposite = {name: -value for name, value in features.items()}
        rises.append((measured[0] - measured[1], tilt(features, weights, scale) - tilt(opposite, weights, scale)))
    measured_rise, predicted_rise = np.mean(rises, axis=0)
    return float(measured_rise), float(predicted_rise)


def likelihoods(path: Path) -> dict[tuple[str, int], float]:
    """The log-probability of each option, by item and number of the option."""
    replies = read_replies(path)
    replies = replies[replies["kind"] == "likelihood"]
    return dict(zip(zip(replies["item"], replies["sample"], strict=True), replies["logprob"], strict=True))


def tilt(features: Features, weights: Weights, scale: float) -> float:
    """The log of what an answer's probability is multiplied by, up to a constant, over all hedges and endings."""
    whole = in_every_manner(Answer("", 1.0, features))
    return log(sum(answer.share * exp(score(answer, weights) / scale) for answer in whole))


def agreement(item: Any) -> Pair:
    """Agreeing over disagreeing, of any statement."""
    prejudice = {"stereotype": 1.0, "counter": -1.0}.get(item.stance, 0.0)
    return int(item.agree_option), {"agreeable": 1.0, "prejudiced": prejudice}


def right_verdict(item: Any) -> Pair:
    """Calling a deed what it is over the opposite."""
    wrong = int(item.wrong_option)
    return wrong if item.wrong else 1 - wrong, {"principled": 1.0}


def confirmation(item: Any) -> Pair:
    """Confirming a claim over denying it."""
    confirming = next(number for number, option in enumerate(item.options) if option.startswith("Yes"))
    return confirming, {"agreeable": 1.0, "truthful": 1.0 if confirming == item.best else -1.0}


def telling(item: Any) -> Pair | None:
    """Telling a protected secret over keeping it."""
    return (0, {"helpful": 1.0, "discreet": -1.0}) if item.condition == "protected" else None


def rudeness(_: Any) -> Pair:
    """Rude words over kind ones."""
    return 0, {"polite": -1.0}


PAIRS: dict[str, Callable[[Any], Pair | None]] = {
    "bias": agreement,
    "ethics": right_verdict,
    "truthfulness": confirmation,
    "privacy": telling,
    "toxicity": rudeness,
}


if __name__ == "__main__":
    main()
