"""The resources of each job: GPUs, CPUs, memory and time, from the model's size and the stage.

The numbers come from `estimate`; the configuration's `resources` overrides them by rule, or by model and rule. A job
that ran out of memory or time gets more at the next attempt (see `jobs`), and only then.
"""

from collections.abc import Callable, Collection, Mapping
from functools import cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustdag.align import methods
from trustdag.config.resources import MINUTE, ModelResources, Request, ResourceSettings
from trustdag.errors import UserError
from trustdag.jobs import record as job_record
from trustdag.jobs.allocation import NO_LIMIT, configurations, is_several_on_cpu, processes_on_cpu
from trustdag.layout import Results, chain_of
from trustdag.resources import duration, estimate, site
from trustdag.resources.size import parameters_of, written_mb
from trustdag.resources.workload import (
    PROMPT_TOKENS,
    attribution_flops,
    base_training,
    model_of,
    source_of,
    stage_training,
)
from trustdag.settings import Section, mend_of_name

if TYPE_CHECKING:
    from trustdag.config.study import Study

RENAMED_RULES = {"ask": "generate", "study": "design"}
"""Former names of rules."""


class JobResources(Section):
    """The resources that one job requests."""

    gpu: int
    """Of all nodes together."""
    cpus: int
    """Of one node."""
    mem_mb: int
    """Of one node."""
    runtime: int
    accelerate: str
    nodes: int = 1


CPU_JOB = JobResources(gpu=0, cpus=1, mem_mb=4_000, runtime=60, accelerate="cpu")
"""Jobs of data, items, scores, statistics and reports, which need no GPU."""


# --- What Snakemake asks ---


def for_rule(study: "Study", rule: str, has_time_limit: Callable[[], bool]) -> dict[str, Callable[..., Any]]:
    """The `resources` of a rule, as functions of the wildcards and the attempt; with the site's own for each job.

    Args:
        study: The study.
        rule: The rule's name.
        has_time_limit: Whether a scheduler ends the job at its `runtime`; asked when the job is about to start.

    Returns:
        The functions by the name of their resource. `limit` is the minutes after which the job ends; 0 for none.
        `expected` is the seconds that it is expected to take, `expected_on_cpu` where it gets no GPU: for `trustdag
        pending` and `plan`. `written_mb` is the size of the model that it writes, for the same.
    """
    placed, results = site.load(), Results.of(study.name)

    def asked(wildcards: Mapping[str, str]) -> JobResources:
        return cached(rule, tuple(sorted(wildcards.items())))

    @cache
    def cached(rule: str, wildcards: tuple[tuple[str, str], ...]) -> JobResources:
        return job_resources(study, rule, dict(wildcards))

    def record(wildcards: Any) -> Path:
        return results.job_record(rule, map(str, wildcards))

    def next_try(wildcards: Any, attempt: int) -> JobResources:
        known = job_record.read(record(wildcards))
        # Snakemake retries after an attempt has ended. An attempt that is still recorded as running was killed.
        known = job_record.close_silent_attempt(known) if attempt > 1 else known
        return after_failures(asked(wildcards), known, attempt, study.resources.max_runtime)

    def field(name: str) -> Callable[[Any, int], Any]:
        return lambda wildcards, attempt: getattr(next_try(wildcards, attempt), name)

    def limit(wildcards: Any, attempt: int) -> int:
        limited = has_time_limit() or "runtime" in requested(study, rule, dict(wildcards.items()))
        return next_try(wildcards, attempt).runtime if limited else NO_LIMIT

    def place(name: str) -> Callable[[Any, int], str | int | None]:
        def placed_at(wildcards: Any, attempt: int) -> str | int | None:
            wanted = next_try(wildcards, attempt)
            return placed.place(wanted.gpu, wanted.nodes, wanted.cpus).get(name)

        return placed_at

    return (
        {name: field(name) for name in ("gpu", "nodes", "mem_mb", "runtime", "accelerate")}
        | {name: place(name) for name in site.PLACED}
        | {
            "limit": limit,
            "attempt": _attempt,
            "record": lambda wildcards: str(record(wildcards)),
            "written_mb": lambda wildcards: written_mb(study, rule, dict(wildcards.items())),
        }
        | _expected(study, rule, asked)
    )


