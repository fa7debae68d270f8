"""Each method against its definition, written as loops over matrices; and against retraining where that is exact."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from tests.support.attribution_world import World, engine
from trustdag.attribution.batches import PaddedBatch
from trustdag.attribution.gradients import Gradients, Vectors
from trustdag.attribution.layers import select
from trustdag.attribution.methods import method
from trustdag.attribution.methods.ekfac import estimate
from trustdag.attribution.problem import Problem, Scores
from trustdag.attribution.resume import PassSums
from trustdag.attribution.settings import MethodSettings
from trustdag.attribution.views import ProjectedView
from trustdag.errors import UserError

QUERIES = 2


@pytest.fixture(params=["sft", "reward", "dpo"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(tmp_path, request.param)


def problem_of(gradients: Gradients) -> tuple[Problem, Vectors]:
    """A problem with random queries."""
    generator = torch.Generator().manual_seed(1)
    vectors = {
        name: torch.randn(QUERIES, size, generator=generator, dtype=torch.float64)
        for name, size in gradients.sizes.items()
    }
    return Problem(gradients, lambda: dict(vectors)), vectors


def assert_same(scores: Scores, expected: Scores) -> None:
    assert set(scores) == set(expected)
    for name, table in expected.items():
        torch.testing.assert_close(scores[name], table, rtol=1e-7, atol=1e-12)


def test_dot_is_minus_the_product_of_gradients(world: World) -> None:
    problem, vectors = problem_of(world.gradients("dense"))

    scores = method("dot").score(problem, MethodSettings(method="dot"))

    assert_same(scores, {name: -table @ vectors[name].T for name, table in engine(problem.gradients).items()})


def test_cosine_divides_by_the_examples_norm_over_all_layers(world: World) -> None:
    problem, vectors = problem_of(world.gradients("dense"))
    tables = engine(problem.gradients)
    norms = torch.cat(list(tables.values()), dim=1).norm(dim=1, keepdim=True)

    scores = method("cosine").score(problem, MethodSettings(method="cosine"))

    assert_same(scores, {name: -table / norms @ vectors[name].T for name, table in tables.items()})


def test_datainf_is_the_published_loop(world: World) -> None:
    problem, vectors = problem_of(world.gradients("dense"))
    expected: Scores = {}
    for name, table in engine(problem.gradients).items():
        count, size = table.shape
        damping = float((table**2).sum()) / count / size / 10
        for query in vectors[name]:
            hvp = torch.zeros_like(query)
            for gradient in table:
                hvp += (query - (query @ gradient) / (damping + gradient @ gradient) * gradient) / (count * damping)
            row = -(table @ hvp) / count
            expected[name] = torch.cat([expected[name], row[:, None]], 1) if name in expected else row[:, None]

    scores = method("datainf").score(problem, MethodSettings(method="datainf"))

    assert_same(scores, expected)


def kronecker_matrix(gradients: Gradients, name: str) -> Tensor:
    """EK-FAC's curvature of a linear layer as one matrix, from its definition."""
    size = gradients.sizes[name]
    curvature = estimate(gradients, PassSums())[name]
    if curvature.inputs is None or curvature.outputs is None:
        return torch.diag(curvature.eigenvalues)
    basis = torch.kron(curvature.outputs, curvature.inputs)
    squares = torch.zeros(size, dtype=torch.float64)
    for traces in gradients.curvature_traces():
        (trace,) = [trace for trace in traces if trace.layer.name == name]
        squares += ((trace.gradients() @ basis) ** 2).sum(0) / gradients.count
    return basis @ torch.diag(squares) @ basis.T


def test_ekfac_solves_with_the_corrected_eigenvalues_in_the_kronecker_basis(world: World) -> None:
    problem, vectors = problem_of(world.gradients(r"0.*(layernorm|attention\.dense)"))
    gradients = problem.gradients
    expected = {}
    for name, table in engine(gradients).items():
        matrix = kronecker_matrix(gradients, name)
        damped = matrix + 0.1 * matrix.diagonal().mean() * torch.eye(len(matrix), dtype=torch.float64)
        expected[name] = -(table @ torch.linalg.solve(damped, vectors[name].T)) / gradients.count

    scores = method("ekfac").score(problem, MethodSettings())

    assert_same(scores, expected)


def test_ekfacs_basis_is_that_of_the_factors_second_moments(world: World) -> None:
    gradients = world.gradients(r"0\.attention\.dense")
    (name,) = gradients.sizes
    moments: list[Tensor] = []
    for traces in gradients.curvature_traces():
        inputs, outputs = (factor.flatten(0, 1) for factor in traces[0].factors())
        real = outputs.abs().sum(1) > 0
        moments.append(inputs[real].T @ inputs[real])

    basis = estimate(gradients, PassSums())[name].inputs
    assert basis is not None
    rotated = basis.T @ torch.stack(moments).sum(0) @ basis

    torch.testing.assert_close(rotated, torch.diag(rotated.diagonal()), rtol=0, atol=1e-8 * float(rotated.max()))


def test_projected_solves_with_the_second_moment_of_the_features(world: World) -> None:
    view = ProjectedView.of_layers(world.selection("dense").layers, 4, 0)
    problem, vectors = problem_of(world.gradients("dense", view=view))
    expected = {}
    for name, table in engine(problem.gradients).items():
        moment = table.T @ table / len(table)
        damped = moment + 0.1 * moment.diagonal().mean() * torch.eye(len(moment), dtype=torch.float64)
        expected[name] = -(table @ torch.linalg.solve(damped, vectors[name].T)) / len(table)

    scores = method("projected").score(problem, MethodSettings(method="projected"))

    assert_same(scores, expected)


