"""The section `attribution` of a study: which verticals are attributed, at which stages, and how. Imports no torch."""

import re
from typing import Literal

from pydantic import Field, model_validator

from trustdag.settings import Count, NotNegative, Positive, Section, Seed

MethodName = Literal["cosine", "datainf", "dot", "ekfac", "projected", "tracin", "unrolled"]
StageMethod = Literal["sft", "dpo", "ppo"]


PASSES: dict[MethodName, int] = {"cosine": 1, "datainf": 3, "dot": 1, "ekfac": 3, "projected": 2, "unrolled": 8}
"""Passes over the pairs that a method takes. `unrolled` trains forward and back in double precision."""


class MethodSettings(Section):
    """How influence is computed."""

    method: MethodName = "ekfac"
    """How influence is computed; docs/attribution.md compares the methods."""
    gradients: Literal["full", "lora"] = "full"
    """Gradients of the weights themselves, or of low-rank adapters of the change that the stage made."""
    rank: Count = 4
    """Rank of the adapters, for `gradients: lora`; `projection` must be at least as large."""
    layers: str = ""
    """A regular expression that is searched for in the names of layers; an empty one selects all layers."""
    damping: NotNegative | None = None
    """Damping: what is added to a layer's curvature, as a share of its mean; None: the method's default."""
    projection: Count = 16
    """Random directions on each side of a linear layer (`method: projected`); a layer has their square as features."""
    checkpoints: Count = 5
    """Points of the training, evenly spaced, that `tracin` sums over."""
    seed: Seed = 0
    """Seed of projections, of groups of items, and of the random baseline."""


class VerticalAttribution(MethodSettings):
    """How one vertical is attributed."""

    stages: list[StageMethod] = Field(["dpo"], min_length=1)
    """Last stages of the policies to attribute. A PPO policy is attributed to the pairs of its reward model."""
    metric: str | None = None
    """The vertical's metric to attribute; None: the headline metric."""
    query: Literal["auto", "replies", "options"] = "auto"
    """Whether to differentiate sampled replies or the log-odds of items' options. `auto`: options if the metric's
    records depend on likelihoods alone."""
    against: Literal["level", "base", "sft"] = "level"
    """Attribute the metric itself, or its paired difference from the base model or from the chain's SFT policy."""
    samples: int = Field(8, ge=2, le=10_000)
    """Replies to each item that are drawn from the reference for PPO's covariance."""
    groups: int = Field(10, ge=2, le=10_000)
    """Groups of items' clusters for the jackknife standard error."""
    memory_gb: Positive = 8
    """Memory limit for gradients and factors of each process, in GB. An attribution that needs more is refused before
    it starts."""
    block: Count | None = None
    """Pairs in one backward pass; None: as many as fit into `memory_gb`, at most 16. Changes no result beyond
    rounding."""

    @property
    def passes(self) -> int:
        """Forward and backward passes over the pairs that the method takes, for an estimate of its time."""
        if self.method == "datainf" and self.gradients == "lora":
            return 1  # gradients of adapters are small enough to be kept
        if self.method == "tracin":
            return self.checkpoints + 1
        return PASSES[self.method]

    @model_validator(mode="after")
    def _stages_differ(self) -> "VerticalAttribution":
        if len(set(self.stages)) != len(self.stages):
            raise ValueError("stages: a stage is listed twice")
        try:
            re.compile(self.layers)
        except re.error as error:
            raise ValueError(f"layers: not a regular expression: {error} (got {self.layers!r})") from None
        if self.method in ("projected", "unrolled") and self.gradients == "lora":
            raise ValueError(f"gradients: `lora` cannot be used with `method: {self.method}`")
        if self.method == "projected" and self.projection < self.rank:
            raise ValueError(f"projection: {self.projection} is too small for `rank: {self.rank}`; raise it to that")
        return self
