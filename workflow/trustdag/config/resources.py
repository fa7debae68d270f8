"""The part of the configuration that says what jobs ask of the cluster, where the estimate is to be overridden."""

from typing import ClassVar

from pydantic import Field

from trustdag.settings import MOST, SMALLEST, Count, Positive, Section

MINUTE = 60


class Request(Section):
    """What one kind of job asks for. None leaves the estimate."""

    gpu: int | None = Field(None, ge=0, le=MOST)
    """GPUs, of all nodes together; training starts one process on each."""
    nodes: Count | None = None
    """Nodes over which a training stage's GPUs are spread evenly. None: as few as hold them."""
    cpus: Count | None = None
    """CPU cores of one node."""
    mem_mb: Count | None = None
    """Memory of one node, in MB."""
    runtime: Count | None = None
    """Time limit, in minutes."""
    accelerate: str | None = Field(None, pattern=r"^[\w.-]+$")
    """Name of the file in config/accelerate that training starts with, without `.yaml`."""


class ModelResources(Section):
    """What differs for one model."""

    parameters: float | None = Field(None, ge=1, le=1e14)
    """Number of parameters, where neither the model's name nor its files tell it."""
    rules: dict[str, Request] = {}
    """What its jobs ask for, by rule."""


class ResourceSettings(Section):
    """The cluster's hardware as the estimate sees it, and what overrides the estimate."""

    RENAMED: ClassVar[dict[str, str]] = {"gpu_utilisation": "gpu_utilization"}

    gpu_memory_gb: Positive = 80
    """Memory of one GPU, in GB. It decides on how many GPUs a stage is trained."""
    gpu_tflops: Positive = 312
    """Peak of one GPU in bf16, in TFLOP/s: 312 is an A100, 989 an H100."""
    gpu_utilization: float = Field(0.25, ge=SMALLEST, le=1)
    """Share of that peak that training reaches."""
    cpu_gflops: Positive = 20
    """What one CPU core reaches, in GFLOP/s."""
    gpu_from: float = Field(1e7, ge=0, le=1e14)
    """Parameters from which a model gets a GPU: a smaller one is done on a CPU before a GPU is free."""
    gpus_per_node: Count = 8
    """GPUs of one node."""
    max_nodes: Count = 4
    """Most nodes that a training stage is spread over where the GPUs of one do not hold it."""
    cpus: Count = 4
    """CPU cores for each GPU. A job without one has as many as it has threads."""
    pairs: Count = 160_800
    """Preference pairs that are assumed until the data is prepared (the size of HH-RLHF)."""
    replies: Count = 10_000
    """Replies of one vertical that are assumed for each sample."""
    max_runtime: Count = 24 * MINUTE
    """Longest time limit that is asked for, in minutes. Training that needs more goes on from its checkpoint."""
    rules: dict[str, Request] = {}
    """What jobs ask for, by rule: `{ppo: {gpu: 4, runtime: 600}}`."""
    models: dict[str, ModelResources] = {}
    """What differs for one model, by model: `{llama: {rules: {ppo: {gpu: 8}}}}`."""
