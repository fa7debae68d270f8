"""The settings that every training method shares."""

from typing import ClassVar, Literal

from pydantic import Field

from trustdag.settings import MOST, Count, Decay, NotNegative, Positive, Section
from trustdag.train.optimizer import ScheduleShape


class Lora(Section):
    """Low-rank adaptation with peft. The adapter is merged into the weights that are written at the end."""

    rank: Count = 8
    """Rank of the update matrices."""
    alpha: Positive = 16
    """Scale of the update, divided by the rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout before the adapter."""


class TrainSettings(Section):
    """Settings that SFT, the reward model, DPO and PPO have in common."""

    RENAMED: ClassVar[dict[str, str]] = {"optimiser": "optimizer"}

    learning_rate: float = Field(1e-5, gt=0, le=10_000)
    """Peak learning rate."""
    schedule: ScheduleShape = "linear"
    """Shape of the learning rate after the warm-up."""
    warmup: NotNegative = 0.0
    """Warm-up of the learning rate from 0: below 1 a share of all steps, from 1 on a number of steps."""
    weight_decay: NotNegative = 0.0
    """Decoupled weight decay of AdamW."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """AdamW's decay rates of the first and second moment."""
    max_grad_norm: Positive = 1.0
    """Gradients are clipped to this norm."""
    batch_size: int = Field(32, ge=1, le=1_000_000)
    """Examples in one optimizer step, over all processes: pairs, transcripts or rollouts, depending on the method."""
    device_batch_size: Count | None = None
    """Examples in one forward pass of one process; gradients are accumulated over passes. None: on a GPU the whole
    share of the process; on a CPU as many as keep activations below a fifth of weights, gradients and moments."""
    max_length: int = Field(512, ge=8, le=MOST)
    """Longest prompt and reply together, in tokens. Longer examples are dropped and counted, never truncated."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Compute precision; `auto` is bf16 on a GPU that supports it, and fp32 on a CPU."""
    gradient_checkpointing: bool | None = None
    """Recompute activations in the backward pass: less memory, about a third more time. None: only on a CPU, if the
    activations of a single example exceed a fifth of weights, gradients and moments."""
    lora: Lora | None = None
    """Train a low-rank adapter instead of all weights."""
    checkpoint_every: Count = 100
    """Optimizer steps between two checkpoints; a restarted stage continues from the last one."""
    log_every: Count = 10
    """Optimizer steps between two lines of metrics.jsonl."""


class SupervisedSettings(TrainSettings):
    """Settings that SFT, the reward model and DPO have in common: passes over a fixed set of pairs."""

    epochs: Count = 1
    """Passes over the training pairs."""
    max_steps: Count | None = None
    """Largest number of optimizer steps; None: as many as the epochs have."""
    optimizer: Literal["adamw", "rmsprop"] = "adamw"
    """AdamW, or the RMSprop of the original DPO code, which keeps one moment instead of two."""
    validation_pairs: Count | None = 1000
    """Number of validation pairs, from the start of the file; None: all."""
    evaluate_every: Count | None = None
    """Optimizer steps between two evaluations. There is always one at the end."""
