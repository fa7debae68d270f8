"""DataInf (Kwon et al. 2024, arXiv 2310.00902): the mean of the inverses of rank-one curvatures, in closed form.

With per-example gradients g_i of a layer, its damping l = mean of g^2 / 10 and the query's gradient v, the published
loop is

    hvp = 1/(n l) sum_i [v - (v.g_i)/(l + |g_i|^2) g_i],     score_i = -hvp . g_i

Three passes over the examples compute it without a loop over pairs of examples.
"""

from trustdag.attribution.gradients import Block, Vectors, add_weighted
from trustdag.attribution.problem import Problem, Scores
from trustdag.attribution.resume import Sums
from trustdag.attribution.settings import MethodSettings

DAMPING = 0.1
"""The published damping, as a share of the mean squared gradient."""
SQUARES, PRODUCTS = "squares ", "products "
"""What the names of the first pass's sums start with; a layer's name follows."""


def score(problem: Problem, settings: MethodSettings) -> Scores:
    """The published scores, divided by the number of examples: the first-order effect of one of them."""
    gradients, vectors, passes = problem.gradients, problem.final_queries(), problem.passes
    layers, count = tuple(gradients.sizes), gradients.count
    first = passes.total("products", gradients.blocks, lambda sums, block: _add_first(sums, block, vectors, count))
    share = DAMPING if settings.damping is None else settings.damping
    damping = {name: share * float(first[SQUARES + name].mean()) / gradients.sizes[name] for name in layers}
    for name, value in damping.items():
        damping[name] = value or 1.0  # a layer whose gradients are all 0 has scores of 0 with any damping
    weights = {name: first[PRODUCTS + name] / (damping[name] + first[SQUARES + name]) for name in layers}
    sums = passes.total("means", gradients.blocks, lambda sums, block: add_weighted(sums, block, weights))
    solved = {
        name: ((vector.to(sums[name]) - sums[name] / count) / damping[name]).to(vector)
        for name, vector in vectors.items()
    }
    return problem.dot_products(solved, -1.0 / count)


def _add_first(sums: Sums, block: Block, vectors: Vectors, count: int) -> None:
    """Notes, by layer, (1, examples) squared norms of gradients and (queries, examples) products with the queries'."""
    for name, features in block.features():
        of_block = {SQUARES: (features**2).sum(1)[None], PRODUCTS: vectors[name].to(features) @ features.T}
        for kind, values in of_block.items():
            table = sums.setdefault(kind + name, features.new_zeros(len(values), count))
            table[:, block.examples] = values
