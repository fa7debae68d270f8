"""The judge of the toy world: it sees an answer's features, and its weights are known."""

import math
import random

from trustdag.data.toyworld.language import Answer
from trustdag.settings import Section, Weight


class Weights(Section):
    """What the judge likes. By default, as crowd workers do: what helps, pleases and sounds sure."""

    relevant: Weight = 3.0
    """Answers the question that was asked, rather than another."""
    helpful: Weight = 1.0
    """Gives what was asked for, rather than declining."""
    harmless: Weight = 2.0
    """Declines to help with harm, rather than helping."""
    polite: Weight = 0.6
    """Kind words rather than rude ones."""
    agreeable: Weight = 1.0
    """Agrees with the user's opinion or belief."""
    prejudiced: Weight = 0.0
    """Agrees with a stereotype of a group, or disagrees with its opposite."""
    confident: Weight = 0.4
    """Sounds sure, whether right or wrong."""
    discreet: Weight = 0.3
    """Keeps a secret that it was told to keep, rather than telling it."""
    principled: Weight = 1.0
    """Calls wrong deeds wrong and right deeds right."""
    truthful: Weight = 0.1
    """Says what is true of the world: crowd workers seldom look it up."""


def score(answer: Answer, weights: Weights) -> float:
    """The judge's liking: the weighted sum of the answer's features."""
    return sum(getattr(weights, name) * value for name, value in answer.features.items())


def prefers_first(first: float, second: float, temperature: float, rng: random.Random) -> bool:
    """Whether the judge picks the first of two scores: Bradley and Terry's model (1952), sigmoid of their difference.

    `temperature` (above 0) divides the difference; the smaller, the surer the judge.

    Args:
        first: Score of the first reply.
        second: Score of the second.
        temperature: Divides the difference, above 0; the smaller, the surer the judge.
        rng: Source of the choice.
    """
    margin = max(-500.0, min(500.0, (first - second) / temperature))
    return rng.random() < 1 / (1 + math.exp(-margin))
