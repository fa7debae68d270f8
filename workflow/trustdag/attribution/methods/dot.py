"""Gradient dot product: one step of plain gradient descent on the example alone."""

from trustdag.attribution.problem import Problem, Scores
from trustdag.attribution.settings import MethodSettings


def score(problem: Problem, settings: MethodSettings) -> Scores:  # noqa: ARG001 - it has no settings
    """Minus the query's gradient times the gradient of the example's loss."""
    return problem.dot_products(problem.final_queries(), -1.0)
