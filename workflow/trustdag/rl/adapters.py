"""Everything that PPO changes inside other libraries, or sets under their private names.

| name | since | what and why |
|---|---|---|
| `module._no_split_modules` | accelerate 1.15 | Set: FSDP reads it to gather the policy's layers one at a time. |
| `PreTrainedModel._no_split_modules` | transformers 5.23 | Read: the classes of those layers. |
| `Accelerator.sync_gradients` | accelerate 1.15 | Set: DeepSpeed steps only where it is true; PPO has no data loader. |
| `DeepSpeedPlugin.deepspeed_config` | accelerate 1.15 | Set: batch sizes otherwise come from the data loader. |
| `Dropout.p`, attributes `*dropout` | torch 2.13, transformers 5.23 | Set to 0: models have no public switch. |

tests/unit/rl/test_adapters.py checks that the names still exist and are still read.
"""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import nn

from trustdag.rl.settings import PPOSettings

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel


def set_fsdp_layers(module: nn.Module, policy: "PreTrainedModel") -> None:
    """Makes FSDP wrap the layers of the policy inside `module`."""
    module._no_split_modules = policy._no_split_modules


def configure_deepspeed(accelerator: "Accelerator", settings: PPOSettings) -> None:
    """Sets the batch sizes that DeepSpeed usually takes from the data loader, if DeepSpeed is used.

    The loss is a sum over the tokens of a whole minibatch, so DeepSpeed must not divide it by passes again.
    """
    plugin = accelerator.state.deepspeed_plugin
    if plugin is None:
        return
    share = settings.batch_size // settings.minibatches // accelerator.num_processes
    plugin.deepspeed_config |= {
        "train_micro_batch_size_per_gpu": share,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": settings.max_grad_norm,
    }


@contextlib.contextmanager
def accumulating(accelerator: "Accelerator", model: nn.Module, last: bool) -> Iterator[None]:
    """The context of one backward pass of an optimizer step.

    Args:
        accelerator: Exchanges gradients between processes.
        model: The model as accelerate has prepared it.
        last: Whether this is the last backward pass of the step. Only then are gradients exchanged; DeepSpeed also
            takes its step within that pass.
    """
    accelerator.sync_gradients = last
    with contextlib.nullcontext() if last else accelerator.no_sync(model):
        yield


def disable_dropout(model: nn.Module) -> None:
    """Sets every dropout to 0: the ratio pi / pi_old must compare the same network at two times."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in list(vars(module).items()):
            if name.endswith("dropout") and isinstance(value, float):
                setattr(module, name, 0.0)
