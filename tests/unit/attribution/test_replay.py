"""A replay equals the training, and its derivative equals the effect of a slightly smaller weight."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support import tiny_models as tiny
from tests.support.attribution_world import COLUMNS, SETTINGS, reference_logprobs
from trustdag.align import methods
from trustdag.attribution.attention import use_twice_differentiable
from trustdag.attribution.batches import Examples
from trustdag.attribution.gradients import Gradients
from trustdag.attribution.layers import select
from trustdag.attribution.methods import method as attribution_method
from trustdag.attribution.methods.tracin import evenly
from trustdag.attribution.methods.unrolled import rows_of
from trustdag.attribution.objectives import objective_of
from trustdag.attribution.problem import Problem
from trustdag.attribution.replay import Replay
from trustdag.attribution.settings import MethodSettings
from trustdag.errors import UserError
from trustdag.models.load import load_policy, load_reward, load_tokenizer, new_reward
from trustdag.train.pairs import encode


def replay_of(folder: Path, name: str, pairs: int = 14, double: bool = False, **changes: Any) -> Replay:
    """A short training with a last step that is smaller than the others."""
    data = tiny.write_data(folder / "data", pairs)
    policy = tiny.write_base(folder / "base", initializer_range=0.2)
    tokenizer = load_tokenizer(policy)
    settings = SETTINGS[name](**{"max_length": 64, "batch_size": 4, "learning_rate": 1e-3, "epochs": 2} | changes)
    encoded = encode(data / "train.parquet", COLUMNS[name], tokenizer, "hh", 64)
    examples = Examples.of_pairs(encoded, COLUMNS[name])
    pad = int(tokenizer.pad_token_id)
    if name == "dpo":
        start = load_policy(policy)
        reference = reference_logprobs(start.double() if double else start, examples, pad)
        examples = Examples(examples.prompts, examples.replies, reference)
    model: Any = new_reward(policy, tokenizer, 0) if name == "reward" else load_policy(policy)
    use_twice_differentiable(model)
    if double:
        model.double()
    lengths = list(map(len, encoded.replies["chosen"]))
    start_weights = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    return Replay(model, start_weights, examples, objective_of(settings, sum(lengths) / len(lengths)), settings, 0, pad)


def end_of(replay: Replay, kept: Tensor | None = None) -> Tensor:
    *_, (_, state) = replay.run(kept)
    return state.weights


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("sft", {"warmup": 2, "max_grad_norm": 0.3}),
        ("reward", {"center": 0.05, "schedule": "cosine"}),
        ("dpo", {"beta": 0.3, "betas": (0.8, 0.95)}),
        ("dpo", {"loss": "ipo", "max_steps": 5, "schedule": "constant"}),
    ],
)
def test_a_replay_ends_at_the_weights_that_the_stage_trains(tmp_path: Path, name: str, changes: dict[str, Any]) -> None:
    # Given a stage that was trained, several steps and two epochs, the last step of each smaller
    replay = replay_of(tmp_path, name, **changes)
    out = tmp_path / "trained"
    stage = tiny.stage(name, tmp_path / "base" / "model", tmp_path / "data", out)
    methods()[name].train(stage, replay.settings)
    trained: Any = load_reward(out / "model") if name == "reward" else load_policy(out / "model")
    # When the training is replayed
    end = end_of(replay)
    # Then it ends at the same weights, up to the rounding of single precision
    weights = torch.nn.utils.parameters_to_vector(trained.parameters()).detach()
    assert replay.check(end, weights) < 1e-2


def test_a_replay_that_ends_elsewhere_is_refused(tmp_path: Path) -> None:
    replay = replay_of(tmp_path, "sft")
    end = end_of(replay)

    with pytest.raises(UserError, match=r"a replay of the training ends .* take a method that needs no replay"):
        replay.check(end, end + 0.1 * (end - replay.start))


@pytest.mark.parametrize("changes", [{"lora": {"rank": 2}}, {"optimizer": "rmsprop"}, {"weight_decay": 0.1}])
def test_a_training_that_is_not_replayed_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    (key,) = changes

    with pytest.raises(UserError, match=f"the stage's `{key}`"):
        replay_of(tmp_path, "sft", **changes)


def problem_of(replay: Replay, queries: int = 2) -> Problem:
    selection = select(replay.model, "")
    generator = torch.Generator().manual_seed(2)
    vectors = {
        layer.name: torch.randn(queries, layer.size, generator=generator, dtype=torch.float64)
        for layer in selection.layers
    }
    gradients = Gradients(
        replay.model, selection, lambda: replay.examples.blocks(4, replay.pad), len(replay.examples),
        replay.objective.losses, replay.objective.curvature,
    )  # fmt: skip
    return Problem(gradients, lambda: vectors, replay)


@pytest.mark.parametrize(("name", "changes"), [("sft", {}), ("reward", {"center": 0.05}), ("dpo", {"beta": 0.3})])
def test_unrolled_is_the_derivative_of_the_trained_query(tmp_path: Path, name: str, changes: dict[str, Any]) -> None:
    # Given a training in double precision, with clipping, and queries that are linear in the trained weights
    replay = replay_of(tmp_path, name, 6, double=True, epochs=2, max_grad_norm=0.5, **changes)
    problem = problem_of(replay)
    from trustdag.attribution.methods.unrolled import as_parameters

    queries = torch.stack([as_parameters(replay, problem.gradients.layers, row) for row in rows_of(problem.queries())])
    # When the training is differentiated
    scores = attribution_method("unrolled").score(problem, MethodSettings(method="unrolled"))
    total = torch.stack(list(scores.values())).sum(0)
    # Then each score is the central difference of the query over a small change of that example's weight
    for example in (0, 3):
        change = torch.zeros(6, dtype=torch.float64)
        change[example] = 1e-7
        slope = (queries @ end_of(replay, 1 + change) - queries @ end_of(replay, 1 - change)) / 2e-7
        torch.testing.assert_close(total[example], slope, rtol=2e-3, atol=2e-5)


def test_the_model_holds_its_trained_weights_after_unrolling(tmp_path: Path) -> None:
    replay = replay_of(tmp_path, "dpo", 6, double=True)
    end = end_of(replay)

    attribution_method("unrolled").score(problem_of(replay, 1), MethodSettings(method="unrolled"))

    torch.testing.assert_close(torch.nn.utils.parameters_to_vector(replay.model.parameters()).detach(), end)


def test_tracin_is_the_sum_of_products_over_points_by_their_learning_rates(tmp_path: Path) -> None:
    # Given a training of eight steps, and two points
    replay = replay_of(tmp_path, "dpo", double=True)
    problem = problem_of(replay)
    assert len(replay.steps) == 8
    expected: dict[str, torch.Tensor] = {}
    rates = [step.learning_rate for step in replay.steps]
    for step, _ in replay.run():
        if step.number not in (2, 6):
            continue
        # Then the first stands for steps 0 to 4 (a tie goes to the earlier one), the second for 5 to 7
        share = sum(rates[:5]) if step.number == 2 else sum(rates[5:])
        for block in problem.gradients.blocks():
            for name, features in block.features():
                table = expected.setdefault(name, torch.zeros(14, 2, dtype=torch.float64))
                table[block.examples] -= share * features @ problem.queries()[name].T

    scores = attribution_method("tracin").score(problem, MethodSettings(method="tracin", checkpoints=2))

    for name, table in expected.items():
        torch.testing.assert_close(scores[name], table)


def test_points_of_the_training_are_evenly_spaced() -> None:
    assert evenly(8, 2) == [2, 6]
    assert evenly(3, 5) == [0, 1, 2]
    assert evenly(100, 5) == [10, 30, 50, 70, 90]