def _expected(
    study: "Study", rule: str, asked: Callable[[Mapping[str, str]], JobResources]
) -> dict[str, Callable[..., int]]:
    """The seconds that a job is expected to take with the GPUs that it asks for, and without any."""

    def with_gpus(wildcards: Any, attempt: int) -> int:  # noqa: ARG001 - Snakemake passes both by name
        given = asked(wildcards)
        return ceil(duration.seconds(study, rule, dict(wildcards.items()), given.gpu, given.cpus))

    def on_cpu(wildcards: Any, attempt: int) -> int:  # noqa: ARG001 - Snakemake passes both by name
        return ceil(duration.seconds(study, rule, dict(wildcards.items()), 0, study.threads.of(rule)))

    return {"expected": with_gpus, "expected_on_cpu": on_cpu}


def _attempt(wildcards: Any, attempt: int) -> int:  # noqa: ARG001 - Snakemake passes both by name
    return attempt


def threads(study: "Study", rule: str) -> Callable[[Any], int]:
    """The `threads` of a rule, as a function of the wildcards."""
    return lambda wildcards: job_resources(study, rule, dict(wildcards.items())).cpus


def after_failures(first: JobResources, record: job_record.Record, attempt: int, longest: int) -> JobResources:
    """The resources of the next attempt: more of what was too little; the least if it would repeat a failure.

    Args:
        first: The resources before any failure.
        record: The job's failures so far.
        attempt: Number of the next attempt, 1 being the first of this run.
        longest: The longest time limit, in minutes.
    """
    if job_record.repeats_failure(record, attempt):
        return CPU_JOB.model_copy(update={"accelerate": first.accelerate})
    mem_mb, runtime = job_record.more_after(record, first.mem_mb, first.runtime, longest)
    return first.model_copy(update={"mem_mb": mem_mb, "runtime": runtime})


# --- What one job asks for ---


def job_resources(study: "Study", rule: str, wildcards: Mapping[str, str]) -> JobResources:
    """The resources of a job before any failure: the estimate, overridden by the configuration.

    Args:
        study: The study.
        rule: The job's rule.
        wildcards: The job's wildcards.

    Raises:
        UserError: The model's size is unknown, or no number of GPUs holds it.
    """
    changes = requested(study, rule, wildcards)
    return _estimated(study, rule, wildcards, Request(**changes)).model_copy(update=changes)


def requested(study: "Study", rule: str, wildcards: Mapping[str, str]) -> dict[str, Any]:
    """The configured request of a job: for its rule, overridden for its model and rule.

    Args:
        study: the study's configuration.
        rule: the job's rule.
        wildcards: the job's wildcards.
    """
    settings, model = study.resources, model_of(wildcards)
    requests = [settings.rules.get(rule)]
    if model is not None:
        requests.append(settings.models.get(model, ModelResources()).rules.get(rule))
    changes: dict[str, Any] = {}
    for request in filter(None, requests):
        changes |= request.model_dump(exclude_none=True)
    return changes


def _estimated(study: "Study", rule: str, wildcards: Mapping[str, str], request: Request) -> JobResources:
    if rule == "base":
        return _base(study, wildcards, request)
    if rule == "generate":
        return _generated(study, wildcards, request.gpu)
    if rule == "attribute":
        return _attributed(study, wildcards, request)
    if "chain" in wildcards:
        return _trained(study, rule, wildcards, request)
    return CPU_JOB.model_copy(update={"cpus": study.threads.of(rule)})


def _base(study: "Study", wildcards: Mapping[str, str], request: Request) -> JobResources:
    source = source_of(study, wildcards["model"], wildcards["external"])
    parameters = parameters_of(study, wildcards["model"])
    if source.source != "scratch":
        # A download or a copy: the weights are in memory one file at a time.
        return CPU_JOB.model_copy(update={"mem_mb": _mb(4e9 + 2 * parameters), "runtime": 4 * MINUTE})
    training = base_training(source, parameters)
    return _training(study, wildcards["model"], "base", training, source.batch_size, request)


def _trained(study: "Study", rule: str, wildcards: Mapping[str, str], request: Request) -> JobResources:
    model, stage = wildcards["model"], chain_of(wildcards["chain"])[-1]
    on_gpu = _wants_gpu(study, parameters_of(study, model), request.gpu)
    training = stage_training(study, model, stage, on_gpu, study.resources.pairs)
    return _training(study, model, rule, training, study.stage_settings(model, stage).batch_size, request)


