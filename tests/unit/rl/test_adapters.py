"""What rl/adapters.py relies on inside other libraries still exists; if not, an upgrade needs a change there."""

import inspect
from types import ModuleType

import pytest
import torch
from accelerate import Accelerator, DeepSpeedPlugin
from accelerate.utils import dataclasses as accelerate_dataclasses
from accelerate.utils import deepspeed as accelerate_deepspeed
from accelerate.utils import fsdp_utils
from transformers import PreTrainedModel

from tests.support import ppo_world as world
from trustdag.rl.adapters import set_fsdp_layers


def test_transformers_names_the_layers_of_a_model() -> None:
    assert hasattr(PreTrainedModel, "_no_split_modules"), (
        "transformers: PreTrainedModel._no_split_modules is gone; adapt rl/adapters.set_fsdp_layers"
    )
    assert world.policy()._no_split_modules, (
        "transformers: _no_split_modules of GPT-NeoX is empty; adapt rl/adapters.set_fsdp_layers"
    )


@pytest.mark.parametrize("module", [fsdp_utils, accelerate_dataclasses], ids=lambda module: module.__name__)
def test_accelerate_reads_the_layers_under_this_name(module: ModuleType) -> None:
    assert '"_no_split_modules"' in inspect.getsource(module), (
        "accelerate: FSDP no longer reads _no_split_modules; adapt rl/adapters.set_fsdp_layers"
    )


def test_the_layers_are_set_on_the_outermost_module() -> None:
    # given
    module, policy = torch.nn.Module(), world.policy()
    # when
    set_fsdp_layers(module, policy)
    # then
    assert module._no_split_modules == policy._no_split_modules


def test_accelerates_gradient_exchange_can_be_set() -> None:
    exchange = inspect.getattr_static(Accelerator, "sync_gradients", None)
    assert isinstance(exchange, property), (
        "accelerate: Accelerator.sync_gradients is gone; adapt rl/adapters.accumulating"
    )
    assert exchange.fset is not None, "accelerate: sync_gradients cannot be set; adapt rl/adapters.accumulating"


def test_deepspeeds_backward_pass_takes_the_gradient_exchange() -> None:
    backward = accelerate_deepspeed.DeepSpeedEngineWrapper.backward
    assert "sync_gradients" in inspect.signature(backward).parameters, (
        "accelerate: DeepSpeed's backward takes no sync_gradients; adapt rl/adapters.accumulating"
    )


def test_accelerates_deepspeed_configuration_has_this_name() -> None:
    assert "self.deepspeed_config =" in inspect.getsource(DeepSpeedPlugin), (
        "accelerate: DeepSpeedPlugin.deepspeed_config is gone; adapt rl/adapters.configure_deepspeed"
    )


def test_dropout_is_kept_as_a_number_of_the_module() -> None:
    # given a model with dropout in attention and elsewhere
    policy = world.policy(attention_dropout=0.5, hidden_dropout=0.5)
    # when
    kept = {
        name
        for module in policy.modules()
        for name, value in vars(module).items()
        if name.endswith("dropout") and value == 0.5
    }
    # then
    assert kept, "transformers: attention's dropout is no number any more; adapt rl/adapters.disable_dropout"
    assert any(isinstance(module, torch.nn.Dropout) and module.p == 0.5 for module in policy.modules()), (
        "transformers: no torch.nn.Dropout in GPT-NeoX any more; adapt rl/adapters.disable_dropout"
    )
