"""DataInf (Kwon et al. 2024, arXiv 2310.00902): the mean of the inverses of rank-one curvatures, in closed form.

With per-example gradients g_i of a layer, its damping l = mean of g^2 / 10 and the query's gradient v, the published
loop is

    hvp = 1/(n l) sum_i [v - (v.g_i)/(l + |g_i|^2) g_i],     score_i = -hvp . g_i

Three passes over the examples compute it without a loop over pairs of examples.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from trustdag.attribution.gradients import Gradients, Vectors, weighted_sum
from trustdag.attribution.problem import Problem, Scores, dot_products
from trustdag.attribution.settings import MethodSettings

DAMPING = 0.1
"""The published damping, as a share of the mean squared gradient."""


@dataclass(frozen=True)
class Products:
    """Results of the first pass over the examples, by layer."""

    squares: Vectors
    """(1, examples): squared norm of each example's gradient."""
    products: Vectors
    """(queries, examples): the query's gradient times each example's."""


def score(problem: Problem, settings: MethodSettings) -> Scores:
    """The published scores, divided by the number of examples: the first-order effect of one of them."""
    gradients, vectors = problem.gradients, problem.queries()
    first = _products(gradients, vectors)
    share = DAMPING if settings.damping is None else settings.damping
    damping = {name: share * float(squares.mean()) / gradients.sizes[name] for name, squares in first.squares.items()}
    for name, value in damping.items():
        damping[name] = value or 1.0  # a layer whose gradients are all 0 has scores of 0 with any damping
    weights = {name: first.products[name] / (damping[name] + first.squares[name]) for name in damping}
    sums = weighted_sum(gradients.blocks(), weights, gradients.sizes)
    solved = {
        name: (vector.to(sums[name]) - sums[name] / gradients.count) / damping[name] for name, vector in vectors.items()
    }
    return dot_products(gradients, solved, -1.0 / gradients.count)


def _products(gradients: Gradients, vectors: Vectors) -> Products:
    squares: Vectors = {}
    products: Vectors = {}
    for block in gradients.blocks():
        for name, features in block.features.items():
            of_block = {"squares": (features**2).sum(1)[None], "products": vectors[name].to(features) @ features.T}
            for tables, values in ((squares, of_block["squares"]), (products, of_block["products"])):
                table: Tensor = tables.setdefault(name, torch.zeros(len(values), gradients.count).to(features))
                table[:, block.examples] = values
    return Products(squares, products)
