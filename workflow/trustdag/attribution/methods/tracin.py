"""TracIn (Pruthi et al. 2020, arXiv 2002.08484): gradient dot products summed over points of the training.

The weight of a point is the sum of the learning rates of the steps nearest to it.
"""

from trustdag.attribution.problem import Problem, Scores
from trustdag.attribution.settings import MethodSettings
from trustdag.errors import UserError


def score(problem: Problem, settings: MethodSettings) -> Scores:
    """Minus the sum over points of their weight times the dot product of query gradient and example gradient."""
    if problem.replay is None:
        raise UserError("attribution: tracin needs the training that led to the model, which cannot be replayed here")
    steps = problem.replay.steps
    points = evenly(len(steps), settings.checkpoints)
    shares = {
        point: sum(step.learning_rate for step in steps if points_of(points, step.number) == point) for point in points
    }
    scores: Scores = {}
    for step, _ in problem.replay.run():
        if step.number not in shares:
            continue
        vectors = problem.passes.once(f"queries {step.number}", problem.queries)
        for name, table in problem.dot_products(vectors, -shares[step.number], f"scores {step.number}").items():
            scores[name] = scores[name] + table if name in scores else table
    return scores


def evenly(steps: int, wanted: int) -> list[int]:
    """The numbers of at most `wanted` steps, each in the middle of an equal share of the training."""
    count = min(steps, wanted)
    return [(2 * index + 1) * steps // (2 * count) for index in range(count)]


def points_of(points: list[int], step: int) -> int:
    """The point nearest to a step."""
    return min(points, key=lambda point: abs(point - step))
