"""What a job costs before anyone has run it: parameters, memory and time from a model's size and the stage. Pure.

Sources: 16 bytes of state for each trained parameter, Rajbhandari et al. 2020 (ZeRO), section 3.1; activations of a
layer, Korthikanti et al. 2022, equations 1 and 2, without the attention scores that fused attention never stores; 6
FLOPs for each parameter and token of a training step, Kaplan et al. 2020, section 2.1.
"""

import re
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

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
class Cost:
    """What one method does for each example."""

    trained: int
    """Models with gradients and optimizer state (PPO: policy and value)."""
    frozen: int
    """Models that are only read (DPO: the reference; PPO: reference and reward)."""
    sequences: int
    """Sequences in one example: a pair has two."""
    flops: float
    """FLOPs for each parameter and token: 6 to train, 2 to read or to sample."""


COSTS = {
    "base": Cost(trained=1, frozen=0, sequences=1, flops=6),
    "sft": Cost(trained=1, frozen=0, sequences=1, flops=6),
    "reward": Cost(trained=1, frozen=0, sequences=2, flops=6),
    "dpo": Cost(trained=1, frozen=1, sequences=2, flops=8),
}
"""Each method but PPO, whose cost depends on its settings."""


def ppo_cost(epochs: int, own_value_model: bool) -> Cost:
    """PPO: sampling, reading by the reference and the reward model, and `epochs` passes that train the policy.

    A value model of its own is read and trained as well; a head on the policy's trunk costs nothing beside it.
    """
    trained = 2 if own_value_model else 1
    return Cost(trained=trained, frozen=2, sequences=1, flops=2 + 2 * (trained + 2) + 6 * trained * epochs)


@dataclass(frozen=True)
class Training:
    """One training stage, as far as its cost goes."""

    parameters: float
    cost: Cost
    precision: Precision
    device_batch: int
    """Examples in one forward pass of one process."""
    length: int
    """Longest sequence, in tokens."""
    examples: float
    """Examples seen over the whole stage."""
    checkpointing: bool
    trained_share: float
    """Share of the parameters that is trained: 1, or the adapter's with LoRA."""


def scratch_parameters(vocabulary: int, hidden: int, layers: int) -> int:
    """Parameters of a GPT-NeoX: two embeddings of `vocabulary` x `hidden`, and layers of 12 hidden^2 + 13 hidden."""
    return 2 * vocabulary * hidden + layers * (12 * hidden**2 + 13 * hidden) + 2 * hidden


def parameters_in_name(name: str) -> float | None:
    """The parameters that a model's name tells (`pythia-1.4b`: 1.4e9, `Mixtral-8x7B`: 56e9), or None."""
    found = re.findall(r"(?:(\d+)x)?(\d+(?:\.\d+)?)([mb])(?![a-z])", name.rpartition("/")[2].lower())
    if not found:
        return None
    experts, number, unit = found[-1]
    return int(experts or 1) * float(number) * {"m": 1e6, "b": 1e9}[unit]


def lora_share(parameters: float, rank: int) -> float:
    """Share of the parameters in rank-`rank` adapters of every linear layer: about 18 h rank of 12 h^2."""
    return min(1.0, 1.5 * rank / hidden_size(parameters))


def hidden_size(parameters: float) -> float:
    """The width of a transformer of this size: 12 layers h^2 parameters with h = 96 layers."""
    return (WIDTH_PER_LAYER * parameters / 12) ** (1 / 3)


def training_memory(training: Training, processes: int, sharded: bool) -> float:
    """GPU memory of one process in bytes: state (divided among the processes if sharded) and activations."""
    weight = BYTES[training.precision]
    own = training.trained_share * TRAINED_STATE + (1 - training.trained_share) * weight
    state = training.parameters * (training.cost.trained * own + training.cost.frozen * weight)
    share = state / processes if sharded else state
    return HEADROOM * (share + activation_memory(training)) + GIB


def activation_memory(training: Training) -> float:
    """Bytes kept for the backward pass of one process: 34 s b h a layer in 16 bit, 2 s b h with checkpointing."""
    hidden = hidden_size(training.parameters)
    tokens = training.device_batch * training.cost.sequences * training.length
    kept = 2 if training.checkpointing else 34
    width = BYTES[training.precision] / 2
    return tokens * hidden * kept * width * max(1.0, hidden / WIDTH_PER_LAYER)


def training_flops(training: Training) -> float:
    """FLOPs of the whole stage; recomputed activations cost a third more."""
    tokens = training.examples * training.cost.sequences * training.length
    recomputed = 4 / 3 if training.checkpointing else 1.0
    return training.cost.flops * recomputed * training.parameters * tokens


def generation_memory(parameters: float, batch_tokens: int, precision: Precision) -> float:
    """Memory in bytes to ask a model: its weights, and keys and values of `batch_tokens` tokens in every layer."""
    weight = BYTES[precision]
    hidden = hidden_size(parameters)
    cache = 2 * weight * hidden * max(1.0, hidden / WIDTH_PER_LAYER) * batch_tokens
    return HEADROOM * (parameters * weight + 2 * cache) + GIB


def generation_flops(parameters: float, replies: float, tokens: int) -> float:
    """FLOPs of sampling: 2 for each parameter and token, prompt and reply."""
    return 2 * parameters * replies * tokens


def processes_for(training: Training, batch_size: int, memory: float, most: int) -> int | None:
    """The fewest GPUs of `memory` bytes that hold the stage: 1, 2, 4, ... up to `most`; None if none do."""
    for processes in (2**power for power in range(most.bit_length())):
        split = _on(training, batch_size, processes)
        if training_memory(split, processes, sharded=processes > 1) <= memory:
            return processes
    return None


def must_shard(training: Training, batch_size: int, memory: float, processes: int) -> bool:
    """Whether the state of a stage on so many GPUs has to be divided among them."""
    split = _on(training, batch_size, processes)
    return processes > 1 and training_memory(split, processes, sharded=False) > memory


def _on(training: Training, batch_size: int, processes: int) -> Training:
    """The stage with its batch divided among processes, unless it is split into smaller parts already."""
    share = ceil(batch_size / processes)
    return replace(training, device_batch=min(training.device_batch, share))
