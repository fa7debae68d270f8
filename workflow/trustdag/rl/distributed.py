"""Training with several processes: sharded weights, and flags and gradient norms over all processes."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trustdag.errors import UserError

if TYPE_CHECKING:
    from accelerate import Accelerator


def is_sharded(accelerator: "Accelerator") -> bool:
    """Whether weights are spread over processes (FSDP, DeepSpeed), so that every forward pass needs all of them."""
    from accelerate.utils import DistributedType

    return accelerator.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED)


def any_process(accelerator: "Accelerator", flag: bool) -> bool:
    """Whether the flag is set on any process."""
    if accelerator.num_processes == 1:
        return flag
    return bool(accelerator.reduce(torch.tensor(float(flag), device=accelerator.device), "sum") > 0)


def clip_gradient(accelerator: "Accelerator", model: nn.Module, limit: float) -> Tensor:
    """Clips the gradient.

    Args:
        accelerator: The accelerator of the run.
        model: The model as accelerate has prepared it.
        limit: The largest norm that the gradient may have afterwards.

    Returns:
        The norm before, over all processes; a scalar.

    Raises:
        UserError: DeepSpeed returns no norm, so a run that diverges could not be noticed.
    """
    norm = accelerator.clip_grad_norm_(model.parameters(), limit)
    if norm is None:
        raise UserError(
            "accelerate: DeepSpeed returns no gradient norm, which PPO needs to detect divergence; set zero_stage "
            "to 1, 2 or 3 in the configuration of accelerate, or use ddp"
        )
    if hasattr(norm, "full_tensor"):  # FSDP's norm is distributed over processes
        norm = norm.full_tensor()
    return torch.as_tensor(norm)  # DeepSpeed's is a float
