"""The cost of a training method, which `cost` of each module in align/ returns for `resources`."""

from dataclasses import dataclass

from trustdag.train.settings import SupervisedSettings


@dataclass(frozen=True)
class MethodCost:
    """The amount of computation of a stage, apart from the size of its model."""

    trained: int
    """Models with gradients and optimizer state (PPO: policy and value)."""
    frozen: int
    """Models that only run forward (DPO: the reference; PPO: reference and reward)."""
    sequences: int
    """Sequences in one example: a preference pair has two."""
    flops: float
    """FLOPs for each parameter and token: 6 to train, 2 to run forward or to sample."""
    device_batch: int
    """Examples in one forward pass of one process."""
    examples: float
    """Examples seen over the whole stage."""


def supervised_cost(
    settings: SupervisedSettings, pairs: int, *, frozen: int, sequences: int, flops: float
) -> MethodCost:
    """The cost of a method that trains one model on a fixed set of pairs.

    Args:
        settings: The stage's settings.
        pairs: Training pairs in the preference set.
        frozen: Models that only run forward.
        sequences: Sequences in one example.
        flops: FLOPs for each parameter and token.
    """
    return MethodCost(
        trained=1,
        frozen=frozen,
        sequences=sequences,
        flops=flops,
        device_batch=settings.device_batch_size or settings.batch_size,
        examples=settings.max_steps * settings.batch_size if settings.max_steps else pairs * settings.epochs,
    )
