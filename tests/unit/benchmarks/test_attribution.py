"""What the benchmarks of attribution share: retraining on some pairs, and the figures that they print."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.attribution_study import results_of, task_of
from trustdag.data.toyworld import pairs
from trustdag.errors import UserError

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

import planted_causes  # type: ignore[import-not-found]
import pruning  # type: ignore[import-not-found]
import retraining  # type: ignore[import-not-found]


@pytest.fixture
def world(tmp_path: Path) -> Any:
    """A tiny DPO stage, trained on eight of its pairs, and the log-odds of `bias`."""
    return retraining.world_of(task_of(), results_of(tmp_path), 8)


def weights(world: Any) -> torch.Tensor:
    return torch.nn.utils.parameters_to_vector(world.subject.model.parameters()).detach().clone()


def test_a_retraining_on_all_pairs_is_the_training_in_place_and_anew(world: Any) -> None:
    trained = weights(world)

    for kind in retraining.KINDS:
        world.untrain()
        assert not torch.equal(weights(world), trained)
        world.trainings(np.arange(8))[kind]()
        torch.testing.assert_close(weights(world), trained)


def test_in_place_a_pair_that_is_left_out_is_not_read_and_the_others_keep_their_steps(world: Any) -> None:
    world.trainings(np.arange(1, 8))["in place"]()
    without = weights(world)
    world.replay.examples.replies[0][0][:] = world.replay.examples.replies[1][0]

    world.trainings(np.arange(1, 8))["in place"]()

    torch.testing.assert_close(weights(world), without, rtol=0, atol=1e-6)
    assert len(world.replay.steps) == 2


def test_anew_the_pairs_are_gone_and_their_order_is_another(world: Any) -> None:
    runs = world.trainings(np.arange(4))
    runs["anew"]()
    once = weights(world)
    runs[retraining.AGAIN]()

    assert not torch.equal(weights(world), once)


def test_a_world_measures_its_numbers_and_scores_its_pairs(world: Any) -> None:
    scores = world.scores(["dot"])

    assert set(scores) == {"dot", *retraining.BASELINES}
    assert scores["dot"]["bias"].shape == (8,)
    after = world.measure()["bias"]
    world.untrain()
    assert world.measure()["bias"] != after
    assert 0 <= world.reward_accuracy() <= 1


def test_a_metric_of_replies_that_cannot_be_read_is_refused(world: Any) -> None:
    with pytest.raises(UserError, match="bias: no reply of this model could be read"):
        world.sampled("bias", 2)


def test_a_rank_correlation_lies_in_its_interval() -> None:
    generator = np.random.default_rng(0)
    one = generator.normal(size=60)

    value, low, high = retraining.spearman_interval(one, one + generator.normal(size=60))

    assert 0 < low < value < high < 1
    assert retraining.spearman(one, 3 * one) == pytest.approx(1)


def test_the_area_is_one_where_all_members_come_first_and_a_half_where_scores_say_nothing() -> None:
    members = np.arange(40) % 2 == 0

    assert planted_causes.area(members + 0.0, members)[0] == 1
    value, low, high = planted_causes.area(np.arange(40.0) // 2, members)
    assert low < value == 0.5 < high


def test_pairs_that_a_trait_decided_are_pairs_that_teach_it() -> None:
    known = planted_causes.planted(pairs.Settings(pairs=300), "agreeable")

    decided, taught = ({source for source, member in known[name].items() if member} for name in ("decided", "taught"))
    assert decided
    assert decided < taught
    assert {source.split()[-1] for source in taught} == {"opinion", "claim"}


def test_what_a_pruning_undid_is_a_share_of_the_change_with_an_interval_over_seeds() -> None:
    def row(seed: int, pruned: float) -> dict[str, Any]:
        def numbers(value: float) -> dict[str, float]:
            return {"log-odds": value, "replies": value / 10, "accuracy": 0.8 + value / 100}

        return {"seed": seed, "retraining": "anew", "ranking": "ekfac", "share": 0.1, "before": numbers(1.0),
                "all": numbers(3.0), "pruned": numbers(pruned)}  # fmt: skip

    assert pruning.effects(row(0, 1.5)) == pytest.approx(dict(zip(pruning.MEASURES, (0.75, 0.75, -1.5), strict=True)))
    (line,) = pruning.table([row(0, 1.5), row(1, 2.0), row(2, 1.0)])
    assert line["seeds"] == 3
    assert line["undone by log-odds"] == "0.75 [0.13, 1.37]"
