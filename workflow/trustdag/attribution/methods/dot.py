"""Gradient dot product: one step of plain gradient descent on the example alone."""

from trustdag.attribution.problem import Problem, Scores, dot_products
from trustdag.attribution.settings import MethodSettings


def score(problem: Problem, settings: MethodSettings) -> Scores:  # noqa: ARG001 - it has no settings
    """Minus the query's gradient times the gradient of the example's loss."""
    return dot_products(problem.gradients, problem.queries(), -1.0)
