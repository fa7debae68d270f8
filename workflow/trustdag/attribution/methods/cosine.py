"""Gradient cosine: the dot product of the query's gradient with each example's gradient at unit length."""

import torch

from trustdag.attribution.gradients import Block
from trustdag.attribution.problem import Problem, Scores
from trustdag.attribution.settings import MethodSettings


def score(problem: Problem, settings: MethodSettings) -> Scores:  # noqa: ARG001 - it has no settings
    """As `dot`, with each example's gradient divided by its norm over all selected layers.

    The score is not divided by the query's norm, which is the same for all examples. So queries can be summed. An
    example whose gradient is 0 has the score 0.
    """
    vectors, count = problem.final_queries(), problem.gradients.count

    def add(scores: Scores, block: Block) -> None:
        products, squares = {}, torch.zeros(len(block.examples), dtype=torch.float64)
        for name, features in block.features():
            products[name] = features @ vectors[name].to(features).T
            squares = squares.to(features.device) + (features.double() ** 2).sum(1)
        norms = squares.sqrt()
        inverse = torch.where(norms > 0, 1 / norms.clamp(min=torch.finfo(torch.float64).tiny), 0.0)
        for name, table in products.items():
            total = scores.setdefault(name, table.new_zeros(count, table.shape[1]))
            total.index_add_(0, block.examples.to(total.device), -inverse[:, None].to(table) * table)

    return problem.passes.total("scores", problem.gradients.blocks, add)
