"""Projected gradients (TRAK, arXiv 2303.14186; LoGra, arXiv 2405.13954): influence on a few random features.

Both factors of a linear layer's gradient are projected before they are multiplied (`views.ProjectedView`), so the whole
gradient of a large model is never formed. The curvature of a layer is the second moment of its features.
"""

import torch

from trustdag.attribution.gradients import Block, Vectors
from trustdag.attribution.problem import Problem, Scores
from trustdag.attribution.resume import Sums
from trustdag.attribution.settings import MethodSettings
from trustdag.errors import UserError

DAMPING = 0.1
"""Damping as a share of the mean eigenvalue of a layer's second moment."""


def score(problem: Problem, settings: MethodSettings) -> Scores:
    """Minus query features times inverse second moment times example features, divided by the number of examples."""
    if settings.damping == 0:
        raise UserError("attribution: damping: projected needs more than 0, as a moment may be singular (got 0)")
    share = DAMPING if settings.damping is None else settings.damping
    gradients = problem.gradients

    def add(moments: Sums, block: Block) -> None:
        for name, features in block.features():
            moment = moments.setdefault(name, features.new_zeros(features.shape[1], features.shape[1]).double())
            moment += features.double().T @ features.double() / gradients.count

    moments = problem.passes.total("moments", gradients.blocks, add)
    solved: Vectors = {}
    for name, vectors in problem.final_queries().items():
        moment = moments[name]
        added = share * float(moment.diagonal().mean())
        if added == 0:  # the loss does not depend on this layer
            solved[name] = torch.zeros_like(vectors)
            continue
        moment.diagonal().add_(added)
        solved[name] = torch.linalg.solve(moment, vectors.double().T).T
    return problem.dot_products(solved, -1.0 / gradients.count)