@pytest.mark.parametrize("name", ["dot", "cosine", "datainf", "ekfac"])
def test_the_size_of_a_block_changes_no_score(tmp_path: Path, name: str) -> None:
    world = World(tmp_path, "reward")
    scores = [
        method(name).score(problem_of(world.gradients("dense", block=size))[0], MethodSettings(damping=0.1))  # type: ignore[arg-type]
        for size in (6, 6 if name == "ekfac" else 1)
    ]

    assert_same(*scores)


def test_ekfac_of_adapters_and_without_damping_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, "dpo")
    view = ProjectedView.of_layers(world.selection("dense").layers, 4, 0)

    with pytest.raises(UserError, match="ekfac needs whole gradients"):
        method("ekfac").score(problem_of(world.gradients("dense", view=view))[0], MethodSettings())
    with pytest.raises(UserError, match="damping: ekfac needs more than 0"):
        method("ekfac").score(problem_of(world.gradients("dense"))[0], MethodSettings(damping=0))


def test_ekfac_of_a_loss_without_curvature_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, "dpo", loss="hinge")

    with pytest.raises(UserError, match="needs a loss with curvature"):
        method("ekfac").score(problem_of(world.gradients("dense"))[0], MethodSettings())


# --- A convex problem, on which leaving one out can be solved exactly ---


class Logistic:
    """Ridge-free logistic regression of one linear layer; its weights are at the minimum."""

    def __init__(self, count: int = 200, width: int = 5) -> None:
        generator = torch.Generator().manual_seed(3)
        self.inputs = torch.randn(count, width, generator=generator, dtype=torch.float64)
        truth = torch.tensor([1.0, -0.8, 0.5, 0.0, 0.3], dtype=torch.float64)
        chance = torch.sigmoid(self.inputs @ truth)
        self.signs = torch.where(torch.rand(count, generator=generator, dtype=torch.float64) < chance, 1.0, -1.0)
        self.query = torch.randn(width, generator=generator, dtype=torch.float64)
        self.model = nn.Linear(width, 1, bias=False).double()
        self.weights = self.fit(torch.ones(count, dtype=torch.float64))
        with torch.no_grad():
            self.model.weight.copy_(self.weights[None])

    def fit(self, kept: Tensor) -> Tensor:
        """Newton's method to the minimum over the kept examples."""
        weights = torch.zeros(self.inputs.shape[1], dtype=torch.float64)
        for _ in range(30):
            margins = self.signs * (self.inputs @ weights)
            gradient = -(kept * self.signs * torch.sigmoid(-margins)) @ self.inputs
            curvature = kept * torch.sigmoid(margins) * torch.sigmoid(-margins)
            weights = weights - torch.linalg.solve((curvature[:, None] * self.inputs).T @ self.inputs, gradient)
        return weights

    def effects(self) -> Tensor:
        """What each example does to the query: its value with the example less that without, by solving anew."""
        effects = []
        for number in range(len(self.inputs)):
            kept = torch.ones(len(self.inputs), dtype=torch.float64)
            kept[number] = 0
            effects.append(self.query @ (self.weights - self.fit(kept)))
        return torch.stack(effects)

    def problem(self) -> Problem:
        """The regression as a problem of attribution."""

        def batches() -> Iterator[PaddedBatch]:
            numbers = torch.arange(len(self.inputs))
            yield PaddedBatch(numbers, numbers, numbers, numbers, numbers)

        def margins(model: nn.Module, batch: PaddedBatch) -> Tensor:
            return self.signs[batch.examples] * model(self.inputs[batch.examples][:, None])[:, 0, 0]

        def curvature(model: nn.Module, batch: PaddedBatch, _generator: torch.Generator) -> Tensor:
            values = margins(model, batch)
            return values * (torch.sigmoid(values) * torch.sigmoid(-values)).sqrt().detach()

        wrapped = nn.Sequential(self.model)
        gradients = Gradients(
            wrapped, select(wrapped, ""), batches, len(self.inputs),
            lambda model, batch: softplus(-margins(model, batch)), curvature,
        )  # fmt: skip
        return Problem(gradients, lambda: {"0": self.query[None]})


def spearman(one: Tensor, other: Tensor) -> float:
    ranks = torch.stack([one.argsort().argsort(), other.argsort().argsort()]).double()
    return float(torch.corrcoef(ranks)[0, 1])


@pytest.mark.parametrize(("name", "least"), [("ekfac", 0.98), ("datainf", 0.9), ("dot", 0.9)])
def test_scores_rank_examples_as_leaving_each_out_does(name: str, least: float) -> None:
    logistic = Logistic()

    (scores,) = method(name).score(logistic.problem(), MethodSettings(damping=0.01)).values()  # type: ignore[arg-type]

    assert spearman(scores[:, 0], logistic.effects()) > least


def test_ekfacs_scores_are_in_the_units_of_the_query() -> None:
    logistic = Logistic()
    effects = logistic.effects()

    (scores,) = method("ekfac").score(logistic.problem(), MethodSettings(damping=1e-6)).values()

    slope = float(scores[:, 0] @ effects / (effects @ effects))
    assert 0.85 < slope < 1.15
