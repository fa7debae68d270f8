"""Estimated duration of a job, for `pending` and `plan`. Time limits are larger (see `request`).

Work is counted in floating-point operations, with the number and length of texts as far as the study, or what was
prepared of it, tells them. The constants were measured in processor time on one machine (docs/performance.md);
`calibration` says how another machine compares.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from trustdag.layout import ModelId, chain_of
from trustdag.resources import estimate
from trustdag.resources.size import parameters_of
from trustdag.resources.workload import (
    asked_of,
    base_training,
    expected_attribution_flops,
    model_of,
    pairs_of,
    source_of,
    stage_training,
    text_tokens,
)

if TYPE_CHECKING:
    from trustdag.config.study import Study

CORE_FLOPS = 100e9
"""Operations per second of one core in training and in forward passes, in fp32."""
OPTION_TOKENS = 8
"""Tokens of an option whose likelihood is computed. Its prompt is read once."""
MANY_CORES_FROM = 1e7
"""Parameters from which several cores share the work of one job; smaller matrices are one core's."""
START = {"base": 6.0, "sft": 6.5, "reward": 6.5, "dpo": 6.5, "ppo": 6.0, "generate": 5.5, "attribute": 6.0}
"""Seconds of a job that loads a model and does nothing."""
OTHERS = {"statistics": 2.2, "report": 2.0, "plot": 1.4}
"""Seconds of jobs that load numerical and plotting libraries."""
RESAMPLING = 2.2e-5
"""Seconds of one resample of one policy's vertical."""
SHORT = 0.9
"""Seconds of any other job: it starts Python, and reads and writes tables."""
READING_ALL_WEIGHTS = 0.1
"""Decoding reads all weights for each token: the share of training's speed that it reaches on a GPU."""


def seconds(study: "Study", rule: str, wildcards: Mapping[str, str], gpus: int, cpus: int) -> float:
    """The time that a job is expected to take on the reference machine, or on the GPUs that `resources` describes.

    Args:
        study: The study.
        rule: The job's rule.
        wildcards: The job's wildcards.
        gpus: GPUs that it gets.
        cpus: Cores that it gets.
    """
    if rule not in START and "chain" not in wildcards:
        return OTHERS.get(rule, SHORT) + (RESAMPLING * _resamples(study) if rule == "statistics" else 0.0)
    parameters = parameters_of(study, model_of(wildcards) or "")
    settings = study.resources
    if gpus:
        share = READING_ALL_WEIGHTS if rule == "generate" else 1.0
        speed = gpus * share * settings.gpu_tflops * 1e12 * settings.gpu_utilization
    else:
        speed = CORE_FLOPS * (cpus if parameters >= MANY_CORES_FROM else 1)
    start = START.get(rule, START["sft"])
    return start + _flops(study, rule, wildcards, parameters, gpus > 0) / speed


def _flops(study: "Study", rule: str, wildcards: Mapping[str, str], parameters: float, on_gpu: bool) -> float:
    """Operations of the whole job; at `base`, a model that is not trained here takes none."""
    if rule == "base":
        source = source_of(study, wildcards["model"], wildcards["external"])
        return estimate.training_flops(base_training(source, parameters)) if source.source == "scratch" else 0.0
    if rule == "generate":
        return _asking(study, wildcards["vertical"], parameters)
    if rule == "attribute":
        return expected_attribution_flops(study, ModelId.parse(wildcards["policy"]), parameters)
    model, stage = wildcards["model"], chain_of(wildcards["chain"])[-1]
    training = stage_training(study, model, stage, on_gpu, pairs_of(study, wildcards["preferences"]))
    settings = study.stage_settings(model, stage)
    tokens = text_tokens(study, wildcards["preferences"], settings)
    return estimate.training_flops(replace(training, length=round(tokens)))


def _asking(study: "Study", vertical: str, parameters: float) -> float:
    """Operations to read each prompt of a vertical once, and to generate replies and read options after it."""
    settings = study.verticals_measured()[vertical].generate
    items, options, prompt = asked_of(study, vertical)
    tokens = items * (prompt + settings.samples * settings.max_new_tokens) + options * OPTION_TOKENS
    return estimate.generation_flops(parameters, 1, tokens)


def _resamples(study: "Study") -> int:
    """Resamples of all policies and verticals together."""
    trained = len(study.models) * max(1, len(study.preferences)) * len(study.recipes) * len(study.seeds)
    return trained * len(study.verticals_measured()) * study.statistics.resamples
