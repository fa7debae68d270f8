"""Checks that memory and disk suffice for a stage, before it trains.

A stage is refused if weights, gradients and optimizer state exceed the memory. The memory of activations is an
estimate, so it gives only a warning. Sources: see `resources/estimate.py`.
"""

import os
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.errors import UserError
from trustdag.models.size import GB, SINGLE, Memory, in_words
from trustdag.train.memory import KEPT
from trustdag.train.session import processes
from trustdag.train.settings import Lora, SupervisedSettings, TrainSettings

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

GRADIENT = 4
MOMENT = 4
"""Bytes of a trained parameter's gradient, and of one moment of the optimizer."""
PROCESS = 0.6e9
"""Bytes of a process with all libraries."""
MOMENTS = {"adamw": 2, "rmsprop": 1}
"""Number of moments of an optimizer for each parameter."""
DIVIDING = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
"""Environment variables that Accelerate sets if processes shard the state."""


@dataclass(frozen=True)
class ForwardPass:
    """One forward pass with gradients."""

    examples: int
    tokens: int
    """Of the longest example, all its sequences together."""
    recompute: bool
    """Whether activations are computed again in the backward pass."""
    width: int = SINGLE
    """Bytes of an activation."""


@dataclass(frozen=True)
class StageSize:
    """Memory of one process of a stage."""

    parameters: int
    """Of the policy."""
    hidden: int
    layers: int
    forward: ForwardPass
    trained: float
    """Number of trainable parameters."""
    moments: int = 2
    """Numbers that the optimizer keeps for each of them."""
    trunks: int = 1
    """Number of trained models: two if PPO has a separate value model."""
    frozen: float = 0.0
    """Bytes of models that are only read, as far as they need memory beside the rest."""

    @classmethod
    def of(
        cls,
        config: "PreTrainedConfig",
        parameters: int,
        settings: TrainSettings,
        forward: ForwardPass,
        trunks: int = 1,
    ) -> "StageSize":
        """For a stage on a model.

        Args:
            config: The policy's configuration.
            parameters: Number of its weights.
            settings: The stage's settings.
            forward: One forward pass with gradients.
            trunks: Models that train.
        """
        text = config.get_text_config()
        own = float(parameters)
        if settings.lora is not None:
            own = adapter_parameters(parameters, text.hidden_size, settings.lora.rank)
        moments = MOMENTS[getattr(settings, "optimizer", "adamw")]
        trained = own + (trunks - 1) * parameters
        return cls(parameters, text.hidden_size, text.num_hidden_layers, forward, trained, moments, trunks)

    @property
    def state(self) -> float:
        """Bytes of weights, gradients and moments."""
        held = SINGLE * self.trunks * self.parameters + self.frozen
        return held + (GRADIENT + MOMENT * self.moments) * self.trained

    @property
    def activations(self) -> float:
        """Estimated bytes that a forward pass keeps for the backward pass."""
        forward = self.forward
        layer = KEPT * forward.width / SINGLE
        kept = forward.width * self.layers + layer if forward.recompute else layer * self.layers
        return self.trunks * forward.examples * forward.tokens * self.hidden * kept

    @property
    def total(self) -> float:
        """Estimated bytes of the process."""
        return self.state + self.activations + PROCESS

    def smaller(self, *, recompute: bool, lora: bool) -> "StageSize":
        """The same with one example in a forward pass.

        Args:
            recompute: Whether activations are computed again too.
            lora: Whether an adapter of the default rank trains in the place of all weights.
        """
        adapter = adapter_parameters(self.parameters, self.hidden, Lora().rank)
        trained = adapter + (self.trunks - 1) * self.parameters if lora else self.trained
        forward = replace(self.forward, examples=1, recompute=self.forward.recompute or recompute)
        return replace(self, forward=forward, trained=min(self.trained, trained))


def adapter_parameters(parameters: int, hidden: int, rank: int) -> float:
    """Parameters of rank-`rank` adapters of every linear layer: about 18 h rank of a layer's 12 h^2.

    Args:
        parameters: Of the model.
        hidden: h, the width of the residual stream.
        rank: Of the update matrices.
    """
    return min(1.0, 1.5 * rank / hidden) * parameters


# --- Memory ---


def stage_memory() -> Memory:
    """The memory for one copy of the state: of one process, or of all together where they divide it."""
    memory = Memory.of_device()
    if not any(os.environ.get(name) == "true" for name in DIVIDING):
        return memory
    return Memory(memory.size * processes(), f"{memory.owner}, times {processes()} processes,")


