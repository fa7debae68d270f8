"""The task of one job of the rule `attribute`, as the command reads it. Imports no torch."""

from typing import Any, Literal

from trustdag.attribution.settings import StageMethod, VerticalAttribution
from trustdag.models.dialogue import PromptFormat
from trustdag.settings import Section

TrainedMethod = Literal["sft", "reward", "dpo"]


class VerticalTask(Section):
    """One vertical of a job."""

    attribution: VerticalAttribution
    """Settings of its attribution."""
    generate: dict[str, Any]
    """The vertical's `generate` settings."""
    score: dict[str, Any]
    """The vertical's `score` settings."""
    reference: str | None = None
    """The reference policy of a difference; None if the metric itself is attributed."""


class PpoTask(Section):
    """How PPO led from the reward model to the policy."""

    reference: str
    """The policy that PPO starts from, whose replies its KL penalty refers to."""
    kl_coef: float
    """Weight of the KL penalty."""


class AttributionTask(Section):
    """The attribution of one policy's verticals to its training pairs."""

    policy: str
    """The attributed policy: the text of a `ModelId`."""
    stage: StageMethod
    """Method of its last stage."""
    trained: str
    """The model whose training pairs get scores: the policy itself, or the reward model of a PPO policy."""
    trained_method: TrainedMethod
    """The method that trained it."""
    settings: dict[str, Any]
    """The settings that it was trained with."""
    start: str
    """The policy that its training started from."""
    preferences: str
    """Name of the preference set."""
    seed: int
    """Training seed."""
    prompt_format: PromptFormat
    """Prompt format of the model."""
    ppo: PpoTask | None = None
    """For a PPO policy."""
    verticals: dict[str, VerticalTask]
    """By name."""
