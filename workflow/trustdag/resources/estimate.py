"""Estimates of a job's memory and time, from the model's size and the method's cost. Pure.

Sources: 16 bytes of state for each trained parameter, Rajbhandari et al. 2020 (ZeRO), section 3.1; activations of a
layer, Korthikanti et al. 2022, equations 1 and 2, without the attention scores that fused attention never stores; 6
FLOPs for each parameter and token of a training step, Kaplan et al. 2020, section 2.1.
"""

import re
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

from trustdag.train.cost import MethodCost

Precision = Literal["fp64", "fp32", "bf16"]
BYTES: dict[Precision, int] = {"fp64": 8, "fp32": 4, "bf16": 2}
GIB = 2**30

TRAINED_STATE = 16
"""Bytes for each trained parameter: weight, gradient and AdamW's two moments, each in fp32."""
WIDTH_PER_LAYER = 96
"""Hidden size over the number of layers: 64 to 128 in the Pythia and Llama families."""
HEADROOM = 1.2
"""Fragmentation, buffers of the communication, and the CUDA context, as a factor on memory."""


@dataclass(frozen=True)
class Training:
    """The quantities of a training stage that its cost depends on."""

    parameters: float
    """Of one model."""
    cost: MethodCost
    """Cost of its method."""
    precision: Precision
    length: int
    """Longest sequence, in tokens."""
    checkpointing: bool
    """Whether activations are recomputed in the backward pass."""
    trained_share: float
    """Share of the parameters that is trained: 1, or the adapter's with LoRA."""


def scratch_parameters(vocabulary: int, hidden: int, layers: int) -> int:
    """Parameters of a GPT-NeoX: two embeddings of `vocabulary` x `hidden`, and layers of 12 hidden^2 + 13 hidden.

    Args:
        vocabulary: Tokens in the vocabulary.
        hidden: Width of the residual stream.
        layers: Transformer layers.
    """
    return 2 * vocabulary * hidden + layers * (12 * hidden**2 + 13 * hidden) + 2 * hidden


def parameters_in_name(name: str) -> float | None:
    """The number of parameters in a model's name (`pythia-1.4b`: 1.4e9, `Mixtral-8x7B`: 56e9), or None."""
    sizes = re.findall(r"(?:(\d+)x)?(\d+(?:\.\d+)?)([mb])(?![a-z])", name.rpartition("/")[2].lower())
    if not sizes:
        return None
    experts, number, unit = sizes[-1]
    return int(experts or 1) * float(number) * {"m": 1e6, "b": 1e9}[unit]


def lora_share(parameters: float, rank: int) -> float:
    """Share of the parameters in rank-`rank` adapters of every linear layer: about 18 h rank of 12 h^2."""
    return min(1.0, 1.5 * rank / hidden_size(parameters))


def hidden_size(parameters: float) -> float:
    """The width of a transformer of this size: 12 layers h^2 parameters with h = 96 layers."""
    return (WIDTH_PER_LAYER * parameters / 12) ** (1 / 3)


def training_memory(training: Training, processes: int, sharded: bool) -> float:
    """GPU memory of one process in bytes: weights, gradients, optimizer state and activations.

    Args:
        training: The stage, with the batch of one process.
        processes: Processes of the stage, one on each GPU.
        sharded: Whether the state is divided among the processes.
    """
    weight = BYTES[training.precision]
    own = training.trained_share * TRAINED_STATE + (1 - training.trained_share) * weight
    state = training.parameters * (training.cost.trained * own + training.cost.frozen * weight)
    share = state / processes if sharded else state
    return HEADROOM * (share + activation_memory(training)) + GIB


def activation_memory(training: Training) -> float:
    """Bytes kept for the backward pass of one process: 34 s b h a layer in 16 bit, 2 s b h with checkpointing."""
    hidden = hidden_size(training.parameters)
    tokens = training.cost.device_batch * training.cost.sequences * training.length
    kept = 2 if training.checkpointing else 34
    width = BYTES[training.precision] / 2
    return tokens * hidden * kept * width * max(1.0, hidden / WIDTH_PER_LAYER)


def training_flops(training: Training) -> float:
    """FLOPs of the whole stage; recomputed activations cost a third more."""
    tokens = training.cost.examples * training.cost.sequences * training.length
    recomputed = 4 / 3 if training.checkpointing else 1.0
    return training.cost.flops * recomputed * training.parameters * tokens


def generation_memory(parameters: float, batch_tokens: int, precision: Precision) -> float:
    """Memory in bytes to sample from a model: its weights, and keys and values of one batch in every layer.

    Args:
        parameters: Of the model.
        batch_tokens: Tokens in one batch, prompts and replies.
        precision: Of weights, keys and values.
    """
    weight = BYTES[precision]
    hidden = hidden_size(parameters)
    cache = 2 * weight * hidden * max(1.0, hidden / WIDTH_PER_LAYER) * batch_tokens
    return HEADROOM * (parameters * weight + 2 * cache) + GIB


def generation_flops(parameters: float, replies: float, tokens: int) -> float:
    """FLOPs of sampling: 2 for each parameter and token.

    Args:
        parameters: Of the model.
        replies: Number of replies.
        tokens: Of one prompt and its reply.
    """
    return 2 * parameters * replies * tokens


def processes_for(training: Training, batch_size: int, memory: float, most: int) -> int | None:
    """The fewest GPUs (1, 2, 4, ...) that the stage fits on; None if it does not fit on `most`.

    Args:
        training: The stage.
        batch_size: Examples in one optimizer step.
        memory: Bytes of one GPU.
        most: The largest number to try.
    """
    for processes in (2**power for power in range(most.bit_length())):
        split = divided(training, batch_size, processes)
        if training_memory(split, processes, sharded=processes > 1) <= memory:
            return processes
    return None


def must_shard(training: Training, batch_size: int, memory: float, processes: int) -> bool:
    """Whether the state of a stage must be sharded over its GPUs.

    Args:
        training: The stage.
        batch_size: Examples in one optimizer step.
        memory: Bytes of one GPU.
        processes: GPUs of the stage.
    """
    split = divided(training, batch_size, processes)
    return processes > 1 and training_memory(split, processes, sharded=False) > memory


def divided(training: Training, batch_size: int, processes: int) -> Training:
    """The stage with its batch divided among processes, unless one forward pass is smaller already.

    Args:
        training: The stage on one process.
        batch_size: Examples in one optimizer step.
        processes: Processes of the stage.
    """
    share = ceil(batch_size / processes)
    cost = replace(training.cost, device_batch=min(training.cost.device_batch, share))
    return replace(training, cost=cost)
