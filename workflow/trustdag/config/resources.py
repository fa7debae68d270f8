"""The section `resources` of the configuration: hardware of the cluster, and overrides of estimated requests."""

from typing import ClassVar

from pydantic import Field

from trustdag.settings import MOST, SMALLEST, Count, Positive, Section

MINUTE = 60


class Request(Section):
    """The request of one kind of job. None: the estimate."""

    gpu: int | None = Field(None, ge=0, le=MOST)
    """GPUs, of all nodes together; training and attribution start one process on each."""
    nodes: Count | None = None
    """Nodes over which a training stage's GPUs are distributed evenly. None: the fewest possible."""
    cpus: Count | None = None
    """CPU cores of one node."""
    mem_mb: Count | None = None
    """Memory of one node, in MB."""
    runtime: Count | None = None
    """Time limit, in minutes."""
    accelerate: str | None = Field(None, pattern=r"^[\w.-]+$")
    """Name of the accelerate configuration of training or attribution in config/accelerate, without `.yaml`; `none`: no
    launcher. On the CPU, `multi_cpu` starts as many processes as `cpus` has times the threads of one."""


class ModelResources(Section):
    """Overrides for one model."""

    parameters: float | None = Field(None, ge=1, le=1e14)
    """Number of parameters, if it does not follow from the model's name or files."""
    rules: dict[str, Request] = {}
    """Requests of its jobs, by rule."""


class ResourceSettings(Section):
    """The cluster's hardware for the estimates, and overrides of the estimates."""

    RENAMED: ClassVar[dict[str, str]] = {"gpu_utilisation": "gpu_utilization"}

    gpu_memory_gb: Positive = 80
    """Memory of one GPU, in GB. The number of GPUs of a stage depends on it."""
    gpu_tflops: Positive = 312
    """Peak of one GPU in bf16, in TFLOP/s: 312 is an A100, 989 an H100."""
    gpu_utilization: float = Field(0.25, ge=SMALLEST, le=1)
    """Share of the peak that training reaches."""
    cpu_gflops: Positive = 20
    """Speed of one CPU core, in GFLOP/s."""
    gpu_from: float = Field(1e7, ge=0, le=1e14)
    """Number of parameters from which a model gets a GPU. Smaller models finish sooner on a CPU than a GPU is free."""
    gpus_per_node: Count = 8
    """GPUs of one node."""
    max_nodes: Count = 4
    """Largest number of nodes of a training stage that does not fit on the GPUs of one node."""
    cpus: Count = 4
    """CPU cores for each GPU. A job without a GPU has as many cores as threads."""
    pairs: Count = 160_800
    """Assumed number of preference pairs until the data is prepared (that of HH-RLHF)."""
    replies: Count = 10_000
    """Assumed number of replies of a vertical for each sample."""
    max_runtime: Count = 24 * MINUTE
    """Longest time limit to request, in minutes. Training that needs more continues from its checkpoint."""
    rules: dict[str, Request] = {}
    """Requests by rule: `{ppo: {gpu: 4, runtime: 600}}`."""
    models: dict[str, ModelResources] = {}
    """Overrides by model: `{llama: {rules: {ppo: {gpu: 8}}}}`."""
