"""Gradient cosine: the dot product of the query's gradient with each example's gradient at unit length."""

import torch

from trustdag.attribution.gradients import Block
from trustdag.attribution.problem import Problem, Scores, add_products
from trustdag.attribution.settings import MethodSettings


def score(problem: Problem, settings: MethodSettings) -> Scores:  # noqa: ARG001 - it has no settings
    """As `dot`, with each example's gradient divided by its norm over all selected layers.

    The score is not divided by the query's norm, which is the same for all examples. So queries can be summed. An
    example whose gradient is 0 has the score 0.
    """
    vectors, count = problem.final_queries(), problem.gradients.count

    def add(scores: Scores, block: Block) -> None:
        squares = sum((features.double() ** 2).sum(1) for features in block.features.values())
        norms = torch.as_tensor(squares).sqrt()
        inverse = torch.where(norms > 0, 1 / norms.clamp(min=torch.finfo(torch.float64).tiny), 0.0)
        scaled = {name: inverse[:, None].to(features) * features for name, features in block.features.items()}
        add_products(scores, Block(block.examples, scaled), vectors, -1.0, count)

    return problem.passes.total("scores", problem.gradients.blocks, add)