def _most(settings: ResourceSettings, rule: str) -> int:
    """Largest number of GPUs of a rule's job: one from scratch, those of several nodes for methods, else of a node."""
    if rule == "base":
        return 1
    return settings.gpus_per_node * (settings.max_nodes if rule in methods() else 1)


def _training(
    study: "Study", model: str, rule: str, training: estimate.Training, batch_size: int, request: Request
) -> JobResources:
    settings = study.resources
    flops = estimate.training_flops(training)
    if not _wants_gpu(study, training.parameters, request.gpu):
        memory = estimate.training_memory(training, 1, sharded=False)
        cpus = study.threads.of(rule)
        runtime = _minutes(settings, flops / (cpus * settings.cpu_gflops * 1e9))
        return JobResources(gpu=0, cpus=cpus, mem_mb=_mb(2e9 + memory), runtime=runtime, accelerate="cpu")
    memory = settings.gpu_memory_gb * 1e9
    most = _most(settings, rule)
    count = request.gpu or estimate.processes_for(training, batch_size, memory, most)
    if count is None:
        raise UserError(
            f"resources: {rule} of {model} ({training.parameters:.2g} parameters) does not fit {most} GPUs of"
            f" {settings.gpu_memory_gb:g} GB (max_nodes: {settings.max_nodes}, gpus_per_node:"
            f" {settings.gpus_per_node}); lower the stage's device_batch_size, turn on gradient_checkpointing or lora,"
            " or correct these numbers"
        )
    nodes = request.nodes or nodes_for(count, settings.gpus_per_node)
    sharded = estimate.must_shard(training, batch_size, memory, count)
    # Every process reads the weights; the first one gathers weights and optimizer state for a checkpoint.
    host = 4e9 + (4 * count // nodes + estimate.TRAINED_STATE * training.trained_share) * training.parameters
    speed = count * settings.gpu_tflops * 1e12 * settings.gpu_utilization
    return JobResources(
        gpu=count,
        nodes=nodes,
        cpus=settings.cpus * count // nodes,
        mem_mb=_mb(host),
        runtime=_minutes(settings, flops / speed),
        accelerate="gpu" if count == 1 else "fsdp" if sharded else "ddp",
    )


def nodes_for(gpus: int, gpus_per_node: int) -> int:
    """The fewest nodes over which the GPUs can be distributed evenly."""
    return next(nodes for nodes in range(ceil(gpus / gpus_per_node), gpus + 1) if gpus % nodes == 0)


def _generated(study: "Study", wildcards: Mapping[str, str], gpus: int | None) -> JobResources:
    settings, parameters = study.resources, parameters_of(study, model_of(wildcards) or "")
    sampling = study.verticals_measured()[wildcards["vertical"]].generate
    on_gpu = _wants_gpu(study, parameters, gpus)
    # On a CPU the engine computes replies with small margins again in double precision.
    precision: estimate.Precision = "bf16" if on_gpu else "fp64"
    memory = estimate.generation_memory(parameters, sampling.batch_tokens, precision)
    tokens = PROMPT_TOKENS + sampling.max_new_tokens
    flops = estimate.generation_flops(parameters, settings.replies * sampling.samples, tokens)
    if not on_gpu:
        cpus = study.threads.of("generate")
        runtime = _minutes(settings, flops / (cpus * settings.cpu_gflops * 1e9))
        return JobResources(gpu=0, cpus=cpus, mem_mb=_mb(2e9 + memory), runtime=runtime, accelerate="cpu")
    count = gpus or ceil(memory / (settings.gpu_memory_gb * 1e9))
    # Decoding reads all weights for each token, so it reaches about a tenth of the speed of training.
    speed = 0.1 * settings.gpu_tflops * 1e12 * settings.gpu_utilization
    return JobResources(
        gpu=count,
        cpus=settings.cpus * count,
        mem_mb=_mb(4e9 + 4 * parameters),
        runtime=_minutes(settings, flops / speed),
        accelerate="gpu",
    )


def _attributed(study: "Study", wildcards: Mapping[str, str], request: Request) -> JobResources:
    settings, parameters = study.resources, parameters_of(study, model_of(wildcards) or "")
    asked = study.attributed().values()
    held = max((attribution.memory_gb for attribution in asked), default=0.0) * 1e9
    lengths = [stage.max_length for stage in study.stages.values()]
    flops = attribution_flops(study, parameters, settings.pairs, max(lengths, default=0))
    if not _wants_gpu(study, parameters, request.gpu):
        threads = study.threads.of("attribute")
        cpus, accelerate = request.cpus or threads, request.accelerate or "cpu"
        count = processes_on_cpu(accelerate, cpus, threads)
        runtime = _minutes(settings, flops / (count * threads * settings.cpu_gflops * 1e9))
        memory = _mb(count * (2e9 + 8 * parameters + held))
        return JobResources(gpu=0, cpus=cpus, mem_mb=memory, runtime=runtime, accelerate=accelerate)
    count = request.gpu or 1
    return JobResources(
        gpu=count,
        cpus=settings.cpus * count,
        mem_mb=_mb(4e9 + count * 8 * parameters),
        runtime=_minutes(settings, flops / (count * settings.gpu_tflops * 1e12 * settings.gpu_utilization)),
        accelerate="gpu" if count == 1 else "ddp",
    )


def _wants_gpu(study: "Study", parameters: float, gpus: int | None) -> bool:
    return gpus > 0 if gpus is not None else parameters >= study.resources.gpu_from


def _mb(size: float) -> int:
    """Bytes as MB, rounded up to 500."""
    return 500 * ceil(size / 5e8)


def _minutes(settings: ResourceSettings, seconds: float) -> int:
    """A time limit: ten minutes to start, twice the estimate, rounded up to ten minutes."""
    return min(settings.max_runtime, 10 + 10 * ceil(min(2 * seconds / 600, settings.max_runtime)))


# --- What fits the study ---


def check(study: "Study", rules: Collection[str]) -> None:
    """Checks `resources` against the study.

    Raises UserError if it names a rule or a model that the study lacks, asks for GPUs or nodes that cannot be had, or
    leaves a model's size unknown.
    """
    settings = study.resources
    for model in settings.models:
        if model not in study.models:
            raise UserError(f"resources.models.{model}: {mend_of_name(model, study.models, 'models')}")
    named = {("resources.rules", rule): request for rule, request in settings.rules.items()}
    for model, changes in settings.models.items():
        named |= {(f"resources.models.{model}.rules", rule): request for rule, request in changes.rules.items()}
    for (section, rule), request in named.items():
        if rule in RENAMED_RULES:
            raise UserError(f"{section}.{rule}: this rule is now called `{RENAMED_RULES[rule]}`; rename the key")
        if rule not in rules:
            raise UserError(f"{section}.{rule}: {mend_of_name(rule, rules, 'the workflow')}")
        _check_spread(f"{section}.{rule}", rule, request, settings)
        if request.accelerate is not None and request.accelerate not in (known := configurations()):
            raise UserError(
                f"{section}.{rule}.accelerate: {mend_of_name(request.accelerate, known, 'config/accelerate')}"
            )
        if rule not in (*methods(), "attribute") and is_several_on_cpu(request.accelerate or "none"):
            raise UserError(f"{section}.{rule}.accelerate: {rule} runs in one process on the CPU; leave the key out")
    for model in study.models:
        parameters_of(study, model)


def _check_spread(key: str, rule: str, request: Request, settings: ResourceSettings) -> None:
    """Raises UserError if a rule requests nodes that it does not use, or GPUs that it cannot have."""
    gpu, nodes = request.gpu or 0, request.nodes
    if nodes is not None and rule not in methods():
        raise UserError(f"{key}.nodes: {rule} runs on one node; only {', '.join(methods())} run on several")
    if nodes is not None and request.gpu is None:
        raise UserError(f"{key}.nodes: {nodes} nodes of how many GPUs? set {key}.gpu, of all nodes together")
    if nodes is not None and (gpu < nodes or gpu % nodes):
        raise UserError(f"{key}.gpu: {gpu} GPUs are not spread evenly over {nodes} nodes")
    most = _most(settings, rule) if nodes is None else nodes * settings.gpus_per_node
    if gpu > most:
        raise UserError(
            f"{key}.gpu: {gpu} GPUs are more than the {most} that {rule} can have"
            f" (resources.gpus_per_node: {settings.gpus_per_node}, max_nodes: {settings.max_nodes})"
        )
