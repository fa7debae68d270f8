"""What differs where several processes train: weights that are spread out, and DeepSpeed, which steps by itself."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trustdag.errors import UserError
from trustdag.rl.settings import PPOSettings

if TYPE_CHECKING:
    from accelerate import Accelerator


def is_sharded(accelerator: "Accelerator") -> bool:
    """Whether weights are spread over processes (FSDP, DeepSpeed), so that every forward pass needs them all."""
    from accelerate.utils import DistributedType

    return accelerator.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED)


def any_process(accelerator: "Accelerator", flag: bool) -> bool:
    """Whether the flag is set on any process."""
    if accelerator.num_processes == 1:
        return flag
    return bool(accelerator.reduce(torch.tensor(float(flag), device=accelerator.device), "sum") > 0)


def configure_deepspeed(accelerator: "Accelerator", settings: PPOSettings) -> None:
    """Tells DeepSpeed, where it is used, what it otherwise reads off a data loader; PPO has none.

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
    """Around a backward pass: only after the `last` one of a step do processes exchange gradients.

    DeepSpeed also takes its step within that pass.
    """
    accelerator.sync_gradients = last
    with contextlib.nullcontext() if last else accelerator.no_sync(model):
        yield


def clip_gradient(accelerator: "Accelerator", model: nn.Module, limit: float) -> Tensor:
    """Clips the gradient to a norm of `limit` and returns the norm that it had, over all processes; a scalar.

    Raises UserError if DeepSpeed does not tell the norm: a run that diverges would go unseen.
    """
    norm = accelerator.clip_grad_norm_(model.parameters(), limit)
    if norm is None:
        raise UserError(
            "accelerate: DeepSpeed tells no gradient norm, by which PPO sees that a run diverges; set zero_stage to "
            "1, 2 or 3 in the configuration of accelerate, or take ddp"
        )
    if hasattr(norm, "full_tensor"):  # FSDP's is spread over processes
        norm = norm.full_tensor()
    return torch.as_tensor(norm)  # DeepSpeed's is a float
