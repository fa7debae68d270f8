"""How PPO uses accelerate with several processes, tested with a recording stand-in for the accelerator."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.support import ppo_world as world
from trustdag.errors import UserError
from trustdag.rl.adapters import accumulating, configure_deepspeed
from trustdag.rl.distributed import clip_gradient
from trustdag.rl.report import gradient_is_finite


class Accelerator:
    """Returns a given gradient norm, and records when gradients were exchanged."""

    def __init__(self, norm: Any = None, plugin: SimpleNamespace | None = None) -> None:
        self.norm = norm
        self.state = SimpleNamespace(deepspeed_plugin=plugin)
        self.num_processes = 2
        self.sync_gradients = True
        self.apart: list[bool] = []

    def clip_grad_norm_(self, _parameters: object, _limit: float) -> Any:
        return self.norm

    @contextmanager
    def no_sync(self, _model: object) -> Iterator[None]:
        self.apart.append(self.sync_gradients)
        yield


MODEL = torch.nn.Linear(1, 1)


class TestTheNorm:
    def test_deepspeeds_is_a_float_and_a_nan_still_stops_the_run(self) -> None:
        assert clip_gradient(Accelerator(0.5), MODEL, 1.0).item() == 0.5
        with pytest.raises(UserError, match="gradient norm is nan in update 3"):
            gradient_is_finite(clip_gradient(Accelerator(float("nan")), MODEL, 1.0), 2)

    def test_one_that_deepspeed_does_not_return_is_an_error_with_the_remedy(self) -> None:
        with pytest.raises(UserError, match=r"returns no gradient norm.*zero_stage to 1, 2 or 3"):
            clip_gradient(Accelerator(None), MODEL, 1.0)

    def test_one_that_is_spread_over_processes_is_gathered(self) -> None:
        spread = SimpleNamespace(full_tensor=lambda: torch.tensor(2.0))
        assert clip_gradient(Accelerator(spread), MODEL, 1.0).item() == 2.0


def test_gradients_are_exchanged_after_the_last_pass_alone() -> None:
    accelerator = Accelerator()
    exchanged = []
    for last in (False, False, True):
        with accumulating(accelerator, MODEL, last):
            exchanged.append(accelerator.sync_gradients)  # DeepSpeed reads it, and steps, in the backward pass
    assert exchanged == [False, False, True]
    assert accelerator.apart == [False, False]


class TestDeepSpeed:
    def test_it_is_told_what_a_data_loader_would_have_told_it(self) -> None:
        plugin = SimpleNamespace(deepspeed_config={"gradient_accumulation_steps": 4, "zero_optimization": {"stage": 2}})
        settings = world.settings(batch_size=16, minibatches=2, max_grad_norm=0.7)
        configure_deepspeed(Accelerator(plugin=plugin), settings)
        assert plugin.deepspeed_config == {
            "train_micro_batch_size_per_gpu": 4,
            "gradient_accumulation_steps": 1,
            "gradient_clipping": 0.7,
            "zero_optimization": {"stage": 2},
        }

    def test_where_it_is_not_used_nothing_is_told(self) -> None:
        configure_deepspeed(Accelerator(plugin=None), world.settings())