def check_memory(folder: Path, method: str, size: StageSize, memory: Memory) -> None:
    """Prints a warning on stderr if a stage's activations may not fit in memory.

    Args:
        folder: The policy's model folder.
        method: What the stage trains with.
        size: The size of the stage.
        memory: What there is for it.

    Raises:
        UserError: Weights, gradients and optimizer state alone do not fit.
    """
    check_state(folder, method, size, memory)
    if not memory.holds(size.total) and os.environ.get("RANK", "0") == "0":
        print(
            f"{folder}: {method} of {in_words(size.parameters)} may need {size.total / GB:.3g} GB of memory, "
            f"{size.activations / GB:.3g} GB of them for {size.forward.examples} examples of {size.forward.tokens} "
            f"tokens in a forward pass, {memory.owner} has {memory.size / GB:.3g} GB; {mend(size, memory)}",
            file=sys.stderr,
        )


def check_state(source: Path, method: str, size: StageSize, memory: Memory) -> None:
    """Raises UserError if weights, gradients and optimizer state of a stage do not fit in memory.

    Args:
        source: The policy's folder or file, for the message.
        method: What the stage trains with.
        size: The size of the stage.
        memory: What there is for it.
    """
    if not memory.holds(size.state):
        raise UserError(
            f"{source}: {method} of {in_words(size.parameters)} needs {size.state / GB:.3g} GB of memory for weights, "
            f"gradients and optimizer state alone, {memory.owner} has {memory.size / GB:.3g} GB; {mend(size, memory)}"
        )


def mend(size: StageSize, memory: Memory) -> str:
    """The first remedy that fits: smaller passes, recomputed activations, or an adapter."""
    one, again, lora = (
        "`device_batch_size: 1`", "`gradient_checkpointing: true`", f"`lora: {{rank: {Lora().rank}}}`"
    )  # fmt: skip
    choices = (
        (one, size.smaller(recompute=False, lora=False)),
        (f"{one} with {again}", size.smaller(recompute=True, lora=False)),
        (f"{lora} with {one}", size.smaller(recompute=False, lora=True)),
        (f"{lora} with {one} and {again}", size.smaller(recompute=True, lora=True)),
    )
    for words, smaller in choices:
        if smaller.total < size.total and memory.holds(smaller.total):
            return f"{words} would fit, with {smaller.total / GB:.3g} GB"
    words, least = choices[-1]
    return f"not even {words} would fit, with {least.total / GB:.3g} GB: take a smaller model, or more memory"


# --- Disk ---


@dataclass(frozen=True)
class DiskNeed:
    """What a stage writes, in bytes."""

    checkpoint: float
    """One checkpoint."""
    checkpoints: int
    """Checkpoints that lie on the disk at once."""
    model: float
    """The trained model."""
    mapped: float = 0.0
    """Models that are only read, in files until the stage ends."""

    @property
    def total(self) -> float:
        """All at once: checkpoints are removed when the model is written."""
        return self.checkpoints * self.checkpoint + self.model + self.mapped


def disk_need(size: StageSize, steps: int, settings: TrainSettings) -> DiskNeed:
    """What a stage writes: two checkpoints at most, and none after the last step.

    Args:
        size: The size of the stage.
        steps: Its optimizer steps; PPO's updates.
        settings: Its settings.
    """
    adapter_alone = settings.lora is not None and isinstance(settings, SupervisedSettings)
    weights = size.trained if adapter_alone else size.trunks * size.parameters
    checkpoint = SINGLE * weights + MOMENT * size.moments * size.trained
    count = min(2, (steps - 1) // settings.checkpoint_every)
    return DiskNeed(checkpoint, count, float(SINGLE * size.parameters))


def _size(path: Path) -> int:
    """Bytes of a file; 0 for a folder, and for a file that is gone by now."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def check_disk(folder: Path, need: DiskNeed) -> None:
    """Raises UserError if the files that a stage writes do not fit on the disk.

    Args:
        folder: Where the stage keeps its checkpoints; what lies there will be replaced.
        need: What it writes.
    """
    # Other processes of the stage make the folder, and rename files in it, at the same time.
    present = sum(map(_size, folder.rglob("*")))
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    missing = need.total - present - free
    if missing > 0:
        mapped = f", and {need.mapped / GB:.3g} GB of models that are only read" if need.mapped else ""
        raise UserError(
            f"{folder.parent.parent}: training writes {need.total / GB:.3g} GB ({need.checkpoints} checkpoints of "
            f"{need.checkpoint / GB:.3g} GB and the model of {need.model / GB:.3g} GB{mapped}), "
            f"{free / GB:.3g} GB are free on its disk; free {missing / GB:.3g} GB more, or make checkpoints smaller "
            "(`lora`) or fewer (`checkpoint_every`)"
        )
