"""The section `threads` of the configuration."""

from typing import Annotated

from pydantic import Field, field_validator

from trustdag.align import methods
from trustdag.settings import Section

DEFAULT_THREADS = 2
"""Threads of a job that trains a model or generates replies. They are the same on every machine."""

COMPUTING = ("base", "generate", "attribute")
"""Rules that compute with a model, beside the training methods; `score` does with a classifier alone."""

Count = Annotated[int, Field(ge=1, le=1024)]


class Threads(Section):
    """Number of threads of each process.

    Sums of floating-point numbers depend on it, and so do weights. Therefore the study sets it, independent of
    `--cores` and of the node. With fewer cores, the same number of threads shares them.
    """

    default: Count = DEFAULT_THREADS
    """Threads of jobs that train a model, generate replies or attribute them."""
    rules: dict[str, Count] = {}
    """Overrides by rule: `{base: 4, dpo: 1}`. The default of `score` is one; only classifiers need more."""

    @field_validator("rules")
    @classmethod
    def _rules_compute(cls, rules: dict[str, int]) -> dict[str, int]:
        known = (*COMPUTING, *methods(), "score")
        for rule in rules:
            if rule not in known:
                raise ValueError(f"{rule}: no rule that computes with a model; there are {', '.join(known)}")
        return rules

    def of(self, rule: str) -> int:
        """Number of threads of a rule's jobs."""
        computes = rule in COMPUTING or rule in methods()
        return self.rules.get(rule, self.default if computes else 1)
