"""The learning rate and AdamW of pretraining and PPO."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trustdag.train.optimizer import LearningRateSchedule, ScheduleShape, build_adamw, warmup_steps


def test_weight_decay_is_on_matrices_that_train_alone() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 1))
    model[2].requires_grad_(False)
    decayed, plain = build_adamw(model, learning_rate=1.0, betas=(0.9, 0.99), weight_decay=0.1).param_groups
    assert [tuple(parameter.shape) for parameter in decayed["params"]] == [(3, 2)]
    assert [tuple(parameter.shape) for parameter in plain["params"]] == [(3,), (3,), (3,)]
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)


@pytest.mark.parametrize(
    ("shape", "rates"),
    [
        ("constant", [1, 2, 3, 3, 3, 3, 3]),
        ("linear", [1, 2, 3, 2.25, 1.5, 0.75, 0]),
        ("cosine", [1, 2, 3, 2.5606602, 1.5, 0.4393398, 0]),
    ],
)
def test_the_rate_rises_to_the_peak_and_then_follows_its_shape(shape: ScheduleShape, rates: list[float]) -> None:
    schedule = LearningRateSchedule(steps=6, warmup=2, shape=shape)
    assert [schedule.rate(step, peak=3.0) for step in range(7)] == pytest.approx(rates)


@given(st.integers(1, 1000), st.floats(0, 0.99), st.floats(0, 1))
def test_a_cosine_stays_between_its_floor_and_the_peak(steps: int, warmup: float, floor: float) -> None:
    schedule = LearningRateSchedule(steps, warmup_steps(warmup, steps), "cosine", floor)
    rates = [schedule.rate(step) for step in range(warmup_steps(warmup, steps), steps)]
    assert all(floor - 1e-9 <= rate <= 1 + 1e-9 for rate in rates)


@pytest.mark.parametrize(("warmup", "steps"), [(0.0, 0), (0.1, 20), (1.0, 1), (30, 30)])
def test_a_warmup_is_a_share_below_one_and_a_number_of_steps_from_one_on(warmup: float, steps: int) -> None:
    assert warmup_steps(warmup, 200) == steps
